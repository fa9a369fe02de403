//! The first head on a connection, read before HTTP has room for it.
//!
//! What speaks HTTP takes some 24 KiB for each connection as soon as a byte comes. Whoever sends a head byte by byte,
//! or none, should not have that.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A connection, and what came on it that nobody has read yet.
pub(crate) struct Begun<S> {
    first: BytesMut,
    stream: S,
    is_asking: Asking,
}

/// Whether a client said something since it was last answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking(Arc<AtomicBool>);

impl Asking {
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_so: bool) {
        self.0.store(is_so, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> Begun<S> {
    pub(crate) fn new(stream: S) -> Begun<S> {
        Begun { first: BytesMut::new(), stream, is_asking: Asking::default() }
    }

    /// Waits for the end of the first head, or for as much as tells that it is none: whether it is one, is for others
    /// to say. Given up, what has come is there.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        loop {
            let seen = self.first.len();
            self.first.reserve(USUAL);
            let count = self.stream.read_buf(&mut self.first).await?;
            if count == 0 || is_enough(&self.first, seen) {
                return Ok(());
            }
        }
    }

    /// Whether nothing has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Whether what has come begins HTTP/2.
    pub(crate) fn is_http_2(&self) -> bool {
        self.first.starts_with(b"PRI ")
    }

    /// Whether its client says something, as long as it is read and written.
    pub(crate) fn asking(&self) -> Asking {
        self.is_asking.clone()
    }
}

/// Whether more would tell nothing new, of which so much was looked at before.
fn is_enough(first: &[u8], seen: usize) -> bool {
    // The end of the last line, and an empty one; as HTTP is read, with or without returns.
    let behind = &first[seen.saturating_sub(2)..];
    let has_end = behind.windows(2).any(|pair| pair == b"\n\n")
        || behind.windows(3).any(|three| three == b"\n\r\n");
    has_end || !may_be_head(first) || first.len() >= LONG
}

/// Whether this may be the beginning of one. Who speaks TLS, or nonsense, is not left waiting for an answer.
fn may_be_head(first: &[u8]) -> bool {
    let blank = first.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let line = &first[blank..];
    match line.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            line[..end].windows(8).any(|it| it == b" HTTP/1.") || line.starts_with(b"PRI ")
        }
        None => line.first().is_none_or(u8::is_ascii_graphic),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            let before = to.filled().len();
            let read = Pin::new(&mut self.stream).poll_read(cx, to);
            if to.filled().len() > before {
                self.is_asking.set(true);
            }
            return read;
        }
        self.is_asking.set(true);
        let count = self.first.len().min(to.remaining());
        to.put_slice(&self.first[..count]);
        self.first.advance(count);
        if self.first.is_empty() {
            self.first = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_asking.set(false);
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_asking.set(false);
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Of most heads.
const USUAL: usize = 512;
/// A head that is longer comes from somebody who has much to say: HTTP takes over.
const LONG: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_head_is_waited_for_and_nothing_of_what_came_is_lost() {
        let long = [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; LONG]].concat();
        for (pieces, comes_before) in [
            (&[&b"GET / HTTP/1.1\r"[..], b"\nhost: h\r\n\r", b"\nbody"][..], 3),
            (&[b"GET / HTTP/1.1\nhost: h\n", b"\n", b"body"], 2),
            (&[b"\r\nGET / HTTP/1.1\r\n", b"\r\n"], 2),
            // The preface of HTTP/2 looks like one.
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"frames"], 1),
            (&[b"\x16\x03\x01", b"TLS"], 1),
            (&[b"SSH-2.0-x\r", b"\n", b"more"], 2),
            (&[b"GET / HTTP/9.9\r\n", b"\r\n"], 1),
            (&[&long, b"aaa"], 1),
        ] {
            let (mut client, server) = duplex(1 << 20);
            let mut begun = Begun::new(server);
            let mut waiting = Box::pin(begun.wait());
            for (at, piece) in pieces.iter().enumerate() {
                client.write_all(piece).await.expect("room");
                if at + 1 < comes_before {
                    let now = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx)));
                    assert!(now.await.is_pending(), "{:?}", piece.escape_ascii().to_string());
                }
                if at + 1 == comes_before {
                    break;
                }
            }
            waiting.await.expect("a head");
            for piece in &pieces[comes_before..] {
                client.write_all(piece).await.expect("room");
            }
            client.shutdown().await.expect("an end");
            let mut all = Vec::new();
            begun.read_to_end(&mut all).await.expect("all of it");
            assert_eq!(all, pieces.concat());
            begun.write_all(b"answer").await.expect("room");
            let mut answer = [0; 6];
            client.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"answer");
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_wait() {
        let (mut client, server) = duplex(100);
        client.write_all(b"GET /").await.expect("room");
        drop(client);
        let mut begun = Begun::new(server);
        begun.wait().await.expect("an end");
        assert!(!begun.is_empty());
        let mut all = Vec::new();
        begun.read_to_end(&mut all).await.expect("all of it");
        assert_eq!(all, b"GET /");
    }
}
