//! What the proxy and its providers say, on standard error.

use clap::ValueEnum;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// How much is said.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Log {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl Log {
    /// Writes what the proxy and its providers say, as lines of JSON, to standard error.
    pub(super) fn start(self) {
        let level = match self {
            Log::Off => LevelFilter::OFF,
            Log::Error => LevelFilter::ERROR,
            Log::Warn => LevelFilter::WARN,
            Log::Info => LevelFilter::INFO,
            Log::Debug => LevelFilter::DEBUG,
        };
        // Others may log what is nobody's business, as whole headers.
        let targets = Targets::new().with_target("countersign", level);
        let targets = targets.with_target("countersign_proxy", level);
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr);
        tracing_subscriber::registry().with(lines).with(targets).init();
    }
}
