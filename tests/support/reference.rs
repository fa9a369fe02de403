//! The rules a second time, to be read and not to be fast: what the library is checked against.

use std::{collections::BTreeMap, fmt};

use countersign::ErrorKind;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use sha2::{Digest, Sha256};

/// How a service departs from the general algorithm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) double_encode: bool,
    pub(crate) normalize_path: bool,
    pub(crate) strict_path: bool,
    /// Always, never, or where the payload line is not a plain hash.
    pub(crate) content_sha256: Option<bool>,
    pub(crate) always_unsigned: bool,
    pub(crate) presigned_unsigned: bool,
    pub(crate) token_after_signing: bool,
    pub(crate) content_length_unsigned: bool,
}

/// A request as bytes.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) https: bool,
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) path: Vec<u8>,
    pub(crate) query: Option<Vec<u8>>,
    pub(crate) headers: Vec<Pair>,
}

/// A name and a value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) s3_express: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) time: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

/// Where the signature goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Headers,
    Query { expires: u32 },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) canonical_request: Vec<u8>,
    pub(crate) string_to_sign: String,
    pub(crate) signature: String,
    /// The request to send.
    pub(crate) query: Option<Vec<u8>>,
    pub(crate) set: BTreeMap<String, String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &[u8]| text.escape_ascii().to_string();
        let headers = self.headers.iter().map(|(name, value)| (shown(name), shown(value)));
        f.debug_struct("Request")
            .field("method", &shown(&self.method))
            .field("https", &self.https)
            .field("authority", &self.authority.as_deref().map(shown))
            .field("path", &shown(&self.path))
            .field("query", &self.query.as_deref().map(shown))
            .field("headers", &headers.collect::<Vec<_>>())
            .finish()
    }
}

impl Dialect {
    pub(crate) fn of(service: &str) -> Dialect {
        let general = Dialect {
            double_encode: true,
            normalize_path: true,
            strict_path: false,
            content_sha256: None,
            always_unsigned: false,
            presigned_unsigned: false,
            token_after_signing: false,
            content_length_unsigned: false,
        };
        let content_sha256 = Some(true);
        match service {
            "s3" | "s3express" | "s3-outposts" | "s3-object-lambda" => Dialect {
                double_encode: false,
                normalize_path: false,
                strict_path: true,
                content_sha256,
                presigned_unsigned: true,
                ..general
            },
            "aoss" => Dialect { content_sha256, content_length_unsigned: true, ..general },
            "glacier" => Dialect { content_sha256, ..general },
            "iotdevicegateway" => Dialect { token_after_signing: true, ..general },
            "vpc-lattice-svcs" => Dialect { content_sha256, always_unsigned: true, ..general },
            _ => general,
        }
    }
}

