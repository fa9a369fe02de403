//! Event streams: what is signed is verified, and nothing else is ever given out.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countersign::{
    Credentials, ErrorKind, Head, Headers, KeyCache, Payload, Presign, Scope, Scratch, Signer,
    SigningKey, Timestamp,
    eventstream::{Decoder, EventSigner, EventVerifier, Message, Value},
    verify::{Known, Refusal, Verifier},
};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::support::{at, credentials, external_data, pair};

#[test]
fn the_chain_of_the_c_library_signs_as_recorded() {
    let Some(data) = external_data("event-stream.json, the chain") else { return };
    let case = external_case(&data, "aws-c-auth-event-chain");
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let request = &case["request"];
    let headers: Vec<(String, String)> =
        request["headers"].as_array().unwrap().iter().map(pair).collect();
    let moment = &headers.iter().find(|(name, _)| name == "x-amz-date").unwrap().1;
    let pairs: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let (method, path) = (text(&request["method"]), text(&request["path"]));
    let head = Head::parse(method.as_bytes(), path.as_bytes(), Headers::Pairs(&pairs)).unwrap();
    let (keys, mut scratch) = (credentials(&case["credentials"]), Scratch::new());
    let signer = Signer::new(text(&case["region"]), text(&case["service"]));
    let signed = signer.sign_head(head, Payload::Events, &keys, at(moment), &mut scratch).unwrap();
    assert_eq!(signed.signature(), request["expected_signature"]);

    let mut signing = EventSigner::new(&signer, &keys, signed.signature()).unwrap();
    let events = case["events"].as_array().unwrap();
    let (last, before) = events.split_last().unwrap();
    let check = |event: &Json, wire: &[u8]| {
        let message = Message::decode(wire).unwrap();
        let Some(Value::Bytes(signature)) = message.header(":chunk-signature") else {
            panic!("{message:?}")
        };
        assert_eq!(hex::encode(signature), event["expected_signature"]);
        assert_eq!(hex::encode(message.payload()), event["payload_hex"]);
        let date = hex::decode(text(&event["non_signature_headers_hex"])).unwrap();
        assert_eq!(wire[12..12 + date.len()], date);
    };
    for event in before {
        let mut wire = Vec::new();
        let payload = hex::decode(text(&event["payload_hex"])).unwrap();
        signing.sign(&payload, at(&text(&event["date"])), &mut wire).unwrap();
        check(event, &wire);
    }
    let mut wire = Vec::new();
    signing.finish(at(&text(&last["date"])), &mut wire).unwrap();
    check(last, &wire);
    assert_eq!(events.len(), 4);
}

#[test]
fn the_message_and_the_string_to_sign_of_the_rust_sdk_are_ours() {
    let Some(data) = external_data("event-stream.json, the string to sign") else { return };
    let case = external_case(&data, "smithy-rs-string-to-sign");
    let text = |key: &str| case[key].as_str().unwrap().to_owned();
    let recorded = hex::decode(text("inner_message_hex")).unwrap();
    assert_eq!(encoded(&[("some-header", Value::String("value"))], b"test payload"), recorded);

    // No key is recorded, so that ours must make one signature of both strings.
    let (keys, moment) = (Credentials::new("AKIDEXAMPLE", "secret"), at(&text("date")));
    let signer = Signer::new(text("region"), text("service"));
    let mut signing = EventSigner::new(&signer, &keys, &text("previous_signature")).unwrap();
    let mut wire = Vec::new();
    signing.sign(&recorded, moment, &mut wire).unwrap();
    let scope = Scope::new(moment.try_into().unwrap(), signer.region(), signer.service()).unwrap();
    let key = SigningKey::derive("secret", &scope);
    assert_eq!(signature_of(&wire), key.sign(text("expected_string_to_sign").as_bytes()));
    assert_eq!(hex::encode(&wire[12..27]), text("non_signature_headers_hex"));
}

