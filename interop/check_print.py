"""`countersign curl` sends what curl alone would send, plus a right signature; `--print` prints the same.

Each command line below goes four ways to a server that records bytes:

1. `countersign curl …`                its signature is recomputed by reference.py;
2. `curl …`                            without the signature, the bytes are the same;
3. `countersign curl --print …`        prints a command without secrets,
4. and `sh -c` of what it printed      sends the same bytes as the first.

Command lines that must be refused are run with and without `--print`: nothing may be sent.
"""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from checks import BINARY, SECONDS, Checks, Credentials, clean_environment, run, text
from recorder import Recorder
from reference import UNSIGNED_PAYLOAD, Request, check_header_form, check_presigned

TIME = "20260102T030405Z"
REGION = "eu-central-1"
# Shaped like real ones; a token has the characters that a shell or a configuration file minds.
KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials(
    "ASIAIOSFODNN7EXAMPLE", "zJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEJr//+/=TOKEN$x="
)
SIGNATURE_HEADERS = {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}


@dataclass(frozen=True)
class Sent:
    """A command line that is understood. `{url}`, `{tls}`, `{port}` and `{dir}` are filled in."""

    name: str
    arguments: str  # one a line
    service: str = "execute-api"
    stdin: bytes = b""
    must_sign: frozenset = frozenset()
    # The contract leaves it open whether this is understood or refused by name.
    may_be_refused: str = ""
    unsigned_payload: bool = False


@dataclass(frozen=True)
class Refused:
    """A command line that is refused with a message that names what is in the way."""

    named: str  # a regular expression, in any case
    arguments: str
    service: str = "execute-api"


