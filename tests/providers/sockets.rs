//! Services that go wrong in every way there is, over real sockets: whoever asks gets credentials or an error
//! with a name within the time that was stated, and no secret goes anywhere else, logs included.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
#[cfg(feature = "login")]
use countersign::providers::LoginProvider;
use countersign::{
    Credentials,
    providers::{
        AssumeRole, AssumeRoleProvider, BoxFuture, Cached, ContainerProvider, Endpoints,
        HttpClient, HttpError, HttpLimits, InstanceProvider, Platform, Ports, ProvideCredentials,
        SsoProvider, SsoSettings, Sts, WebIdentityProvider,
    },
    reqwest::ReqwestClient,
};
use http::{Request, Response};
use serde_json::json;

use super::{
    silence::{Ears, KEY, no_secret},
    world::{Disk, Hands, chain_of, ports},
};
use crate::{reqwest_client::builder, support::at};

#[test]
fn the_metadata_service_that_gives_no_token_is_not_there_or_an_error() {
    let told = |fault| match fault {
        // There is perhaps none.
        Fault::Refused => Told::Nothing("no metadata service answers at http://127.0.0.1"),
        Fault::Hang | Fault::Drip => Told::Nothing("no answer in time"),
        Fault::HalfClosed => Told::Nothing("the exchange failed"),
        Fault::ServerError => Told::Error("answered 500 Internal Server Error when asked for"),
        Fault::Throttled => Told::Error("answered 429 Too Many Requests when asked for"),
        Fault::Garbage => Told::Error("the answer is no text for a header"),
        Fault::Huge => Told::Error("is longer than 65536 bytes"),
        Fault::Redirect => Told::Error("answered 302 Found when asked for a token"),
        Fault::Empty => Told::Error("the answer is empty"),
        // A token of no life at all is good for the question at hand.
        Fault::Expired | Fault::WrongType | Fault::None => Told::Credentials,
    };
    each_fault(&Service { fails: |path| path == "/latest/api/token", ..METADATA }, told);
}

#[test]
fn the_metadata_service_that_gives_no_credentials_is_an_error() {
    each_fault(&METADATA, |fault| match fault {
        Fault::Refused => Told::Nothing("no metadata service answers at http://127.0.0.1"),
        Fault::ServerError => Told::Error("answered 500 Internal Server Error for /latest/meta"),
        Fault::Throttled => Told::Error("answered 429 Too Many Requests for /latest/meta-data"),
        Fault::Redirect => Told::Error("answered 302 Found for /latest/meta-data"),
        // It knows no better ones.
        Fault::Expired => Told::Credentials,
        fault => usual(fault),
    });
}

#[test]
fn the_agent_of_a_container_gives_credentials_or_an_error() {
    let service = Service {
        fails: |_| true,
        healthy: |_, fault| document(fault),
        provider: |ports, url| {
            let ports = ports.clone().with_env(
                [
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), format!("{url}/get")),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN".to_owned(), "hush-agent".to_owned()),
                ]
                .into_iter()
                .collect::<std::collections::HashMap<_, _>>(),
            );
            Box::new(ContainerProvider::new(&ports))
        },
    };
    each_fault(&service, |fault| match fault {
        Fault::Throttled => Told::Error("status 429"),
        Fault::ServerError => Told::Error("status 500"),
        Fault::Redirect => Told::Error("status 302"),
        fault => usual(fault),
    });
}

#[test]
fn sts_gives_credentials_or_an_error_signed_or_not() {
    let told = |fault| match fault {
        Fault::Garbage | Fault::Empty => Told::Error("is no answer of STS"),
        fault => usual(fault),
    };
    let role = Service {
        fails: |_| true,
        healthy: |_, fault| granted("AssumeRole", fault),
        provider: |ports, url| {
            let base = Credentials::new("AKID", "hush-base").with_session_token("whisper-base");
            let sts = Sts::new(ports).with_region("eu-west-1").with_endpoint_url(url);
            Box::new(AssumeRoleProvider::new(ports, base, AssumeRole::new(ROLE)).with_sts(sts))
        },
    };
    each_fault(&role, told);
    let web = Service {
        healthy: |_, fault| granted("AssumeRoleWithWebIdentity", fault),
        provider: |ports, url| {
            let sts = Sts::new(ports).with_endpoint_url(url);
            Box::new(WebIdentityProvider::of_file(ports, ROLE, "/web").with_sts(sts))
        },
        ..role
    };
    each_fault(&web, told);
}

#[test]
fn the_portal_of_sso_gives_credentials_or_an_error() {
    let service = Service { fails: |path| path.starts_with("/federation"), ..SSO };
    each_fault(&service, usual);
}

