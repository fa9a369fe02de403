//! Where services answer, by region and by what is configured.

use std::{collections::HashMap, fs, path::PathBuf};

use countersign::providers::{
    EndpointService, Endpoints, Platform, Ports, ProfileSet, ProviderError, ProviderErrorKind,
};
use serde_json::Value;

use super::world::ports;
use crate::support::external_data;

#[test]
fn endpoints_follow_from_regions_as_the_published_rules_say() {
    let Some(data) = external_data("the rules of endpoints") else {
        return;
    };
    let folder = data.with_file_name("credentials/botocore/endpoint-rules");
    let mut all = 0;
    let mut ran = 0;
    for (name, service, count, left_out) in [
        ("rolesanywhere", EndpointService::RolesAnywhere, 39, 0),
        // Operations of the control plane and of OAuth give no credentials, and have hosts of their own.
        ("signin", EndpointService::Signin, 22, 9),
        ("sso", EndpointService::Sso, 40, 0),
        ("sso-oidc", EndpointService::SsoOidc, 40, 0),
        ("sts", EndpointService::Sts, 69, 0),
    ] {
        let path = folder.join(name).join("endpoint-tests-1.json");
        let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let cases = file["testCases"].as_array().unwrap();
        assert_eq!(cases.len(), count, "{name}");
        all += cases.len();
        let is_ours = |case: &&Value| {
            let is_set = |name: &str| case["params"][name].as_bool().unwrap_or(false);
            !is_set("IsControlPlane") && !is_set("IsOAuthEndpoint")
        };
        let ours: Vec<&Value> = cases.iter().filter(is_ours).collect();
        assert_eq!(ours.len(), count - left_out, "{name}");
        ran += ours.len();
        for case in ours {
            check_rule(service, case);
        }
    }
    println!("{ran} of {all} cases of endpoint rules");
    assert_eq!((ran, all), (201, 210));
}

fn check_rule(service: EndpointService, case: &Value) {
    let params = &case["params"];
    for name in params.as_object().into_iter().flat_map(|params| params.keys()) {
        let known = [
            "Endpoint",
            "IsControlPlane",
            "IsOAuthEndpoint",
            "Region",
            "UseDualStack",
            "UseFIPS",
            "UseGlobalEndpoint",
        ];
        assert!(known.contains(&&**name), "{name}");
    }
    let is_set = |name: &str| params[name].as_bool().unwrap_or(false);
    let mut endpoints = Endpoints::new(&Ports::empty())
        .with_fips(is_set("UseFIPS"))
        .with_dual_stack(is_set("UseDualStack"))
        .with_legacy_sts(is_set("UseGlobalEndpoint"));
    if let Some(url) = params["Endpoint"].as_str() {
        endpoints = endpoints.with_url(url);
    }
    let found = endpoints.find(service, params["Region"].as_str());
    match case["expect"]["error"].as_str() {
        Some(error) => {
            let found = found.unwrap_err().to_string();
            assert!(found.contains(error), "{case}: {found}");
        }
        None => {
            let (found, expected) = (found.unwrap(), &case["expect"]["endpoint"]);
            assert_eq!(found.url(), expected["url"].as_str().unwrap(), "{case}");
            let region = &expected["properties"]["authSchemes"][0]["signingRegion"];
            if let Some(region) = region.as_str() {
                assert_eq!(found.region(), Some(region), "{case}");
            }
        }
    }
}

