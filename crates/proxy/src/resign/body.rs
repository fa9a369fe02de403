//! Bodies that one key signed and another signs again.

use countersign::{
    Payload,
    body::{ChunkedBody, VerifiedBody},
    checksums,
    chunked::Chunks,
    verify::Dialect,
};
use http::{HeaderName, header::AUTHORIZATION, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Admitted;
use crate::{
    body::Holding,
    forward::{Again, Ready, sign_empty, sign_held, sign_passing},
    head,
    refuse::{Codes, Refusal},
    sign::Signing,
    upstream::BUFFER,
};

impl Admitted {
    /// Signs the head, and makes of the body what goes with the new signature: all of what was signed, or an
    /// error that ends the request before it is whole.
    ///
    /// The signature goes into the headers, also where a presigned URL came: what a service answers is the same,
    /// the URL in its logs then holds no session token, and the body is signed where the URL left that open.
    pub(crate) async fn sign(
        self,
        signing: &Signing,
        holding: &Holding,
        https: bool,
        parts: &mut Parts,
        mut body: Incoming,
        has_length: bool,
    ) -> Result<Ready, Refusal> {
        // The signer replaces the others; this one it leaves where the service asks for none.
        for name in [AUTHORIZATION.as_str(), "x-amz-content-sha256"] {
            parts.headers.remove(name);
        }
        let payload = self.verified.payload();
        let passes_unsigned = https && (self.is_of_s3() || self.signer.service() == LATTICE);
        let Admitted { signer, check, held, .. } = self;
        let length = body.size_hint().exact();
        if let Some(held) = held {
            return sign_held(signing, &signer, parts, held).await;
        }
        if body.is_end_stream() {
            if payload.is_in_chunks() {
                return Err(Refusal::coded(INCOMPLETE, "the body ends before its first chunk"));
            }
            if payload.is_hash() && payload != Payload::EMPTY {
                return Err(differs());
            }
            let credentials = signing.credentials().await?;
            return sign_empty(signing, &signer, parts, has_length, credentials);
        }
        match payload {
            Payload::Sha256(_) => {
                let held = holding.hold(&mut body).await?;
                if held.payload != payload {
                    return Err(differs());
                }
                sign_held(signing, &signer, parts, held).await
            }
            // TLS keeps it from being changed on the way, and the service looks at the checksum behind it.
            Payload::Unsigned | Payload::StreamingUnsignedTrailer if passes_unsigned => {
                let credentials = signing.credentials().await?;
                let again = sign_passing(signing, &signer, parts, (payload, length), &credentials)?;
                Ok((holding.pass(body), again, credentials))
            }
            Payload::Unsigned => {
                let held = holding.hold(&mut body).await?;
                sign_held(signing, &signer, parts, held).await
            }
            // Each chunk is let through once it is verified, and the last one once all of them are: see
            // `VerifiedBody`. They are cut anew, and each is signed.
            _ => {
                let Some(length) = check.decoded_len() else {
                    let message =
                        "a body in chunks must say how long it is: x-amz-decoded-content-length";
                    return Err(Refusal::coded(NO_LENGTH, message));
                };
                holding.check(length)?;
                let mut chunks = Chunks::signed(length).with_chunk_size(BUFFER);
                let name_of_names = HeaderName::from_static("x-amz-trailer");
                let names = head::tokens(&parts.headers, &name_of_names);
                for name in names.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()) {
                    // Its value is the one that came: the check compares them.
                    let Some(checksum) = checksums::by_name(&name) else {
                        let message =
                            format!("the trailer `{name}` is no checksum that is known here");
                        return Err(Refusal::coded(NOT_IMPLEMENTED, message));
                    };
                    chunks = chunks.with_checksum(checksum);
                }
                let credentials = signing.credentials().await?;
                let chunks = signing.sign_chunks(&signer, parts, chunks, &credentials)?;
                let body = VerifiedBody::new(holding.pass(body), check);
                Ok((ChunkedBody::new(body, chunks).boxed_unsync(), Again::NEVER, credentials))
            }
        }
    }

    fn is_of_s3(&self) -> bool {
        Dialect::of_service(self.signer.service()) == Dialect::S3
    }
}

fn differs() -> Refusal {
    Refusal::coded(DIFFERS, "the body is not the one whose hash was signed")
}

const LATTICE: &str = "vpc-lattice-svcs";

const DIFFERS: Codes = Codes {
    s3: (400, "XAmzContentSHA256Mismatch"),
    general: (403, "SignatureDoesNotMatch"),
    json: "InvalidSignatureException",
};
// Only S3 and its like take bodies in chunks, so its codes are those of all.
const INCOMPLETE: Codes = Codes::of_all(400, "IncompleteBody");
const NO_LENGTH: Codes = Codes::of_all(411, "MissingContentLength");
const NOT_IMPLEMENTED: Codes = Codes::of_all(501, "NotImplemented");
