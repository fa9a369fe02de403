//! The search: one way after the other, then two at a time.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    MOST_TRIALS,
    cause::Cause,
    form::{Form, KeyForm, Texts},
    request::Received,
    ways::{Rank, Way},
};
use crate::{asymmetric::AsymmetricKey, sha256};

pub(super) struct Found<'w> {
    /// What the client signed, and what is wrong with it.
    pub(super) matched: Option<(Form<'w>, Vec<Cause>)>,
    pub(super) trials: usize,
}

pub(super) fn search<'w>(received: &Received<'_>, right: &Form<'w>, ways: &'w [Way]) -> Found<'w> {
    let Some((check, written)) = Check::of(received) else {
        // No signature at all: no key makes it.
        return Found { matched: None, trials: 0 };
    };
    let mut trials = Trials { received, check, texts: Texts::default(), done: 0 };
    let matched = trials.search(right, ways).map(|(form, ways)| {
        let edits = |name: &str| ways.iter().any(|way| way.edits(name));
        // A header that is named and not there is refused, also if the client did not sign it.
        let missing = received.missing().filter(|line| !edits(&line.name));
        let missing = missing.map(|line| Cause::HeaderAbsent { name: line.name.clone() });
        let causes = ways.iter().filter_map(|way| way.cause.clone());
        (form, causes.chain(missing).chain(written).collect())
    });
    Found { matched, trials: trials.done }
}

/// Whether a form has the client's signature, with the keys that were derived so far.
enum Check<'w, 'r> {
    Asymmetric {
        /// In lower case.
        signature: Vec<u8>,
        /// A key from which the others come.
        door: &'r dyn AsymmetricKey,
        access_key_id: &'r str,
        keys: HashMap<&'w str, Arc<dyn AsymmetricKey>>,
    },
    Hmac {
        signature: [u8; 32],
        /// Boxed, so that a table that grows leaves no key behind.
        keys: HashMap<KeyForm<'w>, Box<Hmac<Sha256>>>,
    },
}

impl<'w, 'r> Check<'w, 'r> {
    /// The check, and what is wrong with how the signature is written.
    fn of(received: &'r Received<'_>) -> Option<(Check<'w, 'r>, Option<Cause>)> {
        let text = &received.signature;
        let Some(door) = received.asymmetric.as_deref() else {
            let (signature, written) = signature(text)?;
            return Some((Check::Hmac { signature, keys: HashMap::new() }, written));
        };
        let is_hex = !text.is_empty()
            && text.len().is_multiple_of(2)
            && text.iter().all(u8::is_ascii_hexdigit);
        let is_upper = text.iter().any(u8::is_ascii_uppercase);
        let check = Check::Asymmetric {
            signature: text.to_ascii_lowercase(),
            door,
            access_key_id: received.credential.access_key_id.as_str(),
            keys: HashMap::new(),
        };
        is_hex.then_some((check, is_upper.then_some(Cause::SignatureUpperCase)))
    }

    /// What tells the form's key from others.
    fn key(&self, form: &Form<'w>) -> KeyForm<'w> {
        match self {
            // Made of the secret alone.
            Check::Asymmetric { .. } => KeyForm { secret: form.key.secret, ..KeyForm::default() },
            Check::Hmac { .. } => form.key,
        }
    }

    fn matches(&mut self, form: &Form<'w>, string_to_sign: &[u8]) -> bool {
        match self {
            Check::Asymmetric { signature, door, access_key_id, keys } => {
                let secret = form.key.secret;
                let key = keys.entry(secret).or_insert_with(|| door.of(access_key_id, secret));
                key.is_signature(string_to_sign, signature)
            }
            Check::Hmac { signature, keys } => {
                let key = keys.entry(form.key).or_insert_with(|| Box::new(derive(&form.key)));
                let mac = Hmac::clone(key).chain_update(string_to_sign);
                // In constant time; the signature that was expected is nowhere to be seen.
                mac.verify_slice(signature).is_ok()
            }
        }
    }
}

/// The bytes of a signature, and what is wrong with how it is written.
fn signature(text: &[u8]) -> Option<([u8; 32], Option<Cause>)> {
    let mut bytes = [0; 32];
    if hex::decode_to_slice(text, &mut bytes).is_ok() {
        let is_upper = text.iter().any(u8::is_ascii_uppercase);
        return Some((bytes, is_upper.then_some(Cause::SignatureUpperCase)));
    }
    Some((from_base64(text)?, Some(Cause::SignatureBase64)))
}

/// 32 bytes in Base64 (RFC 4648, §4).
fn from_base64(text: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 43] = text.strip_suffix(b"=")?.try_into().ok()?;
    let mut bits = Vec::with_capacity(258);
    for digit in digits {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
    }
    let mut bytes = [0; 32];
    for (byte, bits) in bytes.iter_mut().zip(bits.chunks(8)) {
        *byte = bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
    }
    Some(bytes)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Buffers, keys and the count.
struct Trials<'w, 'r, 'a> {
    received: &'r Received<'a>,
    check: Check<'w, 'r>,
    texts: Texts<'w>,
    done: usize,
}

