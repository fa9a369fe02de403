//! What the library warns of, for whoever runs a command.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
    sync::{Mutex, PoisonError},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::{Interest, set_global_default},
};

use crate::printed::tell;

/// Has warnings of the library said on standard error from now on, each once.
pub(crate) fn show() {
    // Who logs in another way already, or was here before, sees them too.
    let _ = set_global_default(Warnings::new(|warning| tell(format_args!("warning: {warning}"))));
}

/// Hears warnings, and nothing else. A whole registry of spans is more than that takes.
struct Warnings<S> {
    say: S,
    said: Mutex<BTreeSet<String>>,
}

impl<S: Fn(&str) + 'static> Warnings<S> {
    fn new(say: S) -> Warnings<S> {
        Warnings { say, said: Mutex::default() }
    }
}

impl<S: Fn(&str) + Send + Sync + 'static> Subscriber for Warnings<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What dependencies log, others wrote.
        let is_ours = metadata.target().split("::").next() == Some("countersign");
        metadata.is_event() && *metadata.level() <= Level::WARN && is_ours
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let text = text.whole();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST && said.insert(text.clone()) {
            (self.say)(&text);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message of an event, and behind it what goes with it.
#[derive(Default)]
struct Text {
    message: String,
    rest: String,
}

impl Text {
    /// In one line, without what could disturb a terminal.
    fn whole(self) -> String {
        let whole = self.message + &self.rest;
        let mut line = String::with_capacity(whole.len());
        for char in whole.chars() {
            match char {
                '\n' => line.push(' '),
                char if char.is_control() => line.extend(char.escape_default()),
                char => line.push(char),
            }
        }
        line
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string never fails.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            _ => write!(self.rest, ": {value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// So many warnings say that something is wrong, and more of them would only fill memory.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing::subscriber::with_default;

    use super::*;

    #[test]
    fn warnings_are_said_once_with_what_goes_with_them() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        let warnings =
            Warnings::new(move |text| heard.lock().expect("no panic").push(text.to_owned()));
        with_default(warnings, || {
            for _ in 0..2 {
                let (path, error) = ("/a\u{1b}[2J", "full\n  disk");
                tracing::warn!(target: "countersign::a", %path, %error, "not saved");
                tracing::warn!(target: "countersign::a", name = "x", "not {}", 7);
                tracing::debug!(target: "countersign::a", "debug");
                tracing::warn!(target: "hyper", "of others");
                let _span = tracing::warn_span!(target: "countersign::a", "span").entered();
            }
        });
        let said = said.lock().expect("no panic");
        assert_eq!(*said, [r"not saved: /a\u{1b}[2J: full   disk", "not 7: x"]);
    }
}