#[test]
fn the_service_that_renews_sso_tokens_gives_one_or_an_error() {
    each_fault(&Service { fails: |path| path == "/token", ..SSO }, |fault| match fault {
        // The portal decides about tokens that have expired.
        Fault::Expired => Told::Credentials,
        fault => usual(fault),
    });
}

#[cfg(feature = "login")]
#[test]
fn the_service_that_renews_logins_gives_one_or_an_error() {
    let service = Service {
        fails: |_| true,
        healthy: |_, fault| {
            let token = json!({"accessKeyId": "ASIANEW", "secretAccessKey": "hush-new",
                "sessionToken": "whisper-new"});
            let life = if fault == Fault::Expired { 0 } else { 900 };
            json!({"accessToken": token, "tokenType": "t", "expiresIn": life,
                "refreshToken": "hush-next"})
            .to_string()
        },
        provider: |ports, url| {
            let provider = LoginProvider::new(ports, "cat").unwrap().with_region("eu-west-1");
            Box::new(provider.with_endpoints(Endpoints::new(ports).with_url(url)))
        },
    };
    each_fault(&service, usual);
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// Nobody listens.
    Refused,
    /// The connection is taken, and nothing comes.
    Hang,
    /// The answer comes byte by byte, each long after the one before.
    Drip,
    ServerError,
    Throttled,
    /// A body that is none of what it should be.
    Garbage,
    /// A body that does not end.
    Huge,
    /// To a host that must not be asked.
    Redirect,
    /// The right body, said to be a picture.
    WrongType,
    /// The right body, with an end that has passed.
    Expired,
    /// Half of the right body, and then no more is sent.
    HalfClosed,
    /// No body.
    Empty,
}

const FAULTS: [Fault; 13] = [
    Fault::None,
    Fault::Refused,
    Fault::Hang,
    Fault::Drip,
    Fault::ServerError,
    Fault::Throttled,
    Fault::Garbage,
    Fault::Huge,
    Fault::Redirect,
    Fault::WrongType,
    Fault::Expired,
    Fault::HalfClosed,
    Fault::Empty,
];

