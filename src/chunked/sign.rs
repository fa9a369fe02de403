//! Signing a body chunk by chunk.

use std::{fmt, io::Write, sync::Arc};

use super::{
    ChunkBuffer, Chunks,
    chunks::{CHUNK_SIGNATURE, Form, SIGNATURE, Trailer},
};
use crate::{
    Error, ErrorKind, Scope, Signed,
    chain::{SigningChain, Signs},
    head::trim_blanks,
    sha256,
    signed::SignedWith,
};

/// Signs a body while it streams, chunk by chunk. No I/O happens here.
///
/// There are two ways to use it, and each gives the same bytes. [`push`](ChunkSigner::push) takes the body
/// in pieces of any length and copies them, once, into a [`ChunkBuffer`] from which they are sent.
/// [`frame`](ChunkSigner::frame) takes a whole chunk and copies nothing: it returns what is to be sent
/// before and behind it.
///
/// Made by [`Signer::sign_chunked`](crate::Signer::sign_chunked), or for a raw head by
/// [`ChunkSigner::new`].
#[must_use = "a request whose head is signed for chunks is refused without them"]
pub struct ChunkSigner {
    /// The chain of signatures; `None` for chunks that are not signed. In a box, for who is moved leaves
    /// copies behind that nobody wipes.
    chain: Option<Box<SigningChain>>,
    form: Form,
    trailers: Vec<Trailer>,
    chunk_size: usize,
    /// How long the body is, and how much of it is still to come.
    length: u64,
    left: u64,
    /// How long the chunk is that was begun, and how much of it came.
    size: usize,
    filled: usize,
    /// What stands before the last chunk.
    head: Vec<u8>,
    encoded_len: u64,
    end_len: usize,
}

/// What is sent before and behind a chunk of data. See [`ChunkSigner::frame`].
///
/// ```
/// # use countersign::chunked::Frame;
/// fn length_on_the_wire(frame: Frame<'_>, data: &[u8]) -> usize {
///     frame.head.len() + data.len() + frame.tail.len()
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What is sent before the data.
    pub head: &'a [u8],
    /// What is sent behind the data.
    pub tail: &'a [u8],
}

