//! Whatever comes and however it is split: the decoder gives the same messages, the verifier gives what was
//! signed and nothing else.
#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use arbitrary::Arbitrary;
use countersign::{
    Credentials, KeyCache, Scope, Signer, SigningKey,
    eventstream::{Decoder, EventSigner, EventVerifier, Message, MessageError, Value},
    verify::Refusal,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Plan {
    bytes: Vec<u8>,
    messages: Vec<Vec<u8>>,
    seconds: Vec<u8>,
    splits: Vec<u8>,
    edits: Vec<(u16, u8)>,
    /// Whether whoever edits knows to mend the checksums.
    mends: bool,
    is_cut_at: Option<u16>,
}

fuzz_target!(|plan: Plan| {
    decode(&plan.bytes, &plan.splits);
    decode(&mended(plan.bytes.clone()), &plan.splits);

    let signer = Signer::new("us-east-1", "transcribe").with_key_cache(KEYS.clone());
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let mut signing = EventSigner::new(&signer, &credentials, SEED).expect("a seed");
    let messages: Vec<&[u8]> =
        plan.messages.iter().map(|message| &message[..]).filter(|m| !m.is_empty()).collect();
    let moment = |index: usize| {
        let seconds = plan.seconds.get(index).copied().unwrap_or_default();
        now() + Duration::from_secs(seconds.into())
    };
    let mut wire = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        signing.sign(message, moment(index), &mut wire).expect("a message to sign");
    }
    signing.finish(moment(messages.len()), &mut wire).expect("an end to sign");
    assert_eq!(verify(&wire, &plan.splits), (messages.iter().map(|m| m.to_vec()).collect(), None));
    assert_eq!(decode(&wire, &plan.splits), messages.len() + 1);

    let mut changed = wire.clone();
    for &(at, mask) in &plan.edits {
        let len = changed.len();
        changed[usize::from(at) % len] ^= mask;
    }
    if plan.mends {
        changed = mended(changed);
    }
    if let Some(len) = plan.is_cut_at {
        changed.truncate(len.into());
    }
    let (given, refusal) = verify(&changed, &plan.splits);
    assert_eq!(refusal.is_none(), changed == wire, "{refusal:?}");
    assert!(given.iter().zip(&messages).all(|(given, message)| given == message));
    assert!(given.len() <= messages.len());

    // No key signed these.
    for bytes in [plan.bytes.clone(), mended(plan.bytes)] {
        let (given, refusal) = verify(&bytes, &plan.splits);
        assert!(given.is_empty() && refusal.is_some(), "{given:?}");
    }
});

/// Decodes at once and in pieces, which must come to the same; how many messages there are.
fn decode(bytes: &[u8], splits: &[u8]) -> usize {
    let all = |pieces: Vec<&[u8]>| {
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        let mut read = |decoder: &mut Decoder| -> Result<(), MessageError> {
            while let Some(message) = decoder.next_message()? {
                let headers: Vec<(&str, Value<'_>)> = message.headers().collect();
                let mut again = Vec::new();
                Message::encode(&headers, message.payload(), &mut again).expect("what was read");
                assert_eq!(Message::decode(&again).as_ref(), Ok(&message));
                found.push(again);
            }
            Ok(())
        };
        let mut end = Ok(());
        for piece in pieces {
            decoder.push(piece);
            end = read(&mut decoder);
        }
        let end = end.and_then(|()| decoder.finish());
        (found, end)
    };
    let (found, end) = all(vec![bytes]);
    assert_eq!(all(split(bytes, splits)), (found.clone(), end.clone()));
    if end.is_ok() {
        assert_eq!(found.concat(), bytes, "there is one way to write a message");
    }
    found.len()
}

fn verify(bytes: &[u8], splits: &[u8]) -> (Vec<Vec<u8>>, Option<Refusal>) {
    let key_of = |scope: &Scope<'_>| -> Option<SigningKey> {
        Some(KEYS.key("AKIDEXAMPLE", "secret", scope))
    };
    let mut verifying = EventVerifier::new("us-east-1", "transcribe", SEED).expect("a seed");
    let mut given = Vec::new();
    for piece in split(bytes, splits) {
        verifying.push(piece);
        // After a refusal too: nothing may come any more.
        while let Ok(Some(event)) = verifying.next_event(now(), key_of) {
            let _ = event.message();
            given.push(event.bytes().to_vec());
        }
    }
    (given, verifying.finish().err().map(|error| error.refusal()))
}

fn split<'a>(mut bytes: &'a [u8], splits: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &len in splits {
        let (piece, rest) = bytes.split_at(bytes.len().min(len.into()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

/// The same bytes with the checksums made right as far as the lengths lead.
fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut rest = &mut bytes[..];
    while rest.len() >= 16 {
        let total = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let sum = crc32fast::hash(&rest[..8]).to_be_bytes();
        rest[8..12].copy_from_slice(&sum);
        if !(16..=rest.len()).contains(&total) {
            break;
        }
        let (message, behind) = rest.split_at_mut(total);
        let sum = crc32fast::hash(&message[..total - 4]).to_be_bytes();
        message[total - 4..].copy_from_slice(&sum);
        rest = behind;
    }
    bytes
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_979_100)
}

/// To derive a key takes longer than all the rest.
static KEYS: LazyLock<KeyCache> = LazyLock::new(KeyCache::default);

const SEED: &str = "e1d8e8c8815e60969f2a34765c9a15945ffc0badbaa4b7e3b163ea19131e949b";
