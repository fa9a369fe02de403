//! Requests to STS as they are sent: forms, built field by field within their limits.

use std::{fmt, ops::RangeInclusive, time::Duration};

use percent_encoding::utf8_percent_encode;
use zeroize::Zeroizing;

use super::answer::push_wiping;
use crate::providers::{ProviderError, ProviderErrorKind, exchange::ESCAPED};

/// A request as it is sent.
pub(super) struct Form {
    provider: &'static str,
    action: &'static str,
    /// What messages call the request: the action and what it is about.
    what: String,
    text: Zeroizing<String>,
    secrets: Vec<Zeroizing<String>>,
}

impl Form {
    pub(super) fn new(provider: &'static str, action: &'static str) -> Form {
        let text = Zeroizing::new(format!("Action={action}&Version=2011-06-15"));
        Form { provider, action, what: action.to_owned(), text, secrets: Vec::new() }
    }

    /// What the request is about, for messages.
    pub(super) fn about(mut self, role: &str) -> Form {
        self.what = format!("{} of {}", self.action, shown(role));
        self
    }

    pub(super) fn provider(&self) -> &'static str {
        self.provider
    }

    pub(super) fn action(&self) -> &'static str {
        self.action
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a text holds a secret that the form holds.
    pub(super) fn gives_away(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(&***secret))
    }

    pub(super) fn error(&self, kind: ProviderErrorKind, message: String) -> ProviderError {
        ProviderError::new(self.provider, kind, message)
    }

    pub(super) fn failed(&self, seen: fmt::Arguments<'_>) -> ProviderError {
        self.error(ProviderErrorKind::Failed, format!("{} failed: {seen}", self.what))
    }

    /// A field within these limits.
    pub(super) fn field(
        &mut self,
        name: impl fmt::Display,
        value: &str,
        limits: &Limits,
    ) -> Result<(), ProviderError> {
        if let Some(problem) = limits.problem(value) {
            return Err(self.invalid(format_args!("{name} {problem}")));
        }
        self.push(&name.to_string());
        push_wiping(&mut self.text, "=");
        for piece in utf8_percent_encode(value, ESCAPED) {
            push_wiping(&mut self.text, piece);
        }
        Ok(())
    }

    /// A field that nobody but STS may see.
    pub(super) fn secret(
        &mut self,
        name: &str,
        value: &str,
        limits: &Limits,
    ) -> Result<(), ProviderError> {
        self.field(name, value, limits)?;
        self.secrets.push(Zeroizing::new(value.to_owned()));
        Ok(())
    }

    /// `DurationSeconds`, in whole seconds.
    pub(super) fn duration(
        &mut self,
        duration: Option<Duration>,
        limits: RangeInclusive<u64>,
    ) -> Result<(), ProviderError> {
        let Some(duration) = duration else { return Ok(()) };
        let seconds = duration.as_secs();
        if duration.subsec_nanos() != 0 || !limits.contains(&seconds) {
            let (least, most) = limits.into_inner();
            return Err(self.invalid(format_args!(
                "DurationSeconds is {}, and must be a whole number from {least} to {most}",
                duration.as_secs_f64()
            )));
        }
        self.push(&format!("DurationSeconds={seconds}"));
        Ok(())
    }

    /// No more than so many of something.
    pub(super) fn at_most(&self, most: usize, of: &str, count: usize) -> Result<(), ProviderError> {
        if count > most {
            return Err(self.invalid(format_args!("{of} has {count} members, {most} at most")));
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        push_wiping(&mut self.text, "&");
        push_wiping(&mut self.text, text);
    }

    fn invalid(&self, problem: fmt::Arguments<'_>) -> ProviderError {
        let message = format!("{} was not sent: {problem}", self.what);
        self.error(ProviderErrorKind::InvalidConfiguration, message)
    }
}

/// What a field may hold.
pub(super) struct Limits {
    least: usize,
    most: usize,
    characters: Characters,
}

/// What characters a field may hold.
enum Characters {
    Any,
    Digits,
    /// ASCII letters, digits, `_` and these.
    WordsAnd(&'static str),
}

impl Limits {
    pub(super) const fn any(least: usize, most: usize) -> Limits {
        Limits { least, most, characters: Characters::Any }
    }

    pub(super) const fn digits(count: usize) -> Limits {
        Limits { least: count, most: count, characters: Characters::Digits }
    }

    pub(super) const fn words(least: usize, most: usize, others: &'static str) -> Limits {
        Limits { least, most, characters: Characters::WordsAnd(others) }
    }

    /// What is wrong with a value, without the value: it may be a secret.
    fn problem(&self, value: &str) -> Option<String> {
        let (count, least) = (value.chars().count(), self.least);
        if !(least..=self.most).contains(&count) {
            let wanted = match self.most {
                usize::MAX => format!("{least} or more"),
                most if most == least => least.to_string(),
                most => format!("{least} to {most}"),
            };
            return Some(format!("has {count} characters, and must have {wanted}"));
        }
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let is_wrong = |char: char| match self.characters {
            Characters::Any => false,
            Characters::Digits => !char.is_ascii_digit(),
            Characters::WordsAnd(others) => !is_word(char) && !others.contains(char),
        };
        let at = 1 + value.chars().position(is_wrong)?;
        let allowed = match self.characters {
            Characters::WordsAnd(others) => format!("letters, digits and `_{others}`"),
            _ => "digits".to_owned(),
        };
        Some(format!("may hold {allowed} alone, and character {at} is none of them"))
    }
}

/// What a configuration calls something, fit for a message.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

const LONGEST_SHOWN: usize = 256;
