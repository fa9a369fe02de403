//! `countersign presign --from-file`: a URL for each line.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, IsTerminal, Read, Write},
    path::Path,
    str,
    time::{Duration, SystemTime},
};

use countersign::{Life, PresignMany, Signer};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    failure::Failure,
    lines::{Line, read_line},
    options::{Ambient, Given, Names, Signing, SigningOptions},
    presign::note_of,
    printed::{self, written},
    request::Request,
    signed::Signature,
};

/// Presigns what each line of a file names: keys under the URL of `pattern`, or without one whole URLs.
///
/// A bad line is told on standard error by its number, and the next ones are signed.
pub(crate) fn run(
    pattern: Request,
    options: &SigningOptions,
    expires: Duration,
    path: &Path,
) -> Result<(), Failure> {
    let (input, bar) = open(path)?;
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut output = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let mut lines = Lines {
        ambient: Ambient::new(options),
        options,
        expires,
        are_keys: !pattern.url.is_empty(),
        urls: None,
        pattern,
        signer: None,
        noted: false,
    };
    // What is wrong with the pattern is wrong with all.
    lines.ambient.read_file()?;
    lines.renew()?;
    let (mut line, mut url) = (Vec::new(), Vec::new());
    let (mut number, mut bad): (u64, u64) = (0, 0);
    loop {
        // Whoever waits for a URL gets it before the next read can block.
        if !input.buffer().contains(&b'\n') {
            written(output.flush())?;
        }
        line.clear();
        url.clear();
        let read =
            read_line(&mut input, &mut line).map_err(|error| Failure::unreadable(path, &error))?;
        number += 1;
        let signed = match read {
            Line::End => break,
            Line::TooLong => Err(Failure::input("it is too long to be a URL or a key")),
            Line::Whole => match line.strip_suffix(b"\r").unwrap_or(&line) {
                b"" => Ok(()),
                line => {
                    lines.renew()?;
                    lines.sign(line, &mut url)
                }
            },
        };
        written(output.write_all(&url))?;
        if let Some(bar) = &bar {
            bar.inc(line.len() as u64 + 1);
        }
        let Err(failure) = signed else { continue };
        // Without credentials no line can be signed.
        if failure.code != 2 {
            return Err(failure);
        }
        bad += 1;
        let message = format!("line {number}: {}", failure.message);
        tell(bar.as_ref(), &Failure { message, ..failure });
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    written(output.flush())?;
    match bad {
        0 => Ok(()),
        1 => Err(Failure::input("one line could not be presigned")),
        _ => Err(Failure::input(format_args!("{bad} lines could not be presigned"))),
    }
}

/// What lasts from line to line.
struct Lines<'o> {
    ambient: Ambient<'o>,
    options: &'o SigningOptions,
    expires: Duration,
    /// The request that each line completes.
    pattern: Request,
    /// Whether each line is a key, and not a whole URL.
    are_keys: bool,
    /// The URLs of keys, for one second: the next has another time in them.
    urls: Option<(Duration, PresignMany)>,
    /// What signed last, and for which scope.
    signer: Option<(Names, Signer)>,
    /// Whether it was said that the credentials expire before a URL.
    noted: bool,
}

impl Lines<'_> {
    /// Has the URLs of keys say the time that it is now.
    fn renew(&mut self) -> Result<(), Failure> {
        let at = self.options.at();
        let second = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let second = Duration::from_secs(second);
        if !self.are_keys || self.urls.as_ref().is_some_and(|(of, _)| *of == second) {
            return Ok(());
        }
        let Signing { signer, credentials, .. } = self.signing(at)?;
        let presign = self.pattern.presign_of(self.options, &signer, self.expires)?;
        let urls = self
            .pattern
            .with_head(|head| Ok(signer.presign_many(head, presign, &credentials, at)?))?;
        self.note(urls.life());
        self.urls = Some((second, urls));
        Ok(())
    }

    /// Appends the URL of a line, and the end of its own.
    fn sign(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some((_, urls)) = &mut self.urls else { return self.sign_url(line, out) };
        let key = str::from_utf8(line)
            .map_err(|_| Failure::input("it is not UTF-8, and the key of an object is"))?;
        out.extend_from_slice(urls.key(key).as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn sign_url(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        line.trim_ascii().clone_into(&mut self.pattern.url);
        let signing = self.signing(self.options.at())?;
        let (signature, life) =
            self.pattern.presign(self.options, &signing, self.expires, |signed| {
                Ok((Signature::from(signed), signed.life()))
            })?;
        self.note(life);
        out.extend(signature.url(&self.pattern));
        out.push(b'\n');
        Ok(())
    }

    /// What signs for the pattern as it is now.
    fn signing(&mut self, at: SystemTime) -> Result<Signing, Failure> {
        self.pattern.check_url()?;
        if self.pattern.url.starts_with(b"/") {
            return Err(Failure::input("what is presigned is a path alone, and a URL has a host"));
        }
        let names = self.ambient.scope(Given::default(), || self.pattern.target())?;
        let credentials = self.ambient.credentials()?;
        // The last one has the key at hand.
        let signer = match &self.signer {
            Some((of, signer)) if *of == names => signer.clone(),
            _ => self.ambient.signer(names.clone(), Vec::new()),
        };
        self.signer = Some((names, signer.clone()));
        Ok(Signing { signer, credentials, at })
    }

    fn note(&mut self, life: Life) {
        if let Some(note) = note_of(life).filter(|_| !self.noted) {
            self.noted = true;
            printed::tell(note);
        }
    }
}

/// The lines, and a bar for whoever watches a terminal and does not see the URLs go by.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<ProgressBar>), Failure> {
    let is_watched = io::stderr().is_terminal() && !io::stdout().is_terminal();
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), is_watched.then(ProgressBar::new_spinner)));
    }
    let unreadable = |error| Failure::unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    let len = file.metadata().map_err(unreadable)?.len();
    let style =
        ProgressStyle::with_template("{wide_bar} {binary_bytes}/{binary_total_bytes} {eta}")
            .expect("a template that indicatif knows");
    Ok((Box::new(file), is_watched.then(|| ProgressBar::new(len).with_style(style))))
}

/// Says what is wrong with a line, and leaves the bar whole.
fn tell(bar: Option<&ProgressBar>, failure: &Failure) {
    let tell = || printed::tell(failure);
    match bar {
        Some(bar) => bar.suspend(tell),
        None => tell(),
    }
}

const BUFFER: usize = 64 * 1024;
