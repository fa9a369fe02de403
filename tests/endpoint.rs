//! What the host of a request says of service and region.

use std::{collections::BTreeMap, iter};

use countersign::{
    Rules, Signer,
    endpoint::{Endpoint, Partition, Unknown, UnknownKind},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

use crate::{external::read, support::external_data};

fn of(host: &str) -> Result<Endpoint, Unknown> {
    Endpoint::of(host, "/")
}

/// Hosts, the names that are signed and the regions.
fn assert_signs(rows: &[(&str, &str, &str)]) {
    for (host, signing_name, region) in rows {
        let endpoint = of(host).unwrap_or_else(|unknown| panic!("{unknown}"));
        assert_eq!(
            (endpoint.signing_name(), endpoint.region()),
            (*signing_name, *region),
            "{host}"
        );
    }
}

#[test]
fn partitions_and_their_regions_are_those_that_botocore_knows() {
    let Some(data) = external_data("the partitions") else {
        return;
    };
    let path = data.with_file_name("credentials/botocore/partitions.json");
    let known: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let known = known["partitions"].as_array().unwrap();
    assert_eq!(known.len(), 8);
    for expected in known {
        let name = expected["id"].as_str().unwrap();
        let partition = Partition::from_name(name).unwrap();
        let outputs = &expected["outputs"];
        assert_eq!(partition.dns_suffix(), outputs["dnsSuffix"]);
        assert_eq!(partition.dual_stack_suffix(), outputs["dualStackDnsSuffix"]);
        for region in expected["regions"].as_object().unwrap().keys() {
            if !region.ends_with("-global") {
                assert_eq!(Partition::of_region(region), partition, "{region}");
            }
        }
    }
}

/// Hosts and what is the matter with them.
fn assert_unknown(kind: UnknownKind, hosts: &[&str]) {
    for host in hosts {
        assert_eq!(of(host).map_err(|unknown| unknown.kind()), Err(kind), "{host}");
    }
}

#[test]
fn what_botocore_signs_for_a_host_is_what_the_table_says() {
    let Some(data) = external_data("the hosts of all endpoints") else {
        return;
    };
    let text = read(&data.with_file_name("endpoints").join("hosts.jsonl"));
    let mut scopes: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut rows = 0;
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| row[key].as_str().unwrap().to_owned();
        let scope = (part("signing_name"), part("region"));
        let known = scopes.entry(part("host")).or_default();
        if !known.contains(&scope) {
            known.push(scope);
        }
        rows += 1;
    }
    let mut ambiguous = Vec::new();
    for (host, mut known) in scopes {
        match (of(&host), &known[..]) {
            (Ok(endpoint), [(signing_name, region)]) => {
                assert_eq!(
                    (endpoint.signing_name(), endpoint.region()),
                    (&**signing_name, &**region),
                    "{host}"
                );
            }
            (Err(unknown), [_, _, ..]) => {
                assert_eq!(unknown.kind(), UnknownKind::Ambiguous, "{host}");
                let named = unknown.candidates();
                let mut named: Vec<_> = named
                    .map(|one| (one.signing_name().to_owned(), one.region().to_owned()))
                    .collect();
                named.sort();
                known.sort();
                assert_eq!(named, known, "{host}");
                ambiguous.push(host);
            }
            (answer, known) => panic!("{host}: {answer:?}, not {known:?}"),
        }
    }
    assert_eq!(rows, 4639);
    // Each is signed as one service, for one of two regions.
    assert_eq!(
        ambiguous,
        [
            "budgets-fips.amazonaws.com",
            "budgets.amazonaws.com",
            "cloudfront-fips.amazonaws.com",
            "cloudfront.amazonaws.com",
            "codecatalyst-fips.global.api.aws",
            "codecatalyst.global.api.aws",
        ]
    );
}

#[test]
fn every_service_of_the_models_is_known_in_regions_that_do_not_exist() {
    let Some(data) = external_data("the signing names of all services") else {
        return;
    };
    let text = read(&data.with_file_name("endpoints").join("signing-names.json"));
    let models: Value = serde_json::from_str(&text).unwrap();
    let services = models["services"].as_array().unwrap();
    assert_eq!(services.len(), 439);
    for service in services {
        let prefix = service["endpointPrefix"].as_str().unwrap();
        let expected = service["signingName"].as_str().unwrap_or(prefix);
        for (region, domain) in [
            ("us-gov-north-7", "amazonaws.com"),
            ("cn-south-1", "api.amazonwebservices.com.cn"),
            ("us-isof-west-3", "csp.hci.ic.gov"),
        ] {
            let host = format!("{prefix}.{region}.{domain}");
            let endpoint = of(&host).unwrap_or_else(|unknown| panic!("{unknown}"));
            assert_eq!(endpoint.signing_name(), expected, "{host}");
        }
    }
}

