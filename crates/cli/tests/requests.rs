//! The examples of `docs/requests.md`, offline; `interop/run services` sends them.

use std::fs;

use crate::support::{countersign, run};

const PAGE: &str = include_str!("../../../docs/requests.md");

/// A command, and what the page says that it is signed for.
struct Example {
    command: String,
    service: &'static str,
    region: &'static str,
}

fn examples() -> Vec<Example> {
    let blocks = PAGE.split("```sh\n").skip(1);
    let example = |block: &'static str| {
        let (command, behind) = block.split_once("\n```\n\nSigned as `").unwrap_or_else(|| {
            panic!("a command that nobody says what it is signed for: {block}");
        });
        let (service, behind) = behind.split_once("` in `").unwrap();
        let (region, _) = behind.split_once('`').unwrap();
        Example { command: command.replace("\\\n", " "), service, region }
    };
    blocks.map(example).collect()
}

#[test]
fn each_example_is_signed_for_the_service_and_region_that_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["cat.jpg", "samples.snappy"] {
        fs::write(folder.path().join(file), file).unwrap();
    }
    let examples = examples();
    assert!(examples.len() > 40, "only {} examples", examples.len());
    for Example { command, service, region } in examples {
        let words = shlex::split(&command).expect("words of a shell");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ["countersign", subcommand, rest @ ..] = &words[..] else {
            panic!("no command of ours: {command}");
        };
        let print = if *subcommand == "curl" { &["--print"][..] } else { &[] };
        let args = [&[subcommand, "--time", "20260102T030405Z"][..], rest, print].concat();
        let mut program = countersign(&args);
        program.current_dir(folder.path());
        let output = run(program, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {said}");
        let signed = String::from_utf8(output.stdout).unwrap().replace("%2F", "/");
        let scope = format!("Credential=AKIDEXAMPLE/20260102/{region}/{service}/aws4_request");
        assert!(signed.contains(&scope), "{command}: {signed}");
    }
}

#[test]
fn only_a_host_that_says_neither_is_given_service_and_region() {
    for Example { command, .. } in examples() {
        let is_given = command.contains("--service") || command.contains("--region");
        assert_eq!(is_given, command.contains("https://api.example.com/"), "{command}");
    }
}
