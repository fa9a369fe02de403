//! `countersign proxy keys`: keys for clients that sign what the proxy signs anew.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use countersign::providers::Ports;
use zeroize::Zeroizing;

use crate::{failure::Failure, printed::print};

/// Make keys for clients that sign what the proxy signs anew
#[derive(Args)]
pub(super) struct KeysCommand {
    #[command(subcommand)]
    command: KeysPart,
}

#[derive(Subcommand)]
enum KeysPart {
    /// Make a key
    ///
    /// Without --file, prints the table for the file of the keys. With --file, adds it to that file, which its
    /// owner alone can read, and prints the lines for the environment of the client.
    New(New),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign proxy keys new --name sandbox --service s3 --service sqs \\
    --file keys.toml > sandbox.env
  countersign proxy keys new >> keys.toml")]
struct New {
    /// What the audit log calls whoever has the key [default: its id]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The signing name of a service that it is for, as `s3`; may be repeated [default: `*`, all]
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<String>,

    /// The file of the keys
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl KeysCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let KeysPart::New(new) = self.command;
        new.run()
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let id = format!("CSPX{}", &*text::<16>(BASE_32));
        let secret = text::<40>(BASE_64);
        let table = self.table(&id, &secret);
        let Some(path) = self.file else { return print(&*table) };
        append(&path, &table).map_err(|error| {
            let path = path.display();
            Failure::input(format_args!("the key cannot be added to `{path}`: {error}"))
        })?;
        let secret = &*secret;
        let lines =
            Zeroizing::new(format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n"));
        print(&*lines)
    }

    fn table(&self, id: &str, secret: &str) -> Zeroizing<String> {
        // As long as it gets, so that it is not moved and left behind while it grows.
        let mut table = Zeroizing::new(String::with_capacity(4096));
        let quoted = |text: &str| toml::Value::from(text).to_string();
        table.push_str(&format!("[[key]]\naccess_key_id = \"{id}\"\nsecret_access_key = \""));
        table.push_str(secret);
        table.push_str("\"\n");
        if let Some(name) = &self.name {
            table.push_str(&format!("name = {}\n", quoted(name)));
        }
        let services: Vec<String> = match &self.services[..] {
            [] => vec![quoted("*")],
            names => names.iter().map(|name| quoted(name)).collect(),
        };
        table.push_str(&format!("services = [{}]\n", services.join(", ")));
        table
    }
}

/// Puts a file with one more table in the place of the one that is there: wholly or not at all.
fn append(path: &Path, table: &str) -> io::Result<()> {
    // A link stays one.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // Whoever adds a key at the same time waits, so that none is lost.
    #[cfg(unix)]
    let _lock = lock(folder);
    let before = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
        Err(error) => return Err(error),
    };
    if toml::from_str::<toml::Table>(&before).is_err() {
        return Err(io::Error::other("what it holds is no TOML"));
    }
    // Readable by its owner alone from the first.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(before.as_bytes())?;
    if !before.is_empty() {
        file.write_all(if before.ends_with('\n') { b"\n" } else { b"\n\n" })?;
    }
    file.write_all(table.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Holds a folder for itself until this is dropped; the file in it is replaced, and a lock of its own with it. Where
/// folders cannot be locked, as on some network file systems, nothing is held.
#[cfg(unix)]
fn lock(folder: &Path) -> Option<fs::File> {
    use rustix::{
        fs::{FlockOperation, flock},
        io::retry_on_intr,
    };

    let folder = fs::File::open(folder).ok()?;
    retry_on_intr(|| flock(&folder, FlockOperation::LockExclusive)).ok()?;
    Some(folder)
}

/// So many characters of these, of which nobody can guess any.
fn text<const LENGTH: usize>(characters: &[u8]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    Ports::system().random().fill(&mut *bytes);
    let mut text = Zeroizing::new(String::with_capacity(LENGTH));
    // Their number is a power of two, so that each is as likely.
    let pick = |byte: &u8| char::from(characters[usize::from(*byte) % characters.len()]);
    text.extend(bytes.iter().map(pick));
    text
}

const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE_64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
