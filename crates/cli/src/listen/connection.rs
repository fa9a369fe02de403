//! A connection, of whichever version of HTTP.

use std::{io::Cursor, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    http1, http2,
    server::{Shared, Stop},
};

/// Serves a connection to its end. What goes wrong with it concerns nobody but its client.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: Stop,
) {
    match tls {
        None => converse(stream, shared, stop).await,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, shared, stop).await,
            Ok(Err(error)) => shared.note(&format!("a TLS handshake failed: {error}")),
            Err(_) => shared.note("a TLS handshake took too long"),
        },
    }
}

/// Tells the versions of HTTP apart by how they begin.
async fn converse<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut stream: S,
    shared: Arc<Shared>,
    mut stop: Stop,
) {
    let mut start = BytesMut::with_capacity(PREFACE.len());
    while start.len() < PREFACE.len() && PREFACE.starts_with(&start) {
        let read = tokio::select! {
            biased;
            read = timeout(START, stream.read_buf(&mut start)) => read,
            () = stop.wanted() => return,
        };
        if !matches!(read, Ok(Ok(1..))) {
            break;
        }
    }
    // A connection that breaks was given up by its client.
    if start.starts_with(PREFACE) {
        let (read, write) = tokio::io::split(stream);
        let stream = tokio::io::join(Cursor::new(start.freeze()).chain(read), write);
        let _ = http2::serve(stream, shared, stop).await;
    } else if !start.is_empty() {
        let _ = http1::serve(stream, start, &shared, stop).await;
    }
}

/// With which a client that knows of HTTP/2 begins (RFC 9113, §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the first bytes.
const START: Duration = Duration::from_secs(60);