#[test]
fn opensearch_writes_its_region_in_front() {
    assert_signs(&[
        ("search-cats-abc123.eu-central-1.es.amazonaws.com", "es", "eu-central-1"),
        ("vpc-cats-abc123.us-gov-west-1.es.amazonaws.com", "es", "us-gov-west-1"),
        ("search-cats-abc.cn-north-1.es.amazonaws.com.cn", "es", "cn-north-1"),
        ("search-cats-abc123.aos.us-east-1.on.aws", "es", "us-east-1"),
        ("es.eu-central-1.amazonaws.com", "es", "eu-central-1"),
        ("aos.eu-central-1.api.aws", "es", "eu-central-1"),
    ]);
}

#[test]
fn opensearch_serverless_writes_its_region_in_front() {
    assert_signs(&[
        ("07tjusf2h91cunochc.us-east-1.aoss.amazonaws.com", "aoss", "us-east-1"),
        ("07tjusf2h91cunochc.us-east-1.aoss-fips.amazonaws.com", "aoss", "us-east-1"),
        ("aoss.us-east-1.amazonaws.com", "aoss", "us-east-1"),
        ("vpce-0a1b-2c.aoss.us-east-1.vpce.amazonaws.com", "aoss", "us-east-1"),
    ]);
    let endpoint = of("abc.us-east-1.aoss.amazonaws.com").unwrap();
    assert_eq!(endpoint.rules(), Rules::OPENSEARCH_SERVERLESS);
}

#[test]
fn neptune_signs_its_data_as_neptune_db() {
    assert_signs(&[
        ("db.cluster-abc.us-east-1.neptune.amazonaws.com:8182", "neptune-db", "us-east-1"),
        ("db.cluster-abc.neptune.cn-north-1.amazonaws.com.cn:8182", "neptune-db", "cn-north-1"),
        ("g-1a2b3c.us-east-1.neptune-graph.amazonaws.com", "neptune-graph", "us-east-1"),
    ]);
}

#[test]
fn lattice_services_answer_under_on_aws() {
    let host = "cats-0123.7d67968.vpc-lattice-svcs.us-west-2.on.aws";
    assert_signs(&[
        (host, "vpc-lattice-svcs", "us-west-2"),
        ("vpc-lattice.us-west-2.amazonaws.com", "vpc-lattice", "us-west-2"),
    ]);
    assert_eq!(of(host).unwrap().rules(), Rules::VPC_LATTICE);
    assert_unknown(UnknownKind::UnknownService, &["a.b.vpc-lattice-svcs.us-west-2.amazonaws.com"]);
}

#[test]
fn functions_with_urls_are_signed_as_lambda() {
    assert_signs(&[
        ("abc123.lambda-url.eu-west-3.on.aws", "lambda", "eu-west-3"),
        ("lambda.eu-west-3.api.aws", "lambda", "eu-west-3"),
    ]);
    let hosts = [
        "lambda-url.eu-west-3.on.aws",
        "abc.lambda-url.eu-west-3.amazonaws.com",
        "lambda.eu-west-3.on.aws",
    ];
    assert_unknown(UnknownKind::UnknownService, &hosts);
}

#[test]
fn an_api_is_signed_as_execute_api() {
    assert_signs(&[
        ("a1b2c3.execute-api.us-east-1.amazonaws.com", "execute-api", "us-east-1"),
        ("a1b2c3-vpce-0123abc.execute-api.us-east-1.amazonaws.com", "execute-api", "us-east-1"),
        ("vpce-0123-abc.execute-api.us-east-1.vpce.amazonaws.com", "execute-api", "us-east-1"),
        ("participant.connect.us-east-1.amazonaws.com", "execute-api", "us-east-1"),
    ]);
}

