//! A world for providers that a test sets up, moves and looks back on.

use std::{
    collections::HashMap,
    error::Error,
    future::ready,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Head, Headers,
    providers::{BoxFuture, Clock, Files, HttpClient, HttpError, HttpErrorKind, HttpLimits, Ports},
};
use http::{Request, Response};
use serde_json::Value;

/// Runs a future to its end, on this thread alone.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Ports with these variables and nothing else.
pub(crate) fn ports(variables: &[(&str, &str)]) -> Ports {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), *value));
    Ports::empty().with_env(variables.map(|(n, v)| (n, v.to_owned())).collect::<HashMap<_, _>>())
}

/// A clock that a test moves. To sleep on it moves it too, and is noted.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<Mutex<(SystemTime, Vec<Duration>)>>);

impl Hands {
    pub(crate) fn at(now: SystemTime) -> Hands {
        Hands(Arc::new(Mutex::new((now, Vec::new()))))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.lock().unwrap().0 += by;
    }

    pub(crate) fn set(&self, now: SystemTime) {
        self.0.lock().unwrap().0 = now;
    }

    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Clock for Hands {
    fn now(&self) -> SystemTime {
        self.0.lock().unwrap().0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let mut hands = self.0.lock().unwrap();
        hands.0 += duration;
        hands.1.push(duration);
        Box::pin(ready(()))
    }
}

type Answer = Box<dyn FnMut(&Request<Bytes>) -> Result<Response<Bytes>, HttpError> + Send>;

type Asked = Vec<(Request<Bytes>, HttpLimits)>;

/// Servers that answer as a test says, and note what they were asked.
#[derive(Clone)]
pub(crate) struct Servers(Arc<Mutex<(Answer, Asked)>>);

impl Servers {
    pub(crate) fn answering(
        answer: impl FnMut(&Request<Bytes>) -> Result<Response<Bytes>, HttpError> + Send + 'static,
    ) -> Servers {
        Servers(Arc::new(Mutex::new((Box::new(answer), Vec::new()))))
    }

    /// All requests so far, as `METHOD URI`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = &self.0.lock().unwrap().1;
        asked.iter().map(|(request, _)| format!("{} {}", request.method(), request.uri())).collect()
    }

    /// All requests so far with their limits; they are forgotten.
    pub(crate) fn take(&self) -> Asked {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

impl HttpClient for Servers {
    fn send(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        let (answer, asked) = &mut *self.0.lock().unwrap();
        let answer = answer(&request);
        asked.push((request, limits));
        Box::pin(ready(answer))
    }
}

/// Servers that answer a turn later.
pub(crate) struct Slow(pub(crate) Servers);

impl HttpClient for Slow {
    fn send(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.send(request, limits).await
        })
    }
}

/// A disk that the world shares with other processes, which may be full, or let nobody read.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    files: HashMap<PathBuf, Vec<u8>>,
    is_full: bool,
    is_locked: bool,
}

impl Disk {
    pub(crate) fn put(&self, path: &str, contents: impl Into<Vec<u8>>) {
        self.0.lock().unwrap().files.insert(path.into(), contents.into());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().files.remove(Path::new(path));
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.0.lock().unwrap().files[Path::new(path)]).unwrap()
    }

    pub(crate) fn is_full(&self, yes: bool) {
        self.0.lock().unwrap().is_full = yes;
    }

    pub(crate) fn is_locked(&self, yes: bool) {
        self.0.lock().unwrap().is_locked = yes;
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = self.0.lock().unwrap();
        if disk.is_locked {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        disk.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.files.insert(path.to_owned(), contents.to_owned());
        Ok(())
    }
}

/// An answer of this status and body.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Result<Response<Bytes>, HttpError> {
    Ok(Response::builder().status(status).body(body.into()).unwrap())
}

/// Nobody takes the connection.
pub(crate) fn refused() -> Result<Response<Bytes>, HttpError> {
    Err(HttpError::new(HttpErrorKind::Connect, "connection refused"))
}

/// A request as the server that it is for would see it.
pub(crate) fn head_of(request: &Request<Bytes>) -> Head<'_> {
    Head {
        method: request.method().as_str().as_bytes(),
        https: request.uri().scheme_str() == Some("https"),
        authority: request.uri().authority().map(|authority| authority.as_str().as_bytes()),
        path: request.uri().path().as_bytes(),
        query: request.uri().query().map(str::as_bytes),
        headers: Headers::Map(request.headers()),
    }
}

/// An error with all that caused it, as a program would print it.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
