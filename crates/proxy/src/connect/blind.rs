//! Tunnels past all routes, into which nobody looks: to public addresses alone.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use super::Target;
use crate::{
    Outside,
    refuse::{Reason, Refusal},
};

/// Connects to what a client names, if all addresses of that name may be reached.
///
/// # Errors
/// Another port than that of TLS; an address that may not be reached, on which nothing is tried; no
/// connection within the limit.
pub(super) async fn connect(
    outside: &dyn Outside,
    target: &Target,
    limit: Duration,
) -> Result<TcpStream, Refusal> {
    let Target { name, port, .. } = target;
    if *port != 443 {
        let message = format!("tunnels lead to port 443, not to {port}");
        return Err(Refusal::new(Reason::NotAllowed, message));
    }
    let unreachable = |error: std::io::Error| {
        Refusal::new(Reason::UpstreamConnect, format!("`{name}` cannot be reached: {error}"))
    };
    // Which address it is concerns nobody who cannot reach it.
    let inner = || {
        let message = format!("`{name}` leads to an address that is not public");
        Refusal::new(Reason::Address, message)
    };
    let connecting = async {
        let addresses = outside.resolve(name, *port).await.map_err(unreachable)?;
        // One that is not public among others is a trick: which is taken is not left to chance.
        if addresses.iter().any(|address| !outside.may_reach(address.ip())) {
            return Err(inner());
        }
        // These, not the name: by now it could lead elsewhere.
        let stream = TcpStream::connect(&addresses[..]).await.map_err(unreachable)?;
        let _ = stream.set_nodelay(true);
        let ends = stream.peer_addr().and_then(|there| Ok((there.ip(), stream.local_addr()?.ip())));
        match ends {
            // By its public address, this machine is reached from within.
            Ok((there, here)) if there == here && !there.is_loopback() => Err(inner()),
            Ok(_) => Ok(stream),
            Err(error) => Err(unreachable(error)),
        }
    };
    timeout(limit, connecting).await.unwrap_or_else(|_| {
        let message = format!("there was no connection to `{name}` within {limit:?}");
        Err(Refusal::new(Reason::UpstreamTimeout, message))
    })
}

/// Whether an address belongs to somebody on the internet: not to this machine, its network, a metadata
/// service, a group, or nobody. An IPv4 address in an IPv6 one counts for itself.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// After the registry of addresses with a special purpose (RFC 6890).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(net, bits): (Ipv4Addr, u32)| {
        address.to_bits() >> (32 - bits) == net.to_bits() >> (32 - bits)
    };
    !SPECIAL_V4.into_iter().any(within)
}

/// Of IPv6, the part that is given out, without what leads on to addresses of IPv4.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // Teredo and others for protocols; 6to4; for examples.
        [0x2001, second, ..] if second < 0x200 => false,
        [0x2002, ..] | [0x2001, 0xdb8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for (address, expected) in [
            ("1.1.1.1", true),
            ("52.95.110.1", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("2600:1f18::1", true),
            ("2a05:d018::1", true),
            ("64:ff9b::1.1.1.1", true),
            ("::ffff:1.1.1.1", true),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("100.100.100.200", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("169.254.170.2", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b:1::1.1.1.1", false),
            ("2002:7f00:1::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("3fff::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(is_public(address), expected, "{address}");
        }
    }
}
