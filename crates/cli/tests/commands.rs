//! The commands as users type them: `tests/cmd/*.toml`, each with its output.

#[test]
fn commands_print_what_their_files_say() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cmd/*.toml");
    cases.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    cases.env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    cases.env("AWS_CONFIG_FILE", "/nonexistent/config");
    cases.env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
    cases.run();
}