ACCEPTED = [
    # Method and URL
    Sent("get", "{url}/"),
    Sent("no path", "{url}"),
    Sent("--url", "--url\n{url}/a"),
    Sent("query", "{url}/?b=2&a=1&b=1&c"),
    Sent("query without a path", "{url}?b=2&a=1"),
    Sent("query that sorts as pairs", "{url}/?a-b=1&a=2&Filter.10=x&Filter.1=y&Filter.2=z"),
    Sent("query escapes", "{url}/?q=a%20b+c&%c3%bc=%FF&e=%3d&empty=&&x==y=z"),
    Sent("query with slashes and colons", "{url}/?prefix=a/b:c@d&x=a?b"),
    Sent("query, S3", "{url}/bucket?list-type=2&prefix=a%2Fb+c&acl", "s3"),
    Sent("-X", "-X\nDELETE\n{url}/a"),
    Sent("--request", "--request\nPUT\n{url}/a"),
    Sent("-X glued to its value", "-XPATCH\n-dbody\n{url}/a"),
    Sent("bundled flags", "-sSXPUT\n-dbody\n{url}/a"),
    Sent("-X of lower case", "-X\nput\n-d\nx\n{url}/a"),
    Sent("-I", "-I\n{url}/a"),
    Sent("fragment", "{url}/a#b?c"),
    Sent("scheme in upper case", "HTTP://127.0.0.1:{port}/a", may_be_refused="HTTP"),
    Sent("no scheme", "127.0.0.1:{port}/a", may_be_refused="127.0.0.1"),
    Sent("two dashes before curl's arguments", "--\n-s\n{url}/a"),
    # Paths
    Sent("dot segments are removed", "{url}/a/./b/../c"),
    Sent("trailing dots are removed", "{url}/a/b/.."),
    Sent("too many dots", "{url}/../../a"),
    Sent("--path-as-is", "--path-as-is\n{url}/a/./b/../c"),
    Sent("--path-as-is with a trailing dot", "--path-as-is\n{url}/a/b/."),
    Sent("encoded dots", "{url}/a/%2e%2e/b%2E/c"),
    Sent("dot segments are removed, S3", "{url}/a/./b/../c", "s3"),
    Sent("--path-as-is, S3", "--path-as-is\n{url}/a/./b/../c", "s3"),
    Sent("two slashes", "{url}//a//b//"),
    Sent("two slashes, S3", "{url}//a//b//", "s3"),
    Sent("escapes in the path", "{url}/a%20b/%2F/%c3%bc/%25/~%7E"),
    Sent("escapes in the path, S3", "{url}/a%20b/%2F/%c3%bc/%25/~%7E", "s3"),
    Sent("raw marks in the path", "{url}/a=b+c@d!e(1)*'$&;,:"),
    Sent("raw marks in the path, S3", "{url}/a=b+c@d!e(1)*'$&;,:", "s3"),
    Sent("unicode in the path", "{url}/Grüße/日本"),
    Sent("unicode in the path, S3", "{url}/Grüße/日本", "s3"),
    Sent("unicode in the query", "{url}/?Grüße=日本"),
    Sent("escaped globs", "{url}/a\\{b\\}\\[1\\]"),
    Sent("--globoff", "--globoff\n{url}/a{b}?c=[1]"),
    # Headers
    Sent("-H", "-H\nX-One: 1\n-H\nX-Two:2\n{url}/", must_sign={"x-one", "x-two"}),
    Sent("-H glued to its value", "-HX-One: 1\n{url}/", must_sign={"x-one"}),
    Sent("-H with spaces to fold", "-H\nX-One:   a   b  \t c  \n{url}/", must_sign={"x-one"}),
    Sent("-H repeated", "-H\nX-One: b\n-H\nx-one: a\n{url}/", must_sign={"x-one"}),
    Sent("-H without a value removes", "-H\nAccept:\n-H\nX-One:\n{url}/"),
    Sent("-H with a semicolon is empty", "-H\nX-One;\n{url}/", must_sign={"x-one"}),
    Sent("-H Host", "-H\nHost: service.example.com\n{url}/"),
    Sent("-H Content-Type", "-H\nContent-Type: text/plain\n-d\nx\n{url}/", must_sign={"content-type"}),
    Sent("-H removes the Content-Type", "-H\nContent-Type:\n-d\nx\n{url}/"),
    Sent("-H unicode", "-H\nX-One: Grüße\n{url}/", must_sign={"x-one"}),
    Sent("-H quotes", '-H\nX-One: "a  b" \\ \'c\' $HOME `d`\n{url}/', must_sign={"x-one"}),
    Sent("-H never signed", "-H\nUser-Agent: me\n-H\nVia: x\n-H\nTE: trailers\n{url}/"),
    Sent("-H Expect removed", "-H\nExpect:\n--data-binary\n@{dir}/large\n{url}/"),
    Sent("-H Content-Length", "-H\nContent-Length: 3\n-d\nabc\n{url}/"),
    Sent("-H Transfer-Encoding", "-H\nTransfer-Encoding: chunked\n-d\nabc\n{url}/"),
    Sent("-H @file", "-H\n@{dir}/headers\n{url}/", may_be_refused="-H"),
    Sent("--header", "--header\nX-Amz-Target: A.B\n-d\n{}\n{url}/", must_sign={"x-amz-target"}),
    Sent("-A", "-A\nme/1.0\n{url}/", may_be_refused="-A"),
    Sent("-e", "-e\nhttp://example.com/\n{url}/", may_be_refused="-e"),
    Sent("-b", "-b\na=b\n{url}/", may_be_refused="-b"),
    Sent("-r", "-r\n0-9\n{url}/a", may_be_refused="-r"),
    Sent("--compressed", "--compressed\n{url}/"),
    # Bodies
    Sent("-d", "-d\na=b&c=d\n{url}/"),
    Sent("-d empty", "-d\n\n{url}/"),
    Sent("-d repeated", "-d\na=b\n-d\nc=d\n--data\ne=f\n{url}/"),
    Sent("-d @file", "-d\n@{dir}/lines\n{url}/"),
    Sent("-d @file, repeated", "-d\na=b\n-d\n@{dir}/lines\n{url}/"),
    Sent("-d @-", "-d\n@-\n{url}/", stdin=b"one\r\ntwo\nthree"),
    Sent("-d with -X", "-X\nPUT\n-d\nx\n{url}/"),
    Sent("--data-ascii", "--data-ascii\n@{dir}/lines\n{url}/"),
    Sent("--data-raw", "--data-raw\n@{dir}/lines\n{url}/"),
    Sent("--data-binary", "--data-binary\na\n{url}/"),
    Sent("--data-binary @file", "--data-binary\n@{dir}/lines\n{url}/"),
    Sent("--data-binary @-", "--data-binary\n@-\n{url}/", stdin=bytes(range(256)) * 9),
    Sent("--data-binary of 3 MiB", "--data-binary\n@{dir}/large\n{url}/"),
    Sent("--data-urlencode", "--data-urlencode\na b&c=d e&ü\n--data-urlencode\n=f=g\n--data-urlencode\nh i\n{url}/"),
    Sent("--data-urlencode of files", "--data-urlencode\n@{dir}/lines\n--data-urlencode\nn@{dir}/lines\n{url}/"),
    Sent("--data-urlencode after -d", "-d\na=b\n--data-urlencode\nc=~.-_*\n{url}/"),
    Sent("--json", '--json\n{"a": "b"}\n{url}/'),
    Sent("--json repeated", '--json\n{"a":\n--json\n"b"}\n{url}/'),
    Sent("--json @file", "--json\n@{dir}/lines\n{url}/"),
    Sent(
        "--json with -H",
        "--json\n{}\n-H\nContent-Type: application/x-amz-json-1.1\n{url}/",
        must_sign={"content-type"},
    ),
    Sent("body, S3", "-X\nPUT\n-d\nbody\n{url}/bucket/a=b(1)", "s3"),
    # -G
    Sent("-G", "-G\n-d\na=b\n-d\nc=d\n{url}/"),
    Sent("-G with a query", "-G\n-d\nc=d\n{url}/?a=b"),
    Sent("-G without a path", "-G\n-d\nc=d\n{url}"),
    Sent("-G with --data-urlencode", "-G\n--data-urlencode\na=b c&d+é\n{url}/"),
    Sent("-G with -I", "-G\n-I\n-d\na=b\n{url}/"),
    Sent("-G with -X", "-G\n-X\nDELETE\n-d\na=b\n{url}/"),
    Sent("-G with a fragment", "-G\n-d\na=b\n{url}/?c=d#e"),
    Sent("--url-query", "--url-query\na=b c\n{url}/", may_be_refused="--url-query"),
    # Uploads
    Sent("-T", "-T\n{dir}/lines\n{url}/a"),
    Sent("-T, S3", "-T\n{dir}/lines\n{url}/bucket/a+b", "s3"),
    Sent("-T completes a URL that ends in a slash", "-T\n{dir}/na me+ü\n{url}/bucket/", "s3"),
    Sent("-T completes a URL without a path", "-T\n{dir}/lines\n{url}"),
    Sent("-T with -X", "-T\n{dir}/lines\n-X\nPOST\n{url}/a"),
    Sent("-T of 3 MiB", "-T\n{dir}/large\n{url}/a", "s3"),
    Sent("-T of an empty file", "-T\n{dir}/empty\n{url}/a"),
    Sent(
        "-T - with a length",
        "-T\n-\n-H\nTransfer-Encoding:\n-H\nContent-Length: 5\n{url}/a",
        "s3",
        stdin=b"hello",
    ),
    Sent("-T - in chunks", "-T\n-\n{url}/a", stdin=b"hello", may_be_refused="-T"),
    Sent("-F, S3", "-F\na=b\n-F\nfile=@{dir}/lines\n{url}/bucket", "s3", unsigned_payload=True),
    # Connections and output
    Sent("--http1.1", "--http1.1\n{url}/"),
    Sent("-0", "-0\n{url}/", may_be_refused="-0"),
    Sent("-o, -s, -S, -v, -f, --max-time", "-o\n{dir}/out\n-s\n-S\n-v\n-f\n--max-time\n20\n{url}/"),
    Sent("-m, --connect-timeout", "-m\n20\n--connect-timeout\n20\n{url}/"),
    Sent("-w", "-w\n%{http_code}\n{url}/", may_be_refused="-w"),
    Sent("-k", "-k\n{tls}/a?b=c"),
    Sent("--cacert", "--cacert\n{dir}/certificate\n{tls}/a"),
    Sent("-x", "-x\n{url}\nhttp://service.example.com/a?b=c"),
    Sent("-x with a port", "-x\n{url}\nhttp://service.example.com:8080/a"),
    Sent("-x with the default port", "-x\n{url}\nhttp://service.example.com:80/a"),
    Sent("--resolve", "--resolve\nservice.example.com:{port}:127.0.0.1\nhttp://service.example.com:{port}/"),
    Sent("host in upper case", "--resolve\nservice.example.com:{port}:127.0.0.1\nhttp://Service.EXAMPLE.com:{port}/"),
    Sent("--connect-to", "--connect-to\nservice.example.com:80:127.0.0.1:{port}\nhttp://service.example.com/"),
    Sent("--connect-to with the default port", "--connect-to\n::127.0.0.1:{port}\nhttp://service.example.com:80/"),
]