#[test]
fn streaming_hosts_sign_as_their_service() {
    assert_signs(&[
        ("transcribestreaming.us-east-1.amazonaws.com", "transcribe", "us-east-1"),
        ("transcribestreaming-fips.us-east-1.amazonaws.com", "transcribe", "us-east-1"),
        ("fips.transcribe.us-east-1.amazonaws.com", "transcribe", "us-east-1"),
        ("cn.transcribe.cn-north-1.amazonaws.com.cn", "transcribe", "cn-north-1"),
        ("streaming-logs.us-east-1.amazonaws.com", "logs", "us-east-1"),
        ("sync-states.us-east-1.amazonaws.com", "states", "us-east-1"),
        ("runtime.lex.us-east-1.amazonaws.com", "lex", "us-east-1"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "bedrock", "us-east-1"),
        ("runtime.sagemaker.us-east-1.amazonaws.com", "sagemaker", "us-east-1"),
        ("runtime-fips.sagemaker.us-east-1.amazonaws.com", "sagemaker", "us-east-1"),
    ]);
}

#[test]
fn the_path_tells_the_services_of_iot_apart() {
    let signing_name = |host, path| Endpoint::of(host, path).unwrap().signing_name();
    for host in ["a1b2c3-ats.iot.eu-west-1.amazonaws.com", "a1b2c3.iot.eu-west-1.amazonaws.com:443"]
    {
        assert_eq!(signing_name(host, "/mqtt"), "iotdevicegateway");
        for path in ["/", "", "/topics/cats", "/mqttx", "/things/mqtt/shadow"] {
            assert_eq!(signing_name(host, path), "iotdata", "{path}");
        }
    }
    assert_eq!(signing_name("iot.eu-west-1.amazonaws.com", "/mqtt"), "iot");
    assert_eq!(signing_name("data-ats.iot.eu-west-1.amazonaws.com", "/topics/a"), "iotdata");
    assert_eq!(signing_name("a1b2c3.jobs.iot.eu-west-1.amazonaws.com", "/"), "iot-jobs-data");
    assert_eq!(
        signing_name("api.tunneling.iot.eu-west-1.amazonaws.com", "/"),
        "IoTSecuredTunneling"
    );
    let gateway = Endpoint::of("a-ats.iot.eu-west-1.amazonaws.com", "/mqtt").unwrap();
    assert_eq!(gateway.rules(), Rules::IOT_DEVICE_GATEWAY);
    assert_unknown(UnknownKind::Unsigned, &["a1b2c3.credentials.iot.eu-west-1.amazonaws.com"]);
}

#[test]
fn the_path_tells_the_two_apis_of_maps_apart() {
    let signing_name =
        |path| Endpoint::of("maps.geo.eu-west-1.amazonaws.com", path).unwrap().signing_name();
    assert_eq!(signing_name("/v2/tiles/vector.basemap/0/0/0"), "geo-maps");
    assert_eq!(signing_name("/maps/v0/maps/mine/tiles/0/0/0"), "geo");
}

#[test]
fn databases_and_brokers_have_names_of_their_own() {
    assert_signs(&[
        ("rds.eu-west-1.amazonaws.com", "rds", "eu-west-1"),
        ("cats.abc123.eu-west-1.rds.amazonaws.com:3306", "rds-db", "eu-west-1"),
        ("cats.abc123.rds.cn-north-1.amazonaws.com.cn:3306", "rds-db", "cn-north-1"),
        ("kafka.eu-west-1.amazonaws.com", "kafka", "eu-west-1"),
        ("b-1.cats.abc123.c2.kafka.eu-west-1.amazonaws.com:9098", "kafka-cluster", "eu-west-1"),
        ("boot-abc.c1.kafka-serverless.eu-west-1.amazonaws.com:9098", "kafka-cluster", "eu-west-1"),
        ("abc123.dsql.eu-west-1.on.aws", "dsql", "eu-west-1"),
        ("123456789012.ddb.eu-west-1.amazonaws.com", "dynamodb", "eu-west-1"),
    ]);
}

