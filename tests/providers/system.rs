//! The ports of the process itself.

use std::{
    io::ErrorKind,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use countersign::providers::{CommandLimits, HttpErrorKind, HttpLimits, Ports};

use super::world::run;

#[test]
fn a_command_runs_in_a_shell_and_its_output_comes_back() {
    let output = shell("echo meow | tr a-z A-Z", CommandLimits::new(MINUTE)).unwrap();
    assert_eq!((output.stdout(), output.failure()), (&b"MEOW\n"[..], None));
}

#[test]
fn a_command_that_fails_says_how_and_why() {
    let output = shell("echo no >&2; exit 3", CommandLimits::new(MINUTE)).unwrap();
    assert_eq!((output.failure(), output.stderr()), (Some("exit status: 3"), &b"no\n"[..]));
}

#[test]
fn a_command_past_its_time_is_killed() {
    let error = shell("sleep 60", CommandLimits::new(Duration::from_millis(50))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_command_may_take_as_long_as_it_likes() {
    assert!(shell("printf 1234", CommandLimits::new(Duration::MAX)).is_ok());
}

#[test]
fn a_command_that_says_too_much_is_refused() {
    let mut limits = CommandLimits::new(MINUTE);
    limits.max_output = 4;
    assert!(shell("printf 1234", limits).is_ok());
    assert_eq!(shell("printf 12345", limits).unwrap_err().kind(), ErrorKind::FileTooLarge);
    // Who never ends is not waited for.
    assert_eq!(shell("yes", limits).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn a_file_is_replaced_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on/the/way.json");
    let ports = Ports::system();
    for contents in ["first", "second"] {
        ports.files().replace(&path, contents.as_bytes()).unwrap();
        assert_eq!(ports.files().read(&path).unwrap(), contents.as_bytes());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let names = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 1, "nothing is left beside it");
}

#[test]
fn an_address_is_its_own_name() {
    let found = run(Ports::system().resolver().resolve("127.0.0.1")).unwrap();
    assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
}

#[test]
fn the_clock_runs_and_sleep_ends() {
    let ports = Ports::system();
    let before = SystemTime::now();
    run(ports.clock().sleep(Duration::from_millis(1)));
    assert!(ports.clock().now() > before);
}

#[test]
fn chance_is_no_constant() {
    let (mut one, mut two) = ([0; 16], [0; 16]);
    Ports::system().random().fill(&mut one);
    Ports::system().random().fill(&mut two);
    assert_ne!(one, two);
}

#[test]
fn without_a_client_http_says_so() {
    let request = http::Request::get("http://169.254.169.254/").body(bytes::Bytes::new()).unwrap();
    let error = run(Ports::system().http().send(request, HttpLimits::new(MINUTE))).unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Unavailable);
}

fn shell(
    line: &str,
    limits: CommandLimits,
) -> std::io::Result<countersign::providers::CommandOutput> {
    run(Ports::system().commands().run(line, limits))
}

const MINUTE: Duration = Duration::from_secs(60);
