//! Bytes that pass both ways, between two connections that nobody reads.

use std::{pin::pin, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep_until,
};
use tokio_util::io::InspectReader;

use crate::body::Progress;

/// Carries bytes both ways until both sides have ended, or nothing came for this long.
pub(crate) async fn carry(
    client: impl AsyncRead + AsyncWrite + Unpin,
    service: impl AsyncRead + AsyncWrite + Unpin,
    limit: Duration,
) {
    let passed = Progress::new();
    let mut client = InspectReader::new(client, |data| passed.note(data.len()));
    let mut service = InspectReader::new(service, |data| passed.note(data.len()));
    let mut carrying = pin!(tokio::io::copy_bidirectional(&mut client, &mut service));
    loop {
        let until = passed.last() + limit;
        tokio::select! {
            biased;
            // What goes wrong here concerns the two alone.
            _ = &mut carrying => break,
            () = sleep_until(until) => if passed.last() + limit <= until { break },
        }
    }
}
