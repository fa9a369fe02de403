//! `countersign credentials --watch`: each refresh as it happens.

use std::{ops::ControlFlow, pin::pin, time::SystemTime};

use countersign::{
    Credentials,
    providers::{BoxFuture, Cached, ProvideCredentials, ProviderError},
};
use tokio::{runtime, sync::mpsc};

use super::{
    output::rfc_3339,
    source::{Row, Source, answer},
    table::summary,
};
use crate::{failure::Failure, printed::print_line, signals::Signals};

/// Shows what is found, and each time that it is replaced, until a signal ends it.
pub(super) fn run(source: Source) -> Result<(), Failure> {
    let failed = |error| Failure::network(format_args!("cannot wait for signals: {error}"));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new().map_err(failed)?;
        let say = |line: &str| match print_line(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(failure),
        };
        tokio::select! {
            ended = watch(source, say) => ended,
            () = signals.next() => Ok(()),
        }
    });
    runtime.shutdown_background();
    ended
}

/// Says each refresh in a line, until whoever hears it has enough. That there is nothing at first is a
/// failure; later ones are said and lived through.
async fn watch(
    source: Source,
    mut say: impl FnMut(&str) -> ControlFlow<Failure>,
) -> Result<(), Failure> {
    let ports = source.ports().clone();
    let (sender, mut asked) = mpsc::unbounded_channel();
    let cached = Cached::new(Reporting { source: source.clone(), sender }, &ports);
    let mut refresher = pin!(cached.refresher());
    let mut is_first = true;
    loop {
        let (at, rows) = tokio::select! {
            Some(answer) = asked.recv() => answer,
            () = &mut refresher => return Ok(()),
        };
        let what = match source.outcome(&rows) {
            Ok(found) => summary(found.provider, found.credentials, at),
            Err(failure) if is_first => return Err(failure),
            Err(failure) => format!("not replaced: {failure}"),
        };
        is_first = false;
        let next = match cached.next_refresh() {
            Some(at) => format!("asked again at {}", text(at)),
            None => "not asked again".to_owned(),
        };
        if let ControlFlow::Break(failure) = say(&format!("{} {what}; {next}", text(at))) {
            return Err(failure);
        }
    }
}

fn text(at: SystemTime) -> String {
    rfc_3339(at).unwrap_or_else(|| "no time".to_owned())
}

/// A source that says each time what it was answered.
#[derive(Debug)]
struct Reporting {
    source: Source,
    sender: mpsc::UnboundedSender<(SystemTime, Vec<Row>)>,
}

impl ProvideCredentials for Reporting {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            let rows = self.source.ask().await;
            let answer = answer(&rows);
            // Whoever listened may be gone.
            let _ = self.sender.send((self.source.ports().clock().now(), rows));
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use bytes::Bytes;
    use countersign::providers::{Clock, HttpLimits, Ports};
    use http::{Request, Response};

    use super::*;

    #[test]
    fn each_refresh_is_a_line_and_a_failed_one_does_not_end_it() {
        let clock = Hands(Arc::new(Mutex::new(SystemTime::UNIX_EPOCH)));
        let (now, loads) = (clock.clone(), AtomicUsize::new(0));
        let instance = move |request: Request<Bytes>, _: HttpLimits| {
            let answer = |status: u16, body: String| {
                let answer = Response::builder().status(status);
                let answer = answer.header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
                Ok(answer.body(Bytes::from(body)).expect("an answer"))
            };
            match request.uri().path().rsplit('/').next() {
                Some("token") => answer(200, "token".to_owned()),
                Some("") => answer(200, "role".to_owned()),
                _ => match loads.fetch_add(1, Ordering::Relaxed) {
                    1 => answer(403, String::new()),
                    load => {
                        let expiry = now.now() + Duration::from_secs(6 * 3600);
                        answer(
                            200,
                            format!(
                                r#"{{"Code": "Success", "AccessKeyId": "ASIA{load}",
                                     "SecretAccessKey": "hush", "Token": "hush",
                                     "Expiration": "{}"}}"#,
                                rfc_3339(expiry).expect("a time")
                            ),
                        )
                    }
                },
            }
        };
        let source = Source::of(&Ports::empty().with_clock(clock).with_http(instance));
        let mut lines = Vec::new();
        let ended = pollster::block_on(watch(source, |line| {
            lines.push(line.to_owned());
            match lines.len() {
                3 => ControlFlow::Break(Failure::input("enough")),
                _ => ControlFlow::Continue(()),
            }
        }));
        assert_eq!(ended.expect_err("the end").message, "enough");
        assert_eq!(
            lines[0],
            "1970-01-01T00:00:00Z instance: access key id ASIA0, with a session token, expires at \
             1970-01-01T06:00:00Z (in 6 h); asked again at 1970-01-01T05:00:00Z"
        );
        assert!(lines[1].starts_with("1970-01-01T05:00:00Z not replaced: instance: "), "{lines:?}");
        assert!(lines[2].contains("instance: access key id ASIA2, "), "{lines:?}");
        assert!(!lines.concat().contains("hush"));
    }

    #[test]
    fn nothing_at_first_is_a_failure() {
        let ended = pollster::block_on(watch(Source::of(&Ports::empty()), |line| panic!("{line}")));
        let failure = ended.expect_err("there is nothing");
        assert_eq!(failure.code, 3);
        assert!(failure.message.starts_with("no credentials found"), "{}", failure.message);
    }

    /// A clock that to sleep on moves.
    #[derive(Clone)]
    struct Hands(Arc<Mutex<SystemTime>>);

    impl Clock for Hands {
        fn now(&self) -> SystemTime {
            *self.0.lock().expect("nobody panicked")
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
            *self.0.lock().expect("nobody panicked") += duration;
            Box::pin(std::future::ready(()))
        }
    }
}
