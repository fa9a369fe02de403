//! The algorithms by which requests are signed, as data.

use std::fmt;

use crate::asymmetric::LONGEST_SIGNATURE;

/// The algorithm of a signature.
///
/// The library signs and verifies by [`Algorithm::HmacSha256`]; feature `sigv4a` adds the other.
///
/// ```
/// use countersign::Algorithm;
///
/// assert_eq!(Algorithm::HmacSha256.as_str(), "AWS4-HMAC-SHA256");
/// assert!(!Algorithm::EcdsaP256Sha256.names_region());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Signature Version 4A: ECDSA on the curve P-256, good in each region of a set.
    EcdsaP256Sha256,
    /// Signature Version 4: HMAC, good in one region.
    HmacSha256,
}

impl Algorithm {
    /// The name as a string to sign, an Authorization header and `X-Amz-Algorithm` have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::EcdsaP256Sha256 => "AWS4-ECDSA-P256-SHA256",
            Algorithm::HmacSha256 => "AWS4-HMAC-SHA256",
        }
    }

    /// Whether its credential scope names a region; otherwise a region set stands beside the scope.
    pub const fn names_region(self) -> bool {
        matches!(self, Algorithm::HmacSha256)
    }

    /// How long a signature is where its length is told beforehand, as a chunk's is.
    pub(crate) const fn signature_len(self) -> usize {
        match self {
            Algorithm::EcdsaP256Sha256 => LONGEST_SIGNATURE,
            Algorithm::HmacSha256 => 64,
        }
    }

    /// The one that `text` begins with, if no longer word does, and what stands behind it.
    pub(crate) fn split_from(text: &str) -> Option<(Algorithm, &str)> {
        ALL.into_iter().find_map(|algorithm| {
            let rest = text.strip_prefix(algorithm.as_str())?;
            (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some((algorithm, rest))
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The common one first: it is looked for first.
const ALL: [Algorithm; 2] = [Algorithm::HmacSha256, Algorithm::EcdsaP256Sha256];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_a_whole_word() {
        for algorithm in ALL {
            let name = algorithm.as_str();
            assert_eq!(Algorithm::split_from(name), Some((algorithm, "")));
            let header = format!("{name} Credential=");
            assert_eq!(Algorithm::split_from(&header), Some((algorithm, " Credential=")));
            for other in
                [format!("{name}-PAYLOAD"), format!("{name}Credential="), format!(" {name}")]
            {
                assert_eq!(Algorithm::split_from(&other), None, "{other}");
            }
        }
        assert_eq!(Algorithm::split_from("aws4-hmac-sha256 "), None);
    }
}
