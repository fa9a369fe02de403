//! Requests that both this library and `aws-sigv4` claim to sign, in both forms: the signatures are one.
//!
//! Left out is where the two differ on purpose, or where `aws-sigv4` takes nothing: URLs that `http::Uri` refuses,
//! parameters that are not UTF-8 or have no name, and S3 paths that are not written in their canonical form.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use aws_credential_types::Credentials as TheirCredentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use countersign::{Credentials, Head, Headers, Payload, Presign, Scratch, Signer};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Plan {
    method: u8,
    path: Vec<Piece>,
    query: Vec<(Vec<Piece>, Option<Vec<Piece>>)>,
    headers: Vec<(u8, Vec<u8>)>,
    body: Vec<u8>,
    is_s3: bool,
    is_presigned: bool,
    token: Option<Vec<u8>>,
}

/// What URLs are made of.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Piece {
    Char(u8),
    /// A character, escaped.
    Escape(char),
    Slash,
    Dot,
}

fuzz_target!(|plan: Plan| {
    let method = METHODS[usize::from(plan.method) % METHODS.len()];
    let mut path = "/".to_owned();
    plan.path.iter().take(200).for_each(|piece| piece.write(PATH, plan.is_s3, &mut path));
    let query: Vec<String> =
        plan.query.iter().take(50).map(|(name, value)| parameter(name, value.as_deref())).collect();
    let target = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
    let url = format!("https://example.amazonaws.com{target}");
    if url.parse::<http::Uri>().is_err() {
        return;
    }
    let mut headers = vec![("host", "example.amazonaws.com".to_owned())];
    for (name, value) in plan.headers.iter().take(50) {
        let value: String = value.iter().map(|byte| char::from(b' ' + byte % 0x5f)).collect();
        headers.push((NAMES[usize::from(*name) % NAMES.len()], value));
    }
    let token: Option<String> = plan
        .token
        .as_ref()
        .map(|token| token.iter().map(|byte| char::from(b'!' + byte % 0x5e)).collect());
    // An empty token is none to us.
    let token = token.filter(|token| !token.is_empty());
    let request = Request {
        method,
        url: &url,
        headers: &headers,
        body: &plan.body,
        service: if plan.is_s3 { "s3" } else { "execute-api" },
        is_presigned: plan.is_presigned,
        token: token.as_deref(),
    };
    assert_eq!(request.ours(), request.theirs(), "{url} {headers:?}");
});

struct Request<'r> {
    method: &'r str,
    url: &'r str,
    headers: &'r [(&'static str, String)],
    body: &'r [u8],
    service: &'static str,
    is_presigned: bool,
    token: Option<&'r str>,
}

impl Request<'_> {
    /// The signature.
    fn ours(&self) -> String {
        let pairs: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let head = Head::parse(self.method.as_bytes(), self.url.as_bytes(), Headers::Pairs(&pairs));
        let head = head.expect("an absolute URL");
        let signer = Signer::new("us-east-1", self.service);
        let credentials = Credentials::new("AKIDEXAMPLE", "secret");
        let credentials = match self.token {
            Some(token) => credentials.with_session_token(token),
            None => credentials,
        };
        let mut scratch = Scratch::new();
        if self.is_presigned {
            let presign = Presign::expires_in(LIFE);
            let presign = match self.service {
                "s3" => presign,
                _ => presign.with_payload(Payload::hash(self.body)),
            };
            let signed = signer.presign_head(head, presign, &credentials, now(), &mut scratch);
            signed.expect("nothing is wrong with it").signature().to_owned()
        } else {
            let payload = Payload::hash(self.body);
            let signed = signer.sign_head(head, payload, &credentials, now(), &mut scratch);
            signed.expect("nothing is wrong with it").signature().to_owned()
        }
    }

    fn theirs(&self) -> String {
        let token = self.token.map(str::to_owned);
        let identity = TheirCredentials::new("AKIDEXAMPLE", "secret", token, None, "fuzz").into();
        let mut settings = SigningSettings::default();
        let is_s3 = self.service == "s3";
        if is_s3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if is_s3 && !self.is_presigned {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if self.is_presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(LIFE);
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(self.service)
            .time(now())
            .settings(settings)
            .build()
            .expect("all of them are there")
            .into();
        let body = match is_s3 && self.is_presigned {
            true => SignableBody::UnsignedPayload,
            false => SignableBody::Bytes(self.body),
        };
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let request = SignableRequest::new(self.method, self.url, headers, body);
        let signed = sign(request.expect("a URL that was parsed"), &parameters);
        signed.expect("nothing is wrong with it").into_parts().1
    }
}

impl Piece {
    /// Writes one of these characters, or what the piece says. What is canonical is what S3 signs.
    fn write(self, raw: &[u8], is_canonical: bool, out: &mut String) {
        let char = match self {
            Piece::Char(at) => char::from(raw[usize::from(at) % raw.len()]),
            Piece::Escape(char) => {
                let is_plain = char.is_ascii_alphanumeric() || "-._~/".contains(char);
                if is_canonical && is_plain {
                    return out.push(char);
                }
                let mut bytes = [0; 4];
                for byte in char.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
                return;
            }
            Piece::Slash => '/',
            Piece::Dot => '.',
        };
        match is_canonical && !(char.is_ascii_alphanumeric() || "-._~/".contains(char)) {
            true => out.push_str(&format!("%{:02X}", u32::from(char))),
            false => out.push(char),
        }
    }
}

/// A name with at least one letter, and perhaps a value.
fn parameter(name: &[Piece], value: Option<&[Piece]>) -> String {
    let mut text = "n".to_owned();
    name.iter().take(50).for_each(|piece| piece.write(NAME, false, &mut text));
    if let Some(value) = value {
        text.push('=');
        value.iter().take(50).for_each(|piece| piece.write(VALUE, false, &mut text));
    }
    text
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

const LIFE: Duration = Duration::from_secs(900);
const METHODS: [&str; 4] = ["GET", "PUT", "POST", "DELETE"];
const NAMES: [&str; 5] = ["X-Amz-Meta-A", "x-amz-meta-b", "Content-Type", "X-Custom", "Range"];
const PATH: &[u8] = b"abZ09-_~!$&'()*+,;=:@";
const NAME: &[u8] = b"abZ09-_~!$'()*+,;:@?";
const VALUE: &[u8] = b"abZ09-_~!$'()*+,;:@?=";