/// Signs; `payload` is the payload line, `None` for what the rules say of a body that is empty.
pub(crate) fn sign(
    request: &Request,
    form: Form,
    payload: Option<&str>,
    dialect: Dialect,
    scope: &Scope,
    keys: &Keys,
) -> Result<Answer, ErrorKind> {
    check(request, scope, keys)?;
    let in_query = form != Form::Headers;
    let payload = match payload {
        _ if dialect.always_unsigned => UNSIGNED.to_owned(),
        Some(line) => line.to_owned(),
        None if in_query && dialect.presigned_unsigned => UNSIGNED.to_owned(),
        None => sha256(b""),
    };

    let mut signed: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut had_hash = false;
    for (name, value) in &request.headers {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        had_hash |= name == "x-amz-content-sha256";
        if !is_left_out(&name, dialect) {
            signed.entry(name).or_default().push(value.clone());
        }
    }
    signed.insert("host".to_owned(), vec![host(request)?]);

    let mut set = BTreeMap::new();
    let writes_hash = match dialect.content_sha256 {
        Some(false) => false,
        _ if in_query || had_hash => had_hash,
        Some(true) => true,
        None => payload.len() != 64,
    };
    if writes_hash {
        set.insert("x-amz-content-sha256".to_owned(), payload.clone());
    }
    let (token_header, token_parameter) = if keys.s3_express {
        ("x-amz-s3session-token", "X-Amz-S3session-Token")
    } else {
        ("x-amz-security-token", "X-Amz-Security-Token")
    };
    let token = keys.token.as_deref();
    let token_now = token.filter(|_| !dialect.token_after_signing);
    let token_later = token.filter(|_| dialect.token_after_signing);
    if !in_query {
        set.insert("x-amz-date".to_owned(), scope.time.clone());
        if let Some(token) = token_now {
            set.insert(token_header.to_owned(), token.to_owned());
        }
    }
    for (name, value) in &set {
        signed.insert(name.clone(), vec![value.clone().into_bytes()]);
    }
    let names: Vec<&str> = signed.keys().map(String::as_str).collect();
    let names = names.join(";");

    let credential = format!("{}/{}", keys.id, scope.text());
    let mut query = request.query.as_deref().map(without_signature);
    if let Form::Query { expires } = form {
        let mut parameters = vec![
            ("X-Amz-Algorithm", ALGORITHM.to_owned()),
            ("X-Amz-Credential", credential.clone()),
            ("X-Amz-Date", scope.time.clone()),
            ("X-Amz-Expires", expires.to_string()),
            ("X-Amz-SignedHeaders", names.clone()),
        ];
        parameters.extend(token_now.map(|token| (token_parameter, token.to_owned())));
        for (name, value) in parameters {
            append(query.get_or_insert_default(), name, &value);
        }
    }

    let canonical_request = [
        request.method.clone(),
        canonical_path(&request.path, dialect)?.into_bytes(),
        canonical_query(query.as_deref().unwrap_or_default())?.into_bytes(),
        canonical_headers(&signed),
        names.clone().into_bytes(),
        payload.into_bytes(),
    ]
    .join(&b'\n');
    let (string_to_sign, signature) = finish(&canonical_request, scope, &keys.secret);

    if let (Form::Query { .. }, Some(query)) = (form, &mut query) {
        append(query, "X-Amz-Signature", &signature);
        if let Some(token) = token_later {
            append(query, token_parameter, token);
        }
    } else {
        let authorization = format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        );
        set.insert("authorization".to_owned(), authorization);
        if let Some(token) = token_later {
            set.insert(token_header.to_owned(), token.to_owned());
        }
    }
    Ok(Answer { canonical_request, string_to_sign, signature, query, set })
}

/// Whether a server that knows the secret finds the signature of the message right. It looks at the
/// message alone, and at what the body hashes to.
pub(crate) fn accepts(request: &Request, body: &str, dialect: Dialect, secret: &str) -> bool {
    let header = |name: &str| -> Vec<Vec<u8>> {
        let named = |pair: &&Pair| pair.0.eq_ignore_ascii_case(name.as_bytes());
        let found = request.headers.iter().filter(named);
        found.map(|(_, value)| value.clone()).collect()
    };
    let first = |name: &str| header(name).first().map(|v| String::from_utf8(v.clone()).unwrap());
    let query = request.query.clone().unwrap_or_default();
    let parameter = |name: &str| {
        let mut all = parameters(&query).unwrap().into_iter();
        let found = all.find(|(other, _)| other == name.as_bytes());
        found.map(|(_, value)| String::from_utf8(value).unwrap())
    };

    let presigned = parameter("X-Amz-Signature");
    let in_query = presigned.is_some();
    let (credential, names, signature, time) = match presigned {
        Some(signature) => (
            parameter("X-Amz-Credential").unwrap(),
            parameter("X-Amz-SignedHeaders").unwrap(),
            signature,
            parameter("X-Amz-Date").unwrap(),
        ),
        None => {
            let authorization = first("authorization").unwrap();
            let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 Credential=").unwrap();
            let (credential, rest) = rest.split_once(", SignedHeaders=").unwrap();
            let (names, signature) = rest.split_once(", Signature=").unwrap();
            (
                credential.to_owned(),
                names.to_owned(),
                signature.to_owned(),
                first("x-amz-date").unwrap(),
            )
        }
    };
    let parts: Vec<&str> = credential.split('/').collect();
    let [_, date, region, service, "aws4_request"] = parts[..] else {
        return false;
    };
    if !time.starts_with(date) {
        return false;
    }
    let scope =
        Scope { time: time.clone(), region: region.to_owned(), service: service.to_owned() };

    let payload = match first("x-amz-content-sha256") {
        Some(line) => line,
        None if dialect.always_unsigned || (in_query && dialect.presigned_unsigned) => {
            UNSIGNED.to_owned()
        }
        None => body.to_owned(),
    };
    let mut signed = BTreeMap::new();
    for name in names.split(';') {
        let mut values = header(name);
        if name == "host" && values.is_empty() {
            values = vec![host(request).unwrap()];
        }
        if values.is_empty() {
            return false;
        }
        signed.insert(name.to_owned(), values);
    }
    let kept = query.split(|&byte| byte == b'&').filter(|piece| {
        let is = |name: &str| piece.starts_with(format!("{name}=").as_bytes());
        let is_token = is("X-Amz-Security-Token") || is("X-Amz-S3session-Token");
        !(is("X-Amz-Signature") || (dialect.token_after_signing && is_token))
    });
    let query = kept.collect::<Vec<_>>().join(&b'&');
    let canonical_request = [
        request.method.clone(),
        canonical_path(&request.path, dialect).unwrap().into_bytes(),
        canonical_query(&query).unwrap().into_bytes(),
        canonical_headers(&signed),
        names.into_bytes(),
        payload.into_bytes(),
    ]
    .join(&b'\n');
    finish(&canonical_request, &scope, secret).1 == signature
}