impl ChunkSigner {
    /// Goes on from a head that was signed with the [`Chunks::payload`] of these chunks.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedPayload`] if the head was signed with another payload, as those for
    /// VPC Lattice always are, or by another algorithm than [`Chunks::with_algorithm`] has it; else as
    /// [`Chunks::encoded_len`].
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{
    ///     Credentials, Head, Headers, Scratch, Signer,
    ///     chunked::{ChunkBuffer, ChunkSigner, Chunks},
    /// };
    ///
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let chunks = Chunks::signed(4);
    /// let head = Head::parse(b"PUT", b"https://bucket.s3.amazonaws.com/cat", Headers::Pairs(&[]))?;
    /// let own: Vec<_> = chunks.headers(head)?.collect();
    /// let pairs: Vec<_> = own.iter().map(|(n, value)| (n.as_bytes(), value.as_bytes())).collect();
    /// let head = Head { headers: Headers::Pairs(&pairs), ..head };
    ///
    /// let (signer, mut scratch) = (Signer::new("us-east-1", "s3"), Scratch::new());
    /// let now = SystemTime::now();
    /// let signed = signer.sign_head(head, chunks.payload(), &credentials, now, &mut scratch)?;
    /// // Send `own` and `signed.headers()`, then the body.
    /// let mut wire = ChunkBuffer::new();
    /// let mut signer = ChunkSigner::new(&signed, chunks)?;
    /// signer.push(b"meow", &mut wire)?;
    /// signer.finish(&mut wire)?;
    /// assert_eq!(wire.split().len(), 176);
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn new(signed: &Signed<'_>, chunks: impl Into<Chunks>) -> Result<ChunkSigner, Error> {
        let chunks = chunks.into();
        let (encoded_len, end_len) = (chunks.encoded_len()?, chunks.end_len()?);
        let payload = chunks.payload();
        if signed.payload != payload {
            return Err(Error::new(
                ErrorKind::UnsupportedPayload,
                format!(
                    "the head was signed with payload `{}`, but these chunks go with `{}`: sign with \
                     that one, or send the body as it is if the service takes no chunks",
                    signed.payload.line().as_str(),
                    payload.line().as_str()
                ),
            ));
        }
        let Chunks { length, chunk_size, form, trailers } = chunks;
        let chain = match form {
            Form::Unsigned => None,
            Form::Signed(algorithm) if algorithm != signed.form.algorithm => {
                return Err(Error::new(
                    ErrorKind::UnsupportedPayload,
                    format!(
                        "the head was signed by {}, and these chunks are to be signed by {algorithm}: \
                         give them the algorithm of the head before it is signed",
                        signed.form.algorithm
                    ),
                ));
            }
            Form::Signed(_) => {
                let key = match &signed.with {
                    SignedWith::Asymmetric(signer) => {
                        Signs::Asymmetric(Arc::clone(signer), signed.form.credentials.clone())
                    }
                    SignedWith::Hmac(key) => Signs::Hmac((*key).clone()),
                };
                let (scope, seed) = (Scope::parse(signed.scope())?, signed.signature());
                Some(Box::new(SigningChain::new(key, signed.at(), &scope, seed.as_bytes())))
            }
        };
        Ok(ChunkSigner {
            chain,
            form,
            trailers,
            chunk_size,
            length,
            left: length,
            size: 0,
            filled: 0,
            head: Vec::with_capacity(form.head_len(chunk_size)),
            encoded_len,
            end_len,
        })
    }

    /// Takes the next piece of the body, of any length, and appends to `wire` what may be sent of it.
    ///
    /// How the body is cut into pieces makes no difference to what is sent. A signed chunk may go on when
    /// it is whole; an unsigned one goes on as it comes. Send what is [ready](ChunkBuffer::ready) now and
    /// then: this keeps the buffer at the size of a chunk and a piece, and then nothing is allocated.
    ///
    /// # Errors
    /// [`ErrorKind::BodyLength`] if this is more than was declared, or if `wire` is not the buffer in
    /// which the chunk was begun. Nothing of the piece is taken then.
    pub fn push(&mut self, mut piece: &[u8], wire: &mut ChunkBuffer) -> Result<(), Error> {
        self.check_wire(wire)?;
        self.take(piece)?;
        while !piece.is_empty() {
            if self.filled == self.size {
                // What is left of the body is what was left before the whole piece, less what of it
                // went into chunks.
                self.begin(self.left + piece.len() as u64);
                wire.reserve(self.head.len() + self.size + 2 + self.end_len);
                wire.hold(&self.head);
            }
            let (now, later) = piece.split_at(piece.len().min(self.size - self.filled));
            wire.hold(now);
            self.filled += now.len();
            piece = later;
            if self.filled == self.size {
                self.close(wire);
            }
        }
        if self.chain.is_none() {
            wire.release();
        }
        Ok(())
    }

    /// Appends the end of the body to `wire`: the last chunk, the trailers and their signature.
    ///
    /// # Errors
    /// [`ErrorKind::BodyLength`] if the body is shorter than was declared, or if `wire` is not the buffer
    /// in which the chunk was begun; [`ErrorKind::InvalidHeader`] if a checksum wrote what no trailer may
    /// hold.
    pub fn finish(self, wire: &mut ChunkBuffer) -> Result<(), Error> {
        self.check_wire(wire)?;
        wire.hold(&self.end()?);
        wire.release();
        Ok(())
    }

    /// How many bytes the next chunk has; 0 behind the last one.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use countersign::{Credentials, Signer, chunked::Chunks};
    /// # let mut put = http::Request::put("https://bucket.s3.amazonaws.com/cat").body(())?;
    /// # let (credentials, now) = (Credentials::new("AKIDEXAMPLE", "secret"), SystemTime::now());
    /// # let signer = Signer::new("us-east-1", "s3");
    /// let body = vec![b'm'; 100_000];
    /// let length = body.len() as u64;
    /// let mut signer = signer.sign_chunked(&mut put, length, &credentials, now)?;
    /// let (mut rest, mut sent) = (&body[..], 0);
    /// while signer.next_len() > 0 {
    ///     let (data, behind) = rest.split_at(signer.next_len());
    ///     let frame = signer.frame(data)?;
    ///     // Send all three, perhaps by one `writev`.
    ///     sent += frame.head.len() + data.len() + frame.tail.len();
    ///     rest = behind;
    /// }
    /// sent += signer.end()?.len();
    /// assert_eq!(put.headers()["content-length"], sent.to_string());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_len(&self) -> usize {
        self.size_of(self.left)
    }