/// What comes of it.
#[derive(Clone, Copy, Debug)]
enum Told {
    Credentials,
    /// An error that says this.
    Error(&'static str),
    /// Nothing is configured here, because of this.
    Nothing(&'static str),
}

/// What comes of most faults, of most services.
fn usual(fault: Fault) -> Told {
    match fault {
        Fault::None | Fault::WrongType => Told::Credentials,
        Fault::Refused => Told::Error("cannot connect"),
        Fault::Hang | Fault::Drip => Told::Error("no answer in time"),
        Fault::ServerError => Told::Error("status 500"),
        Fault::Throttled => Told::Error("status 429"),
        Fault::Garbage | Fault::Empty => Told::Error("JSON"),
        Fault::Huge => Told::Error("the answer is longer than"),
        Fault::Redirect => Told::Error("status 302"),
        Fault::Expired => Told::Error("gave credentials that expired"),
        Fault::HalfClosed => Told::Error("the exchange failed"),
    }
}

/// A service, what it says when all is well or has expired, and who asks it.
#[derive(Clone, Copy)]
struct Service {
    /// Which of its paths fail; the others are well.
    fails: fn(&str) -> bool,
    healthy: fn(&str, Fault) -> String,
    provider: fn(&Ports, &str) -> Box<dyn ProvideCredentials>,
}

const METADATA: Service = Service {
    fails: |path| path.ends_with("/role"),
    healthy: |path, fault| match path {
        "/latest/api/token" => "hush-metadata".to_owned(),
        path if path.ends_with('/') => "role".to_owned(),
        _ => document(fault),
    },
    provider: |ports, url| Box::new(InstanceProvider::new(ports).with_endpoint(url)),
};

const SSO: Service = Service {
    fails: |_| true,
    healthy: |path, fault| {
        let is_over = fault == Fault::Expired;
        match path {
            "/token" => json!({"accessToken": "hush-new", "tokenType": "Bearer",
                "expiresIn": if is_over { 0 } else { 3600 }, "refreshToken": "hush-next"}),
            _ => json!({"roleCredentials": {"accessKeyId": "ASIASSO", "secretAccessKey": "hush",
                "sessionToken": "whisper",
                "expiration": if is_over { 1_440_900_000_000_u64 } else { 1_440_966_960_000 }}}),
        }
        .to_string()
    },
    provider: |ports, url| {
        let settings = SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start")
            .with_session("cats")
            .with_role("123456789012", "Audit");
        let provider = SsoProvider::new(ports, settings);
        Box::new(provider.with_endpoints(Endpoints::new(ports).with_url(url)))
    },
};

/// Has the service fail in each way, all at once.
fn each_fault(service: &Service, told: impl Fn(Fault) -> Told + Sync) {
    let heard: Vec<String> = thread::scope(|scope| {
        let run = |fault| {
            scope.spawn({
                let told = &told;
                move || check(service, fault, told(fault))
            })
        };
        let running: Vec<_> = FAULTS.map(run).into_iter().collect();
        running.into_iter().map(|check| check.join().unwrap()).collect()
    });
    // The HTTP stack was heard too.
    assert!(heard.iter().any(|log| log.contains("starting new connection")), "{heard:?}");
    assert!(heard.iter().any(|log| log.contains("hyper_util")), "{heard:?}");
}

/// Asks a service once that fails so, and gives what was logged.
fn check(service: &Service, fault: Fault, told: Told) -> String {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let server =
        Server::start(*service, fault, &format!("http://{}", elsewhere.local_addr().unwrap()));
    let client = Hurried {
        client: ReqwestClient::new(|| builder().no_proxy()),
        patience: match fault {
            Fault::Hang | Fault::Drip => Duration::from_millis(150),
            _ => Duration::from_secs(10),
        },
        asked: Arc::default(),
    };
    let asked = client.asked.clone();
    let ports = ports(&[("HOME", "/home/cat"), ("AWS_LOGIN_CACHE_DIRECTORY", "/login")])
        .with_clock(Hands::at(at("20150830T123600Z")))
        .with_files(disk())
        .with_platform(Platform::Unix)
        .with_http(client);
    let provider: Arc<dyn ProvideCredentials> = Arc::from((service.provider)(&ports, &server.url));
    let provider = Cached::new(provider, &ports);

    let ears = Ears::default();
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = ears.hear(|| runtime.block_on(provider.provide()));
    let took = begun.elapsed();

    let shown = match &answer {
        Ok(found) => format!("{found:?} {}", provider.absence()),
        Err(error) => format!("{} {error:?} {error:#?}", chain_of(error)),
    };
    match (told, answer) {
        (Told::Credentials, Ok(Some(_))) => {}
        (Told::Nothing(said), Ok(None)) => {
            assert!(provider.absence().contains(said), "{fault:?}: {shown}");
        }
        (Told::Error(said), Err(error)) => {
            assert!(chain_of(&error).contains(said), "{fault:?}: {shown}");
        }
        (told, _) => panic!("{fault:?}: not {told:?} but {shown}"),
    }
    no_secret(&shown);
    no_secret(&ears.heard());
    // Each attempt states its time, and none takes longer.
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|limits| limits.connect <= limits.total
        && limits.total <= Duration::from_secs(15)
        && limits.max_body <= 1 << 20));
    if matches!(fault, Fault::Hang | Fault::Drip) {
        // Of SSO there are two to ask, and what is well may be slow too.
        assert!((1..=6).contains(&asked.len()), "{} requests", asked.len());
        assert!(took < Duration::from_secs(2), "{fault:?}: {took:?}");
    }
    let nobody = elsewhere.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(nobody, Err(io::ErrorKind::WouldBlock), "{fault:?}: somebody else was asked");
    ears.heard()
}

/// A client with less patience than it is told to have.
struct Hurried {
    client: ReqwestClient,
    patience: Duration,
    asked: Arc<Mutex<Vec<HttpLimits>>>,
}

impl HttpClient for Hurried {
    fn send(
        &self,
        request: Request<Bytes>,
        mut limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        self.asked.lock().unwrap().push(limits);
        limits.connect = self.patience;
        limits.total = self.patience;
        self.client.send(request, limits)
    }
}

/// A server with a fault. It lets go of its connections when it is dropped.
struct Server {
    url: String,
    is_over: Arc<AtomicBool>,
    /// Whoever waits for this waits until the server is dropped.
    _until: mpsc::Sender<()>,
}

