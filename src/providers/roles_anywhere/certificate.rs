//! Certificates as Roles Anywhere is sent them.

use std::{
    mem,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use x509_cert::{Certificate, der::Decode};

use crate::providers::pem;

/// A certificate and those between it and the trust anchor.
#[derive(Debug)]
pub(super) struct Certificates {
    /// In decimal.
    pub(super) serial: String,
    /// Of the certificate, as its `subjectPublicKey` has it.
    pub(super) public_key: Vec<u8>,
    pub(super) not_after: SystemTime,
    /// In base64.
    pub(super) own: String,
    pub(super) chain: Vec<String>,
}

impl Certificates {
    /// The first certificate of a PEM file, with those behind it for a chain. The error says what was seen.
    pub(super) fn parse(file: &[u8]) -> Result<Certificates, String> {
        let mut all = certificates(file)?.into_iter();
        let own = all.next().ok_or("holds no certificate in PEM")?;
        let parsed = Certificate::from_der(&own)
            .map_err(|error| format!("holds a certificate that is no X.509: {error}"))?;
        let fields = parsed.tbs_certificate();
        let serial = decimal(fields.serial_number().as_bytes())
            .ok_or("holds a certificate whose serial number is negative")?;
        let not_after = fields.validity().not_after.to_unix_duration();
        let public_key = fields.subject_public_key_info().subject_public_key.as_bytes();
        Ok(Certificates {
            serial,
            public_key: public_key.unwrap_or_default().to_vec(),
            not_after: SystemTime::UNIX_EPOCH + not_after.min(LAST_DAY),
            own: BASE64_STANDARD.encode(own),
            chain: all.map(|der| BASE64_STANDARD.encode(der)).collect(),
        })
    }

    /// Adds the certificates of another PEM file to the chain.
    pub(super) fn extend(&mut self, file: &[u8]) -> Result<(), String> {
        let more = certificates(file)?;
        if more.is_empty() {
            return Err("holds no certificate in PEM".to_owned());
        }
        self.chain.extend(more.into_iter().map(|der| BASE64_STANDARD.encode(der)));
        Ok(())
    }
}

/// All certificates of a PEM file, in DER.
fn certificates(file: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut certificates = Vec::new();
    for section in pem::sections(file) {
        let section = section.ok_or(MALFORMED)?;
        // A key may stand in the same file.
        let mut der = section.der().ok_or(MALFORMED)?;
        if section.label == b"CERTIFICATE" {
            certificates.push(mem::take(&mut *der));
        }
    }
    Ok(certificates)
}

/// A number in two's complement, the highest byte first, in decimal digits; `None` if it is negative.
fn decimal(bytes: &[u8]) -> Option<String> {
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        return None;
    }
    // The lowest digit first.
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    Some(digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect())
}

const MALFORMED: &str = "is no well-formed PEM";

/// The end of the year 9999, which no date goes beyond.
const LAST_DAY: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_of_any_length_are_written_in_decimal() {
        for (hex, expected) in [
            ("00", "0"),
            ("09", "9"),
            ("0a", "10"),
            ("00ff", "255"),
            ("0100", "256"),
            ("00ffffffffffffffff", "18446744073709551615"),
            (
                "7fffffffffffffffffffffffffffffffffffffff",
                "730750818665451459101842416358141509827966271487",
            ),
        ] {
            let bytes = hex::decode(hex).expect("the table holds pairs of digits");
            assert_eq!(decimal(&bytes).as_deref(), Some(expected), "{hex}");
        }
        assert_eq!(decimal(&[0x80]), None);
    }
}