impl Scope {
    fn text(&self) -> String {
        let date = &self.time[..8];
        format!("{date}/{}/{}/aws4_request", self.region, self.service)
    }
}

fn check(request: &Request, scope: &Scope, keys: &Keys) -> Result<(), ErrorKind> {
    let broken = |value: &[u8]| value.iter().any(|byte| b"\r\n\0".contains(byte));
    if !is_token(&request.method) {
        return Err(ErrorKind::InvalidMethod);
    }
    for (name, value) in &request.headers {
        if !is_token(name) || broken(value) {
            return Err(ErrorKind::InvalidHeader);
        }
    }
    let in_credential = |c: char| "/, ".contains(c) || c.is_ascii_control();
    let token = keys.token.clone().unwrap_or_default();
    if keys.id.is_empty()
        || keys.id.contains(in_credential)
        || keys.secret.is_empty()
        || broken(token.as_bytes())
    {
        return Err(ErrorKind::InvalidCredentials);
    }
    for part in [&scope.region, &scope.service] {
        if part.is_empty() || part.contains(|c: char| c == '/' || c.is_ascii_control()) {
            return Err(ErrorKind::InvalidScope);
        }
    }
    if !request.path.is_empty() && !request.path.starts_with(b"/") {
        return Err(ErrorKind::InvalidUrl);
    }
    Ok(())
}

fn is_token(text: &[u8]) -> bool {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !text.is_empty() && text.iter().all(is_token)
}

/// The Host header as sent, or the URL's authority without userinfo and default port.
fn host(request: &Request) -> Result<Vec<u8>, ErrorKind> {
    let bare = |authority: &[u8]| -> Vec<u8> {
        let default: &[u8] = if request.https { b":443" } else { b":80" };
        let authority = authority.strip_suffix(default).unwrap_or(authority);
        authority.strip_suffix(b":").unwrap_or(authority).to_vec()
    };
    let from_url = request.authority.as_deref().map(|authority| {
        let host = authority.rsplit(|&byte| byte == b'@').next();
        bare(host.unwrap_or_default())
    });
    let is_host = |pair: &&Pair| pair.0.eq_ignore_ascii_case(b"host");
    let mut sent = request.headers.iter().filter(is_host);
    match (sent.next(), sent.next(), from_url) {
        (_, Some(_), _) => Err(ErrorKind::ConflictingHost),
        (None, _, None) => Err(ErrorKind::MissingHost),
        (None, _, Some(host)) => Ok(host),
        (Some((_, host)), _, Some(from_url))
            if !bare(&folded(host)).eq_ignore_ascii_case(&from_url) =>
        {
            Err(ErrorKind::ConflictingHost)
        }
        (Some((_, host)), ..) => Ok(folded(host)),
    }
}

fn is_left_out(name: &str, dialect: Dialect) -> bool {
    let replaced = [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-region-set",
        "x-amz-s3session-token",
        "x-amz-security-token",
    ];
    let never_signed = [
        "accept-encoding",
        "baggage",
        "connection",
        "expect",
        "forwarded",
        "keep-alive",
        "max-forwards",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-amzn-trace-id",
    ];
    replaced.contains(&name)
        || never_signed.contains(&name)
        || ["proxy-", "sec-", "x-forwarded-"].iter().any(|start| name.starts_with(start))
        || (name == "content-length" && dialect.content_length_unsigned)
}

