//! The files of the program that read a command line, and what must hold of what they read.

#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../../crates/cli/src/curl/bytes.rs"]
mod bytes;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../../crates/cli/src/curl/data.rs"]
mod data;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../../crates/cli/src/curl/headers.rs"]
mod headers;
#[path = "../../../crates/cli/src/curl/parse.rs"]
mod parse;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../../crates/cli/src/curl/table.rs"]
mod table;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../../crates/cli/src/curl/url.rs"]
mod url;

use self::{
    parse::CommandLine,
    url::{Url, without_globs},
};
use crate::failure::Failure;

pub(crate) fn check(text: &[u8]) {
    let args: Vec<Vec<u8>> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = match CommandLine::parse(args) {
        Ok(line) => line,
        Err(failure) => return refused(&failure),
    };
    check_kept(&line);
    for value in line.headers.iter().filter(|value| !value.starts_with(b"@")) {
        if let Some((name, _)) = headers::sent(value) {
            // One without a name is sent, too; signing refuses it.
            assert!(!name.contains(&b':'), "{line:?}");
        }
    }
    check_url(&line);
}

/// What is handed to curl is no part of the request but its method, its form and switches that were read.
fn check_kept(line: &CommandLine) {
    let mut args = line.kept.clone();
    args.extend([b"--url".to_vec(), line.url.clone()]);
    let again = CommandLine::parse(args).expect("it was read before");
    assert_eq!(again.url, line.url);
    assert!(again.headers.is_empty() && again.data.is_empty() && !again.get, "{line:?}");
    assert_eq!(again.method, line.method);
    assert_eq!(again.upload, None);
    assert_eq!(again.form.is_some(), line.form.is_some());
    let switches = |line: &CommandLine| (line.head, line.path_as_is, line.globoff);
    assert_eq!(switches(&again), switches(line), "{line:?}");
    assert_eq!(again.kept, line.kept);
}

fn check_url(line: &CommandLine) {
    let text = match without_globs(&line.url, "the URL") {
        _ if line.globoff => line.url.clone(),
        Ok(text) => text,
        Err(failure) => return refused(&failure),
    };
    let mut url = match Url::parse(&text, line.https_by_default) {
        Ok(url) => url,
        Err(failure) => return refused(&failure),
    };
    if !line.path_as_is {
        url.remove_dot_segments();
    }
    is_one_url(&url);
    if let Some(file) = line.upload.as_ref().filter(|_| !url.ends_in_dots()) {
        url.complete_with(file);
        is_one_url(&url);
    }
    if line.get && line.data.iter().all(|piece| piece.file().is_none()) {
        let mut query = Vec::new();
        data::write(&line.data, &mut query).expect("there is room in memory");
        match url.add_query(&query) {
            Ok(()) => is_one_url(&url),
            Err(failure) => refused(&failure),
        }
    }
}

/// Whoever reads what is sent comes to the same URL, and to one line of it.
fn is_one_url(url: &Url) {
    let text = url.to_bytes();
    assert!(!text.iter().any(|byte| byte.is_ascii_control() || *byte == b' '), "{url:?}");
    assert_eq!(&Url::parse(&text, false).expect("it was read before"), url);
    let target = url.target();
    assert!(target.starts_with(b"/") && text.ends_with(&target), "{url:?}");
}

/// One sentence for the terminal.
fn refused(failure: &Failure) {
    assert!(!failure.message.chars().any(char::is_control), "{failure:?}");
}