#[test]
fn configured_urls_go_before_each_other_as_published() {
    let Some(data) = external_data("configured endpoints") else {
        return;
    };
    let path = data.with_file_name("credentials/botocore/configured_endpoint_urls");
    let path = path.join("profile-tests.json");
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let suite = &file["testSuites"][0];
    let object = |value: &'_ Value| value.as_object().unwrap().clone();
    let lines = |values: &Value| -> String {
        let lines = object(values).into_iter();
        lines.map(|(name, value)| format!("{name} = {}\n", value.as_str().unwrap())).collect()
    };
    let mut config = String::new();
    for (name, profile) in object(&suite["profiles"]) {
        config += &format!("[profile {name}]\n{}", lines(&profile));
    }
    for (name, services) in object(&suite["services"]) {
        config += &format!("[services {name}]\n");
        for (service, settings) in object(&services) {
            config += &format!("{service} =\n  {}", lines(&settings));
        }
    }
    let cases = suite["endpointUrlTests"].as_array().unwrap();
    for case in cases {
        let part = |key: &str| case[key].as_str().unwrap();
        let client = &suite["client_configs"][part("client_config")];
        let mut env: HashMap<String, String> = object(&suite["environments"][part("environment")])
            .into_iter()
            .map(|(name, value)| (name, value.as_str().unwrap().to_owned()))
            .collect();
        env.insert("HOME".to_owned(), "/home/cat".to_owned());
        let ports = with_config(&config).with_env(env);
        let profiles = ProfileSet::load(&ports).unwrap();
        let mut endpoints = Endpoints::load(&ports, &profiles, part("profile")).unwrap();
        if client["ignore_configured_endpoint_urls"].as_bool() == Some(true) {
            endpoints = endpoints.with_configured_ignored(true);
        }
        if let Some(url) = client["endpoint_url"].as_str() {
            endpoints = endpoints.with_url(url);
        }
        let expected = case["output"]["endpointUrl"].as_str();
        // What follows from the region is not asked of services that give no credentials.
        let expected = expected.filter(|url| !url.ends_with(".fake-region-10.amazonaws.com"));
        let found = endpoints.named(part("service")).unwrap();
        assert_eq!(found.as_deref(), expected, "{}", part("name"));
    }
    println!("{} cases of configured endpoints", cases.len());
    assert_eq!(cases.len(), 39);
}

#[test]
fn regions_that_no_rule_was_published_for_follow_their_partition() {
    for (service, region, url) in [
        (EndpointService::Sts, "eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu"),
        (EndpointService::Sts, "us-isof-south-1", "https://sts.us-isof-south-1.csp.hci.ic.gov"),
        (
            EndpointService::Sso,
            "eu-isoe-west-1",
            "https://portal.sso.eu-isoe-west-1.cloud.adc-e.uk",
        ),
        (EndpointService::SsoOidc, "xy-new-7", "https://oidc.xy-new-7.amazonaws.com"),
        (EndpointService::Signin, "eusc-de-east-1", "https://signin.eusc-de-east-1.amazonaws.eu"),
    ] {
        let endpoint = Endpoints::new(&Ports::empty()).find(service, Some(region)).unwrap();
        assert_eq!((endpoint.url(), endpoint.region()), (url, Some(region)));
    }
}

#[test]
fn settings_of_the_environment_go_before_those_of_the_profile() {
    let config = "[default]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = TRUE\n\
                  [profile legacy]\nsts_regional_endpoints = legacy\n";
    assert_eq!(sts(config, &[], "default").unwrap(), "https://sts-fips.us-east-1.api.aws");
    let no_fips = [("AWS_USE_FIPS_ENDPOINT", "false")];
    assert_eq!(sts(config, &no_fips, "default").unwrap(), "https://sts.us-east-1.api.aws");
    let neither = [no_fips[0], ("AWS_USE_DUALSTACK_ENDPOINT", "False")];
    assert_eq!(sts(config, &neither, "default").unwrap(), "https://sts.us-east-1.amazonaws.com");
    assert_eq!(sts(config, &[], "legacy").unwrap(), "https://sts.amazonaws.com");
    let regional = [("AWS_STS_REGIONAL_ENDPOINTS", "regional")];
    assert_eq!(sts(config, &regional, "legacy").unwrap(), "https://sts.us-east-1.amazonaws.com");
    assert_eq!(sts(config, &[], "nope").unwrap(), "https://sts.us-east-1.amazonaws.com");
}

