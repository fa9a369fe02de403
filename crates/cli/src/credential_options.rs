//! Options that other programs take credentials by, and this one does not.

use crate::failure::Failure;

/// Where credentials come from, for whoever gave them as an option of this name.
pub(crate) fn no_credentials_here(option: &str) -> Option<Failure> {
    let option = option.split('=').next()?;
    let name = option.strip_prefix("--")?.replace('_', "-");
    let name = name.strip_prefix("aws-").unwrap_or(&name);
    CREDENTIALS.contains(&name).then(|| {
        Failure::input(format_args!(
            "`{option}` is no option, for every process can read another's command line: credentials come \
             from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), from a \
             profile, or from a file or standard input by `--credentials-file`"
        ))
    })
}

const CREDENTIALS: [&str; 6] = [
    "access-key",
    "access-key-id",
    "secret-access-key",
    "secret-key",
    "security-token",
    "session-token",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_other_programs_are_known_for_credentials() {
        for option in [
            "--secret-access-key",
            "--access_key",
            "--session_token=hush",
            "--aws-secret-access-key",
        ] {
            let failure = no_credentials_here(option).expect(option);
            assert!(failure.message.contains("AWS_SECRET_ACCESS_KEY"), "{failure}");
            assert!(!failure.message.contains("hush"), "{failure}");
        }
        for option in ["--secrets", "-s", "secret-key", "--credentials-file"] {
            assert!(no_credentials_here(option).is_none(), "{option}");
        }
    }
}