#[test]
fn the_reference_of_these_tests_makes_the_recorded_chains() {
    let Some(data) = external_data("event-stream.json, the reference") else { return };
    let mut count = 0;
    for name in ["aws-c-auth-event-chain", "smithy-go-event-chain"] {
        let case = external_case(&data, name);
        let keys = credentials(&case["credentials"]);
        for event in case["events"].as_array().unwrap() {
            let text = |key: &str| event[key].as_str().unwrap();
            let (region, service) = (case["region"].as_str(), case["service"].as_str());
            let chain = Chain {
                secret: keys.secret_access_key(),
                region: region.unwrap(),
                service: service.unwrap(),
            };
            let headers = hex::decode(text("non_signature_headers_hex")).unwrap();
            let payload = hex::decode(text("payload_hex")).unwrap();
            let signature =
                chain.sign(text("date"), text("previous_signature"), &headers, &payload);
            assert_eq!(hex::encode(signature), text("expected_signature"), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 8);
}

#[test]
fn every_message_of_the_vectors_is_written_and_read_as_recorded() {
    let mut names = BTreeSet::new();
    for case in vectors("messages.json") {
        assert!(names.insert(case["name"].as_str().unwrap().to_owned()), "{}", case["name"]);
        let wire = bytes(&case["wire"]);
        let payload = bytes(&case["payload"]);
        let owned: Vec<(String, Vec<u8>)> = case["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| {
                let is_hex = matches!(header[1].as_str().unwrap(), "bytes" | "uuid");
                let data = if is_hex { bytes(&header[2]) } else { Vec::new() };
                (header[0].as_str().unwrap().to_owned(), data)
            })
            .collect();
        let headers: Vec<(&str, Value<'_>)> = owned
            .iter()
            .zip(case["headers"].as_array().unwrap())
            .map(|((name, data), header)| (&name[..], value(header, data)))
            .collect();
        assert_eq!(hex::encode(encoded(&headers, &payload)), hex::encode(&wire), "{case}");
        let read = Message::decode(&wire).unwrap();
        assert_eq!(read.headers().collect::<Vec<_>>(), headers, "{case}");
        assert_eq!(read.payload(), payload, "{case}");
    }
    assert_eq!(names.len(), 10);
}

#[test]
fn what_is_no_message_is_refused_and_says_why() {
    let mut said = BTreeSet::new();
    for case in vectors("refused.json") {
        let wire = bytes(&case["wire"]);
        let error = Message::decode(&wire).unwrap_err();
        let mut decoder = Decoder::new();
        let mut seen = None;
        for byte in &wire {
            decoder.push(&[*byte]);
            match decoder.next_message() {
                Ok(None) => {}
                Ok(Some(message)) => panic!("{case}: {message:?}"),
                Err(error) => seen = seen.or(Some(error)),
            }
        }
        let seen = seen.unwrap_or_else(|| panic!("{case} was not refused")).to_string();
        assert_eq!(
            seen,
            format!("in the message that begins at byte 0 of the stream: {error}"),
            "{case}"
        );
        assert_eq!(decoder.finish().unwrap_err().to_string(), seen);
        said.insert(error.to_string());
    }
    assert_eq!(said.len(), 11, "{said:#?}");
}

#[test]
fn every_stream_of_the_vectors_is_signed_and_verified_as_recorded() {
    let (mut streams, mut messages) = (0, 0);
    for (file, is_written) in [("streams.json", true), ("streams-read.json", false)] {
        for case in vectors(file) {
            let text = |key: &str| case[key].as_str().unwrap();
            let keys = credentials(&case["credentials"]);
            let signer = Signer::new(text("region"), text("service"));
            let mut signing = EventSigner::new(&signer, &keys, text("seed")).unwrap();
            let mut verifying =
                EventVerifier::new(text("region"), text("service"), text("seed")).unwrap();
            let (last, before) = case["messages"].as_array().unwrap().split_last().unwrap();
            let moment = |message: &Json| {
                UNIX_EPOCH + Duration::from_millis(message["milliseconds"].as_u64().unwrap())
            };
            let key_of =
                |scope: &Scope<'_>| Some(SigningKey::derive(keys.secret_access_key(), scope));
            for message in before {
                let mut wire = Vec::new();
                let (inner, recorded) = (bytes(&message["inner"]), bytes(&message["wire"]));
                signing.sign(&inner, moment(message), &mut wire).unwrap();
                assert_eq!(wire == recorded, is_written, "{case}");
                verifying.push(&recorded);
                let event = verifying.next_event(moment(message), key_of).unwrap().unwrap();
                assert_eq!((event.bytes(), event.at()), (&inner[..], moment(message)));
                messages += 1;
            }
            let mut wire = Vec::new();
            signing.finish(moment(last), &mut wire).unwrap();
            assert_eq!(wire == bytes(&last["wire"]), is_written, "{case}");
            verifying.push(&bytes(&last["wire"]));
            assert_eq!(verifying.next_event(moment(last), key_of).unwrap(), None);
            assert!(verifying.is_closed());
            verifying.finish().unwrap();
            streams += 1;
        }
    }
    assert_eq!((streams, messages), (6, 13));
}

#[test]
fn a_request_and_its_messages_verify_by_one_claim() {
    let session = Session::new();
    let mut request = http::Request::post("https://transcribestreaming.us-east-1.amazonaws.com/s")
        .header("content-type", "application/vnd.amazon.eventstream")
        .body(())
        .unwrap();
    let mut signing = session.signer.sign_events(&mut request, &session.keys, session.now).unwrap();
    assert_eq!(
        request.headers()["x-amz-content-sha256"],
        Payload::Events.line().as_str(),
        "the head says what follows"
    );
    let mut wire = Vec::new();
    signing.sign(b"first", session.now, &mut wire).unwrap();
    signing.finish(session.now, &mut wire).unwrap();

    let verifier = Verifier::new().with_region("us-east-1").with_services(["transcribe"]);
    let claim = verifier.claim(Head::from(&request), session.now).unwrap();
    let key = session.key(&claim.scope()).unwrap();
    let known = Some(Known::new(&key));
    let (verified, mut events) = claim.verify_events(known, &mut Scratch::new()).unwrap();
    assert_eq!(verified.payload(), Payload::Events);
    events.push(&wire);
    let event = events.next_event(session.now, |scope| session.key(scope)).unwrap().unwrap();
    assert_eq!((event.bytes(), event.at()), (&b"first"[..], session.now));
    assert_eq!(events.next_event(session.now, |scope| session.key(scope)).unwrap(), None);
    events.finish().unwrap();

    // What does not check the messages does not take the head either.
    let claim = verifier.claim(Head::from(&request), session.now).unwrap();
    let error = claim.verify(known, None, &mut Scratch::new()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::UnsupportedPayload);
    let wrong = SigningKey::from_bytes(&[1; 32]);
    for (known, refusal) in [
        (None, Refusal::UnknownKey),
        (Some(Known::new(&wrong)), Refusal::SignatureDiffers),
        (Some(Known::new(&key).with_session_token("token")), Refusal::WrongToken),
    ] {
        let claim = verifier.claim(Head::from(&request), session.now).unwrap();
        let error = claim.verify_events(known, &mut Scratch::new()).unwrap_err();
        assert_eq!(error.refusal(), refusal);
    }
}

#[test]
fn a_request_that_announces_no_stream_has_no_messages() {
    let session = Session::new();
    let mut request = http::Request::post("https://transcribestreaming.us-east-1.amazonaws.com/s")
        .header("x-amz-content-sha256", "to be written")
        .body(())
        .unwrap();
    session.signer.sign(&mut request, Payload::EMPTY, &session.keys, session.now).unwrap();
    let verifier = Verifier::new();
    let claim = verifier.claim(Head::from(&request), session.now).unwrap();
    let key = session.key(&claim.scope()).unwrap();
    let error = claim.verify_events(Some(Known::new(&key)), &mut Scratch::new()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::UnsupportedPayload);
    assert!(error.to_string().contains("does not say that its body is an event stream"));
}

#[test]
fn the_messages_of_a_web_socket_go_on_from_its_presigned_url() {
    let session = Session::new();
    let mut get = http::Request::get("wss://transcribestreaming.us-east-1.amazonaws.com:8443/ws")
        .body(())
        .unwrap();
    let presign = Presign::expires_in(Duration::from_secs(60));
    session.signer.presign(&mut get, presign, &session.keys, session.now).unwrap();
    let query = get.uri().query().unwrap();
    let seed = query.rsplit_once("X-Amz-Signature=").unwrap().1;
    let mut signing = EventSigner::new(&session.signer, &session.keys, seed).unwrap();
    let mut wire = Vec::new();
    signing.sign(b"first", session.now, &mut wire).unwrap();
    signing.finish(session.now, &mut wire).unwrap();

    let verifier = Verifier::new();
    let claim = verifier.claim(Head::from(&get), session.now).unwrap();
    let seed = String::from_utf8(claim.signature().to_vec()).unwrap();
    let key = session.key(&claim.scope()).unwrap();
    let body = Some(Payload::EMPTY);
    let (verified, _) = claim.verify(Some(Known::new(&key)), body, &mut Scratch::new()).unwrap();
    let scope = verified.scope();
    let verifying = EventVerifier::new(scope.region(), scope.service(), &seed).unwrap();
    let (given, end) = session.read(verifying, [&wire[..]]);
    assert_eq!((given, end), (vec![b"first".to_vec()], None));
}

#[test]
fn no_byte_of_a_stream_can_be_changed() {
    let session = Session::new();
    let messages = session.three_messages();
    let (wire, ends) = session.sign(&messages);
    let mut refusals = BTreeSet::new();
    for at in 0..wire.len() {
        for mask in 1..=255u8 {
            let mut changed = wire.clone();
            changed[at] ^= mask;
            let (given, end) = session.read(session.verifying(), [&changed[..]]);
            let whole = ends.iter().filter(|end| **end <= at).count();
            assert_eq!(given, messages[..whole], "byte {at} ^ {mask}");
            let refusal = end.unwrap_or_else(|| panic!("byte {at} ^ {mask} was accepted"));
            refusals.insert(format!("{refusal:?}"));
        }
    }
    // A length that is larger, rightly or not, has another checksum.
    assert_eq!(refusals, BTreeSet::from(["MalformedMessage".to_owned()]));
}

#[test]
fn no_byte_of_a_stream_can_be_changed_by_one_who_mends_the_checksums() {
    let session = Session::new();
    let messages = session.three_messages();
    let (wire, ends) = session.sign(&messages);
    let mut refusals = BTreeSet::new();
    let mut start = 0;
    for (index, &end) in ends.iter().enumerate() {
        for at in start..end - 4 {
            if (8..12).contains(&(at - start)) {
                continue;
            }
            for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255u8] {
                let mut changed = wire.clone();
                changed[at] ^= mask;
                let prelude = crc32fast::hash(&changed[start..start + 8]).to_be_bytes();
                changed[start + 8..start + 12].copy_from_slice(&prelude);
                let whole = crc32fast::hash(&changed[start..end - 4]).to_be_bytes();
                changed[end - 4..end].copy_from_slice(&whole);
                let (given, end) = session.read(session.verifying(), [&changed[..]]);
                assert_eq!(given, messages[..index.min(3)], "byte {at} ^ {mask}");
                let refusal = end.unwrap_or_else(|| panic!("byte {at} ^ {mask} was accepted"));
                refusals.insert(format!("{refusal:?}"));
            }
        }
        start = end;
    }
    let expected = ["IncompleteBody", "MalformedMessage", "SignatureDiffers", "TimeSkewed"];
    assert_eq!(refusals, expected.map(str::to_owned).into());
}

#[test]
fn a_stream_that_is_cut_anywhere_is_refused() {
    let session = Session::new();
    let messages = session.three_messages();
    let (wire, ends) = session.sign(&messages);
    for len in 0..wire.len() {
        let (given, end) = session.read(session.verifying(), [&wire[..len]]);
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(given, messages[..whole], "{len} bytes");
        assert_eq!(end, Some(Refusal::IncompleteBody), "{len} bytes");
    }
    assert_eq!(session.read(session.verifying(), [&wire[..]]), (messages, None));
}

#[test]
fn messages_cannot_be_taken_out_put_twice_swapped_or_moved_to_another_stream() {
    let session = Session::new();
    let messages = session.three_messages();
    let (wire, ends) = session.sign(&messages);
    let part = |index: usize| &wire[if index == 0 { 0 } else { ends[index - 1] }..ends[index]];
    for order in [&[1, 2, 3][..], &[0, 2, 3], &[0, 1, 3], &[1, 0, 2, 3], &[0, 0, 1, 2, 3], &[3]] {
        let pieces: Vec<&[u8]> = order.iter().map(|&index| part(index)).collect();
        let (given, end) = session.read(session.verifying(), pieces);
        let good = order.iter().zip(0..).take_while(|(a, b)| **a == *b).count();
        assert_eq!(given, messages[..good], "{order:?}");
        assert_eq!(end, Some(Refusal::SignatureDiffers), "{order:?}");
    }
    let other = EventVerifier::new("us-east-1", "transcribe", &"0".repeat(64)).unwrap();
    assert_eq!(session.read(other, [&wire[..]]), (vec![], Some(Refusal::SignatureDiffers)));
    let other = EventVerifier::new("us-west-1", "transcribe", SEED).unwrap();
    assert_eq!(session.read(other, [&wire[..]]), (vec![], Some(Refusal::SignatureDiffers)));
}

#[test]
fn nothing_may_stand_behind_the_end() {
    let session = Session::new();
    let (wire, _) = session.sign(&[]);
    for more in [&b"\0"[..], &wire] {
        let (given, end) = session.read(session.verifying(), [&wire, more]);
        assert_eq!((given, end), (vec![], Some(Refusal::MalformedMessage)));
        let (given, end) = session.read(session.verifying(), [&[&wire, more].concat()[..]]);
        assert_eq!((given, end), (vec![], Some(Refusal::MalformedMessage)));
        let mut verifying = session.verifying();
        verifying.push(&wire);
        assert_eq!(verifying.next_event(session.now, |scope| session.key(scope)).unwrap(), None);
        verifying.push(more);
        assert_eq!(verifying.finish().unwrap_err().refusal(), Refusal::MalformedMessage);
    }
}

#[test]
fn a_refused_stream_stays_refused() {
    let session = Session::new();
    let messages = session.three_messages();
    let (wire, ends) = session.sign(&messages);
    let mut verifying = session.verifying();
    verifying.push(&wire[ends[0]..]);
    for _ in 0..3 {
        let error = verifying.next_event(session.now, |scope| session.key(scope)).unwrap_err();
        assert_eq!(error.refusal(), Refusal::SignatureDiffers);
        // The stream as it should have been comes too late.
        verifying.push(&wire);
    }
    assert!(!verifying.is_closed());
    assert_eq!(verifying.finish().unwrap_err().refusal(), Refusal::SignatureDiffers);
}

#[test]
fn a_wrapping_has_a_date_and_a_signature_and_nothing_else() {
    let session = Session::new();
    let milliseconds = 1_440_938_160_000;
    let signature =
        session.chain().sign("20150830T123600Z", SEED, &date_header(milliseconds), b"inner");
    let date = (":date", Value::Timestamp(milliseconds));
    let sign = (":chunk-signature", Value::Bytes(&signature));
    let end = |headers: &[(&str, Value<'_>)]| {
        let wire = encoded(headers, b"inner");
        let (given, end) = session.read(session.verifying(), [&wire[..]]);
        // What is good so far only lacks its end.
        assert_eq!(given.len(), usize::from(end == Some(Refusal::IncompleteBody)));
        end.unwrap()
    };
    assert_eq!(end(&[date, sign]), Refusal::IncompleteBody);
    assert_eq!(end(&[sign, date]), Refusal::IncompleteBody);
    let long = [&signature[..], b"\0"].concat();
    for headers in [
        &[][..],
        &[date],
        &[sign],
        &[date, date],
        &[sign, sign],
        &[date, sign, date],
        &[date, sign, (":message-type", Value::String("event"))],
        &[(":date", Value::Long(milliseconds)), sign],
        &[(":Date", Value::Timestamp(milliseconds)), sign],
        &[date, (":chunk-signature", Value::Bytes(&signature[..31]))],
        &[date, (":chunk-signature", Value::Bytes(&long))],
        &[date, (":chunk-signature", Value::String(&hex::encode(&signature[..16])))],
    ] {
        assert_eq!(end(headers), Refusal::MalformedMessage, "{headers:?}");
    }
}

#[test]
fn a_message_is_dated_within_the_clock_skew() {
    let session = Session::new();
    let quarter = Duration::from_secs(15 * 60);
    let second = Duration::from_secs(1);
    for (moment, end) in [
        (session.now - quarter, Refusal::IncompleteBody),
        (session.now + quarter, Refusal::IncompleteBody),
        (session.now - quarter - second, Refusal::TimeSkewed),
        (session.now + quarter + second, Refusal::TimeSkewed),
    ] {
        let mut wire = Vec::new();
        session.signing().sign(b"message", moment, &mut wire).unwrap();
        let (given, seen) = session.read(session.verifying(), [&wire[..]]);
        assert_eq!((given.len(), seen), (usize::from(end != Refusal::TimeSkewed), Some(end)));
    }
    let mut wire = Vec::new();
    session.signing().sign(b"message", session.now - second, &mut wire).unwrap();
    let strict = session.verifying().with_clock_skew(Duration::ZERO);
    assert_eq!(session.read(strict, [&wire[..]]), (vec![], Some(Refusal::TimeSkewed)));
    // No time at all, and one after 9999 that no `now` is near.
    for milliseconds in [i64::MIN, -1, 253_402_300_800_000, i64::MAX] {
        let headers = [
            (":date", Value::Timestamp(milliseconds)),
            (":chunk-signature", Value::Bytes(&[0; 32])),
        ];
        let wire = encoded(&headers, b"message");
        let lenient = session.verifying().with_clock_skew(Duration::MAX);
        assert_eq!(session.read(lenient, [&wire[..]]), (vec![], Some(Refusal::MalformedMessage)));
    }
}

#[test]
fn a_key_is_asked_for_once_a_day() {
    let session = Session::new();
    let midnight = at("20150831T000000Z");
    let second = Duration::from_secs(1);
    let moments = [midnight - second, midnight - second, midnight, midnight, midnight - second];
    let (mut signing, mut wire) = (session.signing(), Vec::new());
    for moment in moments {
        signing.sign(b"message", moment, &mut wire).unwrap();
    }
    signing.finish(midnight, &mut wire).unwrap();

    let mut verifying = session.verifying();
    verifying.push(&wire);
    let mut asked = Vec::new();
    loop {
        let key_of = |scope: &Scope<'_>| {
            asked.push(scope.to_string());
            session.key(scope)
        };
        if verifying.next_event(midnight, key_of).unwrap().is_none() {
            break;
        }
    }
    verifying.finish().unwrap();
    let scope = |day| format!("201508{day}/us-east-1/transcribe/aws4_request");
    assert_eq!(asked, [scope(30), scope(31), scope(30), scope(31)]);

    // A key that was withdrawn meanwhile ends the stream.
    let mut verifying = session.verifying();
    verifying.push(&wire);
    let first_day = |scope: &Scope<'_>| session.key(scope).filter(|_| scope.date() == "20150830");
    for _ in 0..2 {
        assert!(verifying.next_event(midnight, first_day).unwrap().is_some());
    }
    let error = verifying.next_event(midnight, first_day).unwrap_err();
    assert_eq!(error.refusal(), Refusal::UnknownKey);
    let error = verifying.next_event(midnight, |scope| session.key(scope)).unwrap_err();
    assert_eq!(error.refusal(), Refusal::UnknownKey);
}

#[test]
fn what_cannot_be_signed_changes_neither_the_stream_nor_the_chain() {
    let session = Session::new();
    let mut signing = session.signing();
    let mut wire = b"before".to_vec();
    let huge = vec![0; 24 << 20];
    for (message, moment, kind) in [
        (&b""[..], session.now, ErrorKind::InvalidEvent),
        (&huge[..], session.now, ErrorKind::InvalidEvent),
        (b"message", UNIX_EPOCH - Duration::from_secs(1), ErrorKind::InvalidTime),
    ] {
        let error = signing.sign(message, moment, &mut wire).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(wire, b"before");
    }
    wire.clear();
    signing.sign(b"message", session.now, &mut wire).unwrap();
    let (expected, ends) = session.sign(&[b"message".to_vec()]);
    assert_eq!(wire, expected[..ends[0]]);
}

#[test]
fn a_stream_begins_with_a_signature_a_scope_and_credentials() {
    let session = Session::new();
    let new = |region: &str, keys: &Credentials, seed: &str| {
        let signer = Signer::new(region, "transcribe");
        EventSigner::new(&signer, keys, seed).map(drop).map_err(|error| error.kind())
    };
    let nobody = Credentials::new("", "secret");
    assert_eq!(new("us-east-1", &session.keys, SEED), Ok(()));
    assert_eq!(new("us/east", &session.keys, SEED), Err(ErrorKind::InvalidScope));
    assert_eq!(new("us-east-1", &nobody, SEED), Err(ErrorKind::InvalidCredentials));
    let upper = SEED.to_uppercase();
    for seed in ["", &SEED[1..], &upper, &"g".repeat(64), &format!("{SEED}0")] {
        assert_eq!(new("us-east-1", &session.keys, seed), Err(ErrorKind::InvalidEvent), "{seed}");
        let error = EventVerifier::new("us-east-1", "transcribe", seed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{seed}");
    }
    let mut request = http::Request::get("/no/host").body(()).unwrap();
    let error = session.signer.sign_events(&mut request, &session.keys, session.now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingHost);
    assert!(request.headers().is_empty());
}

#[test]
fn what_does_not_fit_into_a_message_is_not_written() {
    let longest = "v".repeat(32_767);
    let (name, too_long) = ("n".repeat(255), "n".repeat(256));
    let mut out = Vec::new();
    Message::encode(&[(&name, Value::String(&longest))], b"", &mut out).unwrap();
    let read = Message::decode(&out).unwrap();
    assert_eq!(read.header(&name), Some(Value::String(&longest)));

    let value = "v".repeat(32_768);
    let many = [("h", Value::String(&longest)); 5];
    let payload = vec![0; (24 << 20) - 15];
    out = b"before".to_vec();
    for (headers, payload, said) in [
        (&[("", Value::Bool(true))][..], &b""[..], "the name of a header has 0 bytes"),
        (&[(&too_long[..], Value::Bool(true))], b"", "the name of a header has 256 bytes"),
        (&[("a", Value::String(&value))], b"", "the header `a` has 32768 bytes"),
        (&[("a", Value::Bytes(value.as_bytes()))], b"", "the header `a` has 32768 bytes"),
        (&many, b"", "the headers have 163860 bytes, more than the 131072 allowed"),
        (&[], &payload, "the message has 25165825 bytes, more than the 25165824 allowed"),
    ] {
        let error = Message::encode(headers, payload, &mut out).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(out, b"before");
    }
    Message::encode(&[], &payload[1..], &mut out).unwrap();
    assert_eq!(out.len(), 6 + (24 << 20));
    assert!(Message::decode(&out[6..]).is_ok());
    // What another writer made too long is not read.
    let mut headers = b"\x01a\x06\x80\x00".to_vec();
    headers.resize(5 + 0x8000, 0);
    let error = Message::decode(&framed(&headers, b"")).unwrap_err();
    assert!(error.to_string().contains("the header `a` has 32768 bytes"), "{error}");
}

#[test]
fn the_limits_of_a_decoder_hold_before_the_message_came() {
    let wire = encoded(&[("a", Value::Int(1))], b"payload");
    let feed = |mut decoder: Decoder, len: usize| {
        decoder.push(&wire[..len]);
        decoder.next_message().map(|message| message.is_some())
    };
    assert_eq!(feed(Decoder::new().with_largest_message(wire.len()), wire.len()), Ok(true));
    assert_eq!(feed(Decoder::new().with_largest_headers(7), wire.len()), Ok(true));
    let error = feed(Decoder::new().with_largest_message(wire.len() - 1), 12).unwrap_err();
    assert!(error.to_string().ends_with("the message has 30 bytes, more than the 29 allowed"));
    let error = feed(Decoder::new().with_largest_headers(6), 12).unwrap_err();
    assert!(error.to_string().ends_with("the headers have 7 bytes, more than the 6 allowed"));

    let session = Session::new();
    let (wire, _) = session.sign(&session.three_messages());
    let small = session.verifying().with_largest_message(80);
    let (given, end) = session.read(small, [&wire[..12]]);
    assert_eq!((given, end), (vec![], Some(Refusal::MalformedMessage)));
}

#[test]
fn a_decoder_tells_where_in_the_stream_a_message_is_wrong() {
    let good = encoded(&[], b"good");
    let mut bad = good.clone();
    bad[13] ^= 1;
    let mut decoder = Decoder::new();
    for piece in [&good[..], &good, &bad] {
        decoder.push(piece);
    }
    for _ in 0..2 {
        assert_eq!(decoder.next_message().unwrap().unwrap().payload(), b"good");
    }
    let error = decoder.next_message().unwrap_err();
    assert_eq!(
        error.to_string(),
        "in the message that begins at byte 40 of the stream: the checksum of the message is not \
         that of its bytes"
    );
    decoder.push(&good);
    assert_eq!(decoder.next_message().unwrap_err(), error);

    let mut decoder = Decoder::new();
    decoder.push(&[&good[..], &good[..5]].concat());
    assert!(decoder.next_message().unwrap().is_some());
    assert_eq!(decoder.next_message().unwrap(), None);
    let error = decoder.finish().unwrap_err().to_string();
    assert!(error.contains("byte 20 of the stream: the stream ends with 5 bytes"), "{error}");
}

#[test]
fn neither_secrets_nor_contents_are_shown() {
    let session = Session::new();
    let mut signing = session.signing();
    let wrapping = signing.wrap(b"contents", session.now).unwrap();
    let mut wire = Vec::new();
    signing.sign(b"contents", session.now, &mut wire).unwrap();
    let mut verifying = session.verifying();
    verifying.push(&wire);
    let message = Message::decode(&wire).unwrap();
    let shown = format!("{signing:?} {verifying:?} {wrapping:?} {message:?}");
    let error = verifying.next_event(session.now, |scope| session.key(scope)).unwrap_err();
    let shown = format!("{shown} {error:?} {error}");
    assert!(shown.contains("AKIDEXAMPLE") && shown.contains(":chunk-signature"), "{shown}");
    let expected = session.signing().wrap(b"contents", session.now).unwrap();
    let expected = hex::encode(&expected.head()[47..]);
    for hidden in ["hush", "contents", &expected, SEED] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        headers in prop::collection::vec((".{1,60}", any_value()), 0..8),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let borrowed: Vec<(&str, Value<'_>)> =
            headers.iter().map(|(name, value)| (&name[..], value.borrowed())).collect();
        let wire = encoded(&borrowed, &payload);
        let message = Message::decode(&wire).unwrap();
        prop_assert_eq!(message.headers().collect::<Vec<_>>(), &borrowed[..]);
        prop_assert_eq!(message.payload(), &payload[..]);
        for (name, _) in &borrowed {
            let first = borrowed.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
            prop_assert_eq!(message.header(name), first);
        }
    }

    #[test]
    fn what_is_signed_is_verified_however_it_is_split(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..6),
        offsets in prop::collection::vec(0i64..60_000, 7),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let session = Session::new();
        let moment = |index: usize| session.now + Duration::from_millis(offsets[index] as u64);
        let (mut signing, mut in_pieces) = (session.signing(), session.signing());
        let mut wire = Vec::new();
        let mut pieces = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            signing.sign(message, moment(index), &mut wire).unwrap();
            let wrapping = in_pieces.wrap(message, moment(index)).unwrap();
            for piece in [wrapping.head(), message, wrapping.tail()] {
                pieces.extend_from_slice(piece);
            }
        }
        prop_assert_eq!(&wire, &pieces);
        signing.finish(moment(messages.len()), &mut wire).unwrap();

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let split = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]);
        let (given, end) = session.read(session.verifying(), split);
        prop_assert_eq!(given, messages);
        prop_assert_eq!(end, None);
    }

    #[test]
    fn the_reference_signs_as_we_do(
        message in prop::collection::vec(any::<u8>(), 1..200),
        seconds in 0u64..253_402_300_800,
        fraction in 0u32..1_000_000_000,
    ) {
        let session = Session::new();
        let moment = UNIX_EPOCH + Duration::new(seconds, fraction);
        let mut wire = Vec::new();
        session.signing().sign(&message, moment, &mut wire).unwrap();
        let stamp = Timestamp::try_from(moment).unwrap();
        let date = date_header(seconds as i64 * 1000);
        let expected = session.chain().sign(stamp.as_str(), SEED, &date, &message);
        prop_assert_eq!(signature_of(&wire), expected);
        prop_assert_eq!(&wire[12..27], &date[..]);
    }
}

