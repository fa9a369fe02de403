//! Where to listen, as people write it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) SocketAddr);

impl Address {
    pub(super) fn is_loopback(self) -> bool {
        self.0.ip().is_loopback()
    }
}

impl FromStr for Address {
    type Err = String;

    /// `127.0.0.1:9099`, `[::1]:9099`, `localhost:9099`, `:9099`, `9099`, or an address alone.
    fn from_str(text: &str) -> Result<Address, String> {
        if let Ok(address) = text.parse() {
            return Ok(Address(address));
        }
        let ip: Result<IpAddr, _> = text.trim_matches(['[', ']']).parse();
        if let Ok(ip) = ip {
            return Ok(Address(SocketAddr::new(ip, PORT)));
        }
        let port = match text.rsplit_once(':') {
            Some(("" | "localhost", port)) => port,
            Some(_) => "",
            None if text == "localhost" => return Ok(Address(loopback(PORT))),
            None => text,
        };
        port.parse()
            .map(|port| Address(loopback(port)))
            .map_err(|_| "it is not like 127.0.0.1:9099, [::1]:9099, localhost:9099 or 9099".into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const PORT: u16 = 9099;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_in_many_ways() {
        for (text, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:9099"),
            ("[::1]", "[::1]:9099"),
            ("127.0.0.2", "127.0.0.2:9099"),
            ("localhost", "127.0.0.1:9099"),
            ("localhost:0", "127.0.0.1:0"),
            (":80", "127.0.0.1:80"),
            ("80", "127.0.0.1:80"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), expected);
        }
        for text in ["", "example.com:80", "65536", "127.0.0.1:", "http://localhost/"] {
            text.parse::<Address>().expect_err(text);
        }
    }
}
