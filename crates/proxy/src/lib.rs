//! A proxy that signs AWS requests for clients that cannot: they send plain requests, it signs them with
//! Signature Version 4 and forwards them.
//!
//! ```no_run
//! use std::sync::Arc;
//! use countersign::{Credentials, providers::ProvideCredentials};
//! use countersign_proxy::{Config, Outside, Proxy, RouteConfig};
//!
//! struct OneKey(Credentials);
//!
//! impl Outside for OneKey {
//!     fn credentials(&self, _profile: Option<&str>) -> Arc<dyn ProvideCredentials> {
//!         Arc::new(self.0.clone())
//!     }
//!     fn scope(&self, host: &str, _: &str, _: Option<&str>, _: Option<&str>) -> Result<(String, String), String> {
//!         Err(format!("nothing is known of {host}"))
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let upstream = "https://monitoring.eu-central-1.amazonaws.com".parse()?;
//! let mut config = Config::default();
//! config.routes.push(RouteConfig::to(upstream).with_scope("eu-central-1", "monitoring"));
//! let outside = Arc::new(OneKey(Credentials::new("AKIDEXAMPLE", "secret")));
//! let bound = Proxy::new(config, outside)?.bind().await?;
//! println!("listening on {:?}", bound.addresses());
//! bound.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What passes
//!
//! - **Path and query byte for byte**: `//`, `%2F` and `..` stay as the client wrote them. Only a route's
//!   prefix is taken off and its upstream's path put in front; such a route refuses dot segments however
//!   they are written, which could lead out of it. A target with a raw space, a backtick, a control byte or bytes
//!   that are not UTF-8 is answered with 400, without a body: what parses HTTP here does not know such. A fragment
//!   is dropped.
//! - **Headers**, but those of the connection: the ones that HTTP says and those that `connection` lists.
//!   `te: trailers` stays. A `connection` that lists `host`, `content-type`, `x-amz-*` or the like is
//!   answered with 400, for without them it would be another request. What passes is signed, unless something
//!   on the way may change it.
//! - **A signature of the client's own** is replaced, in headers and in the query.
//! - **Bodies**, hashed before the first byte goes on: in memory up to a limit, in a file without a name
//!   beyond. For S3 those of objects and parts can be signed in chunks as they come, and all left
//!   unsigned over TLS ([`PayloadMode`]). A body with `x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER` passes as it
//!   comes, trailer and checksum with it.
//! - **Trailers**, where both sides know them, but `x-amz-*` ones, which no signature covers.
//! - **Answers as they come**, piece by piece; redirects are passed on, not followed.
//! - **WebSockets**, over HTTP/1.1. No other upgrade: the `upgrade` header is dropped and the request
//!   forwarded without it. `TRACE` is answered with 405, and so is `CONNECT` without [`Config::connect`].
//! - **`Expect: 100-continue`** is answered here, once there are credentials.
//!
//! Framing is made anew: a request with both `content-length` and `transfer-encoding` has one of them
//! behind the proxy, whose body is what the latter says. One with another coding than `chunked`, or with that
//! twice, is answered with 400.
//!
//! A connection that was kept may end at the moment of its use. Then the request is signed anew and sent once more, on
//! a new one: if nothing of it was sent, or if its method allows to send it twice and its body is in memory. No other
//! request is ever sent twice.
//!
//! # `CONNECT`
//!
//! With [`Config::connect`], a client may ask for a tunnel to a service by name, as SDKs do for `HTTPS_PROXY`:
//! to a host of a route's [`allow`](RouteConfig::allow), or to the one that a route with an `upstream` signs or
//! lists in its `hosts`, at port 443 unless the route names another. TLS then ends here, with a
//! certificate that a local authority made for that name; clients trust that authority. What comes
//! inside is a request as any other, but for the tunnel's host alone: another one in `host` is answered
//! with 421, another one in TLS ends the handshake. Addresses, however they are written, and any other name are answered
//! with 403, and not looked up.
//!
//! With [`Others::Tunnel`], other names are reached too, at port 443, through tunnels into which the proxy does
//! not look: where all addresses of the name are public ([`Outside::may_reach`]), and by just these addresses.
//!
//! # What does not
//!
//! Without credentials nothing is forwarded: 503, with the reason. Refusals of the proxy's own have the
//! header `x-countersign-refusal`, and a body in the form of the service, so that SDKs show it.
//!
//! # Who is let in
//!
//! Whoever connects, and so only on loopback and Unix sockets, unless clients prove who they are: by a certificate
//! ([`TlsConfig::client_ca`]) or a secret ([`AuthConfig`]), which is never forwarded. Who asks more than
//! [`Limits::rate`] is answered with 429.
//!
//! [`Handle::reload`] changes all this while the proxy serves, without losing a request.
//!
//! # Limits
//!
//! More connections than [`Limits::connections`] wait. More requests at a time than [`Limits::requests`], and
//! bodies for which files have no room ([`Limits::spooled`]), are answered with 503: clients try again. Whoever
//! reads nothing of an answer for [`Timeouts::body`] is dropped.
//!
//! A web page of another site could have a browser send requests to a proxy on loopback. Those that say so
//! (`origin`, `sec-fetch-site`) are refused, unless [`RouteConfig::cross_site`] is set.
//!
//! # Clients that sign
//!
//! A route with [`keys`](RouteConfig::keys) takes only requests that are signed, in their headers or their query,
//! with a key of that file, and signs them again: a program in a sandbox uses any SDK, with a key that is worth
//! nothing elsewhere.
//!
//! ```toml
//! [[key]]
//! access_key_id = "CSPXEXAMPLE"
//! secret_access_key = "…"
//! name = "sandbox-7"                 # what the audit log says; the id unless it is set
//! services = ["s3", "sqs"]           # needed; "*" is all
//! regions = ["eu-central-1"]         # of these four, what is absent is whatever the route allows,
//! hosts = ["s3.eu-central-1.amazonaws.com"]         # and an empty list is nothing
//! methods = ["GET", "HEAD"]
//! paths = ["/bucket", "/bucket/*"]   # decoded; `*` is any run of characters, slashes among them
//!
//! [key.role]                         # signs with this role, assumed with the credentials of the route
//! arn = "arn:aws:iam::123456789012:role/sandbox"
//! external_id = "…"
//! session_name = "sandbox-7"         # the name of the key unless it is set
//! tags = { team = "a" }
//! ```
//!
//! The file is read again when it changes (at most a second later); one that is broken leaves the keys of before.
//!
//! - **Verified** is the host as the client sent it. Where a route has an upstream, that host is signed and
//!   sent, and `hosts` and `paths` hold for what is sent; clients of S3 then name buckets in the path. The region and
//!   the service are those that the client signed for; the service insists that they are its own.
//! - **Bodies** whose hash is signed are held and compared before the first byte goes on. Signed chunks are
//!   verified and signed anew one by one, and a body that is not what was signed never becomes a whole
//!   request. Unsigned ones go to S3 as they come over TLS; without TLS they are held and signed, and those
//!   with a checksum behind them sent in signed chunks.
//! - **Presigned URLs** go on signed in their headers.
//! - **Not taken**: SigV4A and Signature Version 2, session tokens, event streams.
//! - **Refusals** have the codes of the service: `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `AccessDenied`.
//!
//! What the limits of a key do not know: parameters of the query, so that `methods` is what keeps whoever may list
//! `/bucket` from `POST /bucket?delete`, and what stands in bodies. In the virtual-hosted style of S3 the bucket is in
//! the host, and `hosts` binds it. Paths that could be read in two ways (`..`, `//`, `%2F`, escapes of
//! escapes) are refused if the key has `paths`, and so is copying from elsewhere (`x-amz-copy-source`). A
//! service that gives out credentials gives them to clients: leave `sts` and `s3express` out of `services`
//! where that is not meant. Answers pass as they are, with what they say of the account.
//!
//! Each decision is a line of JSON in [`Config::audit`]; while it cannot be written, nothing is let through.
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod admin;
mod body;
mod ca;
mod carry;
mod config;
mod connect;
mod connection;
mod first;
mod forward;
mod head;
mod host;
mod inbound;
mod listen;
mod metrics;
mod outside;
mod path;
mod pool;
mod refuse;
mod reload;
mod resign;
mod route;
mod secrets;
mod serve;
mod sign;
mod upstream;
mod workers;

pub use ca::NewCa;
pub use config::{
    AuthConfig, Config, ConfigError, ConnectConfig, Forwarded, Limits, LogLevel, Others,
    PayloadMode, RouteConfig, SignedHeaders, Timeouts, TlsConfig,
};
pub use host::{Authority, HostPattern};
pub use listen::ListenAddress;
pub use outside::Outside;
pub use path::Prefix;
pub use reload::Handle;
pub use serve::{Bound, Proxy};
pub use upstream::Upstream;

/// An error of any type, as bodies have them.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