#[test]
fn names_that_differ_from_the_label_are_known() {
    assert_signs(&[
        ("email.us-west-2.amazonaws.com", "ses", "us-west-2"),
        ("aps-workspaces.us-west-2.amazonaws.com", "aps", "us-west-2"),
        ("monitoring.us-west-2.amazonaws.com", "monitoring", "us-west-2"),
        ("api.ecr.us-west-2.amazonaws.com", "ecr", "us-west-2"),
        ("ecr.us-west-2.api.aws", "ecr", "us-west-2"),
        ("data.iot-fips.us-west-2.amazonaws.com", "iotdata", "us-west-2"),
        ("git-codecommit.us-west-2.amazonaws.com", "codecommit", "us-west-2"),
        ("us-west-2.queue.amazonaws.com", "sqs", "us-west-2"),
        ("us-west-2.elasticmapreduce.amazonaws.com", "elasticmapreduce", "us-west-2"),
        ("us-west-2.oauth.signin.aws", "signin", "us-west-2"),
        ("signin-fips.amazonaws-us-gov.com", "signin", "us-gov-west-1"),
    ]);
    assert_unknown(
        UnknownKind::Unsigned,
        &["123456789012.dkr.ecr.us-west-2.amazonaws.com", "email-smtp.us-west-2.amazonaws.com"],
    );
}

