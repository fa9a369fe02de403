//! URLs of streaming transcription.

use std::time::{Duration, SystemTime};

use super::{
    Token,
    request::{Request, check_field, host_in, invalid},
};
use crate::{Credentials, Error, canonical::query::is_of_signature};

/// A URL at which a client streams audio to Amazon Transcribe over WebSocket.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::Transcribe};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let url = Transcribe::new("us-west-2")
///     .with_parameter("language-code", "en-US")
///     .with_parameter("media-encoding", "pcm")
///     .with_parameter("sample-rate", "16000")
///     .sign(&credentials, SystemTime::now())?;
/// let start = "wss://transcribestreaming.us-west-2.amazonaws.com:8443/stream-transcription-websocket?";
/// assert!(url.as_str().starts_with(start));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transcribe<'a> {
    region: &'a str,
    transcription: Transcription,
    parameters: Vec<(&'a str, &'a str)>,
    expires_in: Duration,
}

/// The sort of transcription.
///
/// ```
/// use countersign::tokens::{Transcribe, Transcription};
///
/// let medical = Transcribe::new("us-west-2").with_transcription(Transcription::Medical);
/// # let _ = medical;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transcription {
    /// Of calls, with what an analysis of them finds.
    CallAnalytics,
    /// Of any audio.
    #[default]
    General,
    /// Of what is said in medicine.
    Medical,
}

impl<'a> Transcribe<'a> {
    /// For a stream in a region, as yet without parameters.
    pub fn new(region: &'a str) -> Transcribe<'a> {
        Transcribe {
            region,
            transcription: Transcription::default(),
            parameters: Vec::new(),
            expires_in: LONGEST,
        }
    }

    /// For another sort of transcription than the general one.
    #[must_use]
    pub fn with_transcription(self, transcription: Transcription) -> Transcribe<'a> {
        Transcribe { transcription, ..self }
    }

    /// Adds a parameter by the name that Transcribe gives it, as `language-code`, `media-encoding` and
    /// `sample-rate`, without which it transcribes nothing. They stand in the URL in the order given.
    #[must_use]
    pub fn with_parameter(mut self, name: &'a str, value: &'a str) -> Transcribe<'a> {
        self.parameters.push((name, value));
        self
    }

    /// A URL that can be used for so long from its signing: 5 minutes at most, and if this is not called.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> Transcribe<'a> {
        Transcribe { expires_in: duration, ..self }
    }

    /// Makes the URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidScope`](crate::ErrorKind::InvalidScope) for a region that is none,
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for a parameter whose name is none
    /// of Transcribe's making, [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or what is
    /// wrong with the credentials or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        for (name, _) in &self.parameters {
            check_field("name of a parameter", name, LONGEST_NAME)?;
            let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if !name.bytes().all(is_ours) || is_of_signature(name.as_bytes()) {
                return Err(invalid(format!(
                    "`{}` is no parameter of Transcribe's: they are like language-code",
                    name.escape_debug()
                )));
            }
        }
        let authority = format!("{}:8443", host_in("transcribestreaming", self.region)?);
        let path = match self.transcription {
            Transcription::CallAnalytics => "/call-analytics-stream-transcription-websocket",
            Transcription::General => "/stream-transcription-websocket",
            Transcription::Medical => "/medical-stream-transcription-websocket",
        };
        let request = Request::new("transcribe", self.region, &authority, &self.parameters);
        Request { path, expires_in: self.expires_in, longest: LONGEST, ..request }.sign(
            "wss://",
            "",
            credentials,
            at,
        )
    }
}

const LONGEST: Duration = Duration::from_secs(300);
const LONGEST_NAME: usize = 64;
