//! `docs/proxy.md` names what the code reads, with its defaults, and nothing else.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use countersign_proxy::Config;

#[test]
fn each_setting_that_is_read_is_in_the_chapter() {
    let named = settings_named();
    let missing: Vec<_> = settings_read().difference(&named).cloned().collect();
    assert!(missing.is_empty(), "docs/proxy.md does not name {missing:?}");
}

#[test]
fn each_setting_in_the_chapter_is_read() {
    let read = settings_read();
    let unknown: Vec<_> =
        settings_named().into_iter().filter(|name| !read.contains(name)).collect();
    assert!(unknown.is_empty(), "nothing reads {unknown:?}");
}

#[test]
fn limits_and_times_in_the_chapter_are_the_defaults() {
    let block = blocks("toml").into_iter().find(|block| block.starts_with("[limits]")).unwrap();
    let said: Config = toml::from_str(&block).unwrap();
    let default = Config::default();
    assert_eq!(format!("{:?}", said.limits), format!("{:?}", default.limits));
    assert_eq!(format!("{:?}", said.timeouts), format!("{:?}", default.timeouts));
    // All that have a default are written out.
    let shown = format!("{:?} {:?}", default.limits, default.timeouts);
    for name in shown.split([' ', '{', ',']).filter_map(|word| word.strip_suffix(':')) {
        let is_there =
            |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name} = "));
        assert!(block.lines().any(is_there), "{name}");
    }
}

#[test]
fn settings_in_the_chapter_can_be_read() {
    for block in blocks("toml").iter().filter(|block| !block.starts_with("[[key]]")) {
        if let Err(error) = toml::from_str::<Config>(block) {
            panic!("{error}\n{block}");
        }
    }
}

#[test]
fn each_refusal_is_in_the_chapter() {
    let code = fs::read_to_string(source().join("refuse.rs")).unwrap();
    let names = code.lines().filter_map(|line| {
        let (_, facts) = line.trim().strip_prefix("Reason::")?.split_once(" => (\"")?;
        facts.split('"').next()
    });
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    let (_, part) = PAGE.split_once("\n### Refusals\n").unwrap();
    let (part, _) = part.split_once("\n### ").unwrap();
    let said: BTreeSet<String> = first_cells(part).flat_map(spans).collect();
    for name in names {
        assert!(said.contains(name), "docs/proxy.md does not name `{name}`");
    }
}

/// The names in the first column of tables about settings, and those that are set in examples.
fn settings_named() -> BTreeSet<String> {
    let (_, part) = PAGE.split_once("\n## Settings\n").unwrap();
    let (settings, rest) = part.split_once("\n## Options\n").unwrap();
    let (_, rest) = rest.split_once("\n## Keys of re-sign mode\n").unwrap();
    let (keys, _) = rest.split_once("\n## ").unwrap();
    let mut names: BTreeSet<String> =
        [settings, keys].into_iter().flat_map(first_cells).flat_map(spans).collect();
    for line in blocks("toml").iter().flat_map(|block| block.lines()) {
        let line = line.trim_start_matches("# ");
        if let Some((name, _)) = line.split_once(" = ") {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The first cell of each row of the tables.
fn first_cells(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
}

/// The names between backticks: of `tls.key` both.
fn spans(text: &str) -> impl Iterator<Item = String> {
    let spans = text.split('`').skip(1).step_by(2);
    spans.flat_map(|span| span.trim_matches(['[', ']']).split('.')).map(str::to_owned)
}

/// The names of what serde reads: fields of all that derives `Deserialize`.
fn settings_read() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in rust_files(source()) {
        let text = fs::read_to_string(path).unwrap();
        let (mut derives, mut is_within, mut renamed) = (false, false, None);
        for line in text.lines() {
            if line.starts_with("#[derive(") {
                derives = line.contains("Deserialize");
            } else if derives && line.contains("struct ") && line.ends_with('{') {
                is_within = true;
            } else if line == "}" {
                (derives, is_within) = (false, false);
            } else if is_within && let Some((_, name)) = line.split_once("rename = \"") {
                renamed = name.split('"').next().map(str::to_owned);
            } else if is_within && !line.trim_start().starts_with(['/', '#']) {
                let field =
                    line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                if let Some((name, _)) = field.split_once(": ") {
                    names.insert(renamed.take().unwrap_or_else(|| name.to_owned()));
                }
            }
        }
    }
    assert!(names.contains("route") && names.contains("spooled"), "{names:?}");
    names
}

fn rust_files(folder: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
        folders.extend(inner);
        found
            .extend(files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs")));
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The examples in this language.
fn blocks(language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let behind = PAGE.split(opening.as_str()).skip(1);
    behind.map(|text| text.split("```").next().unwrap().to_owned()).collect()
}

const PAGE: &str = include_str!("../../../docs/proxy.md");