impl<'w> Trials<'w, '_, '_> {
    /// The form that was signed, and the ways that lead there.
    fn search(&mut self, right: &Form<'w>, ways: &'w [Way]) -> Option<(Form<'w>, Vec<&'w Way>)> {
        let mut seen = HashSet::from([self.fingerprint(right)]);
        if self.matches(right) {
            return Some((*right, Vec::new()));
        }
        let mut kept: Vec<&Way> = Vec::new();
        for way in ways {
            let form = way.apply(*right);
            // What changes nothing here, or only as another way does, need not be tried, nor in pairs.
            if !seen.insert(self.fingerprint(&form)) {
                continue;
            }
            if self.matches(&form) {
                return Some((form, vec![way]));
            }
            kept.push(way);
        }
        let rank = |way: &Way| way.rank as usize;
        for sum in 2 * Rank::Common as usize..=2 * Rank::Rare as usize {
            for (at, first) in kept.iter().enumerate() {
                let others = kept[at + 1..].iter().filter(|way| rank(first) + rank(way) == sum);
                for second in others.filter(|way| first.goes_with(way)) {
                    if self.done == MOST_TRIALS {
                        return None;
                    }
                    let form = second.apply(first.apply(*right));
                    self.write(&form);
                    if self.matches(&form) {
                        return Some((form, vec![first, second]));
                    }
                }
            }
        }
        None
    }

    fn write(&mut self, form: &Form<'w>) {
        self.texts.clear();
        self.texts.write(form, self.received);
    }

    /// What tells one form from another: the string to sign and the key.
    fn fingerprint(&mut self, form: &Form<'w>) -> ([u8; 32], KeyForm<'w>) {
        self.write(form);
        (sha256::digest(&self.texts.string), self.check.key(form))
    }

    /// Whether the form that was written last has the client's signature.
    fn matches(&mut self, form: &Form<'w>) -> bool {
        self.done += 1;
        self.check.matches(form, &self.texts.string)
    }
}

fn derive(form: &KeyForm<'_>) -> Hmac<Sha256> {
    let KeyForm { secret, prefix, date, region, service, terminator, is_hex } = *form;
    let mut key = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.len()));
    key.extend_from_slice(prefix.as_bytes());
    key.extend_from_slice(secret.as_bytes());
    let mac =
        |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    let steps =
        [Some(date), Some(region), Some(service), Some(terminator).filter(|t| !t.is_empty())];
    for step in steps.into_iter().flatten() {
        let mut next = Zeroizing::new([0; 32]);
        next.copy_from_slice(&mac(&key).chain_update(step).finalize().into_bytes());
        key = Zeroizing::new(if is_hex { sha256::hex(&next).to_vec() } else { next.to_vec() });
    }
    mac(&key)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;

    #[test]
    fn base64_of_32_bytes_is_read_and_nothing_else() {
        for seed in 0..=255_u8 {
            let bytes: [u8; 32] =
                std::array::from_fn(|at| seed.wrapping_mul(at as u8).wrapping_add(seed));
            assert_eq!(from_base64(BASE64_STANDARD.encode(bytes).as_bytes()), Some(bytes));
        }
        for text in
            ["", "=", "AAAA", &BASE64_STANDARD.encode([0; 31]), &BASE64_STANDARD.encode([0; 33])]
        {
            assert_eq!(from_base64(text.as_bytes()), None);
        }
    }
}
