//! What a host name says of the service and region behind it.
//!
//! Only what is certain: the hosts of common services, by the shapes in which AWS builds host names.
//! All else is refused with what would settle it.

/// The service and region behind a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The signing name.
    pub(crate) service: &'static str,
    /// The region, if the name holds one or the service has a single one.
    pub(crate) region: Option<String>,
}

/// Looks a host name up, given without a port.
pub(crate) fn lookup(host: &str) -> Result<Found, String> {
    let name = host.to_ascii_lowercase();
    let Some((rest, suffix)) = without_suffix(&name) else {
        return Err(format!(
            "`{host}` is no host of AWS's, so it does not say which service is meant: give --service \
             and --region"
        ));
    };
    let labels: Vec<&str> = rest.split('.').collect();
    let (service, region) = split(&labels);
    let found =
        |service, region: Option<&str>| Ok(Found { service, region: region.map(str::to_owned) });
    match service.map(|service| service.trim_end_matches("-fips")) {
        Some("iot") => Err(format!(
            "`{host}` is signed as iotdata, iotdevicegateway or iot, which its name does not tell: \
             give --service"
        )),
        Some(website) if website.starts_with("s3-website") => Err(format!(
            "`{host}` is a website endpoint of S3, which takes no signed requests: use the REST \
             endpoint"
        )),
        Some(service) => match service.strip_prefix("s3-").filter(|region| is_region(region)) {
            Some(legacy_region) => found("s3", Some(legacy_region)),
            None if service.starts_with("s3express-") => found("s3express", region),
            None => {
                let Some((_, signing_name)) = SERVICES.iter().find(|(label, _)| *label == service)
                else {
                    return Err(format!(
                        "the signing name of `{service}` in `{host}` is not known here: give --service"
                    ));
                };
                // In other partitions these services have other regions.
                let is_global = suffix == ".amazonaws.com" && GLOBAL.contains(&service);
                found(signing_name, region.or(is_global.then_some("us-east-1")))
            }
        },
        None => Err(format!("`{host}` does not name a service: give --service and --region")),
    }
}

/// The region that a host name holds, whether its service is known or not.
pub(crate) fn region(host: &str) -> Option<String> {
    match lookup(host) {
        Ok(found) => found.region,
        Err(_) => {
            let name = host.to_ascii_lowercase();
            let labels: Vec<&str> = without_suffix(&name)?.0.split('.').collect();
            split(&labels).1.map(str::to_owned)
        }
    }
}

/// What stands before the domain of a partition, and that domain.
fn without_suffix(name: &str) -> Option<(&str, &'static str)> {
    let (rest, suffix) =
        SUFFIXES.iter().find_map(|suffix| Some((name.strip_suffix(suffix)?, *suffix)))?;
    // A VPC interface endpoint has its own name in front, `vpce` behind, and in between what the
    // public host has.
    Some((rest.strip_suffix(".vpce").unwrap_or(rest), suffix))
}

/// The label that names the service, and the region if there is one.
fn split<'a>(labels: &[&'a str]) -> (Option<&'a str>, Option<&'a str>) {
    // Labels that say how to connect, not to what.
    let is_service = |label: &&&str| !matches!(**label, "dualstack" | "fips");
    match labels {
        // OpenSearch writes its region in front.
        [.., region, service @ ("es" | "aoss" | "neptune")] if is_region(region) => {
            (Some(service), Some(region))
        }
        [before @ .., region] if is_region(region) => {
            (before.iter().rev().find(is_service).copied(), Some(region))
        }
        [.., service] => (Some(service), None),
        [] => (None, None),
    }
}

/// Whether a label looks like `eu-central-1` or `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let [country, middle @ .., number] = &parts[..] else { return false };
    (2..=4).contains(&country.len())
        && !middle.is_empty()
        && country
            .bytes()
            .chain(middle.iter().flat_map(|part| part.bytes()))
            .all(|b| b.is_ascii_lowercase())
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

const SUFFIXES: [&str; 7] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".on.aws",
    ".on.amazonwebservices.com.cn",
];

/// The services whose host without a region is signed for us-east-1.
const GLOBAL: [&str; 5] = ["iam", "organizations", "route53", "s3", "sts"];

