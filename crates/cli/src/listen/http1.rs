//! A connection that speaks HTTP/1.

use std::{
    future::Future,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    answer::Answer,
    body::{Body, Reading},
    check::Malformed,
    head::{self, Framing, Terms, bad},
    received::Received,
    server::{Shared, Stop},
};

/// Answers the requests of a connection, one after the other. `buffer` holds what was read already.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    buffer: BytesMut,
    shared: &Arc<Shared>,
    mut stop: Stop,
) -> io::Result<()> {
    let mut connection = Connection { stream, buffer };
    loop {
        if connection.buffer.is_empty() {
            let read = tokio::select! {
                biased;
                read = within(IDLE, connection.fill()) => read,
                () = stop.wanted() => return Ok(()),
            };
            match read {
                Ok(0) | Err(Broken::Slow) => return Ok(()),
                Err(Broken::Connection(error)) => return Err(error),
                Ok(_) | Err(Broken::Malformed(_)) => {}
            }
        }
        // Of its first bytes: an upload may take longer than a signature holds.
        let now = SystemTime::now();
        let (request, outcome, keep_alive) = connection.receive(shared, now).await?;
        // What was not read to its end leaves the connection in the middle of a request.
        let keep_alive = keep_alive && outcome.is_ok() && !stop.is_wanted();
        let is_head = request.method == b"HEAD";
        let answer = match outcome {
            Ok(body) => shared.answer(request, body, now).await,
            Err(why) => shared.malformed(&request, &why).await,
        };
        within(BODY, connection.send(&answer, is_head, keep_alive)).await.or_else(gone)?;
        if !keep_alive {
            return connection.close().await;
        }
    }
}

struct Connection<S> {
    stream: S,
    /// Read, and not used yet.
    buffer: BytesMut,
}

/// Why a request was not read to its end.
enum Broken {
    Connection(io::Error),
    Malformed(Malformed),
    Slow,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads a request to its end: its head, its body or what is wrong with it, and whether the client
    /// keeps the connection.
    async fn receive(
        &mut self,
        shared: &Shared,
        now: SystemTime,
    ) -> io::Result<(Received, Result<Body, Malformed>, bool)> {
        let head = match within(HEAD, self.head()).await {
            Ok(head) => head,
            Err(broken) => {
                let why = broken.into_malformed("the head")?;
                return Ok((Received::default(), Err(why), false));
            }
        };
        let (request, terms) = head::parse(&head);
        let Terms { framing, keep_alive, waits } = match terms {
            Ok(terms) => terms,
            Err(why) => return Ok((request, Err(why), false)),
        };
        let has_body = framing != Framing::Length(0);
        if waits && has_body && self.buffer.is_empty() {
            within(BODY, async {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                Ok(self.stream.flush().await?)
            })
            .await
            .or_else(gone)?;
        }
        let mut reading = shared.begin(&request, now);
        let read = match framing {
            Framing::Length(len) => self.exactly(len, &mut reading).await,
            Framing::Chunked => self.chunked(&mut reading).await,
        };
        match read {
            Ok(()) => Ok((request, Ok(reading.finish()), keep_alive)),
            Err(broken) => Ok((request, Err(broken.into_malformed("the body")?), false)),
        }
    }

