//! Verifying a body in chunks while it comes.

use std::{borrow::Cow, fmt, mem};

use super::{
    Checksum, ChunkBuffer, Trailers,
    frame::{self, Size},
    trailer::{self, Declared, LONGEST_LINE},
};
use crate::{
    Algorithm, Scope, SigningKey, Timestamp,
    asymmetric::LONGEST_SIGNATURE,
    chain::{Verifies, VerifyingChain},
    sha256,
    verify::{Error, Place, Refusal},
};

/// What computes the checksum that a trailer of this name, in lower case, is compared with; `None` for
/// one that it does not know.
///
/// ```
/// use countersign::chunked::Checksums;
///
/// let none: Checksums = |_name| None;
/// assert!(none("x-amz-checksum-crc32").is_none());
/// ```
pub type Checksums = fn(&str) -> Option<Box<dyn Checksum>>;

/// Verifies a body in chunks, in whatever pieces it comes, and takes it out of its frame.
///
/// A server that verifies requests has no need of it: the [`BodyCheck`](crate::verify::BodyCheck) of a
/// request in chunks holds one.
///
/// ```
/// use countersign::{Scope, SigningKey, chunked::{ChunkBuffer, ChunkVerifier}};
///
/// let scope = Scope::parse("20150830/us-east-1/s3/aws4_request")?;
/// let key = SigningKey::derive("secret", &scope);
/// let at = "20150830T123600Z".parse()?;
/// let signature_of_the_request = [b'0'; 64];
/// let mut chunks = ChunkVerifier::new(key, at, &scope, &signature_of_the_request);
///
/// let mut body = ChunkBuffer::new();
/// let forged = format!("4;chunk-signature={}\r\nmeow\r\n", "0".repeat(64));
/// let error = chunks.push(forged.as_bytes(), &mut body).unwrap_err();
/// assert_eq!((error.chunk(), error.body_offset()), (Some(1), Some(0)));
/// assert!(body.ready().is_empty());
/// # Ok::<(), countersign::Error>(())
/// ```
///
/// # What is believed
///
/// - Of signed chunks each one is let into the [`ChunkBuffer`] once its own signature held, and not before:
///   so one chunk at a time is held in memory, and longer ones than the
///   [limit](ChunkVerifier::with_chunk_limit) are refused.
/// - **Chunks that are not signed are let through at once.** Only the checksum behind them says whether they
///   are those that were sent, so that nothing of them may be acted on before
///   [`ChunkVerifier::finish`] said yes.
/// - In both forms, that a body is whole is known at its end alone.
///
/// # What is accepted
///
/// ```text
/// hex-len;chunk-signature=SIG CRLF data CRLF   each chunk; without `;chunk-signature=SIG` if unsigned
/// 0;chunk-signature=SIG CRLF                   the end, with a signature of its own
/// name:value CRLF                              each of the trailers that x-amz-trailer names, in any order
/// x-amz-trailer-signature:SIG CRLF             where the chunks are signed and there are trailers
/// CRLF
/// ```
///
/// and nothing else: no other extension of a chunk, no bare LF, no blanks but around the value of a trailer,
/// nothing behind the end. But as MinIO's client for Go writes trailers, the line of one may end in LF alone;
/// behind such lines there may be an empty one before the signature, or, where nothing is signed, a second one at
/// the end. A size has up to 16 digits. The letter case of sizes and of trailers' names makes no difference, that of signatures does.
/// A signature has 64 digits; one by SigV4A has as many `*` behind it as make 144 bytes.
/// Unlike S3, this does not insist that all chunks but the last have 8 KiB.
pub struct ChunkVerifier {
    place: Place,
    /// Gone once it is not needed any more.
    // What is only there at times is there in a box: a place that is left open in this struct would take
    // along what its moves find on the stack, be it a key.
    chain: Option<Box<VerifyingChain>>,
    /// By which the chunks are signed; `None` if they are not.
    algorithm: Option<Algorithm>,
    trailer: Option<Box<Declared>>,
    /// Whether the line of a trailer ended in LF alone, and no empty one came behind it.
    is_loose: bool,
    has_decoded_len: bool,
    decoded_len: u64,
    chunk_limit: usize,
    state: State,
    /// How much of the chunk's data is still to come.
    left: u64,
    /// What is there of a line.
    line: Vec<u8>,
    /// What the chunk that is being read says is its signature.
    signature: [u8; LONGEST_SIGNATURE],
    /// How much of the chunk waits in the buffer.
    held: usize,
    /// Which chunk is being read, from 1.
    number: u64,
    /// Where the chunk or the trailer that is being read begins.
    start: u64,
    /// How many bytes were read.
    offset: u64,
    /// How long the chunks are that were begun.
    decoded: u64,
    failure: Option<Box<Error>>,
}