pub(crate) fn canonical_path(path: &[u8], dialect: Dialect) -> Result<String, ErrorKind> {
    let path = if path.is_empty() { b"/" } else { path };
    let path = if dialect.normalize_path { normalized(path) } else { path.to_vec() };
    let path = match dialect {
        _ if dialect.double_encode => path,
        _ if dialect.strict_path => decoded(&path)?,
        _ => percent_decode(&path).collect(),
    };
    let segments = path.split(|&byte| byte == b'/').map(encoded);
    Ok(segments.collect::<Vec<_>>().join("/"))
}

fn normalized(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut last: &[u8] = b"";
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => _ = kept.pop(),
            other => kept.push(other),
        }
        last = segment;
    }
    let mut path = b"/".to_vec();
    path.extend(kept.join(&b'/'));
    if !kept.is_empty() && [&b""[..], b".", b".."].contains(&last) {
        path.push(b'/');
    }
    path
}

pub(crate) fn canonical_query(query: &[u8]) -> Result<String, ErrorKind> {
    let pairs = parameters(query)?.into_iter();
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    pairs.sort();
    let pairs = pairs.into_iter().map(|(name, value)| format!("{name}={value}"));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// The decoded names and values of a query, in order.
fn parameters(query: &[u8]) -> Result<Vec<Pair>, ErrorKind> {
    let mut pairs = Vec::new();
    for piece in query.split(|&byte| byte == b'&') {
        let mut halves = piece.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        if !name.is_empty() {
            let value = halves.next().unwrap_or_default();
            pairs.push((decoded(&plus_as_space(name))?, decoded(&plus_as_space(value))?));
        }
    }
    Ok(pairs)
}

fn plus_as_space(text: &[u8]) -> Vec<u8> {
    let byte = |&byte: &u8| if byte == b'+' { b' ' } else { byte };
    text.iter().map(byte).collect()
}

/// A query less the parameters of a signature, which the server would look for under these names.
fn without_signature(query: &[u8]) -> Vec<u8> {
    let kept = query.split(|&byte| byte == b'&').filter(|piece| {
        let name = piece.split(|&byte| byte == b'=').next().unwrap_or_default();
        let name: Vec<u8> = percent_decode(name).collect();
        ![
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-Region-Set",
            "X-Amz-S3session-Token",
            "X-Amz-Security-Token",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
        ]
        .iter()
        .any(|of| of.as_bytes() == name)
    });
    kept.collect::<Vec<_>>().join(&b'&')
}

fn append(query: &mut Vec<u8>, name: &str, value: &str) {
    if !query.is_empty() {
        query.push(b'&');
    }
    query.extend(format!("{name}={}", encoded(value.as_bytes())).into_bytes());
}

fn canonical_headers(signed: &BTreeMap<String, Vec<Vec<u8>>>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, values) in signed {
        let values: Vec<Vec<u8>> = values.iter().map(|value| folded(value)).collect();
        lines.extend(name.as_bytes());
        lines.push(b':');
        lines.extend(values.join(&b','));
        lines.push(b'\n');
    }
    lines
}

/// The words of a value with one space between them.
pub(crate) fn folded(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| b" \t".contains(byte));
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

fn encoded(text: &[u8]) -> String {
    percent_encode(text, RESERVED).to_string()
}

fn decoded(text: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let is_escape = |at: usize| {
        let digits = text.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'%' && !is_escape(at) {
            return Err(ErrorKind::MalformedEscape);
        }
    }
    Ok(percent_decode(text).collect())
}

/// The string to sign, and the signature.
fn finish(canonical_request: &[u8], scope: &Scope, secret: &str) -> (String, String) {
    let string_to_sign =
        format!("{ALGORITHM}\n{}\n{}\n{}", scope.time, scope.text(), sha256(canonical_request));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.text().split('/') {
        key = hmac(&key, part);
    }
    let signature = hex::encode(hmac(&key, &string_to_sign));
    (string_to_sign, signature)
}

pub(crate) fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The digest in hexadecimal.
pub(crate) fn sha256(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