impl Server {
    fn start(service: Service, fault: Fault, elsewhere: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (until, over) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        if fault == Fault::Refused {
            return Server { url: "http://127.0.0.1:1".to_owned(), is_over, _until: until };
        }
        let server = Server { url, is_over: is_over.clone(), _until: until };
        let elsewhere = elsewhere.to_owned();
        thread::spawn(move || {
            let over = Mutex::new(over);
            thread::scope(|scope| {
                while let Ok((stream, _)) = listener.accept() {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let (over, elsewhere) = (&over, &elsewhere);
                    scope.spawn(move || {
                        // The client may go away at any time.
                        let _ = serve(stream, service, fault, elsewhere, over);
                    });
                }
            });
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

/// Answers one request, and closes.
fn serve(
    mut stream: TcpStream,
    service: Service,
    fault: Fault,
    elsewhere: &str,
    over: &Mutex<mpsc::Receiver<()>>,
) -> io::Result<()> {
    let path = read_request(&mut stream)?;
    let fault = if (service.fails)(&path) { fault } else { Fault::None };
    let mut body = (service.healthy)(&path, fault).into_bytes();
    let (mut status, mut more) = ("200 OK", String::new());
    match fault {
        Fault::ServerError => (status, body) = ("500 Internal Server Error", b"down".to_vec()),
        Fault::Throttled => (status, body) = ("429 Too Many Requests", b"slower".to_vec()),
        Fault::Garbage => body = b"\x00\xff<{hush-garbage".to_vec(),
        Fault::Empty => body.clear(),
        Fault::Redirect => {
            (status, more) = ("302 Found", format!("location: {elsewhere}{path}\r\n"));
        }
        Fault::WrongType => more = "content-type: image/png\r\n".to_owned(),
        // A service that is asked for one token after the other says it itself.
        Fault::Expired | Fault::None => {}
        Fault::Hang => {
            wait(over, Duration::from_secs(5));
            return Ok(());
        }
        Fault::Drip | Fault::HalfClosed | Fault::Huge | Fault::Refused => {}
    }
    let life = if fault == Fault::Expired { 0 } else { 60 };
    let _ = write!(more, "x-aws-ec2-metadata-token-ttl-seconds: {life}\r\nconnection: close\r\n");
    if fault == Fault::Huge {
        stream.write_all(format!("HTTP/1.1 {status}\r\n{more}\r\n").as_bytes())?;
        for _ in 0..1 << 10 {
            stream.write_all(&[b' '; 1 << 12])?;
        }
        return stream.flush();
    }
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\n\r\n").into_bytes();
    answer.extend(&body);
    match fault {
        Fault::Drip => {
            for byte in answer {
                stream.write_all(&[byte])?;
                if wait(over, Duration::from_millis(20)) {
                    break;
                }
            }
        }
        Fault::HalfClosed => {
            stream.write_all(&answer[..answer.len() - length.div_ceil(2)])?;
            stream.shutdown(Shutdown::Write)?;
        }
        _ => stream.write_all(&answer)?,
    }
    // Whatever the client still says is taken, so that it reads the answer and no reset.
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let _ = stream.read(&mut [0; 64]);
    Ok(())
}

/// Waits as long as the server is there, and no longer than this; says whether it is gone.
fn wait(over: &Mutex<mpsc::Receiver<()>>, most: Duration) -> bool {
    let over = over.lock().unwrap();
    over.recv_timeout(most) == Err(mpsc::RecvTimeoutError::Disconnected)
}

/// Takes a whole request; the path that it asks for.
fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece)?;
        read.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let target = head.split(' ').nth(1).unwrap_or_default();
                return Ok(target.split('?').next().unwrap_or_default().to_owned());
            }
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn document(fault: Fault) -> String {
    let end = if fault == Fault::Expired { "2015-08-30T12:00:00Z" } else { "2015-08-30T18:36:00Z" };
    json!({"Code": "Success", "AccessKeyId": "ASIAROLE", "SecretAccessKey": "hush",
        "Token": "whisper", "Expiration": end})
    .to_string()
}

fn granted(action: &str, fault: Fault) -> String {
    let end = if fault == Fault::Expired { "2015-08-30T12:00:00Z" } else { "2015-08-30T18:36:00Z" };
    format!(
        "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
         <SecretAccessKey>hush</SecretAccessKey><SessionToken>whisper</SessionToken>\
         <Expiration>{end}</Expiration></Credentials></{action}Result></{action}Response>"
    )
}

/// A token for a web identity, and sessions whose ends have passed.
fn disk() -> Disk {
    let disk = Disk::default();
    disk.put("/web", "hush-web");
    let session = json!({"accessToken": "hush-token", "expiresAt": "2015-08-30T12:00:00Z",
        "refreshToken": "hush-refresh", "clientId": "client", "clientSecret": "hush-client",
        "registrationExpiresAt": "2015-09-30T12:36:00Z"});
    disk.put(SSO_FILE, session.to_string());
    let session = json!({"accessToken": {"accessKeyId": "ASIAOLD", "secretAccessKey": "hush-old",
            "sessionToken": "whisper-old", "expiresAt": "2015-08-30T12:00:00Z"},
        "tokenType": "t", "refreshToken": "hush-refresh", "clientId": "client", "dpopKey": KEY});
    disk.put(LOGIN_FILE, session.to_string());
    disk
}

const ROLE: &str = "arn:aws:iam::123456789012:role/audit";
const SSO_FILE: &str = "/home/cat/.aws/sso/cache/8ebf601f8b808c32b8d2fb570c2e0fbdbb388add.json";
const LOGIN_FILE: &str =
    "/login/77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e.json";
