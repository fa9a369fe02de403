//! What the types promise before anything runs.

use std::{error::Error as StdError, fmt, hash::Hash, time::SystemTime};

use countersign::{
    Algorithm, Credentials, Error, ErrorKind, Explanation, Head, Headers, KeyCache, Life, Payload,
    PayloadLine, Presign, PresignMany, Presigned, Rules, Scope, Scratch, SignRequest, Signed,
    Signer, SigningKey, Timestamp,
    chunked::{ChunkVerifier, Trailers},
    verify::{BodyCheck, Known},
};

fn crosses_threads<T: Send + Sync>() {}
fn is_owned<T: Send + Sync + Unpin + 'static>() {}
fn is_cloned<T: Clone>() {}
fn is_copied<T: Copy>() {}
fn is_compared<T: Eq + Hash>() {}
fn is_shown<T: fmt::Debug>() {}

#[test]
fn owning_types_go_wherever_a_task_goes() {
    is_owned::<Algorithm>();
    is_owned::<BodyCheck>();
    is_owned::<ChunkVerifier>();
    is_owned::<Credentials>();
    is_owned::<Error>();
    is_owned::<ErrorKind>();
    is_owned::<Explanation>();
    is_owned::<KeyCache>();
    is_owned::<Life>();
    is_owned::<Payload>();
    is_owned::<PayloadLine>();
    is_owned::<Presign>();
    is_owned::<PresignMany>();
    is_owned::<Rules>();
    is_owned::<Scope<'static>>();
    is_owned::<Scratch>();
    is_owned::<Signer>();
    is_owned::<SigningKey>();
    is_owned::<Timestamp>();
    is_owned::<Trailers>();
}

#[test]
fn borrowing_types_cross_threads_too() {
    crosses_threads::<Head<'_>>();
    crosses_threads::<Headers<'_>>();
    crosses_threads::<Presigned<'_>>();
    crosses_threads::<Scope<'_>>();
    crosses_threads::<Signed<'_>>();
}

#[test]
fn small_values_are_copied() {
    is_copied::<Algorithm>();
    is_copied::<ErrorKind>();
    is_copied::<Head<'_>>();
    is_copied::<Headers<'_>>();
    is_copied::<Life>();
    is_copied::<Payload>();
    is_copied::<PayloadLine>();
    is_copied::<Presign>();
    is_copied::<Rules>();
    is_copied::<Scope<'_>>();
    is_copied::<Timestamp>();
}

#[test]
fn shared_values_are_cloned() {
    is_cloned::<Credentials>();
    is_cloned::<Explanation>();
    is_cloned::<KeyCache>();
    is_cloned::<Signer>();
    is_cloned::<SigningKey>();
}

#[test]
fn values_are_compared_by_what_they_say() {
    is_compared::<Algorithm>();
    is_compared::<ErrorKind>();
    is_compared::<Payload>();
    is_compared::<Rules>();
    is_compared::<Scope<'_>>();
    is_compared::<Timestamp>();
}

#[test]
fn every_type_can_be_shown() {
    is_shown::<Algorithm>();
    is_shown::<Credentials>();
    is_shown::<Error>();
    is_shown::<ErrorKind>();
    is_shown::<Explanation>();
    is_shown::<Head<'_>>();
    is_shown::<Headers<'_>>();
    is_shown::<KeyCache>();
    is_shown::<Life>();
    is_shown::<Payload>();
    is_shown::<PayloadLine>();
    is_shown::<Presign>();
    is_shown::<Presigned<'_>>();
    is_shown::<Rules>();
    is_shown::<Scope<'_>>();
    is_shown::<Scratch>();
    is_shown::<Signed<'_>>();
    is_shown::<Signer>();
    is_shown::<SigningKey>();
    is_shown::<Timestamp>();
}

#[test]
fn what_is_shown_tells_what_it_is() {
    let signer = Signer::new("us-east-1", "iam");
    let rules = signer.rules();
    let key = SigningKey::from_bytes(&[7; 32]);
    for (shown, expected) in [
        (format!("{key:?}"), "SigningKey(<redacted>)"),
        (
            format!("{:?}", Known::new(&key).with_session_token("token")),
            "Known { key: SigningKey(<redacted>), session_token: Some(<redacted>) }",
        ),
        (format!("{:?}", KeyCache::new(1)), "KeyCache { len: 0, .. }"),
        (format!("{:?}", Scratch::new()), "Scratch { .. }"),
        (
            format!("{signer:?}"),
            &format!("Signer {{ region: \"us-east-1\", service: \"iam\", rules: {rules:?}, .. }}"),
        ),
    ] {
        assert_eq!(shown, expected);
    }
}

