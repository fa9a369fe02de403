//! The causes, in words.

use std::{fmt, time::Duration};

use super::offset;
use crate::Timestamp;

/// Why a request was refused. Its `Display` says what differs and what that comes from,
/// [`Cause::advice`] what to do.
///
/// ```
/// use countersign::verify::against::Cause;
///
/// let cause = Cause::HeaderDropped { name: "content-type".to_owned() };
/// assert_eq!(cause.name(), "header_dropped");
/// assert!(cause.to_string().contains("content-type"));
/// ```
// In the order: what a server says by itself, then along the canonical request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the fields are ours and the server's, or named like what they hold"
)]
pub enum Cause {
    /// The request is dated too far from the server's clock.
    ClockSkew {
        signed_at: Option<Timestamp>,
        server_time: Option<Timestamp>,
        allowed: Option<Duration>,
    },
    /// A presigned URL was used after its time.
    UrlExpired { expired_at: Option<String> },
    /// The server does not know the access key id.
    KeyUnknown { access_key_id: Option<String> },
    /// The session token has expired.
    TokenExpired,
    /// The session token is not one, or of other credentials.
    TokenInvalid,
    /// The server belongs to another region than the scope says.
    RegionRefused { signed: Option<String>, expected: Option<String> },
    /// The server belongs to another service than the scope says.
    ServiceRefused { signed: Option<String>, expected: String },
    /// The day in the scope is not that of the timestamp.
    ScopeDateRefused,
    /// The request came without a signature.
    NotSigned,
    /// The signature came in a form that the server could not read.
    Malformed { missing: Vec<String> },
    /// Headers were there that must be signed and were not.
    HeadersUnsigned { names: Vec<String> },
    /// The body that arrived is not the one whose hash was declared.
    ContentHashWrong { declared: Option<String>, found: Option<String> },
    /// The service insists on `x-amz-content-sha256`.
    ContentHashMissing,
    /// Signed by an older version than 4.
    OldSignature,
    /// The signature was accepted; a policy says no.
    NotAuthorized,
    /// Signed under another access key id than ours.
    KeyDiffers { ours: String, theirs: String },
    /// The method is another.
    MethodChanged { ours: String, theirs: String },
    /// The server wants the path encoded once more than we did.
    PathEncodedOnce,
    /// We encoded the path once more than the server wants.
    PathEncodedTwice,
    /// The path arrived with its escapes escaped again.
    PathSentEncodedTwice,
    /// The path arrived with its escapes decoded once.
    PathDecoded,
    /// The server's path is without empty and dot segments, ours is not.
    PathNormalized,
    /// Our path is without empty and dot segments, the server's is not.
    PathNotNormalized,
    /// The paths differ in the final slash.
    PathFinalSlash,
    /// A `+` in the path became a space, or the other way round.
    PathPlus,
    /// The same path with other escapes.
    PathEscapes,
    /// The bucket stands in the path on one side and in the host on the other.
    BucketMoved,
    /// Something stands before our path.
    PathPrefixAdded { prefix: String },
    /// The beginning of our path is missing.
    PathPrefixDropped { prefix: String },
    /// The path is another.
    PathChanged,
    /// The same parameters in another order.
    QueryReordered,
    /// A parameter arrived with its escapes escaped again.
    QueryEncodedAgain { name: String },
    /// A parameter arrived with its escapes decoded once.
    QueryDecoded { name: String },
    /// A `+` in a parameter against `%20` or `%2B`.
    QueryPlus { name: String },
    /// The same parameter with other escapes.
    QueryEscapes { name: String },
    /// A parameter that ours has not.
    ParameterAdded { name: String },
    /// A parameter whose value is another.
    ParameterChanged { name: String },
    /// A parameter that did not arrive.
    ParameterDropped { name: String },
    /// The host is another.
    HostRewritten { ours: String, theirs: String },
    /// The host has another port, or lost or gained one.
    PortRewritten { ours: String, theirs: String },
    /// A signed header that ours has not.
    HeaderAdded { name: String },
    /// A header whose value is another.
    HeaderChanged { name: String },
    /// A signed header that did not arrive.
    HeaderDropped { name: String },
    /// A header whose values are the same in another order.
    HeaderReordered { name: String },
    /// A header whose value differs in white space.
    HeaderRespaced { name: String },
    /// A header that we sign and the client did not.
    HeaderLeftUnsigned { name: String },
    /// A header was signed that hops are wont to change.
    VolatileHeaderSigned { name: String },
    /// There is no session token, where there should be.
    TokenMissing,
    /// There is a session token, where ours has none.
    TokenUnexpected,
    /// The session token is another.
    TokenDiffers,
    /// The time of signing is another.
    TimeDiffers { ours: String, theirs: String },
    /// The names of the signed headers differ and the headers do not.
    SignedHeadersDiffer,
    /// We have no body, and one arrived.
    BodyAdded,
    /// The body is another.
    BodyChanged,
    /// The body did not arrive.
    BodyDropped,
    /// The client declared another hash of the body.
    ContentHashDiffers,
    /// One payload line is a hash, the other a word, or both are different words.
    PayloadDiffers { ours: String, theirs: String },
    /// The signing algorithm is another.
    AlgorithmDiffers { ours: String, theirs: String },
    /// The region in the scope is another.
    RegionDiffers { ours: String, theirs: String },
    /// The service in the scope is another.
    ServiceDiffers { ours: String, theirs: String },
    /// The scopes differ in their day or their form.
    ScopeDiffers,
    /// The canonical requests differ, and the server does not show its own.
    CanonicalRequestHidden,
    /// The answer is not as the server sent it: its texts do not fit together.
    AnswerAltered,
    /// Both sides sign the same, and what the client sent is not what we would make of it.
    SignedOtherwise,
    /// Both sides sign the same: the secret differs.
    SecretDiffers,
}

