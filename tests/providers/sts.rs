//! The security token service: what it is sent, and what becomes of what it answers.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use countersign::{
    Credentials, Payload, Scratch, SigningKey,
    providers::{
        AssumeRole, AssumeRoleProvider, AssumeRoleWithSaml, AssumeRoleWithWebIdentity, BoxFuture,
        Chain, EndpointService, Endpoints, FederationToken, FederationTokenProvider, HttpError,
        HttpErrorKind, InstanceProvider, MfaPrompt, Platform, Ports, ProvideCredentials,
        ProviderError, ProviderErrorKind, SamlProvider, SessionToken, SessionTokenProvider, Sts,
        WebIdentityProvider,
    },
    verify::{Known, Verifier},
};
use http::{Request, Response};
use proptest::prelude::*;

use super::world::{Hands, Servers, answer, chain_of, head_of, refused, run};
use crate::support::at;

// What is sent.

#[test]
fn assume_role_is_sent_as_a_signed_form_with_all_that_was_said() {
    let world = World::answering([granted("AssumeRole", "AssumedRoleUser")]);
    let role = AssumeRole::new(ROLE)
        .with_session_name("cat@home")
        .with_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess")
        .with_policy_arn("arn:aws:iam::aws:policy/SecurityAudit")
        .with_policy(r#"{"Version": "2012-10-17"}"#)
        .with_duration(Duration::from_secs(3600))
        .with_tag("team", "cats & dogs")
        .with_tag("empty", "")
        .with_transitive_tag("team")
        .with_external_id("an/agreed:word")
        .with_mfa_serial("arn:aws:iam::123456789012:mfa/cat")
        .with_mfa_code("012345")
        .with_source_identity("Ünfug".replace('Ü', "U"))
        .with_provided_context("arn:aws:iam::aws:contextProvider/IdentityCenter", "ey.J+x/=");
    let credentials = run(world.sts().assume_role(&base(), &role)).unwrap();
    assert_eq!(credentials.access_key_id(), "ASIAROLE");
    assert_eq!(credentials.secret_access_key(), "hush/role+");
    assert_eq!(credentials.session_token(), Some("whisper&<role>"));
    assert_eq!(credentials.account_id(), Some("210987654321"));
    assert_eq!(credentials.expires_at(), Some(at("20150830T133600Z")));
    assert!(credentials.has_static_stability());
    let body = "Action=AssumeRole&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Faudit\
                &RoleSessionName=cat%40home\
                &PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess\
                &PolicyArns.member.2.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FSecurityAudit\
                &Policy=%7B%22Version%22%3A%20%222012-10-17%22%7D\
                &DurationSeconds=3600\
                &Tags.member.1.Key=team&Tags.member.1.Value=cats%20%26%20dogs\
                &Tags.member.2.Key=empty&Tags.member.2.Value=\
                &TransitiveTagKeys.member.1=team\
                &ExternalId=an%2Fagreed%3Aword\
                &SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Fcat&TokenCode=012345\
                &SourceIdentity=Unfug\
                &ProvidedContexts.member.1.ProviderArn=arn%3Aaws%3Aiam%3A%3Aaws%3AcontextProvider%2FIdentityCenter\
                &ProvidedContexts.member.1.ContextAssertion=ey.J%2Bx%2F%3D";
    let request = world.only_request();
    assert_eq!(text(&request), body);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://sts.eu-west-1.amazonaws.com/");
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    verify(&request, "eu-west-1");
}

#[test]
fn what_is_not_said_is_not_sent() {
    let world = World::answering([granted("AssumeRole", "AssumedRoleUser")]);
    run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap();
    let request = world.only_request();
    let body = "Action=AssumeRole&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Faudit\
                &RoleSessionName=countersign-1440938160000";
    assert_eq!(text(&request), body);
}

#[test]
fn a_web_identity_is_sent_unsigned() {
    let world = World::answering([granted("AssumeRoleWithWebIdentity", "AssumedRoleUser")]);
    let role = AssumeRoleWithWebIdentity::new(ROLE, "ey.J.x")
        .with_policy("{}")
        .with_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess")
        .with_duration(Duration::from_secs(900));
    let credentials = run(world.sts().assume_role_with_web_identity(&role)).unwrap();
    assert_eq!(credentials.account_id(), Some("210987654321"));
    let request = world.only_request();
    let body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Faudit\
                &RoleSessionName=web-identity-token-1440938160000&WebIdentityToken=ey.J.x\
                &PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess\
                &Policy=%7B%7D&DurationSeconds=900";
    assert_eq!(text(&request), body);
    assert_eq!(request.headers().len(), 1, "{:?}", request.headers());
}

#[test]
fn a_saml_assertion_is_asked_for_each_time_and_sent_unsigned() {
    let action = "AssumeRoleWithSAML";
    let world =
        World::answering([granted(action, "AssumedRoleUser"), granted(action, "AssumedRoleUser")]);
    let count = Arc::new(Mutex::new(0));
    let provider = SamlProvider::new(
        &world.ports,
        ROLE,
        "arn:aws:iam::123456789012:saml-provider/directory",
        move || {
            *count.lock().unwrap() += 1;
            let assertion = format!("PHNhbWw+{}=", count.lock().unwrap());
            async move { Ok(assertion) }
        },
    )
    .with_sts(world.sts());
    for _ in 0..2 {
        assert_eq!(run(provider.provide()).unwrap().unwrap().access_key_id(), "ASIAROLE");
    }
    let requests = world.requests();
    let body = "Action=AssumeRoleWithSAML&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Faudit\
                &PrincipalArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Asaml-provider%2Fdirectory\
                &SAMLAssertion=PHNhbWw%2B2%3D";
    assert_eq!(text(&requests[1]), body);
    assert!(requests[1].headers().get("authorization").is_none());
    assert!(text(&requests[0]).ends_with("PHNhbWw%2B1%3D"));
}

#[test]
fn a_session_token_belongs_to_the_account_of_who_asked() {
    let world = World::answering([granted("GetSessionToken", "Nobody")]);
    let request = SessionToken::new()
        .with_duration(Duration::from_secs(129_600))
        .with_mfa_serial("GAHT12345678");
    let provider = SessionTokenProvider::new(&world.ports, base(), request)
        .with_sts(world.sts())
        .with_mfa(MfaPrompt::new(|serial| async move {
            assert_eq!(serial, "GAHT12345678");
            Ok("654321".to_owned())
        }));
    let credentials = run(provider.provide()).unwrap().unwrap();
    assert_eq!(credentials.account_id(), Some("123456789012"));
    let request = world.only_request();
    let body = "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=129600\
                &SerialNumber=GAHT12345678&TokenCode=654321";
    assert_eq!(text(&request), body);
    verify(&request, "eu-west-1");
}

#[test]
fn a_federation_token_is_for_somebody_with_a_name() {
    let world = World::answering([granted("GetFederationToken", "FederatedUser")]);
    let request = FederationToken::new("kitten")
        .with_policy("{}")
        .with_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess")
        .with_duration(Duration::from_secs(900))
        .with_tag("litter", "2026");
    let provider =
        FederationTokenProvider::new(&world.ports, base(), request).with_sts(world.sts());
    let credentials = run(provider.provide()).unwrap().unwrap();
    assert_eq!(credentials.account_id(), Some("210987654321"));
    let request = world.only_request();
    let body = "Action=GetFederationToken&Version=2011-06-15&Name=kitten\
                &PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess\
                &Policy=%7B%7D&DurationSeconds=900\
                &Tags.member.1.Key=litter&Tags.member.1.Value=2026";
    assert_eq!(text(&request), body);
    verify(&request, "eu-west-1");
}

#[test]
fn an_endpoint_named_in_code_is_asked_and_its_path_kept() {
    let world = World::answering([granted("AssumeRole", "AssumedRoleUser")]);
    let sts = world.sts().with_endpoint_url("http://localhost:4566/sts");
    run(sts.assume_role(&base(), &AssumeRole::new(ROLE))).unwrap();
    let request = world.only_request();
    assert_eq!(request.uri(), "http://localhost:4566/sts");
    verify(&request, "eu-west-1");
}

#[test]
fn a_client_at_an_endpoint_asks_there_whatever_is_configured() {
    let world = World::answering([(); 3].map(|()| granted("AssumeRole", "AssumedRoleUser")));
    let env = [("AWS_REGION", "us-east-2"), ("AWS_ENDPOINT_URL_STS", "http://localhost:4566")];
    let ports = world.ports.clone().with_env(HashMap::from(env));
    let endpoints = Endpoints::new(&Ports::empty()).with_fips(true);
    let endpoint = endpoints.find(EndpointService::Sts, Some("us-west-1")).unwrap();
    let sts = Sts::at(&ports, endpoint);
    for (sts, url, region) in [
        (sts.clone(), "https://sts-fips.us-west-1.amazonaws.com/", "us-west-1"),
        (sts.clone().with_region("x-1"), "https://sts-fips.us-west-1.amazonaws.com/", "x-1"),
        (
            sts.with_endpoint_url("https://vpce.example.com"),
            "https://vpce.example.com/",
            "us-west-1",
        ),
    ] {
        run(sts.assume_role(&base(), &AssumeRole::new(ROLE))).unwrap();
        let request = world.only_request();
        assert_eq!(request.uri(), url);
        verify(&request, region);
    }
}

#[test]
fn nothing_is_sent_that_sts_could_only_refuse() {
    let long = |count| "x".repeat(count);
    let seconds = Duration::from_secs;
    let role = || AssumeRole::new(ROLE);
    let mut many_tags = role();
    let mut many_keys = role();
    let mut many_contexts = role();
    for number in 0..51 {
        many_tags = many_tags.with_tag(number.to_string(), "x");
        many_keys = many_keys.with_transitive_tag(number.to_string());
        many_contexts = many_contexts.with_provided_context(ROLE, "xxxx");
    }
    let serial = || role().with_mfa_serial("GAHT12345678");
    for (field, request) in [
        ("RoleArn", AssumeRole::new("")),
        ("RoleArn", AssumeRole::new(long(2049))),
        ("RoleSessionName", role().with_session_name("x")),
        ("RoleSessionName", role().with_session_name(long(65))),
        ("RoleSessionName", role().with_session_name("a b")),
        ("RoleSessionName", role().with_session_name("Katzenklö")),
        ("DurationSeconds", role().with_duration(seconds(899))),
        ("DurationSeconds", role().with_duration(seconds(43_201))),
        ("DurationSeconds", role().with_duration(Duration::from_millis(900_500))),
        ("ExternalId", role().with_external_id("x")),
        ("ExternalId", role().with_external_id(long(1225))),
        ("ExternalId", role().with_external_id("a b")),
        ("SerialNumber", role().with_mfa_serial(long(8))),
        ("SerialNumber", role().with_mfa_serial(long(257))),
        ("TokenCode", serial().with_mfa_code("12345")),
        ("TokenCode", serial().with_mfa_code("1234567")),
        ("TokenCode", serial().with_mfa_code("12345x")),
        ("SourceIdentity", role().with_source_identity("x")),
        ("Policy ", role().with_policy("")),
        ("PolicyArns.member.1.arn", role().with_policy_arn("")),
        ("Tags.member.1.Key", role().with_tag("", "x")),
        ("Tags.member.1.Key", role().with_tag(long(129), "x")),
        ("Tags.member.1.Value", role().with_tag("x", long(257))),
        ("Tags has 51", many_tags),
        ("TransitiveTagKeys has 51", many_keys),
        ("ProvidedContexts has 51", many_contexts),
    ] {
        let world = World::answering([]);
        let error = run(world.sts().assume_role(&base(), &request)).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{field}");
        let message = error.to_string();
        assert!(message.contains("was not sent") && message.contains(field), "{field}: {message}");
        assert_eq!(world.servers.asked(), [""; 0]);
    }
    let world = World::answering([]);
    for token in ["xxx".to_owned(), long(20_001)] {
        let request = AssumeRoleWithWebIdentity::new(ROLE, token);
        let error = run(world.sts().assume_role_with_web_identity(&request)).unwrap_err();
        assert!(error.to_string().contains("WebIdentityToken has"), "{error}");
    }
    for assertion in ["xxx".to_owned(), long(100_001)] {
        let request = AssumeRoleWithSaml::new(ROLE, ROLE, assertion);
        let error = run(world.sts().assume_role_with_saml(&request)).unwrap_err();
        assert!(error.to_string().contains("SAMLAssertion has"), "{error}");
    }
    for name in ["x".to_owned(), long(33), "a b".to_owned()] {
        let request = FederationToken::new(name);
        let error = run(world.sts().federation_token(&base(), &request)).unwrap_err();
        assert!(error.to_string().contains("Name "), "{error}");
    }
    let request = SessionToken::new().with_duration(seconds(129_601));
    let error = run(world.sts().session_token(&base(), &request)).unwrap_err();
    assert!(error.to_string().contains("from 900 to 129600"), "{error}");
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn what_signs_needs_a_region_and_what_does_not_may_do_without() {
    let action = "AssumeRoleWithWebIdentity";
    let world = World::answering([granted(action, "AssumedRoleUser")]);
    let nowhere = HashMap::from([("AWS_EC2_METADATA_DISABLED", "true")]);
    let sts = Sts::new(&world.ports.clone().with_env(nowhere));
    let error = run(sts.assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    assert!(error.to_string().contains("Missing Region"), "{error}");
    let here = sts.with_endpoint_url("http://localhost:4566");
    let error = run(here.assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    assert!(error.to_string().contains("signed for a region"), "{error}");
    let request = AssumeRoleWithWebIdentity::new(ROLE, "ey.J.x");
    assert!(run(here.assume_role_with_web_identity(&request)).is_ok());
}

#[test]
fn what_is_not_signed_goes_to_the_endpoint_of_all_regions_where_none_is_known() {
    let files = HashMap::from([
        (PathBuf::from("/web"), "ey.J.x"),
        (PathBuf::from("/c"), "[profile web]\nrole_arn = r\nweb_identity_token_file = /web\n"),
    ]);
    let of_environment = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/web"), ("AWS_ROLE_ARN", ROLE)];
    let of_profile = [("AWS_PROFILE", "web"), ("AWS_CONFIG_FILE", "/c")];
    for variables in [of_environment, of_profile] {
        for metadata in [refused, || answer(403, "")] {
            let action = "AssumeRoleWithWebIdentity";
            let servers = Servers::answering(move |request| match request.uri().host() {
                Some("169.254.169.254") => metadata(),
                _ => granted(action, "AssumedRoleUser"),
            });
            let ports = super::world::ports(&variables)
                .with_http(servers.clone())
                .with_files(files.clone());
            run(Chain::standard(&ports).provide()).unwrap().unwrap();
            let asked = servers.asked();
            assert_eq!(asked.last().unwrap(), "POST https://sts.amazonaws.com/", "{asked:?}");
        }
        let with = |more: &[(&str, &str)]| {
            let servers = Servers::answering(|_| refused());
            let variables = [&variables[..], more].concat();
            let ports = super::world::ports(&variables)
                .with_http(servers.clone())
                .with_files(files.clone());
            let error = run(Chain::standard(&ports).provide()).unwrap_err();
            (chain_of(&error), servers.asked().pop().unwrap())
        };
        let (_, asked) = with(&[("AWS_REGION", "eu-west-1")]);
        assert_eq!(asked, "POST https://sts.eu-west-1.amazonaws.com/");
        for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
            let (error, asked) = with(&[(name, "true")]);
            assert!(error.contains("Missing Region"), "{error}");
            assert!(asked.contains("169.254.169.254"), "{asked}");
        }
    }
}

#[test]
fn a_clock_that_is_wrong_is_set_by_the_answer_and_asked_once_more() {
    let late = "20150830T133600Z";
    let refused = || {
        let body = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired\
                    </Message></Error></ErrorResponse>";
        let mut answer = answer(403, body)?;
        answer.headers_mut().insert("date", "Sun, 30 Aug 2015 13:36:00 GMT".parse().unwrap());
        Ok(answer)
    };
    let granted = || granted("AssumeRole", "AssumedRoleUser");
    let world = World::answering([refused(), granted(), granted()]);
    let sts = world.sts();
    let role = AssumeRole::new(ROLE);
    run(sts.assume_role(&base(), &role)).unwrap();
    run(sts.clone().assume_role(&base(), &role)).unwrap();
    let dates: Vec<_> =
        world.requests().iter().map(|request| request.headers()["x-amz-date"].clone()).collect();
    assert_eq!(dates[0], "20150830T123600Z");
    for date in &dates[1..] {
        let off = at(date.to_str().unwrap()).duration_since(at(late)).unwrap();
        assert!(off < Duration::from_secs(5), "{date:?}");
    }
    // A signature that is wrong for another reason is wrong for good.
    let world = World::answering([refused()]);
    world.hands.set(at(late));
    assert!(run(world.sts().assume_role(&base(), &role)).is_err());
}

#[test]
fn a_url_that_nobody_has_looked_at_yet_is_not_shown() {
    let url = "https://cat:hush@localhost:4566";
    let ports = Ports::empty();
    let shown = format!(
        "{:?} {:?}",
        Sts::new(&ports).with_endpoint_url(url),
        InstanceProvider::new(&ports).with_endpoint(url)
    );
    assert!(!shown.contains("hush"), "{shown}");
}

// What is answered.

#[test]
fn entities_prefixes_and_character_data_are_read_as_xml_means_them() {
    let body = "\u{feff}<?xml version=\"1.0\"?><!-- x --><s:AssumeRoleResponse xmlns:s=\"urn:x\">\
                <s:AssumeRoleResult><s:Credentials>\
                <s:AccessKeyId>ASIA<!-- x -->ROLE</s:AccessKeyId>\
                <s:SecretAccessKey>&lt;&#104;ush&#x21;&amp;&apos;&quot;&gt;</s:SecretAccessKey>\
                <s:SessionToken><![CDATA[<whisper>&]]></s:SessionToken>\
                <s:Expiration>2015-08-30T15:36:00.000+02:00</s:Expiration>\
                </s:Credentials></s:AssumeRoleResult></s:AssumeRoleResponse>\n";
    let world = World::answering([answer(200, body)]);
    let credentials = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap();
    assert_eq!(credentials.access_key_id(), "ASIAROLE");
    assert_eq!(credentials.secret_access_key(), "<hush!&'\">");
    assert_eq!(credentials.session_token(), Some("<whisper>&"));
    assert_eq!(credentials.expires_at(), Some(at("20150830T133600Z")));
    assert_eq!(credentials.account_id(), None);
}

#[test]
fn credentials_that_have_expired_are_given_on_for_others_to_judge() {
    let world = World::answering([granted("AssumeRole", "AssumedRoleUser")]);
    world.hands.advance(Duration::from_secs(100 * 3600));
    assert!(run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).is_ok());
}

#[test]
fn an_answer_that_is_none_of_sts_is_an_error_that_repeats_nothing_of_it() {
    let good = granted_text("AssumeRole", "AssumedRoleUser");
    let without = |name: &str| {
        let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
        let (before, rest) = good.split_once(&begin).unwrap();
        format!("{before}{}", rest.split_once(&end).unwrap().1)
    };
    let twice = good.replace("<Expiration>", "<AccessKeyId>hush</AccessKeyId><Expiration>");
    for (body, seen) in [
        (String::new(), "no whole XML document"),
        ("hush".to_owned(), "no whole XML document"),
        ("{\"SecretAccessKey\":\"hush\"}".to_owned(), "no whole XML document"),
        ("<html><body>hush<br></body></html>".to_owned(), "no well-formed XML"),
        ("<html>hush</html>".to_owned(), "it is XML, and no AssumeRoleResponse"),
        ("<AssumeRoleResponse/>".to_owned(), "no Expiration"),
        (good[..good.len() - 3].to_owned(), "XML"),
        (format!("{good}<more/>"), "no well-formed XML"),
        (format!("<!DOCTYPE x [<!ENTITY e \"hush\">]>{good}"), "document type"),
        (good.replace("hush/role+", "hush&unknown;"), "no well-formed XML"),
        (good.replace("hush/role+", "hush&#0;"), "no well-formed XML"),
        (good.replace("2015-08-30T13:36:00Z", "hush"), "Expiration is no time"),
        (good.replace("AssumeRoleResult", "OtherResult"), "no Expiration"),
        (good.replace("hush/role+", ""), "no SecretAccessKey"),
        (without("AccessKeyId"), "no AccessKeyId"),
        (without("SessionToken"), "no SessionToken"),
        (twice, "AccessKeyId twice"),
        (format!("{}hush", "<x>".repeat(100_000)), "no well-formed XML"),
    ] {
        let world = World::answering([answer(200, body.clone())]);
        let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{body}");
        let message = chain_of(&error);
        assert!(message.contains(seen), "{seen}: {message}");
        assert!(!format!("{message}{error:?}").contains("hush"), "{message}");
        assert_eq!(world.servers.asked().len(), 1, "{body}");
    }
    let world = World::answering([answer(200, &b"<x>hush\xff</x>"[..])]);
    let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    assert!(error.to_string().contains("no UTF-8"), "{error}");
}

#[test]
fn refusals_are_told_by_code_and_message_and_are_final() {
    for (code, shown) in [
        ("AccessDenied", "AccessDenied"),
        ("IDPRejectedClaim", "IDPRejectedClaimException"),
        ("InvalidIdentityToken", "InvalidIdentityTokenException"),
        ("MalformedPolicyDocument", "MalformedPolicyDocumentException"),
        ("PackedPolicyTooLarge", "PackedPolicyTooLargeException"),
        ("RegionDisabledException", "RegionDisabledException"),
    ] {
        let world = World::answering([failure(403, code, "No &lt;cat&gt; may do this")]);
        let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Refused, "{code}");
        let message = error.to_string();
        let expected = format!("AssumeRole of {ROLE} failed: {shown}: No <cat> may do this");
        assert!(message.contains(&expected), "{message}");
        assert_eq!(world.servers.asked().len(), 1, "{code}");
    }
    let world = World::answering([failure(400, "ValidationError", "1 error")]);
    let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert_eq!(world.servers.asked().len(), 1);
}

#[test]
fn what_may_be_over_soon_is_tried_three_times_with_growing_pauses() {
    let passing: [fn() -> Answer; 8] = [
        || answer(500, "hush"),
        || answer(503, ""),
        || answer(429, ""),
        || failure(400, "Throttling", "Rate exceeded"),
        || failure(400, "ThrottlingException", "Rate exceeded"),
        || failure(400, "IDPCommunicationError", "no answer"),
        refused,
        || Err(HttpError::new(HttpErrorKind::TimedOut, "no answer within 15 s")),
    ];
    for answer in passing {
        let world = World::answering([answer(), answer(), answer()]);
        let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed);
        assert!(!chain_of(&error).contains("hush"));
        assert_eq!(world.servers.asked().len(), 3, "{error}");
        let [first, second] = world.hands.slept()[..] else { panic!() };
        // Chance throws 0x2a2a…, of which these are the remainders.
        assert_eq!((first, second), (pause(1001), pause(2001)));
        assert!(first <= Duration::from_secs(1) && second <= Duration::from_secs(2));
        let world =
            World::answering([answer(), answer(), granted("AssumeRole", "AssumedRoleUser")]);
        assert!(run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).is_ok());
    }
}

