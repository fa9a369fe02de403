//! Arbitrary settings of a proxy: they are read or refused, and what of them is compared with requests means one thing.
#![no_main]

use countersign_proxy::{Authority, Config, HostPattern, ListenAddress, Upstream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let config = match toml::from_str::<Config>(text) {
        Ok(config) => config,
        // The place is shown with it, and lines are its own.
        Err(error) => return drop(error.to_string()),
    };
    let _ = format!("{config:?}");
    for address in &config.listen {
        assert_eq!(&address.to_string().parse::<ListenAddress>().expect("read before"), address);
    }
    for route in &config.routes {
        if let Some(upstream) = &route.upstream {
            let written = upstream.to_string();
            assert!(!written.contains(['?', '#', ' ']), "{written}");
            assert!(!written.split('/').nth(2).is_some_and(|host| host.contains('@')), "{written}");
            let again: Upstream = written.parse().expect("read before");
            assert_eq!(again.to_string(), written);
        }
        if let Some(host) = &route.sign_host {
            let written = host.to_string();
            assert!(!written.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'@'));
            assert_eq!(written.parse::<Authority>().expect("read before").to_string(), written);
        }
        for pattern in route.hosts.iter().chain(&route.allow) {
            holds_what_it_says(pattern);
        }
    }
});

/// A pattern holds for the names at or below its own, and for no others.
fn holds_what_it_says(pattern: &HostPattern) {
    let written = pattern.to_string();
    assert_eq!(&written.parse::<HostPattern>().expect("read before"), pattern);
    let below = written.strip_prefix('*');
    let own = match below {
        Some(rest) => format!("a{rest}"),
        None => written.clone(),
    };
    // A name that ends in a dot is none that a client has.
    let is_name = own
        .parse::<Authority>()
        .is_ok_and(|own| !own.to_string().contains(".:") && !written.ends_with('.'));
    for port in [80, 443] {
        assert_eq!(pattern.holds(&own, port), is_name, "{pattern:?}");
        assert!(
            !pattern.holds(&format!("evil{}", below.map_or(&*written, |rest| &rest[1..])), port)
        );
        assert!(!pattern.holds("", port), "{pattern:?}");
    }
}
