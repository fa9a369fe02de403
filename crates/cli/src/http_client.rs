//! The HTTP client of providers of credentials: reqwest, over rustls with ring.
//!
//! Nothing of it is made before a provider sends something: most commands sign with keys that are at hand.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use countersign::{
    providers::{
        BoxFuture, HttpClient, HttpError, HttpErrorKind, HttpLimits, Ports, ProfileProvider,
    },
    reqwest::ReqwestClient,
};
use http::{Request, Response, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::ClientBuilder;
use tokio::runtime::{self, Runtime};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
    version::{TLS12, TLS13},
};

/// The process's own world, with an HTTP client that trusts what this profile does.
pub(crate) fn ports(profile: Option<&str>) -> Ports {
    let profile = profile.map(str::to_owned);
    let bundle = move || bundle(&Ports::system(), profile.as_deref());
    Ports::system().with_http(Http::new(bundle))
}

/// A client for plain HTTP alone: it trusts nobody.
pub(crate) fn plain() -> ClientBuilder {
    begin(&config(RootCertStore::empty()))
}

/// The file of certificates to trust instead of the system's: `AWS_CA_BUNDLE`, then `ca_bundle` of the
/// profile.
fn bundle(ports: &Ports, profile: Option<&str>) -> Option<PathBuf> {
    let is_filled = |text: &OsString| !text.is_empty();
    if let Some(path) = ports.env().var("AWS_CA_BUNDLE").filter(is_filled) {
        return Some(path.into());
    }
    let provider = ProfileProvider::new(ports);
    let provider = match profile {
        Some(name) => provider.with_name(name),
        None => provider,
    };
    // Files that cannot be read are for the providers to complain of.
    let (name, profiles) = (provider.selected().ok()?, provider.load().ok()?);
    let path = profiles.profile(&name)?.get("ca_bundle").filter(|path| !path.is_empty())?;
    Some(path.into())
}

/// An HTTP client with a runtime of its own, so that whoever waits for it needs none.
struct Http {
    parts: Arc<Parts>,
}

struct Parts {
    bundle: Box<dyn Fn() -> Option<PathBuf> + Send + Sync>,
    runtime: OnceLock<Option<Runtime>>,
    plain: OnceLock<ReqwestClient>,
    encrypted: OnceLock<Result<ReqwestClient, String>>,
}

impl Http {
    fn new(bundle: impl Fn() -> Option<PathBuf> + Send + Sync + 'static) -> Http {
        Http {
            parts: Arc::new(Parts {
                bundle: Box::new(bundle),
                runtime: OnceLock::new(),
                plain: OnceLock::new(),
                encrypted: OnceLock::new(),
            }),
        }
    }
}

impl HttpClient for Http {
    fn send(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        Box::pin(async move {
            let unavailable = |why: &str| HttpError::new(HttpErrorKind::Unavailable, why);
            let runtime = self.parts.runtime.get_or_init(|| start().ok()).as_ref();
            let runtime = runtime.ok_or_else(|| unavailable("no thread can be started"))?;
            let parts = self.parts.clone();
            // Whoever waits may give up; the limits then end what was begun.
            let exchange = runtime.spawn(async move {
                let uri = request.uri().clone();
                let client = match is_encrypted(&request, &limits) {
                    true => parts.encrypted().map_err(|why| unavailable(&why))?,
                    false => parts.plain.get_or_init(|| ReqwestClient::new(plain)),
                };
                let answer = client.send(request, limits).await;
                answer.map_err(|error| match proxy(&uri, &limits) {
                    Some(proxy) => {
                        let message = format!("through the proxy {proxy}: {error}");
                        HttpError::new(error.kind(), message).with_source(error)
                    }
                    None => error,
                })
            });
            let broken = |_| HttpError::new(HttpErrorKind::Failed, "the exchange was broken off");
            exchange.await.map_err(broken)?
        })
    }
}

impl Parts {
    fn encrypted(&self) -> Result<&ReqwestClient, String> {
        let made = self.encrypted.get_or_init(|| {
            let config = config(roots((self.bundle)().as_deref())?);
            Ok(ReqwestClient::new(move || begin(&config)))
        });
        made.as_ref().map_err(Clone::clone)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            // A name that is still being looked up would else be waited for.
            runtime.shutdown_background();
        }
    }
}

fn start() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("countersign-http")
        .enable_all()
        .build()
}

/// The proxy that the environment has for a request, without the name and password that may stand in it.
fn proxy(uri: &Uri, limits: &HttpLimits) -> Option<String> {
    if limits.direct || limits.address.is_some() || is_without_proxies() {
        return None;
    }
    let proxy = Matcher::from_system().intercept(uri)?;
    let (scheme, host) = (proxy.uri().scheme_str()?, proxy.uri().host()?);
    let port = proxy.uri().port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}"))
}

