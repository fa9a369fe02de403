//! Requests of many connections and two routes at once.

use countersign_proxy::RouteConfig;
use tokio::{io::AsyncWriteExt, task::JoinSet};

use crate::support::{Running, Service, config, read_until, s3};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_1200_mixed_requests_over_50_connections_is_signed_for_its_own_service() {
    let service = Service::start().await;
    let mut settings = config(s3(service.address));
    settings.routes[0].name = "s3".to_owned();
    settings.routes[0].hosts = vec!["s3.local".parse().unwrap()];
    let mut api = RouteConfig::to(format!("http://{}", service.address).parse().unwrap())
        .with_scope("us-east-1", "execute-api");
    api.name = "api".to_owned();
    api.hosts = vec!["*.api.local".parse().unwrap()];
    settings.routes.push(api);
    let proxy = Running::start(settings).await;
    let mut clients = JoinSet::new();
    for client in 0..50 {
        let mut stream = proxy.connect().await;
        clients.spawn(async move {
            for request in 0..24 {
                let host = if (client + request) % 2 == 0 { "s3.local" } else { "v1.api.local:8080" };
                // Each signs this path by other rules.
                let body = format!("{client}/{request}");
                let request = format!(
                    "POST /a//b%20c/../d=(1)?n={client} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                let answer = read_until(&mut stream, "meow").await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        });
    }
    clients.join_all().await;
    let seen = service.seen.lock().unwrap();
    assert_eq!(seen.len(), 1200);
    let of = |scope: &str| {
        seen.iter().filter(|it| it.header("authorization").unwrap().contains(scope)).count()
    };
    assert_eq!(of("/eu-west-1/s3/aws4_request"), 600);
    assert_eq!(of("/us-east-1/execute-api/aws4_request"), 600);
}