/// A client and a server that know the same key.
struct Session {
    signer: Signer,
    keys: Credentials,
    cache: KeyCache,
    now: SystemTime,
}

impl Session {
    fn new() -> Session {
        Session {
            signer: Signer::new("us-east-1", "transcribe"),
            keys: Credentials::new("AKIDEXAMPLE", "hush"),
            cache: KeyCache::default(),
            now: at("20150830T123600Z"),
        }
    }

    fn signing(&self) -> EventSigner {
        EventSigner::new(&self.signer, &self.keys, SEED).unwrap()
    }

    fn verifying(&self) -> EventVerifier {
        EventVerifier::new("us-east-1", "transcribe", SEED).unwrap()
    }

    fn chain(&self) -> Chain<'_> {
        Chain { secret: "hush", region: "us-east-1", service: "transcribe" }
    }

    fn key(&self, scope: &Scope<'_>) -> Option<SigningKey> {
        Some(self.cache.key("AKIDEXAMPLE", "hush", scope))
    }

    fn three_messages(&self) -> Vec<Vec<u8>> {
        let texts: [&[u8]; 3] = [b"one", b"two", b"three"];
        texts.map(|text| encoded(&[("n", Value::Byte(1))], text)).to_vec()
    }

    /// A whole stream, and where each of its messages ends, the last one included.
    fn sign(&self, messages: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut signing, mut wire, mut ends) = (self.signing(), Vec::new(), Vec::new());
        for message in messages {
            signing.sign(message, self.now, &mut wire).unwrap();
            ends.push(wire.len());
        }
        signing.finish(self.now, &mut wire).unwrap();
        ends.push(wire.len());
        (wire, ends)
    }

    /// What is given out of a stream that comes in these pieces, and why it is refused.
    fn read<'a>(
        &self,
        mut verifying: EventVerifier,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Vec<u8>>, Option<Refusal>) {
        let mut given = Vec::new();
        for piece in pieces {
            verifying.push(piece);
            loop {
                match verifying.next_event(self.now, |scope| self.key(scope)) {
                    Ok(Some(event)) => given.push(event.bytes().to_vec()),
                    Ok(None) => break,
                    Err(error) => {
                        let refusal = Some(error.refusal());
                        let end = verifying.finish().err().map(|error| error.refusal());
                        assert_eq!(end, refusal, "what was refused stays refused");
                        return (given, refusal);
                    }
                }
            }
        }
        (given, verifying.finish().err().map(|error| error.refusal()))
    }
}

