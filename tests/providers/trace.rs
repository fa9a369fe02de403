//! The chain, asked with a record of who answered what.

use std::time::{Duration, SystemTime};

use countersign::providers::{Chain, ChainAnswer, ChainStep, ProvideCredentials};

use super::world::{Hands, Servers, answer, ports, refused, run};

#[test]
fn a_trace_ends_where_the_chain_does_and_says_who_was_not_asked() {
    let ports = ports(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/creds"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush"),
    ]);
    let agent = Servers::answering(|_| {
        answer(
            200,
            r#"{"AccessKeyId": "ASIAX", "SecretAccessKey": "hush", "Token": "hush",
                        "Expiration": "2030-01-01T00:00:00Z"}"#,
        )
    });
    let steps = run(Chain::standard(&ports.with_http(agent)).trace());
    let told: Vec<(&str, String)> =
        steps.iter().map(|step| (step.provider(), step.answer().to_string())).collect();
    assert_eq!(told[0].0, "environment");
    assert_eq!(told[3], ("container", "credentials of the access key id ASIAX".to_owned()));
    assert_eq!(
        told[4],
        ("instance", "not asked, because `container` answered before it".to_owned())
    );
    assert!(matches!(steps[2].answer(), ChainAnswer::Nothing(why) if why.contains("TOKEN_FILE")));
    assert!(!format!("{steps:?}").contains("hush"), "{steps:?}");
}

#[test]
fn an_error_ends_a_trace_as_it_ends_the_chain() {
    let chain = Chain::standard(&ports(&[("AWS_ACCESS_KEY_ID", "AKID")]));
    let steps = run(chain.trace());
    let expected = run(chain.provide()).unwrap_err().to_string();
    assert!(
        matches!(steps[0].answer(), ChainAnswer::Failed(error) if error.to_string() == expected)
    );
    for step in &steps[1..] {
        let expected = "not asked, because `environment` failed before it";
        assert_eq!(step.answer().to_string(), expected);
    }
}

#[test]
fn each_step_says_what_was_looked_at() {
    let ports = ports(&[
        ("HOME", "/home/cat"),
        ("AWS_PROFILE", "work"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/"),
    ]);
    let steps = run(Chain::standard(&ports).trace());
    let places: Vec<&str> = steps.iter().map(ChainStep::looked_at).collect();
    assert_eq!(places[0], "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY");
    assert_eq!(
        places[1],
        "the profile `work` in /home/cat/.aws/config or /home/cat/.aws/credentials"
    );
    assert_eq!(places[2], "AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN");
    assert!(places[3].contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    assert_eq!(places[4], "http://127.0.0.1:1338");
}

#[test]
fn the_time_of_a_step_is_the_clocks() {
    let clock = Hands::at(SystemTime::UNIX_EPOCH);
    let moved = clock.clone();
    let nobody = Servers::answering(move |_| {
        moved.advance(Duration::from_millis(700));
        refused()
    });
    let ports = ports(&[]).with_clock(clock).with_http(nobody);
    let steps = run(Chain::standard(&ports).trace());
    assert_eq!(steps[4].took(), Duration::from_millis(700));
    assert!(steps[..4].iter().all(|step| step.took().is_zero()));
}

#[test]
fn a_profile_named_in_code_leaves_steps_that_were_not_asked() {
    let ports = ports(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")]);
    let steps = run(Chain::standard(&ports).with_profile("work").trace());
    let why = "not asked, because a profile was named in code or by a flag";
    for provider in ["environment", "web identity"] {
        let step = steps.iter().find(|step| step.provider() == provider).unwrap();
        assert_eq!(step.answer().to_string(), why);
    }
    assert_eq!(steps.len(), 5);
}