#[test]
fn what_is_not_over_soon_is_tried_once() {
    let final_: [fn() -> Answer; 5] = [
        || answer(302, ""),
        || answer(404, "<html>hush</html>"),
        || answer(403, granted_text("AssumeRole", "AssumedRoleUser")),
        || Err(HttpError::new(HttpErrorKind::TooLarge, "more than 262144 bytes")),
        || failure(500, "AccessDenied", "no"),
    ];
    for answer in final_ {
        let world = World::answering([answer()]);
        let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
        assert_eq!(world.servers.asked().len(), 1, "{error}");
        assert!(!chain_of(&error).contains("hush"), "{error}");
    }
    let error = run(Sts::new(&Ports::empty())
        .with_region("eu-west-1")
        .assume_role(&base(), &AssumeRole::new(ROLE)))
    .unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
    assert!(chain_of(&error).contains("no HTTP client"), "{}", chain_of(&error));
}

#[test]
fn each_attempt_has_limits_of_time_and_size() {
    let world = World::answering([granted("AssumeRole", "AssumedRoleUser")]);
    let sts = world.sts().with_timeout(Duration::from_secs(2));
    run(sts.assume_role(&base(), &AssumeRole::new(ROLE))).unwrap();
    let (_, limits) = world.servers.take().remove(0);
    assert_eq!((limits.total, limits.connect), (Duration::from_secs(2), Duration::from_secs(2)));
    assert_eq!(limits.max_body, 256 << 10);
}

