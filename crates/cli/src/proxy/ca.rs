//! `countersign proxy ca`: makes the authority by which the proxy gives TLS to clients that send CONNECT.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::Args;
use countersign_proxy::NewCa;

use crate::{failure::Failure, printed::print_line};

/// Make a certificate authority, by which the proxy speaks for services to clients that trust it
///
/// Writes DIR/ca.pem, the certificate for clients, and DIR/ca.key, which only its owner may read: whoever has
/// it can pretend to be any service that the authority vouches for.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign proxy ca ~/.config/countersign
  countersign proxy ca ./ca --permit s3.eu-central-1.amazonaws.com \\
    --permit minio.example.com --days 90")]
pub(super) struct CaCommand {
    /// The folder; it is made if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// A domain: the authority vouches for it and all names below; may be repeated [default: those of AWS]
    #[arg(long, value_name = "DOMAIN")]
    permit: Vec<String>,

    /// Vouch for any name
    #[arg(long, conflicts_with = "permit")]
    any_name: bool,

    /// For how many days it holds
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,

    /// Replace files that are there; clients then have to trust the new certificate
    #[arg(long)]
    force: bool,
}

impl CaCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let permitted: Vec<&str> = match &self.permit[..] {
            _ if self.any_name => Vec::new(),
            [] => AWS.to_vec(),
            some => some.iter().map(String::as_str).collect(),
        };
        let valid = A_DAY * self.days;
        let ca = NewCa::generate(&permitted, SystemTime::now(), valid).map_err(Failure::input)?;
        let [certificate, key] = ["ca.pem", "ca.key"].map(|name| self.folder.join(name));
        let failed = |path: &Path, error: &io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::input(format_args!(
                "`{}` is there already: --force replaces it, and clients then have to trust the new \
                 certificate",
                path.display()
            )),
            _ => Failure::input(format_args!("cannot write `{}`: {error}", path.display())),
        };
        fs::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        if !self.force {
            // Neither or both.
            if let Some(there) = [&key, &certificate].into_iter().find(|path| path.exists()) {
                return Err(failed(there, &io::ErrorKind::AlreadyExists.into()));
            }
        }
        self.write(&key, ca.key(), 0o600).map_err(|error| failed(&key, &error))?;
        self.write(&certificate, ca.certificate(), 0o644)
            .map_err(|error| failed(&certificate, &error))?;
        let names = if permitted.is_empty() { "any".to_owned() } else { permitted.join(", ") };
        let host = match permitted.first() {
            Some(name) => format!("*.{name}"),
            None => "*.amazonaws.com".to_owned(),
        };
        let (certificate, key) = (certificate.display(), key.display());
        print_line(format_args!(
            "made {certificate}, for clients to trust, and {key}, for the proxy alone\n\
             holds for {} days and vouches for names below: {names}\n\n  \
             countersign proxy --allow '{host}' --connect-ca {certificate} --connect-ca-key {key}\n  \
             HTTPS_PROXY=http://127.0.0.1:8080 AWS_CA_BUNDLE={certificate} aws --no-sign-request s3 ls",
            self.days
        ))
    }

    /// Writes a whole file or none; never over one that is there, unless that is wanted.
    fn write(&self, path: &Path, text: &str, mode: u32) -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        #[cfg(not(unix))]
        let _ = mode;
        let mut file = builder.tempfile_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match self.force {
            true => file.persist(path)?,
            false => file.persist_noclobber(path)?,
        };
        Ok(())
    }
}

/// What the names of AWS's services end with, but for the isolated partitions.
const AWS: [&str; 5] =
    ["amazonaws.com", "api.aws", "on.aws", "amazonaws.com.cn", "api.amazonwebservices.com.cn"];

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