#[test]
fn s3_is_known_in_all_its_forms() {
    assert_signs(&[
        ("s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("bucket.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("a.b.c.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("s3.amazonaws.com", "s3", "us-east-1"),
        ("bucket.s3.amazonaws.com", "s3", "us-east-1"),
        ("s3-external-1.amazonaws.com", "s3", "us-east-1"),
        ("bucket.s3-external-1.amazonaws.com", "s3", "us-east-1"),
        ("s3-eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("a.b.s3-ap-southeast-2.amazonaws.com", "s3", "ap-southeast-2"),
        ("s3-fips-us-gov-west-1.amazonaws.com", "s3", "us-gov-west-1"),
        ("s3.dualstack.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("bucket.s3.dualstack.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("bucket.s3-fips.us-east-1.amazonaws.com", "s3", "us-east-1"),
        ("bucket.s3-fips.dualstack.us-east-1.amazonaws.com", "s3", "us-east-1"),
        ("bucket.s3.cn-north-1.amazonaws.com.cn", "s3", "cn-north-1"),
        ("bucket.s3.eusc-de-east-1.amazonaws.eu", "s3", "eusc-de-east-1"),
        ("point-123456789012.s3-accesspoint.us-east-1.amazonaws.com", "s3", "us-east-1"),
        (
            "point-123456789012.s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com",
            "s3",
            "us-east-1",
        ),
        ("123456789012.s3-control.us-east-1.amazonaws.com", "s3", "us-east-1"),
        ("123456789012.s3-control.dualstack.us-east-1.amazonaws.com", "s3", "us-east-1"),
        (
            "point-123456789012.s3-object-lambda.us-east-1.amazonaws.com",
            "s3-object-lambda",
            "us-east-1",
        ),
        (
            "point-123456789012.op-01ac5d28a6a232904.s3-outposts.us-east-1.amazonaws.com",
            "s3-outposts",
            "us-east-1",
        ),
        ("s3-outposts.us-east-1.amazonaws.com", "s3-outposts", "us-east-1"),
        ("s3tables.us-east-1.amazonaws.com", "s3tables", "us-east-1"),
        ("s3vectors.us-east-1.api.aws", "s3vectors", "us-east-1"),
    ]);
    for host in ["bucket.s3.amazonaws.com", "a-1.s3-object-lambda.us-east-1.amazonaws.com"] {
        assert_eq!(of(host).unwrap().rules(), Rules::S3);
    }
}

#[test]
fn s3_express_is_known_by_its_zones() {
    assert_signs(&[
        (
            "cats--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
            "s3express",
            "us-east-1",
        ),
        (
            "cats--use1-az4--x-s3.s3express-fips-use1-az4.us-east-1.amazonaws.com",
            "s3express",
            "us-east-1",
        ),
        (
            "cats--usw2-az1--x-s3.s3express-usw2-az1.dualstack.us-west-2.amazonaws.com",
            "s3express",
            "us-west-2",
        ),
        (
            "cats--usw2-lax1-az1--x-s3.s3express-usw2-lax1-az1.us-west-2.amazonaws.com",
            "s3express",
            "us-west-2",
        ),
        ("s3express-control.us-east-1.amazonaws.com", "s3express", "us-east-1"),
        ("s3express-control-fips.dualstack.us-east-1.amazonaws.com", "s3express", "us-east-1"),
    ]);
}

#[test]
fn hosts_of_s3_that_leave_the_region_open_say_so() {
    for host in [
        "bucket.s3-accelerate.amazonaws.com",
        "bucket.s3-accelerate.dualstack.amazonaws.com",
        "bucket.s3.amazonaws.com.cn",
    ] {
        let unknown = of(host).unwrap_err();
        assert_eq!(
            (unknown.kind(), unknown.signing_name()),
            (UnknownKind::MissingRegion, Some("s3")),
            "{host}"
        );
    }
    let unknown = of("alias.mrap.accesspoint.s3-global.amazonaws.com").unwrap_err();
    assert_eq!((unknown.kind(), unknown.signing_name()), (UnknownKind::RegionSet, Some("s3")));
    assert!(unknown.to_string().contains("SigV4A"), "{unknown}");
}

#[test]
fn website_endpoints_are_refused_with_the_reason() {
    for host in [
        "bucket.s3-website-us-east-1.amazonaws.com",
        "bucket.s3-website.eu-central-1.amazonaws.com",
    ] {
        let unknown = of(host).unwrap_err();
        assert_eq!(unknown.kind(), UnknownKind::Unsigned, "{host}");
        assert!(
            unknown.to_string().contains("website endpoints take no signed requests"),
            "{unknown}"
        );
    }
}

#[test]
fn interface_endpoints_sign_as_what_is_behind_them() {
    assert_signs(&[
        ("vpce-0a1b-2c3d.monitoring.us-east-1.vpce.amazonaws.com", "monitoring", "us-east-1"),
        (
            "vpce-0a1b-2c3d-us-east-1a.monitoring.us-east-1.vpce.amazonaws.com",
            "monitoring",
            "us-east-1",
        ),
        ("vpce-0a1b-2c3d.api.ecr.us-east-1.vpce.amazonaws.com", "ecr", "us-east-1"),
        ("vpce-0a1b-2c3d.runtime.sagemaker.us-east-1.vpce.amazonaws.com", "sagemaker", "us-east-1"),
        ("vpce-0a1b-2c3d.kms-fips.us-east-1.vpce.amazonaws.com", "kms", "us-east-1"),
        ("vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com", "s3", "us-east-1"),
        ("bucket.vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com", "s3", "us-east-1"),
        ("a.b.bucket.vpce-0a1b-2c3d-us-east-1f.s3.us-east-1.vpce.amazonaws.com", "s3", "us-east-1"),
        (
            "point-123456789012.accesspoint.vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com",
            "s3",
            "us-east-1",
        ),
        ("123456789012.control.vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com", "s3", "us-east-1"),
        ("vpce-0a1b-2c3d.ec2.cn-north-1.vpce.amazonaws.com.cn", "ec2", "cn-north-1"),
        ("vpce-0a1b-2c3d.iot.us-east-1.vpce.amazonaws.com", "iot", "us-east-1"),
    ]);
    assert_unknown(
        UnknownKind::UnknownService,
        &[
            "vpce-0a1b-2c3d.vpce-svc-0123.us-east-1.vpce.amazonaws.com",
            "monitoring.us-east-1.vpce.amazonaws.com",
            "cats.monitoring.us-east-1.vpce.amazonaws.com",
            "vpce.amazonaws.com",
        ],
    );
}

#[test]
fn global_endpoints_sign_for_the_region_of_their_partition() {
    assert_signs(&[
        ("iam.amazonaws.com", "iam", "us-east-1"),
        ("iam-fips.amazonaws.com", "iam", "us-east-1"),
        ("iam.global.api.aws", "iam", "us-east-1"),
        ("iam.us-gov.amazonaws.com", "iam", "us-gov-west-1"),
        ("iam.cn-north-1.amazonaws.com.cn", "iam", "cn-north-1"),
        ("iam.global.api.amazonwebservices.com.cn", "iam", "cn-north-1"),
        ("iam.us-iso-east-1.c2s.ic.gov", "iam", "us-iso-east-1"),
        ("sts.amazonaws.com", "sts", "us-east-1"),
        ("sts.eu-west-1.amazonaws.com", "sts", "eu-west-1"),
        ("route53.amazonaws.com", "route53", "us-east-1"),
        ("route53.amazonaws.com.cn", "route53", "cn-northwest-1"),
        ("route53.us-gov.amazonaws.com", "route53", "us-gov-west-1"),
        ("route53.c2s.ic.gov", "route53", "us-iso-east-1"),
        ("route53.sc2s.sgov.gov", "route53", "us-isob-east-1"),
        ("route53.cloud.adc-e.uk", "route53", "eu-isoe-west-1"),
        ("route53.csp.hci.ic.gov", "route53", "us-isof-south-1"),
        ("route53.amazonaws.eu", "route53", "eusc-de-east-1"),
        ("cloudfront.global.api.aws", "cloudfront", "us-east-1"),
        ("organizations.us-east-1.amazonaws.com", "organizations", "us-east-1"),
        ("organizations.amazonaws.com", "organizations", "us-east-1"),
        ("globalaccelerator.us-west-2.amazonaws.com", "globalaccelerator", "us-west-2"),
        ("globalaccelerator.amazonaws.com", "globalaccelerator", "us-west-2"),
        ("importexport.amazonaws.com", "IngestionService", "us-east-1"),
        ("waf.amazonaws.com", "waf", "us-east-1"),
        ("waf-fips.amazonaws.com", "waf", "us-east-1"),
        ("shield.us-east-1.amazonaws.com", "shield", "us-east-1"),
        ("health.us-east-1.amazonaws.com", "health", "us-east-1"),
        ("global.health.amazonaws.com", "health", "us-east-1"),
        ("global.health.us-gov.amazonaws.com", "health", "us-gov-west-1"),
        ("support.us-east-1.amazonaws.com", "support", "us-east-1"),
        ("budgets.amazonaws.com.cn", "budgets", "cn-northwest-1"),
        ("budgets.global.sc2s.sgov.gov", "budgets", "us-isob-east-1"),
        ("ce.us-east-1.amazonaws.com", "ce", "us-east-1"),
        ("chime.us-east-1.amazonaws.com", "chime", "us-east-1"),
        ("savingsplans.amazonaws.com", "savingsplans", "us-east-1"),
        // Whatever the host says, there is one region.
        ("chime.eu-west-1.amazonaws.com", "chime", "us-east-1"),
    ]);
    assert_unknown(
        UnknownKind::MissingRegion,
        &["monitoring.amazonaws.com", "sts.amazonaws.com.cn"],
    );
    assert_unknown(
        UnknownKind::RegionSet,
        &["abc.veo.endpoint.events.amazonaws.com", "123456789012.cloudfront-kvs.global.api.aws"],
    );
}

#[test]
fn a_partition_follows_from_domain_and_region() {
    for (host, partition) in [
        ("sqs.eu-west-1.amazonaws.com", Partition::Aws),
        ("sqs.us-gov-east-1.amazonaws.com", Partition::AwsUsGov),
        ("sqs.us-gov-east-1.api.aws", Partition::AwsUsGov),
        ("sqs.cn-north-1.api.amazonwebservices.com.cn", Partition::AwsCn),
        ("sqs.us-iso-east-1.c2s.ic.gov", Partition::AwsIso),
        ("sqs.us-isob-east-1.sc2s.sgov.gov", Partition::AwsIsoB),
        ("sqs.eu-isoe-west-1.cloud.adc-e.uk", Partition::AwsIsoE),
        ("sqs.us-isof-south-1.csp.hci.ic.gov", Partition::AwsIsoF),
        ("sqs.eusc-de-east-1.amazonaws.eu", Partition::AwsEusc),
    ] {
        assert_eq!(of(host).map(|endpoint| endpoint.partition()), Ok(partition), "{host}");
    }
    // No partition but the first lends its domains to others.
    assert_unknown(
        UnknownKind::UnknownService,
        &[
            "sqs.cn-north-1.amazonaws.eu",
            "sqs.eu-west-1.amazonaws.com.cn",
            "sqs.us-iso-east-1.sc2s.sgov.gov",
        ],
    );
}

#[test]
fn case_port_and_the_final_dot_make_no_difference() {
    assert_signs(&[
        ("S3.EU-West-1.AmazonAWS.com:443", "s3", "eu-west-1"),
        ("s3.eu-west-1.amazonaws.com.", "s3", "eu-west-1"),
        ("s3.eu-west-1.amazonaws.com.:8443", "s3", "eu-west-1"),
    ]);
}

#[test]
fn a_host_that_is_not_aws_s_is_told_from_one_that_is_not_known() {
    assert_unknown(
        UnknownKind::Foreign,
        &[
            "localhost",
            "localhost:9000",
            "127.0.0.1",
            "10.0.0.1:80",
            "[::1]:9000",
            "example.com",
            "s3.amazonaws.com.example.com",
            "s3.eu-west-1.notamazonaws.com",
            "myamazonaws.com",
            "com",
            "aws",
            "s3.eu-west-1.aws",
        ],
    );
    assert_unknown(
        UnknownKind::UnknownService,
        &[
            "amazonaws.com",
            "on.aws",
            "eu-central-1.amazonaws.com",
            "nosuchservice.eu-central-1.amazonaws.com",
            "cats.monitoring.eu-central-1.amazonaws.com",
            "monitoring.eu-west-1.cats.amazonaws.com",
            "execute-api.sagemaker.eu-west-1.amazonaws.com",
        ],
    );
    assert_unknown(
        UnknownKind::InvalidHost,
        &["", ":443", "a b", "a..b", "s3.amazonaws.com:https", "ü.amazonaws.com"],
    );
}

#[test]
fn a_region_counts_even_where_the_service_is_not_known() {
    for (host, region) in [
        ("newest.eu-west-3.amazonaws.com", Some("eu-west-3")),
        ("bucket.s3-website-eu-west-3.amazonaws.com", Some("eu-west-3")),
        ("newest.amazonaws.com", None),
        ("example.com", None),
    ] {
        assert_eq!(of(host).unwrap_err().region(), region, "{host}");
    }
}

#[test]
fn what_is_wrong_is_said_without_what_may_be_secret() {
    let unknown = of("AKIDEXAMPLE:hunter2@s3.amazonaws.com").unwrap_err();
    assert_eq!(unknown.kind(), UnknownKind::InvalidHost);
    for text in [format!("{unknown}"), format!("{unknown:?}")] {
        assert!(!text.contains("hunter2") && !text.contains("AKIDEXAMPLE"), "{text}");
    }
    let shown = of("a\u{1b}[31m.example").unwrap_err().to_string();
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn each_error_says_what_to_do() {
    for (host, message) in [
        (
            "localhost:9000",
            "`localhost:9000` is no host of AWS's, so it does not say which service is meant: name the \
             service and the region",
        ),
        (
            "budgets.amazonaws.com",
            "`budgets.amazonaws.com` is signed as budgets for us-east-1 or us-gov-west-1, which it does not \
             tell: name the region",
        ),
        (
            "b.s3-accelerate.amazonaws.com",
            "`b.s3-accelerate.amazonaws.com` is signed as s3 for a region that it does not tell: name the \
             region",
        ),
        (
            "newest.eu-west-1.amazonaws.com",
            "`newest.eu-west-1.amazonaws.com` is a host of AWS's, and whose is not known here: name the \
             service",
        ),
        ("a..b", "the host has an empty label"),
    ] {
        assert_eq!(of(host).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_signer_for_a_url_has_the_rules_of_the_service() {
    let uri = "https://user@bucket.s3.amazonaws.com/a".parse().unwrap();
    assert!(Signer::for_uri(&uri).is_err());
    let uri = "/relative".parse().unwrap();
    assert_eq!(Endpoint::of_uri(&uri).unwrap_err().kind(), UnknownKind::InvalidHost);
    let uri = "wss://a-ats.iot.eu-west-1.amazonaws.com/mqtt?a=b".parse().unwrap();
    let signer = Signer::for_uri(&uri).unwrap();
    assert_eq!((signer.service(), signer.rules()), ("iotdevicegateway", Rules::IOT_DEVICE_GATEWAY));
}

/// A region of a partition that has the domains beside it.
fn any_region() -> impl Strategy<Value = (String, [&'static str; 2])> {
    let partitions = select(vec![
        ("", ["amazonaws.com", "api.aws"]),
        ("us-gov-", ["amazonaws.com", "api.aws"]),
        ("cn-", ["amazonaws.com.cn", "api.amazonwebservices.com.cn"]),
        ("us-iso-", ["c2s.ic.gov", "api.aws.ic.gov"]),
        ("us-isob-", ["sc2s.sgov.gov", "api.aws.scloud"]),
        ("eu-isoe-", ["cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"]),
        ("us-isof-", ["csp.hci.ic.gov", "api.aws.hci.ic.gov"]),
        ("eusc-de-", ["amazonaws.eu", "api.amazonwebservices.eu"]),
    ]);
    let country = select(vec!["us-", "eu-", "ap-", "nz-", "aq-"]);
    (partitions, country, "[a-z]{4,9}", 1..30u32).prop_map(
        |((prefix, domains), country, place, number)| {
            let country = if prefix.is_empty() { country } else { "" };
            (format!("{prefix}{country}{place}-{number}"), domains)
        },
    )
}

/// A name that S3 takes for a bucket, or labels that look like something else.
fn any_bucket() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        4 => "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        1 => select(vec!["es", "us-east-1", "s3", "fips", "dualstack", "vpce", "vpce-1", "iot", "global", "us-gov", "amazonaws", "com"])
            .prop_map(str::to_owned),
    ];
    vec(label, 1..6).prop_map(|labels| labels.join("."))
}

proptest! {
    #[test]
    fn regions_that_are_not_there_yet_work_by_rule(
        (region, [domain, dual_stack]) in any_region(),
        (label, signing_name) in select(vec![
            ("sqs", "sqs"), ("email", "ses"), ("runtime.sagemaker", "sagemaker"), ("data.jobs.iot", "iot-jobs-data"),
        ]),
        id in "[a-z0-9]{4,17}",
    ) {
        let (before, last) = label.rsplit_once('.').map_or((String::new(), label), |(a, b)| (format!("{a}."), b));
        for host in [
            format!("{label}.{region}.{domain}"),
            format!("{label}-fips.{region}.{domain}"),
            format!("fips.{label}.{region}.{domain}"),
            format!("{label}.fips.{region}.{domain}"),
            format!("{}{last}-fips.{region}.{dual_stack}", before.replace('.', "-fips.")),
            format!("{label}.dualstack.{region}.{domain}"),
            format!("{label}.{region}.{dual_stack}"),
            format!("vpce-{id}-{id}.{label}.{region}.vpce.{domain}"),
            format!("vpce-{id}-{id}-{region}a.{label}.{region}.vpce.{domain}"),
        ] {
            let endpoint = of(&host).map_err(|unknown| TestCaseError::fail(unknown.to_string()))?;
            prop_assert_eq!((endpoint.signing_name(), endpoint.region()), (signing_name, &*region), "{}", host);
            prop_assert_eq!(endpoint.partition(), Partition::of_region(&region));
        }
    }

    #[test]
    fn a_bucket_of_any_name_is_s3_s(
        (region, [domain, _]) in any_region(),
        bucket in any_bucket(),
        id in "[a-z0-9]{4,17}",
    ) {
        for host in [
            format!("{bucket}.s3.{region}.{domain}"),
            format!("{bucket}.s3-{region}.{domain}"),
            format!("{bucket}.s3.dualstack.{region}.{domain}"),
            format!("{bucket}.s3-fips.{region}.{domain}"),
            format!("{bucket}.vpce-{id}-{id}.s3.{region}.vpce.{domain}"),
            format!("{bucket}-123456789012.s3-accesspoint.{region}.{domain}"),
        ] {
            let endpoint = of(&host).map_err(|unknown| TestCaseError::fail(unknown.to_string()))?;
            prop_assert_eq!((endpoint.signing_name(), endpoint.region()), ("s3", &*region), "{}", host);
            prop_assert_eq!(endpoint.rules(), Rules::S3);
        }
        let global = of(&format!("{bucket}.s3.amazonaws.com"));
        prop_assert_eq!(global.map(|endpoint| endpoint.signer().region().to_owned()), Ok("us-east-1".to_owned()));
    }

    #[test]
    fn any_text_gets_an_answer(authority in ".{0,60}", path in ".{0,20}") {
        for domain in ["", ".amazonaws.com", ".us-east-1.amazonaws.com", ".on.aws", ".vpce.amazonaws.com"] {
            let host = format!("{authority}{domain}");
            match Endpoint::of(&host, &path) {
                Ok(endpoint) => prop_assert!(!endpoint.region().is_empty()),
                Err(unknown) => prop_assert!(!unknown.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn labels_of_the_table_in_any_order_get_an_answer(
        labels in vec(select(iter::once("").chain([
            "s3", "s3-fips", "vpce", "vpce-1", "us-east-1", "cn-north-1", "fips", "dualstack", "global", "us-gov",
            "es", "rds", "iot", "data", "api", "ecr", "amazonaws", "com", "cn", "aws", "on", "signin", "oauth",
        ]).collect::<Vec<_>>()), 0..9),
    ) {
        let host = labels.join(".");
        let lower = of(&host);
        if let Ok(endpoint) = lower {
            let upper = of(&format!("{}.:8443", host.to_ascii_uppercase()));
            prop_assert_eq!(upper, Ok(endpoint));
        }
    }
}