#[test]
fn a_server_that_repeats_secrets_is_not_quoted() {
    for secret in ["hush", "whisper-base", "012345", "ey.J+x/="] {
        let world = World::answering([failure(403, "AccessDenied", &format!("not {secret}!"))]);
        let role = AssumeRole::new(ROLE)
            .with_provided_context(ROLE, "ey.J+x/=")
            .with_mfa_serial("GAHT12345678")
            .with_mfa_code("012345");
        let error = run(world.sts().assume_role(&base(), &role)).unwrap_err();
        let message = chain_of(&error);
        assert!(message.contains("AccessDenied: the message is left out"), "{message}");
        assert!(!format!("{message}{error:?}").contains(secret), "{message}");
    }
    let world = World::answering([failure(403, "hush", "x")]);
    let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    assert!(error.to_string().contains("no error that can be read"), "{error}");
    let world = World::answering([failure(400, "InvalidIdentityToken", "not ey.J.x")]);
    let request = AssumeRoleWithWebIdentity::new(ROLE, "ey.J.x");
    let error = run(world.sts().assume_role_with_web_identity(&request)).unwrap_err();
    assert!(!chain_of(&error).contains("ey.J.x"), "{error}");
}

#[test]
fn a_message_of_a_server_is_shortened_and_cannot_disturb_a_terminal() {
    let message = format!("\u{1b}[2J{}", "x".repeat(10_000));
    let world = World::answering([failure(403, "AccessDenied", &message)]);
    let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(r"\u{1b}[2Jx"), "{message}");
    assert!(message.chars().count() < 800, "{}", message.len());
    let world = World::answering([failure(403, "<![CDATA[\u{1b}]]>", "x")]);
    let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
    assert!(error.to_string().contains("no error that can be read"), "{error}");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic_or_repeat_it(status in 100_u16..600, body in ".{0,200}") {
        let body = format!("{body}hush");
        let answers = [(); 3].map(|()| answer(status, body.clone()));
        let world = World::answering(answers);
        let error = run(world.sts().assume_role(&base(), &AssumeRole::new(ROLE))).unwrap_err();
        prop_assert!(!chain_of(&error).contains("hush"), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_sent_reads_as_what_was_said(key in ".{1,20}", value in ".{0,20}", policy in "(?s).{1,40}") {
        let world = World::answering([granted("AssumeRole", "AssumedRoleUser")]);
        let role = AssumeRole::new(ROLE).with_tag(&*key, &*value).with_policy(&*policy);
        run(world.sts().assume_role(&base(), &role)).unwrap();
        let request = world.only_request();
        let fields: HashMap<&str, String> = text(&request)
            .split('&')
            .map(|field| field.split_once('=').unwrap())
            .map(|(name, value)| (name, decoded(value)))
            .collect();
        prop_assert_eq!(&fields["Tags.member.1.Key"], &key);
        prop_assert_eq!(&fields["Tags.member.1.Value"], &value);
        prop_assert_eq!(&fields["Policy"], &policy);
        prop_assert_eq!(&fields["RoleArn"], ROLE);
        verify(&request, "eu-west-1");
    }
}

// Providers.

#[test]
fn a_role_is_asked_for_with_what_the_other_provider_gives_each_time() {
    let action = "AssumeRole";
    let world =
        World::answering([granted(action, "AssumedRoleUser"), granted(action, "AssumedRoleUser")]);
    let provider =
        AssumeRoleProvider::new(&world.ports, base(), AssumeRole::new(ROLE)).with_sts(world.sts());
    for _ in 0..2 {
        assert_eq!(run(provider.provide()).unwrap().unwrap().access_key_id(), "ASIAROLE");
    }
    for request in world.requests() {
        verify(&request, "eu-west-1");
    }
    assert!(!format!("{provider:?}").contains("hush"));
}

#[test]
fn a_role_without_credentials_to_ask_with_is_an_error() {
    let world = World::answering([]);
    let provider = AssumeRoleProvider::new(
        &world.ports,
        Chain::standard(&Ports::empty()),
        AssumeRole::new(ROLE),
    );
    let error = run(provider.provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    let message = error.to_string();
    assert!(message.contains("not enabled: chain: no credentials found"), "{message}");
}

#[test]
fn a_role_that_asks_for_a_code_gets_one_each_time() {
    let action = "AssumeRole";
    let world =
        World::answering([granted(action, "AssumedRoleUser"), granted(action, "AssumedRoleUser")]);
    let role = AssumeRole::new(ROLE).with_mfa_serial("GAHT12345678");
    let provider = AssumeRoleProvider::new(&world.ports, base(), role).with_sts(world.sts());
    let error = run(provider.provide()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("Cannot refresh credentials: MFA token required."), "{message}");
    assert_eq!(world.servers.asked(), [""; 0]);
    let codes = Arc::new(Mutex::new(VecDeque::from(["111111", "222222"])));
    let provider = provider.with_mfa(MfaPrompt::new(move |_| {
        let code = codes.lock().unwrap().pop_front().unwrap();
        async move { Ok(code.to_owned()) }
    }));
    for code in ["111111", "222222"] {
        run(provider.provide()).unwrap();
        assert!(text(&world.only_request()).ends_with(&format!("&TokenCode={code}")));
    }
}

#[test]
fn credentials_that_sts_calls_expired_are_invalidated_where_they_came_from() {
    #[derive(Clone, Debug)]
    struct Source(Arc<Mutex<Vec<String>>>);

    impl ProvideCredentials for Source {
        fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
            Box::pin(async { Ok(Some(base())) })
        }

        fn invalidate(&self, access_key_id: &str) {
            self.0.lock().unwrap().push(access_key_id.to_owned());
        }
    }

    for (code, is_stale) in [
        ("ExpiredToken", true),
        ("ExpiredTokenException", true),
        ("InvalidToken", true),
        ("AccessDenied", false),
        ("ValidationError", false),
    ] {
        let world = World::answering([failure(403, code, "x")]);
        let source = Source(Arc::default());
        let provider = AssumeRoleProvider::new(&world.ports, source.clone(), AssumeRole::new(ROLE))
            .with_sts(world.sts());
        assert!(run(provider.provide()).is_err());
        let expected: &[&str] = if is_stale { &["AKIDBASE"] } else { &[] };
        assert_eq!(*source.0.lock().unwrap(), expected, "{code}");
    }
}

#[test]
fn a_token_that_has_expired_says_nothing_of_the_credentials_that_signed_nothing() {
    let world = World::answering([failure(400, "ExpiredTokenException", "Token expired")]);
    let request = AssumeRoleWithWebIdentity::new(ROLE, "ey.J.x");
    let error = run(world.sts().assume_role_with_web_identity(&request)).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed, "the next token may be better");
    assert!(chain_of(&error).ends_with("ExpiredTokenException: Token expired"), "{error}");
}