#[test]
fn a_setting_that_is_none_of_what_it_may_be_is_an_error() {
    for (variable, property) in [
        ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"),
        ("AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints"),
    ] {
        let error = sts("", &[(variable, "yes")], "default").unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
        assert!(
            error.to_string().contains(&format!("{variable} is `yes`, and must be")),
            "{error}"
        );
        let config = format!("[default]\n{property} = yes");
        let message = sts(&config, &[], "default").unwrap_err().to_string();
        let expected = format!("{property} of the profile `default` is `yes`, and must be");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn services_that_are_not_there_are_an_error_where_their_urls_would_count() {
    let config = "[default]\nservices = nope\nendpoint_url = http://localhost:4566\n\
                  [services other]\n[profile ignoring]\nservices = nope\n\
                  ignore_configured_endpoint_urls = true\n";
    let error = sts(config, &[], "default").unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    let expected =
        "the profile `default` names the services `nope`, and there is no [services nope]";
    assert!(error.to_string().contains(expected), "{error}");
    let named = [("AWS_ENDPOINT_URL_STS", "http://localhost:1")];
    assert_eq!(sts(config, &named, "default").unwrap(), "http://localhost:1");
    assert_eq!(sts(config, &[], "ignoring").unwrap(), "https://sts.us-east-1.amazonaws.com");
    assert!(sts(&config.replace("other", "nope"), &[], "default").is_ok());
}

#[test]
fn endpoints_of_code_heed_the_environment_each_time_unless_code_says_otherwise() {
    let url = ("AWS_ENDPOINT_URL_SSO", "http://localhost:4566");
    let otherwise = |endpoints: Endpoints| {
        endpoints.with_fips(false).with_dual_stack(false).with_configured_ignored(false)
    };
    for (variable, word, expected) in [
        ("AWS_USE_FIPS_ENDPOINT", "true", "https://portal.sso-fips.us-east-1.amazonaws.com"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "TRUE", "https://portal.sso.us-east-1.api.aws"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", PORTAL),
    ] {
        let is_about_urls = variable == "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
        let env = [(variable, word)].into_iter().chain(is_about_urls.then_some(url));
        let endpoints = Endpoints::new(&ports(&env.collect::<Vec<_>>()));
        let found = |endpoints: &Endpoints| {
            let endpoint = endpoints.find(EndpointService::Sso, Some("us-east-1")).unwrap();
            endpoint.url().to_owned()
        };
        assert_eq!(found(&endpoints), expected);
        let expected = if is_about_urls { url.1 } else { PORTAL };
        assert_eq!(found(&otherwise(endpoints)), expected, "{variable}");
        let wrong = Endpoints::new(&ports(&[(variable, "yes")]));
        let error = wrong.find(EndpointService::Sso, Some("us-east-1")).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains(&format!("{variable} is `yes`")), "{error}");
    }
    let legacy = Endpoints::new(&ports(&[("AWS_STS_REGIONAL_ENDPOINTS", "legacy")]));
    let endpoint = legacy.find(EndpointService::Sts, Some("us-east-1")).unwrap();
    assert_eq!(endpoint.url(), "https://sts.amazonaws.com");
}

#[test]
fn a_region_cannot_make_a_host_of_somebody_else() {
    let endpoints = Endpoints::new(&Ports::empty());
    for region in
        ["", "a.example.com/", "a b", "-a", "a-", "eu_west", "a@b", "a#", "ü", &"x".repeat(64)]
    {
        let error = endpoints.find(EndpointService::Sts, Some(region)).unwrap_err();
        assert!(error.to_string().contains("can be no region"), "{region}: {error}");
    }
}

#[test]
fn a_url_that_cannot_be_an_endpoint_is_an_error() {
    for url in ["localhost", "localhost:4566", "ftp://x", "/x", "https://", "https://x/?y", "a b"] {
        let endpoints = Endpoints::new(&Ports::empty()).with_url(url);
        let error = endpoints.find(EndpointService::Sts, None).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{url}: {error}");
    }
    for url in ["https://cat:hush@example.com", "cat:hush@", "ftp://cat:hush@x"] {
        let endpoints = Endpoints::new(&Ports::empty()).with_url(url).with_fips(true);
        let error = endpoints.find(EndpointService::Sts, None).unwrap_err();
        assert!(error.to_string().contains("holds a user"), "{error}");
        assert!(!format!("{endpoints:?}{error:?}{error}").contains("hush"), "{error}");
    }
}

const PORTAL: &str = "https://portal.sso.us-east-1.amazonaws.com";

fn sts(config: &str, variables: &[(&str, &str)], profile: &str) -> Result<String, ProviderError> {
    let variables = [variables, &[("HOME", "/home/cat")]].concat();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let ports = with_config(config).with_env(variables.collect::<HashMap<_, _>>());
    let profiles = ProfileSet::load(&ports)?;
    let endpoints = Endpoints::load(&ports, &profiles, profile)?;
    Ok(endpoints.find(EndpointService::Sts, Some("us-east-1"))?.url().to_owned())
}

fn with_config(config: &str) -> Ports {
    let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config.to_owned())]);
    ports(&[("HOME", "/home/cat")]).with_files(files).with_platform(Platform::Unix)
}