/// How messages are signed, written down once more.
struct Chain<'a> {
    secret: &'a str,
    region: &'a str,
    service: &'a str,
}

impl Chain<'_> {
    fn sign(&self, time: &str, previous: &str, headers: &[u8], payload: &[u8]) -> [u8; 32] {
        use hmac::{Hmac, KeyInit, Mac};
        use sha2::{Digest, Sha256};

        let scope = format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service);
        let hash = |data| hex::encode(Sha256::digest(data));
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{time}\n{scope}\n{previous}\n{}\n{}",
            hash(headers),
            hash(payload)
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/').chain([&text[..]]) {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(part.as_bytes());
            key = mac.finalize().into_bytes().to_vec();
        }
        key.try_into().unwrap()
    }
}

/// A value that owns what it holds.
#[derive(Clone, Debug)]
enum Owned {
    Bytes(Vec<u8>),
    Plain(Value<'static>),
    String(String),
}

impl Owned {
    fn borrowed(&self) -> Value<'_> {
        match self {
            Owned::Bytes(bytes) => Value::Bytes(bytes),
            Owned::Plain(value) => *value,
            Owned::String(text) => Value::String(text),
        }
    }
}

fn any_value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        any::<bool>().prop_map(|value| Owned::Plain(Value::Bool(value))),
        any::<i8>().prop_map(|value| Owned::Plain(Value::Byte(value))),
        any::<i16>().prop_map(|value| Owned::Plain(Value::Short(value))),
        any::<i32>().prop_map(|value| Owned::Plain(Value::Int(value))),
        any::<i64>().prop_map(|value| Owned::Plain(Value::Long(value))),
        any::<i64>().prop_map(|value| Owned::Plain(Value::Timestamp(value))),
        any::<[u8; 16]>().prop_map(|value| Owned::Plain(Value::Uuid(value))),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(Owned::Bytes),
        ".{0,100}".prop_map(Owned::String),
    ]
}