REFUSED = [
    # What sends the headers elsewhere, or sends more than one request
    Refused("-L|--location", "-L\n{url}/"),
    Refused("-L|--location", "-sL\n{url}/"),
    Refused("--location", "--location\n{url}/"),
    Refused("--location-trusted", "--location-trusted\n{url}/"),
    Refused("--next|-:", "{url}/\n--next\n{url}/"),
    Refused("--next|-:", "{url}/\n-:\n{url}/"),
    Refused("URL", "--url\n{url}/a\n--url\n{url}/b"),
    Refused("URL", "{url}/a\n{url}/b"),
    Refused("glob", "{url}/[1-3]"),
    Refused("glob", "{url}/{a,b}"),
    # What writes headers, method or URL unseen
    Refused("-u|--user", "-u\nname:password\n{url}/"),
    Refused("-u|--user", "--user\nname:password\n{url}/"),
    Refused("--aws-sigv4", "--aws-sigv4\naws:amz\n{url}/"),
    Refused("--oauth2-bearer", "--oauth2-bearer\nx\n{url}/"),
    Refused("--digest", "--digest\n{url}/"),
    Refused("-n|--netrc", "--netrc\n{url}/"),
    Refused("-K|--config", "-K\n{dir}/lines\n{url}/"),
    Refused("-K|--config", "--config\n{dir}/lines\n{url}/"),
    Refused("--request-target", "--request-target\n/b\n{url}/a"),
    Refused("--no-such-option", "--no-such-option\n{url}/"),
    Refused("Host", "-H\nHost:\n{url}/"),
    # What only curl can write
    Refused("-F|--form", "-F\na=b\n{url}/"),
    Refused("-F|--form", "--form\nfile=@{dir}/lines\n{url}/"),
]


