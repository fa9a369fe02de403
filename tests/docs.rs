//! The chapters on credentials name what the code reads, and nothing else.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn each_setting_that_providers_read_is_in_the_chapters() {
    let named = words(&chapters());
    let missing: Vec<_> = literals().into_iter().filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "docs/credentials does not name {missing:?}");
}

#[test]
fn each_name_in_the_chapters_is_in_the_code() {
    let known: BTreeSet<String> = code("src").iter().flat_map(|line| words(line)).collect();
    // `AWS_ENDPOINT_URL_` stands for all variables that begin so.
    let starts: Vec<_> =
        known.iter().filter(|word| word.len() > 1 && word.ends_with('_')).collect();
    let is_unknown = |name: &String| {
        name.contains('_')
            && !known.contains(name)
            && !starts.iter().any(|start| name.starts_with(*start))
    };
    let unknown: Vec<_> = words(&chapters()).into_iter().filter(is_unknown).collect();
    assert!(unknown.is_empty(), "nothing in src is called {unknown:?}");
}

/// The chapters but for those that name what others read, and the program alone.
fn chapters() -> String {
    let chapters = files("docs/credentials", "md");
    let others = ["command.md", "differences.md"];
    let ours = chapters.iter().filter(|path| !others.iter().any(|name| path.ends_with(name)));
    ours.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What the providers' code has in quotes and looks like a setting: `two_words`, or `CAPITALS`.
fn literals() -> BTreeSet<String> {
    let lines = code("src/providers");
    let is_setting = |text: &&str| {
        let is_capitals = text.len() > 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        text.bytes().all(is_of_a_word) && (text.contains('_') || is_capitals)
    };
    // The names of fields are for `Debug`.
    let lines = lines.iter().filter(|line| !line.contains(".field(\""));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    literals.filter(is_setting).map(str::to_owned).collect()
}

/// The lines of code, without comments.
fn code(folder: &str) -> Vec<String> {
    let texts = files(folder, "rs").into_iter().map(|path| fs::read_to_string(path).unwrap());
    let text: String = texts.collect();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).map(str::to_owned).collect()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![Path::new(ROOT).join(folder)]);
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
        folders.extend(inner);
        found.extend(files.into_iter().filter(|path| path.extension() == Some(extension.as_ref())));
    }
    assert!(found.len() > 10, "{folder}: {found:?}");
    found
}

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii() || !is_of_a_word(char as u8));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