/// What comes next. All but data comes in lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data,
    /// The end of the line behind a chunk's data.
    DataEnd,
    Trailer,
    /// The empty line behind everything.
    End,
    /// A second one, which may be there.
    Leftover,
    Done,
}

impl ChunkVerifier {
    /// Verifies signed chunks without a trailer, `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    ///
    /// `signature` is the request's own, which must have been verified, as must be what made it: `at` and
    /// `scope`.
    pub fn new(
        key: SigningKey,
        at: Timestamp,
        scope: &Scope<'_>,
        signature: &[u8; 64],
    ) -> ChunkVerifier {
        ChunkVerifier::with_key(Verifies::Hmac(key), at, scope, signature)
    }

    /// Verifies chunks that are signed by the algorithm of this key.
    pub(crate) fn with_key(
        key: Verifies,
        at: Timestamp,
        scope: &Scope<'_>,
        signature: &[u8],
    ) -> ChunkVerifier {
        let algorithm = Some(key.algorithm());
        let chain = Some(Box::new(VerifyingChain::new(key, at, scope, signature)));
        ChunkVerifier { chain, algorithm, ..ChunkVerifier::bare() }
    }

    /// Verifies chunks that are not signed, `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, by the checksums behind
    /// them. `names` is the value of the signed `x-amz-trailer`.
    ///
    /// # Errors
    /// [`Refusal::MalformedTrailer`] if `names` is no list of names, and
    /// [`Refusal::UnsupportedPayload`] if one of them is no checksum that `checksums` computes.
    pub fn unsigned(names: &[u8], checksums: Option<Checksums>) -> Result<ChunkVerifier, Error> {
        let trailer = Declared::parse(names, checksums, false)?;
        Ok(ChunkVerifier { trailer: Some(Box::new(trailer)), ..ChunkVerifier::bare() })
    }

    fn bare() -> ChunkVerifier {
        ChunkVerifier {
            place: Place::Header,
            chain: None,
            algorithm: None,
            trailer: None,
            is_loose: false,
            has_decoded_len: false,
            decoded_len: 0,
            chunk_limit: CHUNK_LIMIT,
            state: State::Size,
            left: 0,
            line: Vec::with_capacity(LINE),
            signature: [0; LONGEST_SIGNATURE],
            held: 0,
            number: 1,
            start: 0,
            offset: 0,
            decoded: 0,
            failure: None,
        }
    }

    /// The same with a signed trailer, as `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER` says. `names` is the
    /// value of the signed `x-amz-trailer`.
    ///
    /// # Errors
    /// [`Refusal::MalformedTrailer`] if `names` is no list of names, and
    /// [`Refusal::UnsupportedPayload`] if one of them begins with `x-amz-checksum-` and is none that
    /// `checksums` computes.
    pub fn with_trailer(
        self,
        names: &[u8],
        checksums: Option<Checksums>,
    ) -> Result<ChunkVerifier, Error> {
        let trailer = Declared::parse(names, checksums, self.are_signed())?;
        Ok(ChunkVerifier { trailer: Some(Box::new(trailer)), ..self })
    }

