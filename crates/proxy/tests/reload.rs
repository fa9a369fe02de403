//! Settings that change while the proxy serves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use crate::{
    inbound::{Authority, clients, with_clients},
    support::{Running, Service, config, credentials, exchange, raw, read_until, s3},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_change_under_load_lose_no_request() {
    const CLIENTS: usize = 8;
    const CHANGES: usize = 12;
    let services = [Service::start().await, Service::start().await];
    let proxy = Running::start(config(s3(services[0].address))).await;
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut loads = Vec::new();
    for number in 0..CLIENTS {
        let (address, over, answered) = (proxy.address, over.clone(), answered.clone());
        loads.push(tokio::spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            while !over.load(Ordering::Relaxed) {
                // Some stay connected over all changes, others come anew.
                if number % 2 == 0 {
                    stream = tokio::net::TcpStream::connect(address).await.unwrap();
                }
                stream.write_all(GET.as_bytes()).await.unwrap();
                let answer = read_until(&mut stream, "meow").await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for change in 1..=CHANGES {
        let next = config(s3(services[change % 2].address));
        proxy.handle.reload(next).unwrap();
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + CLIENTS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    let seen = services.each_ref().map(Service::count);
    assert_eq!(seen[0] + seen[1], answered.load(Ordering::Relaxed));
    assert!(seen[0] > CHANGES && seen[1] > CHANGES, "{seen:?}");
    // What is counted goes on.
    let metrics = exchange(proxy.admin, LAST.replace(" / ", " /metrics ")).await;
    let all = format!("status=\"2xx\"}} {}\n", seen[0] + seen[1]);
    assert!(metrics.contains(&all), "{all}{metrics}");
}

#[tokio::test]
async fn what_is_under_way_ends_by_the_settings_that_it_began_with() {
    let (begin, mut begun) = mpsc::channel::<mpsc::Sender<()>>(1);
    let slow = raw(move |mut stream| {
        let begin = begin.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsl").await.unwrap();
            let (go, mut gone) = mpsc::channel(1);
            begin.send(go).await.unwrap();
            gone.recv().await;
            stream.write_all(b"ow").await.unwrap();
        }
    })
    .await;
    let service = Service::start().await;
    let proxy = Running::start(config(s3(slow))).await;
    let mut client = proxy.connect().await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let go = begun.recv().await.unwrap();
    proxy.handle.reload(config(s3(service.address))).unwrap();
    assert!(proxy.exchange(LAST).await.ends_with("meow"));
    go.send(()).await.unwrap();
    assert!(read_until(&mut client, "slow").await.starts_with("HTTP/1.1 200"));
    // The next one on the same connection goes by the new ones.
    client.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut client, "meow").await;
}

#[tokio::test]
async fn settings_that_cannot_be_leave_the_old_ones() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let mut nowhere = config(s3(service.address));
    nowhere.routes.clear();
    let mut open = config(s3(service.address));
    open.listen = vec!["0.0.0.0:1".parse().unwrap()];
    let missing = with_clients(config(s3(service.address)), "/nowhere/clients.txt".as_ref());
    let mut no_rate = config(s3(service.address));
    no_rate.limits.rate = Some(-1.0);
    for (config, expected) in [
        (nowhere, "no route"),
        (open, "insecure_listen"),
        (missing, "/nowhere/clients.txt"),
        (no_rate, "rate"),
    ] {
        let error = proxy.handle.reload(config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(proxy.exchange(LAST).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn who_may_be_let_in_follows_from_where_it_listens_and_not_from_where_it_will() {
    let service = Service::start().await;
    let file = clients("bearer one\n");
    let mut open = with_clients(config(s3(service.address)), file.path());
    open.listen = vec!["0.0.0.0:0".parse().unwrap()];
    let proxy = Running::start(open.clone()).await;
    // These are good for the next start, when it would listen on loopback.
    let error = proxy.handle.reload(config(s3(service.address))).unwrap_err().to_string();
    assert!(error.contains("0.0.0.0:0 can be reached"), "{error}");
    let mut local = open;
    local.listen = vec!["127.0.0.1:0".parse().unwrap()];
    proxy.handle.reload(local).unwrap();
    assert!(proxy.handle.reload(config(s3(service.address))).is_err());
}

#[tokio::test]
async fn certificates_are_those_that_the_files_have_now() {
    let service = Service::start().await;
    let (first, second) = (Authority::new(), Authority::new());
    first.issue("server");
    second.issue("server");
    let mut config = config(s3(service.address));
    config.tls = Some(first.tls("server"));
    let proxy = Running::start(config.clone()).await;
    let mut before = first.connect(&proxy, None, "http/1.1").await.unwrap();
    assert!(second.connect(&proxy, None, "http/1.1").await.is_err());
    for end in ["pem", "key"] {
        let name = format!("server.{end}");
        std::fs::copy(second.file(&name), first.file(&name)).unwrap();
    }
    proxy.handle.reload(config.clone()).unwrap();
    assert!(first.connect(&proxy, None, "http/1.1").await.is_err());
    second.connect(&proxy, None, "http/1.1").await.unwrap();
    // Files that are half written change nothing.
    std::fs::write(first.file("server.key"), "-----BEGIN").unwrap();
    proxy.handle.reload(config).unwrap_err();
    second.connect(&proxy, None, "http/1.1").await.unwrap();
    // Connections stay.
    before.write_all(LAST.as_bytes()).await.unwrap();
    let mut answer = String::new();
    before.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn connections_without_a_certificate_are_worth_nothing_once_one_is_asked_for() {
    let service = Service::start().await;
    let authority = Authority::new();
    authority.issue("server");
    authority.issue("client");
    let plain = config(s3(service.address));
    let mut tls = plain.clone();
    tls.tls = Some(authority.tls("server"));
    let mut mutual = plain.clone();
    mutual.tls = Some(authority.tls("server").with_client_ca(authority.file("ca")));
    let proxy = Running::start(plain).await;
    let mut by_tcp = proxy.connect().await;
    by_tcp.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut by_tcp, "meow").await;
    proxy.handle.reload(tls).unwrap();
    let mut by_tls = authority.connect(&proxy, None, "http/1.1").await.unwrap();
    by_tls.write_all(GET.as_bytes()).await.unwrap();
    read_until(&mut by_tls, "meow").await;
    proxy.handle.reload(mutual).unwrap();
    for stream in [&mut by_tcp as &mut dyn Stream, &mut by_tls] {
        stream.write_all(GET.as_bytes()).await.unwrap();
        // To its end: the proxy closes.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("meow"), "{answer}");
    }
    let own = Some((&authority, "client"));
    let mut client = authority.connect(&proxy, own, "http/1.1").await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "meow").await.starts_with("HTTP/1.1 200"));
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

#[tokio::test]
async fn clients_that_are_taken_out_are_let_in_no_more() {
    let service = Service::start().await;
    let file = clients("bearer one\nbearer two\n");
    let config = with_clients(config(s3(service.address)), file.path());
    let proxy = Running::start(config.clone()).await;
    let get = |token: &str| {
        GET.replace("\r\n\r\n", &format!("\r\nauthorization: Bearer {token}\r\n\r\n"))
    };
    let mut client = proxy.connect().await;
    client.write_all(get("one").as_bytes()).await.unwrap();
    read_until(&mut client, "meow").await;
    std::fs::write(file.path(), "bearer two\n").unwrap();
    proxy.handle.reload(config).unwrap();
    // On the same connection.
    client.write_all(get("one").as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "</Error>").await.starts_with("HTTP/1.1 401"));
    client.write_all(get("two").as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "meow").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_a_client_has_used_up_stays_used_up_while_the_rate_is_the_same() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.limits.rate = Some(0.01);
    let proxy = Running::start(config.clone()).await;
    assert!(proxy.exchange(LAST).await.starts_with("HTTP/1.1 200"));
    proxy.handle.reload(config.clone()).unwrap();
    assert!(proxy.exchange(LAST).await.starts_with("HTTP/1.1 429"));
    config.limits.rate = Some(0.02);
    proxy.handle.reload(config).unwrap();
    assert!(proxy.exchange(LAST).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_expiry_of_a_route_that_is_gone_is_told_no_more() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let later = std::time::SystemTime::now() + Duration::from_secs(3600);
    *proxy.world.0.has.lock().unwrap() = Some(credentials().with_expires_at(later));
    let expiries = async || {
        let answer = exchange(proxy.admin, LAST.replace(" / ", " /metrics ")).await;
        let lines =
            answer.lines().filter(|it| it.starts_with("countersign_proxy_credential_expiry"));
        lines.map(|it| it.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of = |name| format!("countersign_proxy_credential_expiry_seconds{{route=\"{name}\"}}");
    assert_eq!(expiries().await, [of("default")]);
    let mut other = config(s3(service.address));
    other.routes[0].name = "other".to_owned();
    proxy.handle.reload(other).unwrap();
    assert_eq!(expiries().await, [of("other")]);
}

#[tokio::test]
async fn credentials_that_take_the_place_of_others_are_counted() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let later = std::time::SystemTime::now() + Duration::from_secs(3600);
    let counted = async |expected: usize| {
        let answer = exchange(proxy.admin, LAST.replace(" / ", " /metrics ")).await;
        let line = format!("credential_renewals_total{{route=\"default\"}} {expected}\n");
        assert!(answer.contains(&line), "{line}{answer}");
    };
    for _ in 0..2 {
        proxy.exchange(LAST).await;
    }
    counted(0).await;
    *proxy.world.0.has.lock().unwrap() = Some(credentials().with_expires_at(later));
    for _ in 0..2 {
        proxy.exchange(LAST).await;
    }
    counted(1).await;
    // Also what nobody had asked for when the settings changed.
    *proxy.world.0.has.lock().unwrap() = Some(credentials());
    proxy.exchange(LAST).await;
    proxy.handle.reload(config(s3(service.address))).unwrap();
    proxy.exchange(LAST).await;
    counted(2).await;
}
