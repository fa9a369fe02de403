//! `docs/start.md` as whoever follows it types it.

use std::{env, net::TcpListener, path::Path, process::Command};

use crate::support::{has_tool, run};

const PAGE: &str = include_str!("../../../docs/start.md");

#[cfg(unix)]
#[test]
fn the_first_steps_print_what_the_page_says() {
    if !has_tool("bash") || !has_tool("curl") {
        return;
    }
    // What it starts in the background ends with it.
    let mut script = "set -e; trap 'kill $(jobs -p)' EXIT\n".to_owned();
    for block in blocks("sh") {
        script.push_str(block);
        if block.ends_with("&\n") {
            let (_, address) = block.split_once("listen 127.0.0.1:").unwrap();
            let port = &address[..4];
            let answers = format!("(echo >/dev/tcp/127.0.0.1/{port}) 2>/dev/null");
            script.push_str(&format!("until {answers}; do kill -0 $!; done\n"));
        }
    }
    // Others may listen on the ports that the page names.
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    for (port, free) in ["9099", "8080"].into_iter().zip(&free) {
        let free = free.local_addr().unwrap().port().to_string();
        script = script.replace(port, &free);
    }
    drop(free);

    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap();
    let others = env::var_os("PATH").unwrap_or_default();
    let path = [program.to_owned()].into_iter().chain(env::split_paths(&others));
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(&folder).env_clear();
    bash.env("PATH", env::join_paths(path).unwrap()).env("HOME", folder.path());
    let output = run(bash, b"");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{script}\n{said}");
    for line in blocks("text").flat_map(str::lines) {
        let line = line.split("127.0.0.1").next().unwrap();
        assert!(said.contains(line), "nobody said `{line}`:\n{said}");
    }
}

/// The blocks of a language, in order.
fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let start = format!("\n```{language}\n");
    let blocks: Vec<_> = PAGE.split(&start).skip(1).collect();
    blocks.into_iter().map(|block| block.split_once("```").unwrap().0)
}
