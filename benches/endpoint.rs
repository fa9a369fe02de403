//! What a host says: usual hosts, odd ones, and the longest search.
#![forbid(unsafe_code)]

use std::hint::black_box;

use countersign::endpoint::Endpoint;
use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("endpoint");
    for (title, host) in hosts() {
        group.bench_function(title, |bencher| {
            bencher.iter(|| Endpoint::of(black_box(&host), "/").is_ok());
        });
    }
    group.finish();
    criterion.final_summary();
}

fn hosts() -> Vec<(&'static str, String)> {
    // As long as a name can be, of as many labels as it can have.
    let bucket = "b.".repeat(112);
    let mut hosts: Vec<(&str, String)> = [
        ("regional", "monitoring.eu-central-1.amazonaws.com"),
        ("another name", "email.us-west-2.amazonaws.com"),
        ("many of one label", "runtime.sagemaker.us-east-1.amazonaws.com"),
        ("dual stack", "ec2.eu-west-1.api.aws"),
        ("fips, dualstack", "bucket.s3-fips.dualstack.us-east-1.amazonaws.com"),
        ("global", "iam.amazonaws.com"),
        ("region in front", "search-cats-abc123.eu-central-1.es.amazonaws.com"),
        ("region behind s3-", "my.bucket.s3-ap-southeast-2.amazonaws.com"),
        ("express", "cats--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com"),
        (
            "interface endpoint",
            "vpce-0a1b2c3d4e5f-6a7b8c9d-us-east-1a.monitoring.us-east-1.vpce.amazonaws.com",
        ),
        ("last domain", "us-west-2.oauth.signin.aws"),
        ("China", "sqs.cn-north-1.amazonaws.com.cn"),
        ("foreign", "objects.example.com"),
        ("address", "127.0.0.1:9000"),
        ("unknown service", "newest.eu-central-1.amazonaws.com"),
        ("ambiguous", "cloudfront.amazonaws.com"),
    ]
    .map(|(title, host)| (title, host.to_owned()))
    .into();
    hosts.push(("longest", format!("{bucket}s3.us-east-1.amazonaws.com")));
    hosts.push((
        "longest, interface endpoint",
        format!("{}.vpce-1.s3.eu-west-1.vpce.amazonaws.com", "b.".repeat(106) + "b"),
    ));
    hosts
}