class Place:
    """Where a command runs: a directory with files and a `.curlrc` that would show, and two servers."""

    def __init__(self, directory: Path, plain: Recorder, tls: Recorder):
        self.directory, self.plain, self.tls = directory, plain, tls
        self.environment = clean_environment(directory)

    def fill(self, arguments: str) -> list:
        values = {
            "{url}": f"http://127.0.0.1:{self.plain.port}",
            "{tls}": f"https://127.0.0.1:{self.tls.port}",
            "{port}": str(self.plain.port),
            "{dir}": str(self.directory),
        }
        for name, value in values.items():
            arguments = arguments.replace(name, value)
        return arguments.split("\n")

    def command(self, sent: "Sent | Refused", *ours: str) -> list:
        signing = ["--service", sent.service, "--region", REGION, "--time", TIME]
        return [BINARY, "curl", *ours, *signing, *self.fill(sent.arguments)]

    def run(self, command: list, environment: dict, stdin: bytes = b""):
        return run(command, self.environment | environment, stdin, self.directory)

    def requests(self) -> int:
        return self.plain.forget() + self.tls.forget()

    def recorded(self, done, sent: Sent) -> bytes:
        assert done.returncode == 0, f"exit code {done.returncode}: {text(done.stderr)}"
        return (self.tls if "{tls}" in sent.arguments else self.plain).take()


