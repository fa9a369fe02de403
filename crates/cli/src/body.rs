//! The body of a request: hashed in one pass, whatever its size.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
};

use countersign::Payload;
use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;

use crate::{failure::Failure, printed::written};

/// What is sent behind the head.
#[derive(Debug, Default)]
pub(crate) enum Body {
    /// A file, read once to hash it and once more by whoever sends it.
    File(PathBuf),
    Bytes(Vec<u8>),
    #[default]
    None,
    /// What came from a pipe and cannot be read twice: in memory, or in an unlinked temporary file
    /// once it is large.
    Spooled(SpooledTempFile),
}

impl Body {
    /// A body as curl's `@` spells it: `-` is standard input, all else a path.
    ///
    /// Standard input is read to its end here.
    pub(crate) fn from_path(path: &str) -> Result<Body, Failure> {
        if path == "-" {
            return Body::spool(io::stdin().lock());
        }
        // What is no plain file (a pipe, `<(command)`) can be read once only.
        let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        match File::open(path) {
            Ok(file) if !is_file => Body::spool(file),
            _ => Ok(Body::File(PathBuf::from(path))),
        }
    }

    /// Reads a stream that cannot be read twice.
    pub(crate) fn spool(mut input: impl Read) -> Result<Body, Failure> {
        let mut spool = SpooledTempFile::new(SPOOL_FROM);
        io::copy(&mut input, &mut spool).map_err(|error| {
            Failure::input(format_args!("cannot spool standard input: {error}"))
        })?;
        Ok(Body::Spooled(spool))
    }

    /// The hash of the whole body.
    pub(crate) fn hash(&mut self) -> Result<Payload, Failure> {
        match self {
            Body::None => Ok(Payload::EMPTY),
            Body::Bytes(bytes) => Ok(Payload::hash(bytes)),
            Body::File(path) => {
                let unreadable = |error| Failure::unreadable(path, &error);
                let file = File::open(&*path).map_err(unreadable)?;
                hash(file).map_err(unreadable)
            }
            Body::Spooled(spool) => spool.rewind().and_then(|()| hash(spool)).map_err(lost),
        }
    }
}

impl Body {
    /// How many bytes there are.
    pub(crate) fn len(&mut self) -> Result<u64, Failure> {
        match self {
            Body::None => Ok(0),
            Body::Bytes(bytes) => Ok(bytes.len() as u64),
            Body::File(path) => match fs::metadata(&*path) {
                Ok(metadata) => Ok(metadata.len()),
                Err(error) => Err(Failure::unreadable(path, &error)),
            },
            Body::Spooled(spool) => spool.seek(io::SeekFrom::End(0)).map_err(lost),
        }
    }

    /// Reads the whole body from its beginning; `None` if there is none.
    pub(crate) fn reader(&mut self) -> Result<Option<Box<dyn Read + '_>>, Failure> {
        match self {
            Body::None => Ok(None),
            Body::Bytes(bytes) => Ok(Some(Box::new(&bytes[..]))),
            Body::File(path) => {
                let file = File::open(&*path).map_err(|error| Failure::unreadable(path, &error))?;
                Ok(Some(Box::new(file)))
            }
            Body::Spooled(spool) => {
                spool.rewind().map_err(lost)?;
                Ok(Some(Box::new(spool)))
            }
        }
    }

    /// Writes the whole body.
    pub(crate) fn copy_to(&mut self, out: &mut impl Write) -> Result<(), Failure> {
        let copied = match self {
            Body::None => Ok(0),
            Body::Bytes(bytes) => out.write_all(bytes).map(|()| 0),
            Body::File(path) => {
                let mut file =
                    File::open(&*path).map_err(|error| Failure::unreadable(path, &error))?;
                io::copy(&mut file, out)
            }
            Body::Spooled(spool) => {
                spool.rewind().map_err(lost)?;
                io::copy(spool, out)
            }
        };
        written(copied.and_then(|_| out.flush()))
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::input(format_args!("cannot read standard input back: {error}"))
}

/// The SHA-256 of a stream, in a fixed amount of memory.
pub(crate) fn hash(input: impl Read) -> io::Result<Payload> {
    let mut hash = Sha256::new();
    for_each_piece(input, |piece| {
        hash.update(piece);
        true
    })?;
    Ok(Payload::Sha256(hash.finalize().into()))
}

/// Reads a stream to its end, or until `take` wants no more.
pub(crate) fn for_each_piece(
    input: impl Read,
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(256 * 1024, input);
    loop {
        let piece = input.fill_buf()?;
        if piece.is_empty() || !take(piece) {
            return Ok(());
        }
        let len = piece.len();
        input.consume(len);
    }
}

/// Reads a small text file, or standard input for `-`.
pub(crate) fn read_text(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let result = if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut text)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut text))
    };
    result.map_err(|error| Failure::unreadable(path, &error))?;
    Ok(text)
}

/// Standard input larger than this goes to a temporary file.
const SPOOL_FROM: usize = 8 * 1024 * 1024;
