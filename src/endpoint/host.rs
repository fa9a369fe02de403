//! The name of a host, as a URL has it, in the one form that the table knows.

/// A host's name in lower case, without port and final dot.
pub(super) struct Host {
    bytes: [u8; LONGEST],
    len: usize,
}

/// The longest name that the DNS can hold.
const LONGEST: usize = 253;

/// Why an authority names no host that could be AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHost {
    /// An address, of which nobody knows whose it is.
    Address,
    /// What is wrong with the name.
    Malformed(&'static str),
}

impl Host {
    /// Reads the authority of a URL or the value of a Host header.
    pub(super) fn parse(authority: &str) -> Result<Host, NoHost> {
        if authority.starts_with('[') {
            return Err(NoHost::Address);
        }
        let malformed = |problem| match authority.contains('@') {
            true => NoHost::Malformed("holds a user"),
            false => NoHost::Malformed(problem),
        };
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return Err(malformed("has a port that is no number")),
            None => authority,
        };
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        let Some(behind_first) = name.get(1..) else {
            return Err(NoHost::Malformed("is empty"));
        };
        if name.len() > LONGEST {
            return Err(malformed("is longer than 253 bytes"));
        }
        // No early exits, so that many bytes are looked at together.
        let mut host = Host { bytes: [0; LONGEST], len: name.len() };
        let mut is_odd = false;
        for (lower, byte) in host.bytes.iter_mut().zip(name) {
            *lower = byte.to_ascii_lowercase();
            is_odd |= !is_of_a_name(*lower);
        }
        if is_odd {
            return Err(malformed("holds a byte that no name of a host can hold"));
        }
        let is_dot = |byte: &u8| *byte == b'.';
        let pairs = name.iter().zip(behind_first);
        if pairs.fold(is_dot(&name[0]), |empty, (a, b)| empty | (is_dot(a) & is_dot(b))) {
            return Err(NoHost::Malformed("has an empty label"));
        }
        Ok(host)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("only ASCII was let in")
    }
}

fn is_of_a_name(lower: u8) -> bool {
    let is_digit_or_mark = (lower.wrapping_sub(b'-') < 13) & (lower != b'/');
    (lower.wrapping_sub(b'a') < 26) | is_digit_or_mark | (lower == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_port_and_the_final_dot_make_no_difference() {
        for authority in
            ["S3.Amazonaws.com", "s3.amazonaws.com:8443", "s3.amazonaws.com.:", "s3.amazonaws.com."]
        {
            let host = Host::parse(authority).ok();
            assert_eq!(host.as_ref().map(Host::as_str), Some("s3.amazonaws.com"), "{authority}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        let long = "a.".repeat(130);
        for authority in [
            "",
            ".",
            ":443",
            "a..b",
            ".a",
            "a b",
            "a/b",
            "a%2eb",
            "bücher.example",
            "user@s3.amazonaws.com",
            "s3.amazonaws.com:https",
            "a:b:1",
            "a\0",
            &long,
        ] {
            let refused = Host::parse(authority).err();
            assert!(matches!(refused, Some(NoHost::Malformed(_))), "{authority}");
        }
        for authority in ["[::1]", "[::1]:80"] {
            assert_eq!(Host::parse(authority).err(), Some(NoHost::Address));
        }
    }
}
