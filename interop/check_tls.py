"""Whom `countersign credentials` believes over TLS: `openssl s_server` with what is good and what is not.

The server answers as the agent of a container does, over TLS. Credentials come from it only if its version
and its suite are ones that keep past exchanges secret, and its certificate is for its name and by an authority
in AWS_CA_BUNDLE.
"""

import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from checks import BINARY, Checks, clean_environment, run, text

CREDENTIALS = (
    b'{"AccessKeyId": "ASIATLSEXAMPLE", "SecretAccessKey": "hush", "Token": "hush",'
    b' "Expiration": "2099-01-01T00:00:00Z"}'
)
GOOD = {
    "TLS 1.3": ["-tls1_3"],
    "TLS 1.2, ECDHE with GCM": ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
    "TLS 1.2, ECDHE with ChaCha20": ["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"],
}
# Each with what the program must say of it.
BAD = {
    "TLS 1.0": (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "ProtocolVersion"),
    "TLS 1.1": (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "ProtocolVersion"),
    "static RSA": (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "HandshakeFailure"),
    "finite-field DHE": (["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "HandshakeFailure"),
    "ECDHE with CBC": (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"], "HandshakeFailure"),
}


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_certificates(directory: Path) -> None:
    """An authority, another one, and a server's certificate for `localhost` by the first."""
    for name in ("authority", "stranger"):
        openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", "server.key",
            "-out", "server.csr")
    (directory / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl(directory, "x509", "-req", "-in", "server.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(CREDENTIALS)}\r\nconnection: close\r\n\r\n"
    (directory / "credentials").write_bytes(head.encode() + CREDENTIALS)


@contextmanager
def server(directory: Path, options: list):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "server.pem", "-key", "server.key",
               "-HTTP", "-quiet", *options]
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            assert process.poll() is None, f"openssl s_server {' '.join(options)} does not start"
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def ask(directory: Path, port: int, host: str = "localhost", bundle: str = "authority.pem"):
    environment = clean_environment(directory) | {
        "AWS_CA_BUNDLE": str(directory / bundle),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"https://{host}:{port}/credentials",
    }
    return run([BINARY, "credentials", "--output", "process"], environment)


def refused(outcome, named: str) -> None:
    said = text(outcome.stderr)
    assert outcome.returncode == 4, f"exit code {outcome.returncode}: {said}"
    assert named in said, said
    assert "hush" not in said + text(outcome.stdout), said


def main() -> None:
    checks = Checks("check_tls")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        make_certificates(directory)
        for what, options in GOOD.items():
            with checks.check(f"accepted: {what}"), server(directory, options) as port:
                outcome = ask(directory, port)
                assert outcome.returncode == 0, text(outcome.stderr)
                assert "ASIATLSEXAMPLE" in text(outcome.stdout)
        for what, (options, named) in BAD.items():
            with checks.check(f"refused: {what}"), server(directory, options) as port:
                refused(ask(directory, port), named)
        with server(directory, []) as port:
            with checks.check("refused: a certificate for another name"):
                refused(ask(directory, port, host="127.0.0.1"), "not valid for name")
            with checks.check("refused: a certificate by somebody else"):
                refused(ask(directory, port, bundle="stranger.pem"), "UnknownIssuer")
    checks.finish()


main()