def main() -> None:
    checks = Checks("check_print")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        certificate = write_files(directory)
        with Recorder().serving() as plain, Recorder(certificate).serving() as tls:
            place = Place(directory, plain, tls)
            for sent in ACCEPTED:
                for credentials in (SESSION, KEY) if sent in ACCEPTED[:2] else (SESSION,):
                    suffix = "" if credentials is SESSION else ", long-term key"
                    with checks.check(f"sent: {sent.name}{suffix}"):
                        check_sent(place, sent, credentials)
            for refused in REFUSED:
                with checks.check(f"refused: {' '.join(refused.arguments.splitlines())}"):
                    check_refused(place, refused)
            check_special(checks, place)
    checks.finish()


def write_files(directory: Path) -> tuple:
    (directory / "lines").write_bytes(b"one=1&\r\ntwo=2\n\nthree \xff\n")
    (directory / "na me+ü").write_bytes(b"body")
    (directory / "empty").write_bytes(b"")
    (directory / "large").write_bytes(os.urandom(3 << 20))
    (directory / "headers").write_text("X-One: 1\nX-Two: 2\n")
    (directory / ".curlrc").write_text('header = "X-Curlrc: read"\n')
    certificate = directory / "certificate", directory / "key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", certificate[0], "-keyout", certificate[1]]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def check_sent(place: Place, sent: Sent, credentials: Credentials) -> None:
    place.requests()
    done = place.run(place.command(sent), credentials.environment(), sent.stdin)
    if sent.may_be_refused and done.returncode == 125:
        return check_refused(place, Refused(sent.may_be_refused, sent.arguments, sent.service))
    ours = place.recorded(done, sent)
    request = Request.parse(ours)
    check_header_form(ours, credentials.secret_access_key, sent.must_sign)
    declared = request.values("x-amz-content-sha256")
    assert (declared == [UNSIGNED_PAYLOAD.encode()]) == sent.unsigned_payload, f"payload {declared}"
    token = credentials.session_token
    assert request.values("x-amz-security-token") == ([token.encode()] if token else []), "another session token"

    arguments = [a for a in place.fill(sent.arguments) if a != "--"]
    curls = place.recorded(place.run(["curl", "-q", *arguments], {}, sent.stdin), sent)
    without = comparable(without_signature(ours))
    assert without == comparable(curls), f"we sent {without!r}, curl alone {curls!r}"

    printed = place.run(place.command(sent, "--print"), credentials.environment(), sent.stdin)
    assert printed.returncode == 0, f"--print: exit code {printed.returncode}: {text(printed.stderr)}"
    assert not place.requests(), "--print sent a request"
    check_no_secret(printed.stdout + printed.stderr, credentials, "--print")
    token = {"AWS_SESSION_TOKEN": credentials.session_token} if credentials.session_token else {}
    theirs = place.recorded(place.run(["sh", "-c", text(printed.stdout)], token, sent.stdin), sent)
    assert comparable(theirs) == comparable(ours), f"we sent {ours[:2000]!r}, the printed command {theirs[:2000]!r}"


def without_signature(raw: bytes) -> bytes:
    head, end, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].decode().lower() not in SIGNATURE_HEADERS]
    return b"\r\n".join(kept) + end + body


def comparable(raw: bytes) -> bytes:
    """The same bytes with the boundary of a form, which curl makes up, replaced."""
    boundary = re.search(rb"boundary=(-+[0-9A-Za-z]+)", raw)
    return raw.replace(boundary[1], b"BOUNDARY") if boundary else raw


def check_refused(place: Place, refused: Refused) -> None:
    for ours in ([], ["--print"]):
        done = place.run(place.command(refused, *ours), SESSION.environment())
        assert not place.requests(), "a request was sent"
        assert done.returncode == 125, f"exit code {done.returncode}, not 125: {text(done.stderr)}"
        message = text(done.stderr)
        assert re.search(refused.named, message, re.I), f"the message names no {refused.named!r}: {message}"
        assert not done.stdout, f"printed {text(done.stdout)!r}"