// Web identities.

#[test]
fn the_environment_names_a_web_identity_whose_token_is_read_anew_each_time() {
    let action = "AssumeRoleWithWebIdentity";
    let world =
        World::answering([granted(action, "AssumedRoleUser"), granted(action, "AssumedRoleUser")]);
    let token = PathBuf::from("/token.jwt");
    let files = HashMap::from([(token.clone(), b"first.token\n".to_vec())]);
    let files = Arc::new(Mutex::new(files));
    let ports = world
        .ports
        .clone()
        .with_env(HashMap::from([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ROLE_ARN", ROLE),
            ("AWS_ROLE_SESSION_NAME", "cat"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token.jwt"),
        ]))
        .with_files(Shared(files.clone()));
    let chain = Chain::standard(&ports);
    for token_now in ["first.token", "second.token"] {
        assert_eq!(run(chain.provide()).unwrap().unwrap().access_key_id(), "ASIAROLE");
        let body = text(&world.only_request()).to_owned();
        assert!(body.contains("&RoleSessionName=cat&"), "{body}");
        assert!(body.ends_with(&format!("&WebIdentityToken={token_now}")), "{body}");
        files.lock().unwrap().insert(token.clone(), b"second.token".to_vec());
    }
}

#[test]
fn a_web_identity_needs_a_file_and_then_a_role() {
    let provide = |variables: &[(&str, &str)]| {
        run(WebIdentityProvider::new(&super::world::ports(variables)).provide())
    };
    assert!(provide(&[]).unwrap().is_none());
    assert!(provide(&[("AWS_ROLE_ARN", ROLE)]).unwrap().is_none());
    let error = provide(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/token.jwt")]).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    let message = error.to_string();
    assert!(message.contains("AWS_ROLE_ARN environment variable must be set"), "{message}");
    let both = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token.jwt"), ("AWS_ROLE_ARN", ROLE)];
    let error = provide(&both).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    let message = chain_of(&error);
    assert!(message.contains("/token.jwt could not be read"), "{message}");
    for blank in ["", "\n", " \r\n"] {
        let files = HashMap::from([(PathBuf::from("/token.jwt"), blank)]);
        let ports = super::world::ports(&both).with_files(files);
        let error = run(WebIdentityProvider::new(&ports).provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{error}");
        assert!(error.to_string().contains("/token.jwt is empty"), "{error}");
    }
    let files = HashMap::from([(PathBuf::from("/token.jwt"), b"hush\xff".to_vec())]);
    let ports = super::world::ports(&both).with_files(files);
    let message = run(WebIdentityProvider::new(&ports).provide()).unwrap_err().to_string();
    assert!(message.contains("is not valid UTF-8") && !message.contains("hush"), "{message}");
}

#[test]
fn a_profile_named_in_code_leaves_out_the_web_identity_of_the_environment() {
    let ports = super::world::ports(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token.jwt"),
        ("AWS_ROLE_ARN", ROLE),
    ]);
    let chain = Chain::standard(&ports);
    assert!(run(chain.provide()).is_err());
    assert!(run(chain.with_profile("default").provide()).unwrap().is_none());
}

// The world around.

type Answer = Result<Response<Bytes>, HttpError>;

/// A machine in Ireland, and an STS that answers these in turn.
struct World {
    hands: Hands,
    servers: Servers,
    ports: Ports,
}

impl World {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> World {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        let servers = Servers::answering(move |_| answers.pop_front().expect("no more is asked"));
        let hands = Hands::at(at("20150830T123600Z"));
        let ports = Ports::empty()
            .with_env(HashMap::from([("AWS_REGION", "eu-west-1")]))
            .with_clock(hands.clone())
            .with_http(servers.clone())
            .with_random(|bytes: &mut [u8]| bytes.fill(0x2a))
            .with_platform(Platform::Unix);
        World { hands, servers, ports }
    }

    fn sts(&self) -> Sts {
        Sts::new(&self.ports)
    }

    fn requests(&self) -> Vec<Request<Bytes>> {
        self.servers.take().into_iter().map(|(request, _)| request).collect()
    }

    fn only_request(&self) -> Request<Bytes> {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

/// Files that a test changes behind the back of a provider.
struct Shared(Arc<Mutex<HashMap<PathBuf, Vec<u8>>>>);

impl countersign::providers::Files for Shared {
    fn read(&self, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        self.0.read(path)
    }
}

fn base() -> Credentials {
    Credentials::new("AKIDBASE", "hush")
        .with_session_token("whisper-base")
        .with_account_id("123456789012")
}

/// Checks that a request was signed by [`base`], and as a server would.
fn verify(request: &Request<Bytes>, region: &str) {
    let verifier = Verifier::new().with_region(region).with_services(["sts"]);
    let claim = verifier.claim(head_of(request), at("20150830T123600Z")).unwrap();
    assert_eq!(claim.access_key_id(), "AKIDBASE");
    let key = SigningKey::derive("hush", &claim.scope());
    let known = Known::new(&key).with_session_token("whisper-base");
    let body = Payload::hash(request.body());
    let (verified, _) = claim.verify(Some(known), Some(body), &mut Scratch::new()).unwrap();
    for name in ["content-type", "host", "x-amz-date", "x-amz-security-token"] {
        assert!(verified.signed_headers().any(|signed| signed == name), "{name}");
    }
}

fn text(request: &Request<Bytes>) -> &str {
    str::from_utf8(request.body()).unwrap()
}

fn granted(action: &str, user: &str) -> Answer {
    answer(200, granted_text(action, user))
}

fn granted_text(action: &str, user: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <{action}Result>\n    \
         <{user}><Arn>arn:aws:sts::210987654321:assumed-role/audit/cat</Arn></{user}>\n    <Credentials>\n      \
         <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>hush/role+</SecretAccessKey>\n      \
         <SessionToken>whisper&amp;&lt;role&gt;</SessionToken>\n      \
         <Expiration>2015-08-30T13:36:00Z</Expiration>\n    </Credentials>\n  </{action}Result>\n  \
         <ResponseMetadata><RequestId>x</RequestId></ResponseMetadata>\n</{action}Response>\n"
    )
}

fn failure(status: u16, code: &str, message: &str) -> Answer {
    answer(
        status,
        format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
             <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>x</RequestId></ErrorResponse>"
        ),
    )
}

/// The bytes behind a text in which only escapes stand for others.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = match first {
            b'%' => {
                bytes.push(u8::from_str_radix(str::from_utf8(&behind[..2]).unwrap(), 16).unwrap());
                &behind[2..]
            }
            byte => {
                bytes.push(*byte);
                behind
            }
        };
    }
    String::from_utf8(bytes).unwrap()
}

/// What is left of the number that chance throws.
fn pause(parts: u64) -> Duration {
    Duration::from_millis(u64::from_le_bytes([0x2a; 8]) % parts)
}

const ROLE: &str = "arn:aws:iam::123456789012:role/audit";
