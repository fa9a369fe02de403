//! What goes wrong at the service or at the client.

use std::time::Duration;

use bytes::Bytes;
use countersign::Credentials;
use countersign_proxy::PayloadMode;
use http::HeaderValue;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use crate::support::{
    Running, Service, World, config, credentials, loopback, raw, read_until, s3, status,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_service_that_refuses_connections_is_answered_with_502() {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Running::start(config(s3(address))).await;
    let answer = proxy.exchange(GET).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("x-countersign-refusal: upstream_connect"), "{answer}");
}

#[tokio::test]
async fn a_service_that_hangs_is_answered_with_504() {
    let service = raw(|mut stream| async move {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    })
    .await;
    let mut config = config(s3(service));
    config.timeouts.response = Duration::from_millis(50);
    let proxy = Running::start(config).await;
    let answer = proxy.exchange(GET).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn a_service_that_half_closes_or_resets_before_it_answers_is_answered_with_502() {
    for part in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", "nonsense\r\n\r\n"] {
        let service = raw(move |mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(part.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        })
        .await;
        let proxy = Running::start(config(s3(service))).await;
        let answer = proxy.exchange(GET).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{part}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let service = raw(move |mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let part = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nmeow\r\n");
            stream.write_all(part.as_bytes()).await.unwrap();
        })
        .await;
        let proxy = Running::start(config(s3(service))).await;
        let answer = proxy.exchange(GET).await;
        assert!(answer.contains("meow"), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        assert!(!answer.contains("content-length: 9"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_off() {
    let service = raw(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nmeow").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let mut config = config(s3(service));
    config.timeouts.response_body = Duration::from_millis(50);
    let proxy = Running::start(config).await;
    let answer = proxy.exchange(GET).await;
    assert!(answer.ends_with("meow"), "{answer}");
}

#[tokio::test]
async fn an_answer_before_the_body_is_read_reaches_the_client() {
    for mode in [PayloadMode::Hash, PayloadMode::Chunks] {
        let service = raw(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let early =
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
            stream.write_all(early.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        })
        .await;
        let mut route = s3(service);
        route.payload = mode;
        let proxy = Running::start(config(route)).await;
        let mut client = proxy.connect().await;
        let head = "PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 300000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'a'; 200_000]).await.unwrap();
        if mode == PayloadMode::Hash {
            client.write_all(&vec![b'a'; 100_000]).await.unwrap();
        }
        let answer = read_until(&mut client, "\r\n\r\nno").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{mode:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_within_its_body_leaves_nothing_whole_behind() {
    for mode in [PayloadMode::Hash, PayloadMode::Chunks] {
        let (saw, mut seen) = mpsc::channel(1);
        let service = raw(move |mut stream| {
            let saw = saw.clone();
            async move {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all).await;
                let _ = saw.send(all).await;
            }
        })
        .await;
        let mut route = s3(service);
        route.payload = mode;
        let mut proxy = Running::start(config(route)).await;
        let mut client = proxy.connect().await;
        let head = "PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 200000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'a'; 150_000]).await.unwrap();
        drop(client);
        if mode == PayloadMode::Chunks {
            // The head went on when it came; the end of the chunks must not follow.
            let all = seen.recv().await.unwrap();
            let text = String::from_utf8_lossy(&all);
            assert!(text.contains("\r\n8000;chunk-signature=") || text.is_empty());
            assert!(!text.contains("\r\n0;chunk-signature="));
        }
        proxy.stop();
        proxy.ended().await;
        assert!(seen.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_its_body_is_to_blame_however_the_body_is_signed() {
    for mode in [PayloadMode::Hash, PayloadMode::Chunks] {
        let service = Service::start().await;
        let mut route = s3(service.address);
        route.payload = mode;
        let proxy = Running::start(config(route)).await;
        let head = "PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 200000\r\n\r\n";
        let answer = proxy.break_off([head.as_bytes(), &[b'a'; 150_000]].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{mode:?}: {answer}");
        assert!(answer.contains("x-countersign-refusal: body_broken"), "{mode:?}: {answer}");
        assert_eq!(service.count(), 0);
    }
}

#[tokio::test]
async fn a_client_that_stalls_within_its_body_is_answered_with_408() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.timeouts.body = Duration::from_millis(50);
    let proxy = Running::start(config).await;
    let answer =
        proxy.exchange("PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nmeow").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped_and_its_connection_to_the_service_with_it() {
    let (ended, mut ends) = mpsc::channel(1);
    let service = raw(move |mut stream| {
        let ended = ended.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(&[b'a'; 65_536]).await.is_ok() {}
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let mut config = config(s3(service));
    config.timeouts.body = Duration::from_millis(100);
    let proxy = Running::start(config).await;
    let mut client = proxy.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(30), ends.recv()).await.expect("the service is let go").unwrap();
}

#[tokio::test]
async fn clients_that_say_nothing_or_half_a_head_are_let_go() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.timeouts.head = Duration::from_millis(50);
    let proxy = Running::start(config).await;
    for part in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: h\r\n"] {
        let mut client = proxy.connect().await;
        client.write_all(part.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer).await;
        assert!(!answer.contains("200"), "{part}: {answer}");
    }
}

#[tokio::test]
async fn credentials_that_a_service_no_longer_takes_are_given_up() {
    let service = Service::start_with(|seen| match seen.target() {
        "/body" => status(400)
            .map(|_| Full::new(Bytes::from("<Error><Code>ExpiredToken</Code><Message/></Error>"))),
        "/header" => {
            let mut response = status(403);
            let kind = HeaderValue::from_static("ExpiredTokenException");
            response.headers_mut().insert("x-amzn-errortype", kind);
            response
        }
        "/denied" => status(403).map(|_| Full::new(Bytes::from("<Code>AccessDenied</Code>"))),
        // Whoever can write an object must not take the credentials away.
        _ => status(200).map(|_| Full::new(Bytes::from("<Code>ExpiredToken</Code>"))),
    })
    .await;
    let proxy = Running::start(config(s3(service.address))).await;
    for (path, expected) in [("/body", 1), ("/header", 1), ("/denied", 0), ("/object", 0)] {
        proxy
            .exchange(format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"))
            .await;
        let told = std::mem::take(&mut *proxy.world.0.invalidated.lock().unwrap());
        assert_eq!(told, vec!["AKIDEXAMPLE"; expected], "{path}");
    }
}

#[tokio::test]
async fn a_connection_that_the_service_gave_up_meanwhile_is_replaced_unseen() {
    let (ended, mut ends) = mpsc::channel(4);
    let service = raw(move |mut stream| {
        let ended = ended.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            // Says that it stays, and goes.
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            ended.send(rest.len()).await.unwrap();
        }
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    for _ in 0..3 {
        let answer = proxy.exchange(GET).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(ends.recv().await, Some(0));
    }
}

#[tokio::test]
async fn credentials_that_change_under_load_sign_from_then_on_and_fail_nothing() {
    let service = raw(|mut stream| async move {
        loop {
            let head = read_until(&mut stream, "\r\n\r\n").await;
            let signed = head.split_once("Credential=").unwrap().1;
            let id = signed.split_once('/').unwrap().0;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{id}", id.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            if id == "AKIDLAST" {
                break;
            }
        }
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    let mut client = proxy.connect().await;
    for id in ["AKIDONE", "AKIDTWO", "AKIDTWO", "AKIDLAST"] {
        let next = countersign::Credentials::new(id, "secret");
        *proxy.world.0.has.lock().unwrap() = Some(next);
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let answer = read_until(&mut client, id).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_ends_at_its_use_is_replaced_for_what_may_be_sent_twice() {
    for (request, memory, is_repeated) in [
        ("GET / HTTP/1.1\r\nhost: h\r\n\r\n", 64, true),
        ("DELETE / HTTP/1.1\r\nhost: h\r\n\r\n", 64, true),
        ("PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nmeow", 64, true),
        // It is in a file, and has gone from there.
        ("PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nmeow", 2, false),
        ("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nmeow", 64, false),
        ("POST / HTTP/1.1\r\nhost: h\r\n\r\n", 64, false),
    ] {
        for resets in [false, true] {
            let world = World::new(Some(credentials()));
            let (tell, mut told) = mpsc::channel(8);
            let provider = world.0.clone();
            let service = raw(move |mut stream| {
                let (tell, provider) = (tell.clone(), provider.clone());
                async move {
                    for is_first in [true, false] {
                        let mut request = read_until(&mut stream, "\r\n\r\n").await;
                        if request.contains("content-length: 4") {
                            request.push_str(&read_until(&mut stream, "meow").await);
                        }
                        tell.send(request).await.unwrap();
                        if is_first {
                            stream.write_all(OK.as_bytes()).await.unwrap();
                        }
                    }
                    // Who signs from now on is another.
                    let next = Credentials::new("AKIDNEXT", "secret");
                    *provider.has.lock().unwrap() = Some(next);
                    if resets {
                        stream.set_zero_linger().unwrap();
                    }
                }
            })
            .await;
            let mut config = config(s3(service));
            config.limits.memory = memory;
            let proxy = Running::start_in(world, config).await;
            let mut client = proxy.connect().await;
            client.write_all(request.as_bytes()).await.unwrap();
            read_until(&mut client, "200 OK\r\ncontent-length: 0\r\n").await;
            read_until(&mut client, "\r\n\r\n").await;
            client.write_all(request.as_bytes()).await.unwrap();
            let answer = read_until(&mut client, "\r\n\r\n").await;
            let expected = if is_repeated { "HTTP/1.1 200" } else { "HTTP/1.1 502" };
            assert!(answer.starts_with(expected), "{request}: {answer}");
            let mut requests = Vec::new();
            while let Ok(request) = told.try_recv() {
                requests.push(request);
            }
            assert_eq!(requests.len(), if is_repeated { 3 } else { 2 }, "{requests:?}");
            if is_repeated {
                assert!(requests[1].contains("Credential=AKIDEXAMPLE/"), "{requests:?}");
                assert!(requests[2].contains("Credential=AKIDNEXT/"), "{requests:?}");
                let body = request.split_once("\r\n\r\n").unwrap().1;
                assert!(requests[2].ends_with(&format!("\r\n\r\n{body}")), "{requests:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_is_not_replaced() {
    let (tell, mut told) = mpsc::channel(8);
    let service = raw(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            tell.send(()).await.unwrap();
        }
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    assert!(proxy.exchange(GET).await.starts_with("HTTP/1.1 502"));
    assert!(told.recv().await.is_some() && told.try_recv().is_err());
}

#[tokio::test]
async fn an_answer_that_is_reset_does_not_look_whole() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let service = raw(move |mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let part = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nmeow\r\n");
            stream.write_all(part.as_bytes()).await.unwrap();
            // Once the client has it.
            let _ = timeout(Duration::from_millis(50), stream.read_u8()).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        let proxy = Running::start(config(s3(service))).await;
        let answer = proxy.exchange(GET).await;
        assert!(answer.contains("meow") && !answer.ends_with("0\r\n\r\n"), "{answer}");
        assert!(!answer.contains("content-length: 9"), "{answer}");
    }
}

#[tokio::test]
async fn a_service_that_ends_while_it_is_sent_a_body_is_answered_with_502() {
    for resets in [false, true] {
        let service = raw(move |mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            if resets {
                stream.set_zero_linger().unwrap();
                return;
            }
            stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        })
        .await;
        let mut route = s3(service);
        route.payload = PayloadMode::Chunks;
        let proxy = Running::start(config(route)).await;
        let mut client = proxy.connect().await;
        let head = "PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 300000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&[b'a'; 100_000]).await.unwrap();
        let answer = read_until(&mut client, "</Error>").await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{resets}: {answer}");
    }
}

#[tokio::test]
async fn what_a_client_still_sends_after_an_early_answer_is_no_request() {
    for mode in [PayloadMode::Hash, PayloadMode::Chunks] {
        let (tell, mut told) = mpsc::channel(8);
        let service = raw(move |mut stream| {
            let tell = tell.clone();
            async move {
                tell.send(read_until(&mut stream, "\r\n\r\n").await).await.unwrap();
                let early = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
                stream.write_all(early.as_bytes()).await.unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            }
        })
        .await;
        let mut route = s3(service);
        route.payload = mode;
        let mut config = config(route);
        if mode == PayloadMode::Hash {
            // Here it is the proxy that answers early.
            config.limits.body = 200_000;
        }
        let proxy = Running::start(config).await;
        let mut client = proxy.connect().await;
        let head = "PUT /k HTTP/1.1\r\nhost: h\r\ncontent-length: 300000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&[b'a'; 100_000]).await.unwrap();
        let answer = read_until(&mut client, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{mode:?}: {answer}");
        // It may be let go by then.
        let hidden = "GET /hidden HTTP/1.1\r\nhost: h\r\n\r\n";
        let _ = client.write_all(hidden.repeat(5000).as_bytes()).await;
        let _ = client.shutdown().await;
        let mut rest = String::new();
        let _ = timeout(Duration::from_secs(20), client.read_to_string(&mut rest)).await;
        assert!(!rest.contains("HTTP/1.1"), "{rest}");
        let count = if mode == PayloadMode::Hash { 0 } else { 1 };
        let heads: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(heads.len(), count, "{heads:?}");
        assert!(!heads.iter().any(|head| head.contains("hidden")), "{heads:?}");
    }
}

#[tokio::test]
async fn credentials_that_go_under_load_leave_nothing_unsigned_and_come_back() {
    const REQUESTS: usize = 40;
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let mut answers = JoinSet::new();
    for client in 0..8 {
        let mut stream = proxy.connect().await;
        let provider = proxy.world.0.clone();
        answers.spawn(async move {
            let mut counts = [0, 0];
            for request in 0..REQUESTS {
                if client == 0 && request % 10 == 5 {
                    // Gone with the sixth, back with the sixteenth, and so on.
                    let next = (request % 20 == 15).then(credentials);
                    *provider.has.lock().unwrap() = next;
                }
                stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
                let head = read_until(&mut stream, "\r\n\r\n").await;
                let is_ok = head.starts_with("HTTP/1.1 200");
                read_until(&mut stream, if is_ok { "meow" } else { "</Error>" }).await;
                assert!(is_ok || head.contains("x-countersign-refusal: no_credentials"), "{head}");
                counts[usize::from(is_ok)] += 1;
            }
            counts
        });
    }
    let counts = answers.join_all().await;
    let sum = |at: usize| counts.iter().map(|of| of[at]).sum::<usize>();
    assert!(sum(0) > 0 && sum(1) > 0, "{counts:?}");
    // It answers what is not signed well with 403, which no client saw.
    assert_eq!(service.count(), sum(1));
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn what_a_service_repeats_of_the_proxys_own_key_goes_to_nobody() {
    let service = raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        let token = head.split_once("x-amz-security-token: ").unwrap().1;
        let token = token.split_once("\r\n").unwrap().0;
        let (kind, body) = match head.split_once(' ').unwrap().1.split(' ').next().unwrap() {
            "/canonical" => {
                let of = "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>x-amz-security-token:";
                ("application/xml", format!("{of}{token}</CanonicalRequest></Error>"))
            }
            "/id" => ("application/xml", "<AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId>".to_owned()),
            "/header" => (token, String::new()),
            _ => ("application/xml", format!("<Code>AccessDenied</Code>{}", "a".repeat(200_000))),
        };
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nx-kind: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    let ask = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        proxy.exchange(request).await
    };
    for (path, code) in [("/canonical", "with SignatureDoesNotMatch"), ("/id", ""), ("/header", "")]
    {
        let answer = ask(path).await;
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains(code), "{answer}");
        assert!(answer.contains("x-countersign-refusal: key_refused"), "{answer}");
        assert!(
            !answer.contains("token//of+a==session") && !answer.contains("AKIDEXAMPLE"),
            "{answer}"
        );
    }
    // What is for the client passes, however long it is.
    let answer = ask("/else").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.len() > 200_000, "{}", answer.len());
}

#[tokio::test]
async fn a_refusal_that_stops_within_its_body_ends_the_answer() {
    let service = raw(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 100\r\n\r\n<Code>AccessDenied";
        stream.write_all(answer).await.unwrap();
        // Says no more, and stays.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut config = config(s3(service));
    config.timeouts.response_body = Duration::from_millis(100);
    let proxy = Running::start(config).await;
    let answer = timeout(Duration::from_secs(20), proxy.exchange(GET)).await.unwrap();
    assert!(!answer.contains("</"), "{answer}");
}