/// The label in a host and the name that is signed.
const SERVICES: [(&str, &str); 71] = [
    ("acm", "acm"),
    ("airflow", "airflow"),
    ("aoss", "aoss"),
    ("aps-workspaces", "aps"),
    ("appconfig", "appconfig"),
    ("appsync", "appsync"),
    ("athena", "athena"),
    ("autoscaling", "autoscaling"),
    ("backup", "backup"),
    ("batch", "batch"),
    ("bedrock", "bedrock"),
    ("bedrock-agent-runtime", "bedrock"),
    ("bedrock-runtime", "bedrock"),
    ("cloudformation", "cloudformation"),
    ("cloudtrail", "cloudtrail"),
    ("codebuild", "codebuild"),
    ("codecommit", "codecommit"),
    ("cognito-identity", "cognito-identity"),
    ("cognito-idp", "cognito-idp"),
    ("config", "config"),
    ("dynamodb", "dynamodb"),
    ("ec2", "ec2"),
    ("ecr", "ecr"),
    ("ecs", "ecs"),
    ("eks", "eks"),
    ("elasticache", "elasticache"),
    ("elasticfilesystem", "elasticfilesystem"),
    ("elasticloadbalancing", "elasticloadbalancing"),
    ("elasticmapreduce", "elasticmapreduce"),
    ("email", "ses"),
    ("es", "es"),
    ("events", "events"),
    ("execute-api", "execute-api"),
    ("firehose", "firehose"),
    ("glacier", "glacier"),
    ("glue", "glue"),
    ("guardduty", "guardduty"),
    ("iam", "iam"),
    ("kafka", "kafka"),
    ("kinesis", "kinesis"),
    ("kms", "kms"),
    ("lambda", "lambda"),
    ("lambda-url", "lambda"),
    ("logs", "logs"),
    ("monitoring", "monitoring"),
    ("organizations", "organizations"),
    ("rds", "rds"),
    ("rds-data", "rds-data"),
    ("redshift", "redshift"),
    ("route53", "route53"),
    ("s3", "s3"),
    ("s3-accesspoint", "s3"),
    ("s3-control", "s3"),
    ("s3-object-lambda", "s3-object-lambda"),
    ("s3-outposts", "s3-outposts"),
    ("sagemaker", "sagemaker"),
    ("secretsmanager", "secretsmanager"),
    ("securityhub", "securityhub"),
    ("servicediscovery", "servicediscovery"),
    ("sns", "sns"),
    ("sqs", "sqs"),
    ("ssm", "ssm"),
    ("states", "states"),
    ("sts", "sts"),
    ("synthetics", "synthetics"),
    ("tagging", "tagging"),
    ("textract", "textract"),
    ("transcribe", "transcribe"),
    ("transcribestreaming", "transcribe"),
    ("vpc-lattice-svcs", "vpc-lattice-svcs"),
    ("xray", "xray"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_hosts_say_service_and_region() {
        for (host, service, region) in [
            ("monitoring.eu-central-1.amazonaws.com", "monitoring", "eu-central-1"),
            ("ec2.us-gov-west-1.amazonaws.com", "ec2", "us-gov-west-1"),
            ("STS.amazonaws.com", "sts", "us-east-1"),
            ("sts.cn-north-1.amazonaws.com.cn", "sts", "cn-north-1"),
            ("iam.amazonaws.com", "iam", "us-east-1"),
            ("s3.amazonaws.com", "s3", "us-east-1"),
            ("a.b.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
            ("bucket.s3-eu-west-1.amazonaws.com", "s3", "eu-west-1"),
            ("bucket.s3.dualstack.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
            ("s3-fips.us-east-2.amazonaws.com", "s3", "us-east-2"),
            ("point-123456789012.s3-accesspoint.us-east-1.amazonaws.com", "s3", "us-east-1"),
            (
                "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
                "s3express",
                "us-east-1",
            ),
            ("abc.execute-api.us-east-1.amazonaws.com", "execute-api", "us-east-1"),
            ("abc.lambda-url.eu-west-3.on.aws", "lambda", "eu-west-3"),
            ("search-x.eu-central-1.es.amazonaws.com", "es", "eu-central-1"),
            ("abc.us-east-1.aoss.amazonaws.com", "aoss", "us-east-1"),
            ("vpce-0a1b-2c.monitoring.us-east-1.vpce.amazonaws.com", "monitoring", "us-east-1"),
            ("bucket.vpce-0a1b-2c.s3.us-east-1.vpce.amazonaws.com", "s3", "us-east-1"),
            ("runtime.sagemaker.us-east-1.amazonaws.com", "sagemaker", "us-east-1"),
            ("api.ecr.us-west-2.amazonaws.com", "ecr", "us-west-2"),
            ("email.us-west-2.amazonaws.com", "ses", "us-west-2"),
            ("ec2.eu-west-1.api.aws", "ec2", "eu-west-1"),
            ("kms-fips.us-east-1.amazonaws.com", "kms", "us-east-1"),
        ] {
            let expected = Found { service, region: Some(region.to_owned()) };
            assert_eq!(lookup(host), Ok(expected), "{host}");
        }
    }

    #[test]
    fn a_region_counts_even_where_the_service_is_not_known() {
        for (host, expected) in [
            ("abc-ats.iot.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("polly.eu-west-3.amazonaws.com", Some("eu-west-3")),
            ("db.cluster-abc.us-east-1.neptune.amazonaws.com", Some("us-east-1")),
            ("iam.amazonaws.com", Some("us-east-1")),
            ("iam.amazonaws.com.cn", None),
            ("example.com", None),
        ] {
            assert_eq!(region(host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn what_the_published_hosts_say_is_right_or_refused() {
        let Some(data) = std::env::var_os("COUNTERSIGN_DATA") else {
            eprintln!("hosts.jsonl: did not run, COUNTERSIGN_DATA names no external vectors");
            return;
        };
        let path = std::path::Path::new(&data).join("endpoints/hosts.jsonl");
        let text = std::fs::read_to_string(path).expect("the published hosts");
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
        let (mut right, mut refused) = (0, 0);
        for row in &rows {
            let host = row["host"].as_str().expect("text");
            match lookup(host) {
                Err(_) => refused += 1,
                Ok(Found { service, region }) => {
                    let fits = |row: &serde_json::Value| {
                        row["host"] == host
                            && row["signing_name"] == service
                            && region.as_ref().is_none_or(|region| row["region"] == **region)
                    };
                    assert!(rows.iter().any(fits), "{host}: {service} {region:?}, not {row}");
                    right += 1;
                }
            }
        }
        assert!(right > 700, "{right} right, {refused} refused");
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        for host in [
            "localhost",
            "example.com",
            "amazonaws.com",
            "abc-ats.iot.eu-west-1.amazonaws.com",
            "bucket.s3-website-us-east-1.amazonaws.com",
            "bucket.s3-website.eu-central-1.amazonaws.com",
            "nosuchservice.eu-central-1.amazonaws.com",
            "eu-central-1.amazonaws.com",
        ] {
            assert!(lookup(host).is_err(), "{host}");
        }
    }
}