fn encoded(headers: &[(&str, Value<'_>)], payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    Message::encode(headers, payload, &mut wire).unwrap();
    wire
}

/// A message around headers that are encoded already, rightly or not.
fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = (16 + headers.len() + payload.len()) as u32;
    let mut wire = [total.to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    wire.extend(crc32fast::hash(&wire).to_be_bytes());
    wire.extend_from_slice(headers);
    wire.extend_from_slice(payload);
    wire.extend(crc32fast::hash(&wire).to_be_bytes());
    wire
}

fn date_header(milliseconds: i64) -> Vec<u8> {
    [b"\x05:date\x08", &milliseconds.to_be_bytes()[..]].concat()
}

fn signature_of(wire: &[u8]) -> [u8; 32] {
    match Message::decode(wire).unwrap().header(":chunk-signature") {
        Some(Value::Bytes(signature)) => signature.try_into().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn external_case(data: &Path, name: &str) -> Json {
    let file: Json =
        serde_json::from_slice(&fs::read(data.join("event-stream.json")).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    cases.iter().find(|case| case["name"] == name).unwrap().clone()
}

fn vectors(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-vectors/event-stream").join(file);
    let file: Json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn bytes(text: &Json) -> Vec<u8> {
    hex::decode(text.as_str().unwrap()).unwrap()
}

/// A header's value as the vectors write it; `data` is what it says in hexadecimal.
fn value<'a>(header: &'a Json, data: &'a [u8]) -> Value<'a> {
    let value = &header[2];
    let number = || value.as_i64().unwrap();
    match header[1].as_str().unwrap() {
        "bool" => Value::Bool(value.as_bool().unwrap()),
        "byte" => Value::Byte(number().try_into().unwrap()),
        "short" => Value::Short(number().try_into().unwrap()),
        "int" => Value::Int(number().try_into().unwrap()),
        "long" => Value::Long(number()),
        "bytes" => Value::Bytes(data),
        "string" => Value::String(value.as_str().unwrap()),
        "timestamp" => Value::Timestamp(number()),
        "uuid" => Value::Uuid(data.try_into().unwrap()),
        other => panic!("no value is of the type {other}"),
    }
}

const SEED: &str = "e1d8e8c8815e60969f2a34765c9a15945ffc0badbaa4b7e3b163ea19131e949b";