    /// Insists that the decoded body is so many bytes long: the value of the signed
    /// `x-amz-decoded-content-length`.
    #[must_use]
    pub fn with_decoded_len(self, bytes: u64) -> ChunkVerifier {
        ChunkVerifier { has_decoded_len: true, decoded_len: bytes, ..self }
    }

    /// Refuses signed chunks that are longer; 16 MiB unless it is set. So much may be held in memory.
    #[must_use]
    pub fn with_chunk_limit(self, bytes: usize) -> ChunkVerifier {
        ChunkVerifier { chunk_limit: bytes, ..self }
    }

    pub(crate) fn with_place(self, place: Place) -> ChunkVerifier {
        ChunkVerifier { place, ..self }
    }

    pub(crate) fn decoded_len(&self) -> Option<u64> {
        self.has_decoded_len.then_some(self.decoded_len)
    }

    /// Takes the next piece of the body as it was sent, and lets into `out` what may be believed.
    ///
    /// Give it the same buffer each time: what was not let through yet waits there.
    ///
    /// # Errors
    /// The [`Refusal`] of whatever is wrong, which [`Error::chunk`] and [`Error::body_offset`] place. The
    /// verifier says the same from then on and lets nothing more through; what it let through before holds.
    pub fn push(&mut self, piece: &[u8], out: &mut ChunkBuffer) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.again());
        }
        self.take(piece, out).map_err(|error| {
            out.discard();
            self.fail(error)
        })
    }

    /// Whether the body, of which no more comes, is whole and what was sent; its trailers.
    ///
    /// # Errors
    /// [`Refusal::IncompleteBody`] if it is cut short, or what [`ChunkVerifier::push`] said.
    pub fn finish(mut self) -> Result<Trailers, Error> {
        if let Some(failure) = self.failure.take() {
            return Err(*failure);
        }
        let is_whole = match self.state {
            State::Leftover => self.line.is_empty(),
            state => state == State::Done,
        };
        if !is_whole {
            return Err(self.refuse(Refusal::IncompleteBody, "ends before it is whole"));
        }
        Ok(self.trailer.map(|trailer| trailer.into_trailers()).unwrap_or_default())
    }

    /// Forgets all but why.
    fn fail(&mut self, error: Error) -> Error {
        self.chain = None;
        self.trailer = None;
        self.line = Vec::new();
        self.failure = Some(Box::new(error.again()));
        error
    }

    fn take(&mut self, mut piece: &[u8], out: &mut ChunkBuffer) -> Result<(), Error> {
        if out.held().len() != self.held {
            let message = "goes on into another buffer than it began in";
            return Err(self.refuse(Refusal::IncompleteBody, message));
        }
        while !piece.is_empty() {
            match self.state {
                State::Data => self.take_data(&mut piece, out)?,
                State::Done => {
                    let message =
                        format!("the body has bytes behind its end, from byte {} on", self.offset);
                    let error = Error::new(Refusal::IncompleteBody, self.place, message);
                    return Err(error.with_part(None, self.offset));
                }
                State::Size | State::DataEnd | State::Trailer | State::End | State::Leftover => {
                    if self.take_line(&mut piece)? {
                        let line = mem::take(&mut self.line);
                        self.act_on(&line, out)?;
                        // The room is kept for the lines that follow.
                        self.line = line;
                        self.line.clear();
                    }
                }
            }
        }
        Ok(())
    }

    fn take_data(&mut self, piece: &mut &[u8], out: &mut ChunkBuffer) -> Result<(), Error> {
        let here = usize::try_from(self.left).map_or(piece.len(), |left| left.min(piece.len()));
        let (data, rest) = piece.split_at(here);
        *piece = rest;
        self.offset += here as u64;
        out.hold(data);
        self.held += here;
        self.left -= here as u64;
        if self.are_signed() && self.left > 0 {
            return Ok(());
        }
        if self.are_signed() {
            self.check_chunk(out.held())?;
        }
        if let Some(trailer) = &mut self.trailer {
            trailer.update(out.held());
        }
        out.release();
        self.held = 0;
        if self.left == 0 {
            self.state = State::DataEnd;
        }
        Ok(())
    }

    /// Takes what `piece` has of a line; whether it is whole.
    fn take_line(&mut self, piece: &mut &[u8]) -> Result<bool, Error> {
        let longest = match self.state {
            State::Size => frame::longest(self.signature_len()),
            State::Trailer => LONGEST_LINE,
            _ => 2,
        };
        let within = &piece[..piece.len().min(longest - self.line.len())];
        let end = within.iter().position(|&byte| byte == b'\n');
        let (line, rest) = piece.split_at(end.map_or(within.len(), |end| end + 1));
        *piece = rest;
        self.offset += line.len() as u64;
        self.line.extend_from_slice(line);
        if end.is_none() && self.line.len() < longest {
            return Ok(false);
        }
        if self.line.ends_with(b"\r\n") {
            self.line.truncate(self.line.len() - 2);
            return Ok(true);
        }
        if let (State::Trailer, [line @ .., b'\n']) = (self.state, &self.line[..])
            && !matches!(line.last(), None | Some(b' ' | b'\t'))
            && trailer::signature(line).is_none()
        {
            self.line.truncate(line.len());
            self.is_loose = true;
            return Ok(true);
        }
        let message = match (self.state, end) {
            (State::DataEnd, _) => "is not followed by CRLF behind as many bytes as it says it has",
            (State::End, _) => "is not followed by an empty line",
            (State::Leftover, _) => "is followed by more than empty lines",
            (_, Some(_)) => "holds a line that ends in LF without CR",
            (_, None) => "holds a line that is too long",
        };
        Err(self.malformed(message))
    }

    fn act_on(&mut self, line: &[u8], out: &mut ChunkBuffer) -> Result<(), Error> {
        match self.state {
            State::Size => self.begin_chunk(line, out),
            State::Trailer => self.take_trailer(line),
            State::DataEnd => {
                self.state = State::Size;
                self.number += 1;
                self.start = self.offset;
                Ok(())
            }
            State::End | State::Leftover | State::Data | State::Done => {
                self.state = State::Done;
                Ok(())
            }
        }
    }

    fn begin_chunk(&mut self, line: &[u8], out: &mut ChunkBuffer) -> Result<(), Error> {
        let Size { bytes, signature } =
            frame::size(line, self.signature_len()).map_err(|message| self.malformed(message))?;
        self.signature[..signature.len()].copy_from_slice(signature);
        let decoded = self.decoded.checked_add(bytes);
        let Some(decoded) = decoded.filter(|&all| self.decoded_len().is_none_or(|len| all <= len))
        else {
            let message = "makes the body longer than x-amz-decoded-content-length says it is";
            return Err(self.refuse(Refusal::IncompleteBody, message));
        };
        self.decoded = decoded;
        if bytes > 0 {
            if self.are_signed() {
                let len = usize::try_from(bytes).ok().filter(|&len| len <= self.chunk_limit);
                let Some(len) = len else {
                    let limit = self.chunk_limit;
                    let message = format!("is longer than the {limit} bytes that a chunk may have");
                    return Err(self.refuse(Refusal::ChunkTooLong, message));
                };
                // Nothing but the request's signature has held yet: a long chunk gets its room as it comes.
                out.reserve(len.min(ROOM));
            }
            (self.state, self.left) = (State::Data, bytes);
            return Ok(());
        }
        if self.are_signed() {
            self.check_chunk(b"")?;
        }
        if let Some(len) = self.decoded_len().filter(|&len| len != decoded) {
            let message = format!(
                "ends the body behind {decoded} bytes, and x-amz-decoded-content-length says {len}"
            );
            return Err(self.refuse(Refusal::IncompleteBody, message));
        }
        if self.trailer.is_some() {
            self.start = self.offset;
            self.state = State::Trailer;
        } else {
            self.chain = None;
            self.state = State::End;
        }
        Ok(())
    }

    /// Whether the chunk has the signature that it says.
    fn check_chunk(&mut self, data: &[u8]) -> Result<(), Error> {
        let len = self.signature_len();
        let digest = sha256::digest(data);
        let holds = match &mut self.chain {
            Some(chain) => chain.accepts_chunk(&digest, &self.signature[..len]),
            None => false,
        };
        if holds {
            return Ok(());
        }
        let message = format!(
            "The request signature we calculated does not match the signature you provided with chunk \
             {}, which begins at byte {} of the body. Check your key and signing method.",
            self.number, self.start
        );
        Err(Error::new(Refusal::ChunkSignatureDiffers, self.place, message)
            .with_part(Some(self.number), self.start))
    }

    fn take_trailer(&mut self, line: &[u8]) -> Result<(), Error> {
        let are_signed = self.are_signed();
        let Some(trailer) = &mut self.trailer else { return Ok(()) };
        let signature = trailer::signature(line).filter(|_| are_signed);
        if signature.is_none() && !line.is_empty() {
            let taken = trailer.take(line);
            return taken.map_err(|message| self.malformed(message));
        }
        if let Some(name) = trailer.missing() {
            let message = format!("lacks `{name}`, which x-amz-trailer names");
            return Err(self.malformed(message));
        }
        let was_loose = mem::take(&mut self.is_loose);
        if are_signed && was_loose && signature.is_none() {
            return Ok(());
        }
        self.state = if was_loose { State::Leftover } else { State::Done };
        if are_signed {
            let Some(signature) = signature else {
                return Err(self.malformed("lacks its signature"));
            };
            let digest = trailer.digest();
            let holds = match &mut self.chain {
                Some(chain) => chain.accepts_trailer(&digest, signature),
                None => false,
            };
            if !holds {
                let message = format!(
                    "The request signature we calculated does not match the signature you provided with \
                     the trailer, which begins at byte {} of the body. Check your key and signing method.",
                    self.start
                );
                let error = Error::new(Refusal::ChunkSignatureDiffers, self.place, message);
                return Err(error.with_part(None, self.start));
            }
            self.chain = None;
            self.state = State::End;
        }
        if let Some(name) = trailer.differing() {
            let message = format!("has a `{name}` that is not the one of the body that came");
            return Err(self.refuse(Refusal::ChecksumDiffers, message));
        }
        Ok(())
    }

    /// How long a signature is on the wire; 0 where there are none.
    fn signature_len(&self) -> usize {
        self.algorithm.map_or(0, Algorithm::signature_len)
    }

    fn are_signed(&self) -> bool {
        self.algorithm.is_some()
    }

    fn malformed(&self, message: impl Into<Cow<'static, str>>) -> Error {
        let is_trailer = self.is_in_trailer();
        let refusal = if is_trailer { Refusal::MalformedTrailer } else { Refusal::MalformedChunk };
        self.refuse(refusal, message)
    }

    /// Says of the chunk or the trailer that is being read what is wrong with it.
    fn refuse(&self, refusal: Refusal, message: impl Into<Cow<'static, str>>) -> Error {
        let (start, message) = (self.start, message.into());
        let chunk = Some(self.number).filter(|_| !self.is_in_trailer());
        let what = chunk.map_or("the trailer".to_owned(), |number| format!("chunk {number}"));
        let message = format!("{what}, which begins at byte {start} of the body, {message}");
        Error::new(refusal, self.place, message).with_part(chunk, start)
    }

    fn is_in_trailer(&self) -> bool {
        let is_behind =
            matches!(self.state, State::Trailer | State::End | State::Leftover | State::Done);
        self.trailer.is_some() && is_behind
    }
}

impl fmt::Debug for ChunkVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkVerifier")
            .field("algorithm", &self.algorithm)
            .field("chunk", &self.number)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The longest chunk that is held, unless it is set otherwise.
pub(crate) const CHUNK_LIMIT: usize = 16 << 20;

/// Room that is made at once for a chunk: more than most clients put into one.
const ROOM: usize = 256 << 10;

/// Room for the lines between chunks.
const LINE: usize = 256;