impl Cause {
    /// A short name for machines, as `path_encoded_twice`.
    pub fn name(&self) -> &'static str {
        self.words().0
    }

    /// What to do about it, a sentence.
    pub fn advice(&self) -> &'static str {
        self.words().2
    }

    /// The name, what differs and what that comes from, and what to do.
    fn words(&self) -> (&'static str, String, &'static str) {
        match self {
            Cause::ClockSkew { signed_at, server_time, allowed } => (
                "clock_skew",
                skew(*signed_at, *server_time, *allowed),
                "set the clock of the machine that signs (NTP), and sign when sending: a \
                    request that waited in a queue or a retry has to be signed again",
            ),
            Cause::UrlExpired { expired_at } => (
                "url_expired",
                format!(
                    "the presigned URL was used after its time{}",
                    expired_at
                        .as_ref()
                        .map(|at| format!(", which ended at {at}"))
                        .unwrap_or_default()
                ),
                "make a new one, with a longer life if need be; temporary credentials that \
                    expire end it earlier",
            ),
            Cause::KeyUnknown { access_key_id } => (
                "key_unknown",
                format!(
                    "the server knows no access key id {}",
                    access_key_id
                        .as_ref()
                        .map_or("like the one in the request".to_owned(), |id| format!("`{id}`"))
                ),
                "check which credentials are used: the key may be deleted, inactive, of \
                    another partition or account, or lack its session token",
            ),
            Cause::TokenExpired => (
                "token_expired",
                "the session token has expired".to_owned(),
                "fetch new temporary credentials (sign in again, assume the role again)",
            ),
            Cause::TokenInvalid => (
                "token_invalid",
                "the session token is malformed, or belongs to other credentials than the \
                    access key id"
                    .to_owned(),
                "take key, secret and token from one and the same set of credentials, and the \
                    token whole",
            ),
            Cause::RegionRefused { signed, expected } => (
                "region_refused",
                format!(
                    "the scope is of region {}, and the server's is {}",
                    quoted(signed.as_deref(), "another than the server's"),
                    quoted(expected.as_deref(), "another one")
                ),
                "sign with --region set to the server's, or send to the endpoint of the region \
                    that was signed for",
            ),
            Cause::ServiceRefused { signed, expected } => (
                "service_refused",
                format!(
                    "the scope is of service {}, and the server's signing name is `{expected}`",
                    quoted(signed.as_deref(), "another than the server's")
                ),
                "sign with --service set to the server's signing name, which need not be the \
                    first label of its host",
            ),
            Cause::ScopeDateRefused => (
                "scope_date_refused",
                "the day in the credential scope is not the day of the timestamp".to_owned(),
                "derive the scope's day from x-amz-date, in UTC; a key cached past midnight \
                    does this",
            ),
            Cause::NotSigned => (
                "not_signed",
                "the request came without a signature that the server recognized".to_owned(),
                "check that the Authorization header reaches the server: redirects and proxies \
                    drop it; API Gateway says so of unknown paths, too",
            ),
            Cause::Malformed { missing } if missing.is_empty() => (
                "malformed",
                "the server could not read the signature's parts".to_owned(),
                "compare the Authorization header, or the X-Amz-… parameters, with what \
                    `countersign sign` prints",
            ),
            Cause::Malformed { missing } => (
                "malformed",
                format!("the signature lacks {}", missing.join(", ")),
                "compare the Authorization header with what `countersign sign` prints: another \
                    scheme in it (Bearer, Basic) is read so as well",
            ),
            Cause::HeadersUnsigned { names } => (
                "headers_unsigned",
                format!(
                    "these headers must be signed, as they were sent, and are not: {}",
                    names.join(", ")
                ),
                "sign them, or keep whatever adds them behind the signing from adding them",
            ),
            Cause::ContentHashWrong { declared, found } => (
                "content_hash_wrong",
                match (declared, found) {
                    (Some(declared), Some(found)) => format!(
                        "the body that arrived has SHA-256 {found}, and x-amz-content-sha256 \
                            says {declared}"
                    ),
                    _ => "the body that arrived is not the one whose hash was declared".to_owned(),
                },
                "hash the very bytes that are sent: after compression and encoding, with the \
                    final newline; look for a hop that changes bodies",
            ),
            Cause::ContentHashMissing => (
                "content_hash_missing",
                "S3 insists on an x-amz-content-sha256 header, and there was none".to_owned(),
                "send it, signed; with --service s3, or --rule content_sha256_header=true, it is",
            ),
            Cause::OldSignature => (
                "old_signature",
                "the request was signed by an older version than Signature Version 4".to_owned(),
                "have the client sign with AWS4-HMAC-SHA256 (s3v4)",
            ),
            Cause::NotAuthorized => (
                "not_authorized",
                "the signature was not complained of: a policy denies what was asked".to_owned(),
                "look at the policies of the identity, the resource and the organization, not \
                    at the signature",
            ),
            Cause::KeyDiffers { ours, theirs } => (
                "key_differs",
                format!(
                    "the request was signed under access key id `{theirs}`, and ours is \
                    `{ours}`"
                ),
                "choose the same credentials here (--profile, --credentials-file), or find out \
                    why the client chose others",
            ),
            Cause::MethodChanged { ours, theirs } => (
                "method_changed",
                format!("the method arrived as `{theirs}` and is `{ours}` here"),
                "a redirect or a hop changes it, or the client signed another than it sent \
                    (curl -G and -T change it)",
            ),
            Cause::PathEncodedOnce => (
                "path_encoded_once",
                "the server encodes the path once more than we did, as all services but the S3 \
                    family do"
                    .to_owned(),
                "sign with --rule double_encode=true, or with the service's right signing name",
            ),
            Cause::PathEncodedTwice => (
                "path_encoded_twice",
                "we encoded the path twice, and the server does so once, as the S3 family and \
                    look-alikes do"
                    .to_owned(),
                "sign with --rule double_encode=false, or with the service's right signing name",
            ),
            Cause::PathSentEncodedTwice => (
                "path_sent_encoded_twice",
                "the path arrived with its escapes escaped again (`%20` as `%2520`): the \
                    client or a hop encoded an encoded path"
                    .to_owned(),
                "encode keys once; hand libraries either the raw key or the encoded path, as \
                    they expect",
            ),
            Cause::PathDecoded => (
                "path_decoded",
                "the path arrived with its escapes decoded once (`%2520` as `%20`): a hop \
                    decodes it, or it is encoded twice here"
                    .to_owned(),
                "have the hop forward the path as it came, or check that the URL here is the \
                    one that was sent",
            ),
            Cause::PathNormalized => (
                "path_normalized",
                "the server's path is without `//`, `.` and `..`, and ours keeps them".to_owned(),
                "sign with --rule normalize_path=true; where S3's rules are right, a hop or \
                    the client tidied the path behind the signing",
            ),
            Cause::PathNotNormalized => (
                "path_not_normalized",
                "the server takes the path with its `//`, `.` and `..`, and ours has none"
                    .to_owned(),
                "sign with --rule normalize_path=false, as S3 and its look-alikes want it",
            ),
            Cause::PathFinalSlash => (
                "path_final_slash",
                "the paths differ in the final `/`: a hop adds or removes it, or a router \
                    redirects"
                    .to_owned(),
                "sign the path as it arrives",
            ),
            Cause::PathPlus => (
                "path_plus",
                "a `+` in the path stands against a space: someone takes the path for a form"
                    .to_owned(),
                "write `%2B` for a plus and `%20` for a space in paths, before signing",
            ),
            Cause::PathEscapes => (
                "path_escapes",
                "it is the same path with other escapes: one side encodes characters that the \
                    other leaves, or in lower case"
                    .to_owned(),
                "send the path in canonical form, all but `A-Z a-z 0-9 - . _ ~ /` escaped in \
                    upper case: then both readings agree",
            ),
            Cause::BucketMoved => (
                "bucket_moved",
                "the bucket stands in the path on one side and in the host on the other".to_owned(),
                "sign the style that arrives: a proxy that rewrites one into the other breaks \
                    the signature",
            ),
            Cause::PathPrefixAdded { prefix } => (
                "path_prefix_added",
                format!("the server's path has `{prefix}` in front: a hop, or an API's stage"),
                "sign the path that the server sees, or keep the hop from rewriting it",
            ),
            Cause::PathPrefixDropped { prefix } => (
                "path_prefix_dropped",
                format!("the server's path lacks `{prefix}` in front: a hop took it off"),
                "sign the path that the server sees, or keep the hop from rewriting it",
            ),
            Cause::PathChanged => (
                "path_changed",
                "the path is another: the client signed or sent another one, or a hop rewrote \
                    it"
                .to_owned(),
                "compare the paths below",
            ),
            Cause::QueryReordered => (
                "query_reordered",
                "the query has the same parameters in another order: one side does not sort, \
                    or sorts `name=value` as one text"
                    .to_owned(),
                "sort by encoded name, then by encoded value; look for a hop that rewrites \
                    queries if the server is AWS",
            ),
            Cause::QueryEncodedAgain { name } => (
                "query_encoded_again",
                format!(
                    "parameter `{name}` arrived with its escapes escaped again (`%20` as \
                    `%2520`)"
                ),
                "encode values once; a client or a hop encoded an encoded query",
            ),
            Cause::QueryDecoded { name } => (
                "query_decoded",
                format!(
                    "parameter `{name}` arrived with its escapes decoded once, or is \
                    encoded twice here"
                ),
                "have the hop forward the query as it came, or check that the URL here is the \
                    one that was sent",
            ),
            Cause::QueryPlus { name } => (
                "query_plus",
                format!(
                    "in parameter `{name}` a `+` stands against a space: `+` is a space to \
                    one side and a plus to the other"
                ),
                "write `%20` for a space and `%2B` for a plus: both sides read these alike",
            ),
            Cause::QueryEscapes { name } => (
                "query_escapes",
                format!(
                    "parameter `{name}` is the same with other escapes, or without its \
                    `=`: a proxy or the client encodes the query anew"
                ),
                "send the query in canonical form, or keep the hop from rewriting it",
            ),
            Cause::ParameterAdded { name } => (
                "parameter_added",
                format!("the server has a parameter `{name}` that ours has not"),
                "if the client did not send it, a hop added it behind the signing",
            ),
            Cause::ParameterChanged { name } => (
                "parameter_changed",
                format!("parameter `{name}` has another value"),
                "compare the queries below; a hop may rewrite it (caches, sanitizers, trackers)",
            ),
            Cause::ParameterDropped { name } => (
                "parameter_dropped",
                format!("parameter `{name}` did not arrive"),
                "look for a hop that takes parameters off (caches do), or a client that signs \
                    what it does not send",
            ),
            Cause::HostRewritten { ours, theirs } => (
                "host_rewritten",
                format!(
                    "the host arrived as `{theirs}` and is `{ours}` here: a proxy or a \
                    custom domain in between"
                ),
                "have the proxy keep the Host header, or sign for the host that the server sees",
            ),
            Cause::PortRewritten { ours, theirs } => (
                "port_rewritten",
                format!(
                    "the host arrived as `{theirs}` and is `{ours}` here: the port was \
                    added or dropped on the way"
                ),
                "sign the Host header that is sent, its port left out only if it is the \
                    scheme's own; have the proxy keep it",
            ),
            Cause::HeaderAdded { name } => (
                "header_added",
                format!("the client signed a header `{name}` that ours has not"),
                "add it here with -H if the client sends it; else a hop added it and named it \
                    in SignedHeaders",
            ),
            Cause::HeaderChanged { name } => (
                "header_changed",
                format!("header `{name}` arrived with another value"),
                "keep the hop or the HTTP library from rewriting it behind the signing, or \
                    leave it unsigned (--exclude), unless its name begins with x-amz-",
            ),
            Cause::HeaderDropped { name } => (
                "header_dropped",
                format!("header `{name}` is signed and arrived empty or not at all"),
                "have the hop or the HTTP library forward it, or leave it unsigned \
                    (--exclude), unless its name begins with x-amz-",
            ),
            Cause::HeaderReordered { name } => (
                "header_reordered",
                format!(
                    "header `{name}` has the same values in another order or other spaces \
                    around its commas"
                ),
                "send it as one line, its values in the order that is signed",
            ),
            Cause::HeaderRespaced { name } => (
                "header_respaced",
                format!(
                    "header `{name}` differs in white space: one side trims or folds it \
                    and the other does not"
                ),
                "send values without leading, trailing or repeated spaces",
            ),
            Cause::HeaderLeftUnsigned { name } => (
                "header_left_unsigned",
                format!(
                    "header `{name}` is signed here, and the client left it out of \
                    SignedHeaders"
                ),
                "harmless by itself: leave it out here too (--exclude) to compare like with like",
            ),
            Cause::VolatileHeaderSigned { name } => (
                "volatile_header_signed",
                format!("the client signed `{name}`, which hops on the way change"),
                "have the client leave it unsigned, as `countersign` does",
            ),
            Cause::TokenMissing => (
                "token_missing",
                "the session token is missing: temporary credentials are good only with it"
                    .to_owned(),
                "send x-amz-security-token, or X-Amz-Security-Token in a presigned URL, and \
                    sign it; set AWS_SESSION_TOKEN beside the key",
            ),
            Cause::TokenUnexpected => (
                "token_unexpected",
                "a session token was sent, and our credentials have none".to_owned(),
                "use the same credentials here; an old AWS_SESSION_TOKEN beside a long-lived \
                    key does this",
            ),
            Cause::TokenDiffers => (
                "token_differs",
                "the session token that arrived is another, or was re-encoded on the way (a \
                    `+` that became a space)"
                    .to_owned(),
                "take key, secret and token from one set of credentials; escape the token in \
                    URLs",
            ),
            Cause::TimeDiffers { ours, theirs } => (
                "time_differs",
                format!(
                    "the server's request was signed at {theirs}, ours at {ours}: signed \
                    again, or another attempt"
                ),
                "leave --time out, to sign at the server's moment; look for a hop or a retry \
                    that signs again or overwrites the date",
            ),
            Cause::SignedHeadersDiffer => (
                "signed_headers_differ",
                "the lists of signed headers differ, and the headers do not".to_owned(),
                "list names in lower case, sorted, each once",
            ),
            Cause::BodyAdded => (
                "body_added",
                "there is no body here, and the server's payload line is of one".to_owned(),
                "give the body here with -d; else a hop added one",
            ),
            Cause::BodyChanged => (
                "body_changed",
                "the body that arrived is another than ours".to_owned(),
                "look for a hop that compresses or re-encodes it, and a client that adds a \
                    newline or serializes again behind the signing",
            ),
            Cause::BodyDropped => (
                "body_dropped",
                "the server's payload line is that of an empty body: the body got lost, or the \
                    client signed without it"
                    .to_owned(),
                "look for a redirect that turned into GET, and a client that hashes before it \
                    has the body",
            ),
            Cause::ContentHashDiffers => (
                "content_hash_differs",
                "the client declared another x-amz-content-sha256 than our body has: it hashed \
                    another body"
                    .to_owned(),
                "hash the very bytes that are sent; check that the body here is the client's",
            ),
            Cause::PayloadDiffers { ours, theirs } => (
                "payload_differs",
                format!("the payload line is `{theirs}` at the server and `{ours}` here"),
                "say the same of the body on both sides (--payload unsigned, or a hash); \
                    services beside S3 rarely take UNSIGNED-PAYLOAD",
            ),
            Cause::AlgorithmDiffers { ours, theirs } => (
                "algorithm_differs",
                format!(
                    "the string to sign begins with `{theirs}` at the server and `{ours}` \
                    here"
                ),
                "sign by the algorithm that the client used",
            ),
            Cause::RegionDiffers { ours, theirs } => (
                "region_differs",
                format!("the request was signed for region `{theirs}`, and ours is for `{ours}`"),
                "set the region of the endpoint on both sides (--region, AWS_REGION); a global \
                    service has one fixed region",
            ),
            Cause::ServiceDiffers { ours, theirs } => (
                "service_differs",
                format!(
                    "the request was signed for service `{theirs}`, and ours is for \
                    `{ours}`"
                ),
                "set the service's signing name on both sides (--service)",
            ),
            Cause::ScopeDiffers => (
                "scope_differs",
                "the credential scopes differ in their day or their form".to_owned(),
                "derive the day from x-amz-date, in UTC, and write \
                    date/region/service/aws4_request",
            ),
            Cause::CanonicalRequestHidden => (
                "canonical_request_hidden",
                "the canonical requests differ, and the server shows only the hash of its own"
                    .to_owned(),
                "compare with a server that shows more: sign the same request against \
                    `countersign listen`",
            ),
            Cause::AnswerAltered => (
                "answer_altered",
                "the server's canonical request as it stands here has not the hash that is in \
                    its string to sign: white space or bytes were changed on the way here"
                    .to_owned(),
                "save the answer as it came (curl -o error.xml); what is invisible may be the \
                    difference",
            ),
            Cause::SignedOtherwise => (
                "signed_otherwise",
                "we and the server sign the same text, and the signature that the client sent \
                    is not what our credentials make of it"
                    .to_owned(),
                "the client signed another text, or with another secret: compare what it signs \
                    with ours",
            ),
            Cause::SecretDiffers => (
                "secret_differs",
                "we and the server sign the same text, so the secret access key is not the one \
                    that the server has"
                    .to_owned(),
                "copy the secret anew, without white space or a missing `/` or `+`, and check \
                    that it belongs to this access key id",
            ),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().1)
    }
}

fn quoted(text: Option<&str>, unknown: &str) -> String {
    text.map_or_else(|| unknown.to_owned(), |text| format!("`{text}`"))
}

fn skew(at: Option<Timestamp>, server: Option<Timestamp>, allowed: Option<Duration>) -> String {
    let (Some(at), Some(server)) = (at, server) else {
        return "the request is dated too far from the server's clock".to_owned();
    };
    let (is_behind, by) = offset(at, server);
    let allowed = allowed.map(|allowed| format!("; {} are allowed", span(allowed)));
    format!(
        "the request was signed at {at}, {} {} the server's clock ({server}){}",
        span(by),
        if is_behind { "behind" } else { "ahead of" },
        allowed.unwrap_or_default()
    )
}

/// A span of time for people: `1 d 2 h`, `15 min`, `3 min 20 s`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let parts = units.iter().scan(seconds, |left, (unit, size)| {
        let count = *left / size;
        *left %= size;
        Some((count, *unit))
    });
    let parts: Vec<String> = parts
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}
