//! `countersign presign`: a URL that carries its own signature.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use countersign::{Life, Timestamp};

use crate::{
    failure::Failure,
    options::SigningOptions,
    presign_many,
    printed::{print, tell},
    raw_http::RawRequest,
    sign::{RequestArgs, STDIN_TWICE},
    signed::Signature,
};

/// Print a URL that carries its own signature
///
/// Whoever uses the URL sends the same method and the headers given here.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign presign https://bucket.s3.amazonaws.com/cat.jpg --expires 15m
  countersign presign https://bucket.s3.amazonaws.com/cat.jpg \\
    -X PUT -H 'content-type: image/jpeg'
  curl -o cat.jpg \"$(countersign presign \\
    https://bucket.s3.amazonaws.com/cat.jpg)\"
  countersign presign https://bucket.s3.amazonaws.com/ \\
    --from-file keys.txt >urls.txt")]
pub(crate) struct PresignCommand {
    #[command(flatten)]
    request: RequestArgs,

    /// How long the URL holds: seconds, or a number with s, m, h or d; a week at most
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    expires: Expires,

    /// Print a URL for each line of a file, `-` for standard input: for the key of an object under the URL,
    /// or without URL for a whole URL. A bad line is told on standard error, and the rest is signed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "http"])]
    from_file: Option<PathBuf>,

    #[command(flatten)]
    signing: SigningOptions,
}

impl PresignCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let reads_stdin =
            self.request.reads_stdin() || self.from_file.as_deref() == Some(Path::new("-"));
        if self.signing.reads_stdin() && reads_stdin {
            return Err(Failure::input(STDIN_TWICE));
        }
        if let Some(path) = &self.from_file {
            let pattern = self.request.pattern();
            return presign_many::run(pattern, &self.signing, self.expires.0, path);
        }
        let RawRequest { mut request, .. } = self.request.parse()?;
        let signing = self.signing.resolve(request.target())?;
        let (signature, life) =
            request.presign(&self.signing, &signing, self.expires.0, |signed| {
                Ok((Signature::from(signed), signed.life()))
            })?;
        if let Some(note) = note_of(life) {
            tell(note);
        }
        let url = signature.url(&request);
        // Of a target that is a path, the host is said by a header.
        let origin = if url.starts_with(b"/") {
            ["https://", signature.host()].concat()
        } else {
            String::new()
        };
        print([origin.as_bytes(), &url, b"\n"].concat())
    }
}

/// What is to be said of credentials that expire before a URL does.
pub(crate) fn note_of(life: Life) -> Option<String> {
    life.cut_short_at().map(|at| {
        format!(
            "note: the credentials expire at {}, and the URL with them, before the {} \
             that was asked for",
            time_text(at),
            time_text(life.expires_at()),
        )
    })
}

pub(crate) fn time_text(at: std::time::SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| "no time".to_owned(), |at| at.to_string())
}

/// A life as people write it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expires(pub(crate) Duration);

impl FromStr for Expires {
    type Err = String;

    fn from_str(text: &str) -> Result<Expires, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            other => return Err(format!("`{other}` is no unit; there are s, m, h and d")),
        };
        let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        seconds
            .map(|seconds| Expires(Duration::from_secs(seconds)))
            .ok_or_else(|| "it is not like 900, 15m or 1h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_read_with_and_without_a_unit() {
        for (text, seconds) in
            [("0", 0), ("900", 900), ("900s", 900), ("15m", 900), ("1h", 3600), ("7d", 604_800)]
        {
            assert_eq!(text.parse::<Expires>().expect(text).0.as_secs(), seconds);
        }
        for text in ["", "m", "-1", "1w", "1.5h", "99999999999999999999", "18446744073709551615d"] {
            assert!(text.parse::<Expires>().is_err(), "{text}");
        }
    }
}