    /// How many bytes more end the chunk that [`push`](ChunkSigner::push) has begun; [`next_len`] if none is,
    /// which is 0 behind the last one.
    ///
    /// Whoever pushes no more than this at once has one chunk in the buffer, and no room beside it is taken
    /// for the next.
    ///
    /// [`next_len`]: ChunkSigner::next_len
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use countersign::{Credentials, Signer, chunked::{ChunkBuffer, Chunks}};
    /// # let mut put = http::Request::put("https://bucket.s3.amazonaws.com/cat").body(())?;
    /// # let (credentials, now) = (Credentials::new("AKIDEXAMPLE", "secret"), SystemTime::now());
    /// # let signer = Signer::new("us-east-1", "s3");
    /// let chunks = Chunks::signed(10_000).with_chunk_size(8192);
    /// let mut signer = signer.sign_chunked(&mut put, chunks, &credentials, now)?;
    /// let mut wire = ChunkBuffer::new();
    /// signer.push(b"meow", &mut wire)?;
    /// assert_eq!(signer.until_end(), 8188);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn until_end(&self) -> usize {
        match self.size - self.filled {
            0 => self.next_len(),
            more => more,
        }
    }

    /// Takes the next chunk whole, and returns what is to be sent before and behind it.
    ///
    /// # Errors
    /// [`ErrorKind::BodyLength`] unless `data` has [`next_len`](ChunkSigner::next_len) bytes, and at least
    /// one; or in the middle of a chunk that was begun by [`push`](ChunkSigner::push).
    pub fn frame(&mut self, data: &[u8]) -> Result<Frame<'_>, Error> {
        let expected = self.next_len();
        if self.filled < self.size {
            return Err(self.wrong("a chunk that was begun in pieces must be ended so"));
        }
        if data.len() != expected || data.is_empty() {
            let seen = data.len();
            return Err(
                self.wrong(format_args!("the next chunk has {expected} bytes, and {seen} came"))
            );
        }
        self.begin(self.left);
        self.take(data)?;
        self.filled = self.size;
        if let Some(chain) = &mut self.chain {
            chain.sign_chunk(&sha256::digest(data), self.form.room(&mut self.head));
        }
        Ok(Frame { head: &self.head, tail: LINE_END })
    }

    /// The end of the body in one piece: the last chunk, the trailers and their signature.
    ///
    /// # Errors
    /// As [`ChunkSigner::finish`].
    pub fn end(mut self) -> Result<Vec<u8>, Error> {
        if self.left > 0 {
            let came = self.length - self.left;
            return Err(self.wrong(format_args!("it ended after {came}")));
        }
        let mut end = Vec::with_capacity(self.end_len);
        self.write_head(0);
        if let Some(chain) = &mut self.chain {
            chain.sign_chunk(&sha256::digest(b""), self.form.room(&mut self.head));
        }
        end.extend_from_slice(&self.head);
        let mut lines = Vec::new();
        for trailer in &self.trailers {
            lines.push((trailer.name(), trailer.value()?));
        }
        for (name, value) in &lines {
            for part in [name.as_bytes(), b":", value, LINE_END] {
                end.extend_from_slice(part);
            }
        }
        if let Some(chain) = self.chain.as_mut().filter(|_| !lines.is_empty()) {
            lines.sort();
            let mut signed = Vec::new();
            for (name, value) in &lines {
                for part in [name.as_bytes(), b":", trim_blanks(value), b"\n"] {
                    signed.extend_from_slice(part);
                }
            }
            end.extend_from_slice(SIGNATURE.as_bytes());
            end.push(b':');
            end.resize(end.len() + self.form.signature_len(), b'0');
            end.extend_from_slice(LINE_END);
            chain.sign_trailer(&sha256::digest(&signed), self.form.room(&mut end));
        }
        end.extend_from_slice(LINE_END);
        Ok(end)
    }

    /// How many bytes all that is sent takes: the `content-length` of the request.
    pub fn encoded_len(&self) -> u64 {
        self.encoded_len
    }

    /// Counts a piece of the body, and hands it to the checksums.
    fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        let Some(left) = self.left.checked_sub(piece.len() as u64) else {
            let came = u128::from(self.length - self.left) + piece.len() as u128;
            return Err(self.wrong(format_args!("{came} came")));
        };
        self.left = left;
        for trailer in &mut self.trailers {
            if let Trailer::Computed(checksum) = trailer {
                checksum.update(piece);
            }
        }
        Ok(())
    }

    /// Begins the next chunk, where `left` bytes of the body are still to be framed.
    fn begin(&mut self, left: u64) {
        self.size = self.size_of(left);
        self.filled = 0;
        self.write_head(self.size);
    }

    /// Signs the chunk that is whole now, and lets it go on.
    fn close(&mut self, wire: &mut ChunkBuffer) {
        if let Some(chain) = &mut self.chain {
            let (head, data) = wire.held().split_at_mut(self.head.len());
            chain.sign_chunk(&sha256::digest(data), self.form.room(head));
        }
        wire.hold(LINE_END);
        wire.release();
    }

    /// How long a chunk is where `left` bytes are still to be framed.
    fn size_of(&self, left: u64) -> usize {
        usize::try_from(left).unwrap_or(usize::MAX).min(self.chunk_size)
    }

    /// Writes what stands before a chunk of `size` bytes, with room for a signature.
    fn write_head(&mut self, size: usize) {
        self.head.clear();
        write!(self.head, "{size:x}").expect("a vector takes all that is written");
        if let Form::Signed(_) = self.form {
            self.head.extend_from_slice(CHUNK_SIGNATURE.as_bytes());
            self.head.resize(self.head.len() + self.form.signature_len(), b'0');
        }
        self.head.extend_from_slice(LINE_END);
    }

    /// Refuses a buffer that does not hold what it should: the chunk that was begun and nothing else.
    fn check_wire(&self, wire: &mut ChunkBuffer) -> Result<(), Error> {
        let begun = self.chain.is_some() && self.filled < self.size;
        let expected = if begun { self.head.len() + self.filled } else { 0 };
        if wire.held().len() == expected {
            return Ok(());
        }
        Err(self.wrong("the buffer is not the one in which its chunk was begun"))
    }

    fn wrong(&self, what: impl fmt::Display) -> Error {
        Error::new(
            ErrorKind::BodyLength,
            format!("the body was declared to have {} bytes: {what}", self.length),
        )
    }
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSigner")
            .field("length", &self.length)
            .field("left", &self.left)
            .field("chunk_size", &self.chunk_size)
            .finish_non_exhaustive()
    }
}

impl Form {
    /// The room that a line which ends here has for its signature.
    fn room(self, line: &mut [u8]) -> &mut [u8] {
        let end = line.len() - LINE_END.len();
        &mut line[end - self.signature_len()..end]
    }
}

const LINE_END: &[u8] = b"\r\n";