    /// Reads up to the empty line behind a head.
    async fn head(&mut self) -> Result<Bytes, Broken> {
        let mut searched = 0;
        loop {
            // Some clients send an empty line behind a body (RFC 9112, §2.2).
            while searched == 0 && self.buffer.first().is_some_and(|byte| b"\r\n".contains(byte)) {
                self.buffer.advance(1);
            }
            if self.buffer.starts_with(TLS_HANDSHAKE) {
                return Err(bad("the client speaks TLS, and this port does not: use http://, or start with --tls").into());
            }
            let end = head_end(&self.buffer, searched);
            if end.unwrap_or(self.buffer.len()) > HEAD_BYTES {
                return Err(Malformed {
                    status: 431,
                    code: "RequestHeaderSectionTooLarge",
                    message: format!("the head of the request is larger than {HEAD_BYTES} bytes"),
                }
                .into());
            }
            if let Some(end) = end {
                return Ok(self.buffer.split_to(end).freeze());
            }
            // An end may begin in what was searched.
            searched = self.buffer.len().saturating_sub(2);
            if self.fill().await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Reads so many bytes of a body.
    async fn exactly(&mut self, mut len: u64, into: &mut Reading) -> Result<(), Broken> {
        while len > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let here =
                usize::try_from(len).map_or(self.buffer.len(), |len| len.min(self.buffer.len()));
            into.push(&self.buffer[..here]);
            self.buffer.advance(here);
            len -= here as u64;
        }
        Ok(())
    }

    /// Reads a body in chunks (RFC 9112, §7.1); extensions and trailers are dropped.
    async fn chunked(&mut self, into: &mut Reading) -> Result<(), Broken> {
        loop {
            let line = self.line().await?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            let is_hex = (1..=15).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
            let text = str::from_utf8(size).unwrap_or_default();
            let (true, Ok(size)) = (is_hex, u64::from_str_radix(text, 16)) else {
                return Err(bad(format_args!(
                    "the chunk size `{}` is no size",
                    size.escape_ascii()
                ))
                .into());
            };
            if size == 0 {
                break;
            }
            self.exactly(size, into).await?;
            if !self.line().await?.is_empty() {
                return Err(bad("a chunk is longer than its size").into());
            }
        }
        let mut trailers = 0;
        loop {
            let line = self.line().await?;
            trailers += line.len();
            match (line.is_empty(), trailers > HEAD_BYTES) {
                (true, _) => return Ok(()),
                (false, false) => {}
                (false, true) => return Err(bad("the trailers are too long").into()),
            }
        }
    }

    /// A line within a chunked body, without its end.
    async fn line(&mut self) -> Result<Bytes, Broken> {
        loop {
            if let Some(end) = self.buffer.iter().take(LINE_BYTES).position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(end + 1).freeze();
                return match line.strip_suffix(b"\r\n") {
                    Some(text) => Ok(line.slice(..text.len())),
                    None => Err(bad("a line of the chunked body ends without CR").into()),
                };
            }
            if self.buffer.len() >= LINE_BYTES {
                return Err(bad("a line of the chunked body is too long").into());
            }
            self.more().await?;
        }
    }

