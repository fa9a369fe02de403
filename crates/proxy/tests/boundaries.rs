//! Where a client may not get.

use countersign_proxy::{Config, ConfigError, Proxy, RouteConfig};

use crate::support::{Running, Service, World, config, s3};

fn error_of(config: Config) -> String {
    let world = std::sync::Arc::new(World::new(None));
    let error: ConfigError = Proxy::new(config, world).unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn a_route_with_a_prefix_cannot_be_left_by_any_spelling() {
    let service = Service::start().await;
    let mut route = s3(service.address);
    route.path = "/in".parse().unwrap();
    route.upstream = Some(format!("http://{}/base/", service.address).parse().unwrap());
    let proxy = Running::start(config(route)).await;
    for (path, forwarded) in [
        ("/in", "/base"),
        ("/in/", "/base/"),
        ("/in//a%2Fb?c=../..", "/base//a%2Fb?c=../.."),
        ("/in/a..b/...", "/base/a..b/..."),
    ] {
        let answer =
            proxy.exchange(format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"));
        assert!(answer.await.starts_with("HTTP/1.1 200"), "{path}");
        assert_eq!(service.only().target(), forwarded);
    }
    for (path, expected) in [
        ("/in/../out", 403),
        ("/in/%2e%2e/out", 403),
        ("/in/.%2E/out", 403),
        ("/in/a%2f..%2f..%2fout", 403),
        ("/in/..\\out", 403),
        ("/in/%252e%252e/out", 403),
        ("/in/..;a=b/out", 403),
        ("/in/.", 403),
        ("/inside", 404),
        ("/%69n", 404),
        ("//in", 404),
        ("/out", 404),
        ("http://h/out", 404),
    ] {
        let answer =
            proxy.exchange(format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"));
        let answer = answer.await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{path}: {answer}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn only_allowed_hosts_are_reached_and_none_is_guessed() {
    let mut route = RouteConfig::to_allowed(["*.eu-west-1.test".parse().unwrap()]);
    route.plain_http = true;
    let proxy = Running::start(config(route)).await;
    for host in [
        "169.254.169.254",
        "localhost",
        "[::1]",
        "sqs.eu-west-1.test.evil.example",
        "evil-eu-west-1.test",
        "eu-west-1.test",
        "sqs.eu-west-1.test:22",
    ] {
        for request in [
            format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
            format!("GET http://{host}/ HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"),
        ] {
            let answer = proxy.exchange(request).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
        }
    }
    // Allowed, and nobody there: no name of `test` is known anywhere.
    let answer = proxy
        .exchange("GET / HTTP/1.1\r\nhost: sqs.eu-west-1.test\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.contains("x-countersign-refusal: upstream_"), "{answer}");
    let answer = proxy
        .exchange("GET / HTTP/1.1\r\nhost: a.b.c.eu-west-1.test\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.contains("x-countersign-refusal: not_signable"), "{answer}");
}

#[tokio::test]
async fn the_client_s_host_leads_to_that_host_and_is_signed() {
    let service = Service::start().await;
    let host = format!("localhost:{}", service.address.port());
    let mut route = RouteConfig::to_allowed([host.parse().unwrap()]).with_scope("eu-west-1", "sqs");
    route.plain_http = true;
    let proxy = Running::start(config(route)).await;
    for target in ["/q".to_owned(), format!("http://{host}/q")] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = service.only();
        assert_eq!(seen.header("host"), Some(host.as_str()));
        assert!(seen.header("authorization").unwrap().contains("/eu-west-1/sqs/aws4_request"));
    }
}

#[tokio::test]
async fn web_pages_of_other_sites_are_refused() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    for (header, expected) in [
        ("origin: http://evil.example", 403),
        ("origin: null", 403),
        ("sec-fetch-site: cross-site", 403),
        ("origin: http://h:8080", 200),
        ("sec-fetch-site: same-origin", 200),
        ("sec-fetch-site: none", 200),
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: h:8080\r\nconnection: close\r\n{header}\r\n\r\n");
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{header}: {answer}");
    }
}

#[test]
fn settings_that_contradict_one_another_are_named() {
    let fine =
        || config(RouteConfig::to("http://127.0.0.1:1".parse().unwrap()).with_scope("r", "s3"));
    let with = |change: fn(&mut Config)| {
        let mut config = fine();
        change(&mut config);
        error_of(config)
    };
    for (said, expected) in [
        (with(|config| config.routes.clear()), "there is no route"),
        (
            with(|config| config.listen = vec!["0.0.0.0:0".parse().unwrap()]),
            "can be reached from other machines",
        ),
        (with(|config| config.routes[0].upstream = None), "leads nowhere"),
        (with(|config| config.routes[0].allow = vec!["a".parse().unwrap()]), "has both"),
        (with(|config| config.routes[0].plain_http = true), "`plain_http`"),
        (with(|config| config.routes[0].service = None), "which scope to sign for"),
        (with(|config| config.routes[0].region = Some("a/b".to_owned())), "`a/b` is no region"),
        (
            with(|config| config.routes[0].payload = countersign_proxy::PayloadMode::Unsigned),
            "without TLS",
        ),
        (
            with(|config| {
                config.routes[0].service = Some("sqs".to_owned());
                config.routes[0].payload = countersign_proxy::PayloadMode::Chunks;
            }),
            "the S3 family alone",
        ),
        (with(|config| config.routes[0].strip = vec!["host".to_owned()]), "cannot set: `host`"),
        (
            with(|config| config.routes.push(config.routes[0].clone())),
            "two routes are called `default`",
        ),
        (
            with(|config| config.timeouts.response = std::time::Duration::MAX),
            "the time-out `response`",
        ),
        (
            with(|config| config.timeouts.connect = std::time::Duration::ZERO),
            "the time-out `connect`",
        ),
        (with(|config| config.limits.connections = 0), "let nothing through"),
        (with(|config| config.limits.requests = 0), "let nothing through"),
        (with(|config| config.ca_file = Some("/nonexistent/ca.pem".into())), "/nonexistent/ca.pem"),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    // Without a contradiction there is nothing to name.
    Proxy::new(fine(), std::sync::Arc::new(World::new(None))).unwrap();
}
