//! The `aws-sigv4` crate, driven a line at a time: a JSON object per line in, `{"status": 200}` or
//! `{"error": "…"}` out. With `chunks` in the line, the crate signs the body in chunks of that size, and
//! the `trailers`; it leaves it to others to frame them. A line with `seconds` is signed as of then, since 1970, and
//! not sent: its answer is `{"signature": "…"}`.

use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningParams, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::http::Headers;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for text in std::io::stdin().lock().lines() {
        let answer = match perform(&serde_json::from_str(&text?)?) {
            Ok(answer) => answer,
            Err(why) => json!({"error": format!("{why}: {:?}", why.source())}),
        };
        println!("{answer}");
    }
    Ok(())
}

fn perform(line: &Value) -> Result<Value> {
    let field = |name: &str| line[name].as_str().unwrap_or_default();
    let body = STANDARD.decode(field("body_base64"))?;
    let host = field("endpoint").split_once("://").ok_or("no scheme")?.1;
    let mut headers = vec![("host".to_owned(), host.to_owned())];
    for pair in line["headers"].as_array().into_iter().flatten() {
        let part = |i: usize| pair[i].as_str().unwrap_or_default().to_owned();
        headers.push((part(0), part(1)));
    }
    let uri = format!("{}{}", field("endpoint"), field("target"));
    let mut request = http::Request::builder().method(field("method")).uri(&uri);
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    let mut request = request.body(())?;

    let key = |name: &str| line["credentials"][name].as_str().unwrap_or_default().to_owned();
    let token = Some(key("session_token")).filter(|token| !token.is_empty());
    let (id, secret) = (key("access_key_id"), key("secret_access_key"));
    let identity = Credentials::new(id, secret, token, None, "interop").into();
    let presign = line["presign"] == true;
    let s3 = field("service") == "s3";
    let mut settings = SigningSettings::default();
    if s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    if s3 && !presign {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if presign {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(line["expires"].as_u64().unwrap_or(600)));
    }
    let seconds = line["seconds"].as_u64().map(Duration::from_secs);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(field("region"))
        .name(field("service"))
        .time(seconds.map_or_else(SystemTime::now, |seconds| SystemTime::UNIX_EPOCH + seconds))
        .settings(settings)
        .build()?
        .into();
    let chunks = line["chunks"].as_u64().map(|size| size as usize);
    let mut trailers = Headers::new();
    for pair in line["trailers"].as_array().into_iter().flatten() {
        let part = |i: usize| pair[i].as_str().unwrap_or_default().to_owned();
        trailers.append(part(0), part(1));
    }
    let signable_body = match chunks {
        Some(_) if trailers.len() > 0 => SignableBody::StreamingSignedPayloadTrailer,
        Some(_) => SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned()),
        None if s3 && presign => SignableBody::UnsignedPayload,
        None => SignableBody::Bytes(&body),
    };
    let signable = SignableRequest::new(
        field("method"),
        &uri,
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        signable_body,
    )?;
    let (instructions, signature) = sign(signable, &params)?.into_parts();
    if seconds.is_some() {
        return Ok(json!({"signature": signature}));
    }
    instructions.apply_to_request_http1x(&mut request);
    let status = |status: Result<u16>| Ok(json!({"status": status?}));
    let Some(size) = chunks else {
        return status(send(host, &request, &body));
    };
    let SigningParams::V4(params) = params else {
        return Err("not the parameters that were made above".into());
    };
    let wire = framed(&body, size, &trailers, signature, &params)?;
    status(send(host, &request, &wire))
}

fn framed(
    body: &[u8],
    size: usize,
    trailers: &Headers,
    mut signature: String,
    params: &v4::SigningParams<'_, SigningSettings>,
) -> Result<Vec<u8>> {
    let mut wire = Vec::new();
    for data in body.chunks(size).chain([&[][..]]) {
        let chunk = Bytes::copy_from_slice(data);
        signature = v4::sign_chunk(&chunk, &signature, params)?.into_parts().1;
        write!(wire, "{:x};chunk-signature={signature}\r\n", data.len())?;
        wire.extend_from_slice(data);
        wire.extend_from_slice(if data.is_empty() { b"" } else { b"\r\n" });
    }
    if trailers.len() > 0 {
        for (name, value) in trailers {
            write!(wire, "{name}:{value}\r\n")?;
        }
        signature = v4::sign_trailer(trailers, &signature, params)?.into_parts().1;
        write!(wire, "x-amz-trailer-signature:{signature}\r\n")?;
    }
    wire.extend_from_slice(b"\r\n");
    Ok(wire)
}

/// The request on the wire, exactly as it was signed.
fn send(host: &str, request: &http::Request<()>, body: &[u8]) -> Result<u16> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut raw = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        raw.extend_from_slice(name.as_str().as_bytes());
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value.as_bytes());
        raw.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() {
        raw.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    raw.extend_from_slice(b"connection: close\r\n\r\n");
    raw.extend_from_slice(body);
    let mut connection = TcpStream::connect(host)?;
    connection.set_read_timeout(Some(Duration::from_secs(20)))?;
    connection.write_all(&raw)?;
    let mut answer = String::new();
    connection.take(16).read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().parse()?)
}
