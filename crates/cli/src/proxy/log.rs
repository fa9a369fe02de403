//! What the proxy and its providers say, on standard error.

use std::io::{self, BufWriter};

use clap::ValueEnum;
use countersign_proxy::LogLevel;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    layer::{Layer, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use crate::printed::tell;

/// How much is said.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Log {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl From<Log> for LogLevel {
    fn from(log: Log) -> LogLevel {
        match log {
            Log::Off => LogLevel::Off,
            Log::Error => LogLevel::Error,
            Log::Warn => LogLevel::Warn,
            Log::Info => LogLevel::Info,
            Log::Debug => LogLevel::Debug,
        }
    }
}

/// The log while the program runs; what was said last is written when it is dropped.
pub(super) struct Logging {
    levels: Levels,
    lost: ErrorCounter,
    #[cfg(feature = "otel")]
    _spans: Option<super::otel::Exporting>,
    // Dropped last: it waits for the lines.
    _lines: WorkerGuard,
}

impl Logging {
    /// Writes what the proxy and its providers say, as lines of JSON, to standard error.
    ///
    /// Lines are written by a thread of their own. If nobody takes them for so long that thousands wait, further
    /// ones are lost: requests would else wait for a log, or memory grow. How many is said at the end.
    pub(super) fn start(level: LogLevel) -> Logging {
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES);
        // That thread flushes when no line waits any more: under load many lines are one write.
        let (writer, lines) = builder.finish(BufWriter::with_capacity(BUFFER, io::stderr()));
        let lost = writer.error_counter();
        let (filter, handle) = reload::Layer::new(targets(level));
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(writer)
            .with_filter(filter);
        let registry = tracing_subscriber::registry().with(layer);
        #[cfg(feature = "otel")]
        let (registry, spans) = {
            let (layer, spans) = super::otel::begin().unzip();
            (registry.with(layer), spans)
        };
        registry.init();
        Logging {
            levels: Levels { handle },
            lost,
            #[cfg(feature = "otel")]
            _spans: spans,
            _lines: lines,
        }
    }

    /// What changes the level.
    pub(super) fn levels(&self) -> Levels {
        self.levels.clone()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let lost = self.lost.dropped_lines();
        if lost > 0 {
            tell(format_args!("{lost} lines of the log are lost: nobody took them"));
        }
    }
}

/// How much is said, to be changed at any time.
#[derive(Clone)]
pub(super) struct Levels {
    handle: reload::Handle<Targets, Registry>,
}

impl Levels {
    pub(super) fn set(&self, level: LogLevel) {
        // It fails where there is no log any more.
        let _ = self.handle.reload(targets(level));
    }

    pub(super) fn now(&self) -> LogLevel {
        self.handle.with_current(level_of).unwrap_or_default()
    }

    /// One step more, or less.
    pub(super) fn step(&self, more: bool) {
        let now = self.now();
        let at = STEPS.iter().position(|level| *level == now).unwrap_or_default();
        let at = if more { (at + 1).min(STEPS.len() - 1) } else { at.saturating_sub(1) };
        self.set(STEPS[at]);
        tracing::warn!("the level of the log is {:?} now", STEPS[at]);
    }
}

/// Others may log what is nobody's business, as whole headers.
fn targets(level: LogLevel) -> Targets {
    let filter = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Debug => LevelFilter::DEBUG,
        _ => LevelFilter::INFO,
    };
    Targets::new().with_target("countersign", filter).with_target("countersign_proxy", filter)
}

fn level_of(targets: &Targets) -> LogLevel {
    let is = |level: &&LogLevel| self::targets(**level) == *targets;
    STEPS.iter().find(is).copied().unwrap_or_default()
}

const STEPS: [LogLevel; 5] =
    [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];
/// Some megabytes of them.
const LINES: usize = 10_000;

const BUFFER: usize = 64 << 10;
