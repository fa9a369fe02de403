//! What is logged while the tests run, down to the last detail: by the proxy and by the libraries beneath it.

use std::{cell::RefCell, fmt, process, sync::Once};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::Field,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

use crate::{
    resign::{PLACEHOLDER, SECRET_OF_ROLE},
    support::{SECRET, TOKEN},
};

/// What is logged on the thread of a test: a line for each event of the proxy, with its level and its fields.
pub(crate) struct Logged(());

thread_local! {
    static LOGGED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

impl Logged {
    /// Takes what is logged from now on, until this is dropped.
    pub(crate) fn begin() -> Logged {
        listen();
        LOGGED.set(Some(Vec::new()));
        Logged(())
    }

    /// The lines so far that hold this.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        LOGGED.with_borrow(|lines| {
            let lines = lines.iter().flatten();
            lines.filter(|line| line.contains(part)).cloned().collect()
        })
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        LOGGED.set(None);
    }
}

/// Looks for secrets in all that is logged from now on. The first one found ends all tests at once: a panic would
/// end a task that nobody waits for.
pub(crate) fn listen() {
    // One for all threads: what one of them alone would take, others can have called nobody's before.
    static EVERYWHERE: Once = Once::new();
    EVERYWHERE.call_once(|| {
        tracing::subscriber::set_global_default(Everywhere).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
}

struct Everywhere;

impl Subscriber for Everywhere {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::new(span.metadata());
        span.record(&mut |field: &Field, value: &dyn fmt::Debug| line.add(field, value));
        line.search();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line::default();
        values.record(&mut |field: &Field, value: &dyn fmt::Debug| line.add(field, value));
        line.search();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::new(event.metadata());
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| line.add(field, value));
        line.search();
        if event.metadata().target().starts_with("countersign_proxy") {
            let kept = |lines: &mut Option<Vec<String>>| {
                if let Some(lines) = lines {
                    lines.push(line.0);
                }
            };
            LOGGED.with_borrow_mut(kept);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Line {
    fn new(of: &Metadata<'_>) -> Line {
        Line(of.level().to_string())
    }

    fn add(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }

    fn search(&self) {
        if let Some(secret) = secret_in(&self.0) {
            eprintln!("the log holds `{secret}`: {}", self.0);
            process::abort();
        }
    }
}

/// The secret of a test that stands in a text.
fn secret_in(text: &str) -> Option<&'static str> {
    [SECRET, TOKEN, PLACEHOLDER, SECRET_OF_ROLE].into_iter().find(|secret| text.contains(secret))
}

#[test]
fn a_secret_is_found_wherever_it_stands() {
    let _logged = Logged::begin();
    assert!(tracing::enabled!(target: "h2::codec", Level::TRACE), "all is listened to");
    for secret in [SECRET, TOKEN, PLACEHOLDER, SECRET_OF_ROLE] {
        let written = format!("{:?}", ("a header", format!("is {secret}, it says")));
        assert_eq!(secret_in(&written), Some(secret));
    }
    assert_eq!(secret_in("AKIDEXAMPLE"), None);
}