    /// Reads on, within a body.
    async fn more(&mut self) -> Result<(), Broken> {
        match within(BODY, self.fill()).await? {
            0 => Err(Malformed {
                status: 400,
                code: "IncompleteBody",
                message: "the connection ended within the body".to_owned(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self) -> Result<usize, Broken> {
        self.buffer.reserve(READ);
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }

    async fn send(&mut self, answer: &Answer, is_head: bool, keep: bool) -> Result<(), Broken> {
        let status = StatusCode::from_u16(answer.status).unwrap_or_default();
        let reason = status.canonical_reason().unwrap_or("Refused");
        let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_str());
        let mut put = |name: &str, value: &str| text.extend([name, ": ", value, "\r\n"]);
        for (name, value) in &answer.headers {
            put(name, value);
        }
        // Clients correct their clocks by it.
        put("date", &httpdate::fmt_http_date(SystemTime::now()));
        put("content-length", &answer.body.len().to_string());
        put("connection", if keep { "keep-alive" } else { "close" });
        text.push_str("\r\n");
        let mut wire = text.into_bytes();
        if !is_head {
            wire.extend_from_slice(&answer.body);
        }
        self.stream.write_all(&wire).await?;
        Ok(self.stream.flush().await?)
    }

    /// Closes such that the client can read the answer: to close upon bytes that were not read would
    /// take it from it.
    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let _ = timeout(LINGER, async {
            loop {
                self.buffer.clear();
                if !matches!(self.fill().await, Ok(1..)) {
                    return;
                }
            }
        })
        .await;
        Ok(())
    }
}

impl Broken {
    /// What to answer; an error if nobody is there to read it.
    fn into_malformed(self, what: &str) -> io::Result<Malformed> {
        match self {
            Broken::Connection(error) => Err(error),
            Broken::Malformed(why) => Ok(why),
            Broken::Slow => Ok(Malformed {
                status: 408,
                code: "RequestTimeout",
                message: format!("{what} of the request did not arrive in time"),
            }),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Connection(error)
    }
}

impl From<Malformed> for Broken {
    fn from(why: Malformed) -> Broken {
        Broken::Malformed(why)
    }
}

/// A connection to which nothing can be written is gone.
fn gone(broken: Broken) -> io::Result<()> {
    match broken {
        Broken::Connection(error) => Err(error),
        Broken::Malformed(_) | Broken::Slow => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    timeout(time, work).await.unwrap_or(Err(Broken::Slow))
}

/// Where the first empty line ends.
fn head_end(buffer: &[u8], from: usize) -> Option<usize> {
    let ends = (from..buffer.len()).filter(|&at| buffer[at] == b'\n');
    ends.map(|at| at + 1).find_map(|next| match &buffer[next..] {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

/// For the next request to begin.
const IDLE: Duration = Duration::from_secs(60);
/// For a whole head, from its first byte on.
const HEAD: Duration = Duration::from_secs(15);
/// For the next bytes of a body, and for the client to take an answer.
const BODY: Duration = Duration::from_secs(30);
/// For the client to close its side.
const LINGER: Duration = Duration::from_secs(2);

const HEAD_BYTES: usize = 64 * 1024;
const LINE_BYTES: usize = 4 * 1024;
/// So much is read at once.
const READ: usize = 16 * 1024;
/// The record type and the major version with which TLS begins.
const TLS_HANDSHAKE: &[u8] = &[22, 3];

#[cfg(test)]
mod tests {
    use std::io::sink;

    use countersign::{Credentials, verify::Verifier};
    use tokio::io::duplex;

    use super::*;
    use crate::{
        keys::{Derived, Keys},
        listen::{check::Endpoint, log::Log},
    };

    /// What a client is sent that says so much, waits for an answer and says no more; whether its side
    /// is closed then.
    async fn conversation(said: &[u8]) -> String {
        let keys = Keys::new([Credentials::new("AKID", "secret")], Derived::default());
        let (log, _) = Log::start(true, sink);
        let shared = Arc::new(Shared::new(Endpoint::new(Verifier::new(), keys, None), log, None));
        let (_running, stop) = Stop::new();
        let (mut client, server) = duplex(1 << 20);
        client.write_all(said).await.expect("a connection");
        let serve = serve(server, BytesMut::new(), &shared, stop);
        let mut answer = Vec::new();
        let (ended, read) = tokio::join!(serve, client.read_to_end(&mut answer));
        ended.and(read).expect("an end");
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_left() {
        assert_eq!(conversation(b"").await, "");
        let answer = conversation(b"GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_or_a_body_that_does_not_arrive_is_not_waited_for() {
        for said in [
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1234",
        ] {
            let answer = conversation(said.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn chunks_are_read_or_refused() {
        let chunked = |body: &str| {
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
        };
        for body in ["0\r\n\r\n", "3;a=b\r\nabc\r\n0C\r\n0123456789ab\r\n0\r\nX: y\r\n\r\n"] {
            let answer = conversation(&chunked(body)).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        }
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "ffffffffffffffff\r\n",
            "1\nx\r\n",
            "1\r\nxy\r\n0\r\n\r\n",
            &"1".repeat(5000),
            &format!("0\r\n{}", "a: b\r\n".repeat(20_000)),
        ] {
            let answer = conversation(&chunked(body)).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{body:.30}: {answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_limit() {
        for head in
            ["x".repeat(70_000), format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(70_000))]
        {
            let answer = conversation(head.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_speaks_tls_is_told() {
        let answer = conversation(&[22, 3, 1, 2, 0, 1, 0]).await;
        assert!(answer.contains("the client speaks TLS"), "{answer}");
    }

    #[test]
    fn a_head_ends_at_the_first_empty_line() {
        assert_eq!(head_end(b"a\r\n\r\nb", 0), Some(5));
        assert_eq!(head_end(b"a\n\nb", 0), Some(3));
        assert_eq!(head_end(b"a\n\r\nb", 0), Some(4));
        assert_eq!(head_end(b"a\r\n\rb\r\n", 0), None);
        assert_eq!(head_end(b"\n\n", 1), None);
    }
}