def check_special(checks: Checks, place: Place) -> None:
    get = Sent("get", "-s\n{url}/")

    with checks.check("neither secret nor session token is in the arguments of a running curl"):
        place.requests()
        place.plain.may_answer.clear()
        process = subprocess.Popen(
            place.command(Sent("", "-s\n-d\n@{dir}/lines\n{url}/")),
            env=place.environment | SESSION.environment(),
            stdout=subprocess.DEVNULL,
        )
        try:
            raw = place.plain.take()
            assert SESSION.session_token.encode() in raw, "the session token was not sent"
            commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(process.pid)]
            assert any(b"curl\0" in command for command in commands), f"no curl among {commands}"
            check_no_secret(b"\n".join(commands), SESSION, "the arguments")
        finally:
            place.plain.may_answer.set()
            process.wait(SECONDS)

    for name in ("Authorization: mine", "X-Amz-Date: 20200101T000000Z", "X-Amz-Security-Token: mine"):
        with checks.check(f"-H {name}: refused, or replaced by ours"):
            sent = Sent("", f"-H\n{name}\n{{url}}/")
            place.requests()
            done = place.run(place.command(sent), SESSION.environment())
            if done.returncode == 125:
                check_refused(place, Refused(name.partition(":")[0], sent.arguments))
            else:
                raw = place.recorded(done, sent)
                check_header_form(raw, SESSION.secret_access_key)
                values = Request.parse(raw).values(name.partition(":")[0].lower())
                assert len(values) == 1, values

    with checks.check("a user name in the URL: refused, or not in the way of the signature"):
        sent = Sent("", "http://name:password@127.0.0.1:{port}/")
        place.requests()
        done = place.run(place.command(sent), SESSION.environment())
        if done.returncode != 125:
            check_header_form(place.recorded(done, sent), SESSION.secret_access_key)

    with checks.check("credentials from --credentials-file -"):
        place.requests()
        document = '{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "%s", "SessionToken": "%s"}'
        document %= SESSION.access_key_id, SESSION.secret_access_key, SESSION.session_token
        command = place.command(get, "--credentials-file", "-")
        check_header_form(place.recorded(place.run(command, {}, document.encode()), get), SESSION.secret_access_key)

    with checks.check("curl's own exit code: 22 for -f and an error, 7 for a refused connection"):
        place.requests()
        place.plain.status = 403
        try:
            refused = place.run(place.command(Sent("", "-s\n-f\n{url}/")), KEY.environment())
        finally:
            place.plain.status = 200
        assert refused.returncode == 22 and place.requests() == 1, refused
        unreachable = place.run(place.command(Sent("", "-s\nhttp://127.0.0.1:1/")), KEY.environment())
        assert unreachable.returncode == 7, unreachable
    with checks.check("-T of a file that is not there sends nothing"):
        missing = place.run(place.command(Sent("", "-s\n-T\n{dir}/no-such-file\n{url}/")), KEY.environment())
        assert missing.returncode in (26, 125) and not place.requests(), missing

    with checks.check("exit code 127 without a curl"):
        done = place.run(place.command(get), KEY.environment() | {"PATH": str(place.directory)})
        assert done.returncode == 127, f"exit code {done.returncode}: {text(done.stderr)}"
        assert "curl" in text(done.stderr), text(done.stderr)

    with checks.check("without credentials nothing is sent"):
        done = place.run(place.command(get), {})
        assert done.returncode == 125 and not place.requests(), f"{done.returncode}: {text(done.stderr)}"

    for service in ("s3", "execute-api"):
        with checks.check(f"presign, {service}: the URL that curl fetches"):
            place.requests()
            url = place.fill("{url}/a%20b/c=d?x=1+2&y")[0]
            command = [BINARY, "presign", url, "--service", service, "--region", REGION, "--time", TIME]
            done = place.run([*command, "--expires", "15m"], SESSION.environment())
            assert done.returncode == 0, f"exit code {done.returncode}: {text(done.stderr)}"
            raw = place.recorded(place.run(["curl", "-q", "-s", text(done.stdout).strip()], {}), get)
            check_presigned(raw, SESSION.secret_access_key)


def check_no_secret(output: bytes, credentials: Credentials, where: str) -> None:
    assert credentials.secret_access_key.encode() not in output, f"the secret is in {where}"
    token = credentials.session_token.encode()
    assert not token or token not in output, f"the session token is in {where}"


def descendants(pid: int) -> list:
    """The process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        children = []
    return [pid] + [below for child in children for below in descendants(int(child))]


if __name__ == "__main__":
    main()