/// Whether no proxy is wanted for any host: reqwest has `*` stand for names, and not for addresses.
fn is_without_proxies() -> bool {
    let said = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
    said.is_some_and(|hosts| hosts.split(',').any(|host| host.trim() == "*"))
}

/// Whether a request takes TLS: to the host, or to a proxy on the way.
fn is_encrypted(request: &Request<Bytes>, limits: &HttpLimits) -> bool {
    let through_tls = |name: &&str| {
        let proxy = std::env::var(name).unwrap_or_default();
        proxy.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
    };
    let may_use_proxy = !limits.direct && limits.address.is_none() && !is_without_proxies();
    request.uri().scheme_str() == Some("https")
        || may_use_proxy && PLAIN_PROXIES.iter().any(through_tls)
}

/// A client of reqwest's. It goes through the environment's proxies unless it is told otherwise.
fn begin(config: &ClientConfig) -> ClientBuilder {
    let builder = ClientBuilder::new();
    let builder = if is_without_proxies() { builder.no_proxy() } else { builder };
    builder
        .tls_backend_preconfigured(config.clone())
        .http1_only()
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
}

/// TLS 1.2 and 1.3; all that rustls offers with them is forward-secret.
fn config(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The certificates that are trusted: those of the file, or without one the system's, which
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` may put elsewhere.
fn roots(bundle: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = bundle {
        let unusable =
            |why: String| format!("no certificates to trust in `{}`: {why}", path.display());
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(error.to_string()))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        return match roots.is_empty() {
            true => Err(unusable("there is none".to_owned())),
            false => Ok(roots),
        };
    }
    let found = rustls_native_certs::load_native_certs();
    // Among the many of a system some may be odd; they are not trusted then.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problems: Vec<String> =
            found.errors.iter().map(|error| format!(" ({error})")).collect();
        return Err(format!(
            "this machine has no root certificates, so no server can prove who it is: install the \
             package ca-certificates, or name a file of certificates in AWS_CA_BUNDLE or \
             SSL_CERT_FILE{}",
            problems.concat()
        ));
    }
    Ok(roots)
}

/// The variables that may name a proxy for plain HTTP.
const PLAIN_PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        io::{Read, Write},
        net::TcpListener,
        thread,
        time::Duration,
    };

    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use tokio_rustls::rustls::{
        CipherSuite, ServerConfig, ServerConnection, StreamOwned, SupportedCipherSuite,
        SupportedProtocolVersion, pki_types::PrivateKeyDer,
    };

    use super::*;

    #[test]
    fn only_forward_secret_suites_of_tls_1_2_and_1_3_are_offered() {
        let provider = config(RootCertStore::empty()).crypto_provider().clone();
        let suites: Vec<CipherSuite> =
            provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect();
        assert_eq!(
            suites,
            [
                CipherSuite::TLS13_AES_256_GCM_SHA384,
                CipherSuite::TLS13_AES_128_GCM_SHA256,
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ]
        );
    }

    #[test]
    fn a_server_is_believed_by_the_bundle_in_either_version_of_tls() {
        for version in [&TLS12, &TLS13] {
            let server = Server::speaking(version);
            let answer = server.ask("localhost", Some(&server.bundle)).expect("an answer");
            assert_eq!(&answer.body()[..], b"meow", "{version:?}");
        }
    }

    #[test]
    fn a_wrong_name_and_an_unknown_authority_are_refused() {
        let server = Server::speaking(&TLS13);
        let error = server.ask("127.0.0.1", Some(&server.bundle)).expect_err("another name");
        assert!(error.to_string().contains("not valid for name"), "{error}");
        let other = Server::speaking(&TLS13);
        let error = server.ask("localhost", Some(&other.bundle)).expect_err("another authority");
        assert!(error.to_string().contains("BadSignature"), "{error}");
    }

    #[test]
    fn a_server_that_picks_an_old_version_or_a_suite_without_forward_secrecy_is_refused() {
        // The end of a ServerHello: version, random, no session, suite, no compression.
        let hello = |version: [u8; 2], suite: [u8; 2]| {
            let hello = [&version[..], &[7; 32], &[0], &suite, &[0]].concat();
            let len = hello.len() as u8;
            [&[22, 3, 3, 0, len + 4, 2, 0, 0, len][..], &hello].concat()
        };
        const TLS_1_1: [u8; 2] = [3, 2];
        const TLS_1_2: [u8; 2] = [3, 3];
        const ECDHE_RSA_AES_128_CBC: [u8; 2] = [0xc0, 0x13];
        const ECDHE_RSA_AES_128_GCM: [u8; 2] = [0xc0, 0x2f];
        const STATIC_RSA_AES_128_GCM: [u8; 2] = [0x00, 0x9c];
        for (picked, complaint) in [
            (hello(TLS_1_1, ECDHE_RSA_AES_128_CBC), "ServerDoesNotSupportTls12Or13"),
            (hello(TLS_1_2, STATIC_RSA_AES_128_GCM), "SelectedUnofferedCipherSuite"),
            // Nothing is wrong with this one but that the server then goes away.
            (hello(TLS_1_2, ECDHE_RSA_AES_128_GCM), "eof"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = listener.local_addr().expect("an address").port();
            thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&picked);
            });
            let bundle = Server::speaking(&TLS13).bundle;
            let error = ask(&format!("https://localhost:{port}/"), Some(&bundle));
            let said = error.expect_err("no handshake").to_string();
            assert!(said.contains(complaint), "{said}");
        }
    }

    #[test]
    fn a_bundle_that_cannot_be_used_is_named_and_nothing_is_sent() {
        let empty = file("-----BEGIN NOTHING-----\n");
        let server = Server::speaking(&TLS13);
        for path in [Path::new("/no/such/bundle.pem"), empty.path()] {
            let error = server.ask("localhost", Some(path)).expect_err("no certificates");
            assert_eq!(error.kind(), HttpErrorKind::Unavailable);
            let said = error.to_string();
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
    }

    #[test]
    fn plain_http_needs_no_certificates() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            answer(&mut stream);
        });
        let answer = ask(&url, Some(Path::new("/no/such/bundle.pem"))).expect("an answer");
        assert_eq!(&answer.body()[..], b"meow");
    }

    #[test]
    fn the_bundle_is_the_environments_then_the_profiles() {
        let config = "[profile work]\nca_bundle = /of/profile.pem\n";
        let files = HashMap::from([(PathBuf::from("/c"), config)]);
        let of_work = Ports::empty().with_files(files.clone());
        let with = |env: &[(&'static str, &'static str)], profile| {
            let env = env.iter().copied().chain([("AWS_CONFIG_FILE", "/c"), ("HOME", "/")]);
            bundle(&of_work.clone().with_env(env.collect::<HashMap<_, _>>()), profile)
        };
        assert_eq!(with(&[], None), None);
        assert_eq!(with(&[], Some("work")), Some("/of/profile.pem".into()));
        assert_eq!(with(&[("AWS_PROFILE", "work")], None), Some("/of/profile.pem".into()));
        assert_eq!(
            with(&[("AWS_CA_BUNDLE", "/of/env.pem")], Some("work")),
            Some("/of/env.pem".into())
        );
        assert_eq!(with(&[("AWS_CA_BUNDLE", "")], None), None);
    }

    /// A server with a certificate for `localhost`, by an authority that `bundle` holds.
    struct Server {
        port: u16,
        bundle: tempfile::TempPath,
    }

    impl Server {
        fn speaking(version: &'static SupportedProtocolVersion) -> Server {
            let mut authority = CertificateParams::new([]).expect("parameters");
            authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let authority =
                CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"))
                    .expect("an authority");
            let key = KeyPair::generate().expect("a key");
            let certificate = CertificateParams::new(["localhost".to_owned()])
                .and_then(|params| params.signed_by(&key, &authority))
                .expect("a certificate");
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .expect("a version")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .expect("a key for the certificate");
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let config = Arc::new(config);
            thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    let connection = ServerConnection::new(config.clone()).expect("a connection");
                    answer(&mut StreamOwned::new(connection, stream));
                }
            });
            Server { port, bundle: file(&authority.pem()).into_temp_path() }
        }

        fn ask(&self, host: &str, bundle: Option<&Path>) -> Result<Response<Bytes>, HttpError> {
            ask(&format!("https://{host}:{}/", self.port), bundle)
        }
    }

    fn ask(url: &str, bundle: Option<&Path>) -> Result<Response<Bytes>, HttpError> {
        let bundle = bundle.map(Path::to_owned);
        let request = Request::get(url).body(Bytes::new()).expect("a request");
        let limits = HttpLimits::new(Duration::from_secs(10)).direct();
        pollster::block_on(Http::new(move || bundle.clone()).send(request, limits))
    }

    /// One answer to whatever is asked; who does not like the certificate asks nothing.
    fn answer(stream: &mut (impl Read + Write)) {
        if stream.read(&mut [0; 4096]).is_ok_and(|len| len > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow");
            let _ = stream.flush();
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("room");
        file
    }
}