#[test]
fn a_signer_tells_what_it_signs_for_and_with_which_keys() {
    let signer = Signer::new("us-east-1", "iam").with_rules(Rules::S3);
    assert_eq!((signer.region(), signer.service()), ("us-east-1", "iam"));
    assert_eq!((signer.rules(), signer.region_set()), (Rules::S3, None));
    assert!(signer.key_cache().is_empty());
    let head = Head::parse(b"GET", b"https://h/", Headers::Pairs(&[])).unwrap();
    let (credentials, at) = (Credentials::new("AKIDEXAMPLE", "secret"), SystemTime::UNIX_EPOCH);
    signer.explain(head, Payload::EMPTY, &credentials, at).unwrap();
    assert_eq!(signer.key_cache().len(), 1);
}

#[cfg(feature = "sigv4a")]
#[test]
fn the_types_of_sigv4a_promise_the_same() {
    use countersign::sigv4a::{KeyCache, Signature, SigningKey, VerifyingKey};

    is_owned::<KeyCache>();
    is_owned::<Signature>();
    is_owned::<SigningKey>();
    is_owned::<VerifyingKey>();
    is_copied::<Signature>();
    is_copied::<VerifyingKey>();
    is_cloned::<KeyCache>();
    is_cloned::<SigningKey>();
    is_shown::<KeyCache>();
    is_shown::<Signature>();
    is_shown::<SigningKey>();
    is_shown::<VerifyingKey>();
}

#[test]
fn an_error_is_an_error_that_any_task_can_return() {
    fn is_error<T: StdError + Send + Sync + 'static>() {}
    is_error::<Error>();
}

#[cfg(feature = "eventstream")]
#[test]
fn the_types_of_event_streams_promise_the_same() {
    use countersign::eventstream::{
        Decoder, Event, EventSigner, EventVerifier, Message, MessageError, Value, Wrapping,
    };
    is_owned::<Decoder>();
    is_owned::<EventSigner>();
    is_owned::<EventVerifier>();
    is_owned::<MessageError>();
    is_owned::<Wrapping>();
    crosses_threads::<Event<'_>>();
    crosses_threads::<Message<'_>>();
    crosses_threads::<Value<'_>>();
    is_copied::<Event<'_>>();
    is_copied::<Message<'_>>();
    is_copied::<Value<'_>>();
    is_copied::<Wrapping>();
    is_cloned::<MessageError>();
    is_compared::<Value<'_>>();
    is_shown::<Decoder>();
    is_shown::<Event<'_>>();
    is_shown::<EventSigner>();
    is_shown::<EventVerifier>();
    is_shown::<Message<'_>>();
    is_shown::<Wrapping>();
}

#[test]
fn the_requests_of_the_http_ecosystem_can_be_signed() {
    fn is_request<T: SignRequest>() {}
    is_request::<http::Request<()>>();
    is_request::<http::Request<Vec<u8>>>();
    is_request::<http::request::Parts>();
    #[cfg(feature = "reqwest")]
    is_request::<reqwest::Request>();
}

#[test]
fn a_signature_outlives_the_signer_that_made_it() {
    fn sign<'s>(
        credentials: &'s Credentials,
        scratch: &'s mut Scratch,
    ) -> Result<Signed<'s>, Error> {
        let target = "https://iam.amazonaws.com/".to_owned();
        let head = Head::parse(b"GET", target.as_bytes(), Headers::Pairs(&[]))?;
        let at = "20150830T123600Z".parse::<Timestamp>()?.into();
        Signer::new("us-east-1", "iam").sign_head(head, Payload::EMPTY, credentials, at, scratch)
    }
    let (credentials, mut scratch) = (Credentials::new("AKIDEXAMPLE", "secret"), Scratch::new());
    // What is read of the signature borrows the buffers, and not the signature.
    let (names, canonical) = {
        let signed = sign(&credentials, &mut scratch).unwrap();
        (signed.signed_headers(), signed.canonical_request())
    };
    assert!(canonical.ends_with(Payload::EMPTY.line().as_str().as_bytes()));
    assert_eq!(names, "host;x-amz-date");
}
