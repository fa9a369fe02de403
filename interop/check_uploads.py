"""Uploads in chunks to real servers, which check each signature and each checksum.

    check_uploads.py UPLOAD-CLIENT

Each form, each checksum and each size that matters through `sign --jsonl`; a file of 256 MiB through
`countersign curl` and through `reqwest-client/src/bin/upload.rs`, in flat memory. What is stored must be
what was sent. Then bodies with one bit flipped, or with chunks moved: they must be refused and change
nothing, but for what is in GAPS, which the servers let pass. Run it under servers.py.
"""

import hashlib
import http.client
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import chunks
from check_jsonl import Coprocess, Server
from checks import BINARY, Checks, clean_environment, text
from servers import BUCKET, REGION

SERVERS = {"s3s-fs": "S3", "swift": "SWIFT"}
MIB = 1 << 20
SIZES = {"0 B": 0, "1 B": 1, "64 KiB - 1": 65535, "64 KiB": 65536, "5 MiB + 1": 5 * MIB + 1}
LARGE = 256 * MIB
# What a program may take while it uploads those 256 MiB.
FLAT = 32 * MIB
SECONDS = 120

# Which alterations a server does not refuse, although it should. What it stores is the right body
# (ACCEPTED), or it answers with an error and stores what it was sent (STORED).
ACCEPTED, STORED = "accepted", "stored"
DATA = ["data of chunk 1", "data of chunk 2", "data of chunk 4"]
MOVED = ["two chunks swapped", "a chunk taken out", "a chunk sent twice"]
BEHIND = "bytes behind the end"
GAPS = {
    ("s3s-fs", "streaming"): {"the final chunk taken out": ACCEPTED},
    ("s3s-fs", "streaming-trailer"): {},
    ("s3s-fs", "unsigned-trailer"): dict.fromkeys(DATA + MOVED, STORED),
    ("swift", "streaming"): dict.fromkeys(["LF of line of final chunk", BEHIND], ACCEPTED),
    ("swift", "streaming-trailer"): dict.fromkeys(["LF of trailer signature line", BEHIND], ACCEPTED),
    ("swift", "unsigned-trailer"): dict.fromkeys(["LF of trailer line", BEHIND], ACCEPTED),
}


def main() -> None:
    upload_client = Path(sys.argv[1])
    checks = Checks("check_uploads")
    with tempfile.TemporaryDirectory() as name, Coprocess(Path(name)) as signer:
        home = Path(name)
        servers = {name: Server(prefix, "s3", signer) for name, prefix in SERVERS.items()}
        for name, server in servers.items():
            for form, trailer in forms():
                check_sizes(checks, name, server, form, trailer, home)
                check_altered(checks, name, server, form, trailer)
        check_large(checks, servers, home, upload_client)
    checks.finish()


def forms() -> list:
    """Each form, with each checksum if it has a trailer."""
    trailers = list(chunks.CHECKSUMS)
    return [(form, name) for form in chunks.FORMS.values() for name in (trailers if form.trailer else [None])]


def title(form: chunks.Form, trailer: str | None) -> str:
    return form.name + (f", {trailer.removeprefix('x-amz-checksum-')}" if trailer else "")


def check_sizes(checks: Checks, name: str, server: Server, form: chunks.Form, trailer: str, home: Path) -> None:
    for size, length in SIZES.items():
        with checks.check(f"{name}: {title(form, trailer)}: {size}"):
            file, path = home / "body", f"/{BUCKET}/uploads/{form.name}-{length}"
            body = random.Random(length).randbytes(length)
            file.write_bytes(body)
            status, said = send(*put(server, path, form, trailer, body_file=str(file)))
            assert status == 200, f"{status}: {text(said)}"
            assert stored(server, path) == digest(body), "stored is something else"


def check_altered(checks: Checks, name: str, server: Server, form: chunks.Form, trailer: str) -> None:
    path, body = f"/{BUCKET}/uploads/altered-{form.name}", random.Random(5).randbytes(200_000)
    # With its length signed, a body of another length would be refused for its head.
    method, url, headers, wire = put(server, path, form, trailer, body, exclude=["content-length"])
    allowed = GAPS[name, form.name]
    altered = chunks.alterations(wire, form, random.Random(1)) + chunks.cuts(wire, form)

    def restore() -> None:
        status, said = send(method, url, headers, wire)
        assert status == 200, f"as it was signed: {status}: {text(said)}"
        assert stored(server, path) == digest(body), "as it was signed: stored is something else"

    with checks.check(f"{name}: {title(form, trailer)}: {len(altered)} alterations, {len(allowed)} let pass"):
        restore()
        found = {}
        for what, sent in altered:
            status, said = send(method, url, headers, sent)
            if status >= 400 and stored(server, path) == digest(body):
                continue
            found[what] = STORED if status >= 400 else ACCEPTED
            if stored(server, path) != digest(body):
                assert found[what] == STORED, f"{what}: accepted, and stored is something else"
                restore()
        assert found == allowed, f"let pass: {found}, which should be {allowed}"


def check_large(checks: Checks, servers: dict, home: Path, upload_client: Path) -> None:
    file = home / "large"
    with file.open("wb") as out:
        for _ in range(LARGE // MIB):
            out.write(os.urandom(MIB))
    with file.open("rb") as content:
        expected = hashlib.file_digest(content, "sha256").hexdigest()
    for name, server in servers.items():
        environment = clean_environment(home) | {
            "AWS_ACCESS_KEY_ID": server.credentials["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": server.credentials["secret_access_key"],
        }
        for form, checksum in zip(chunks.FORMS.values(), ("crc32", "crc32c", "crc64nvme")):
            path = f"/{BUCKET}/uploads/large"
            url = server.url + path
            ours = ["--service", "s3", "--region", REGION, "--payload", form.name, "--checksum", checksum]
            uploads = {
                "countersign curl": [BINARY, "curl", *ours, "-sS", "--fail-with-body", "-T", file, url],
                "upload-client": [upload_client, REGION, form.name, checksum, file, url],
            }
            for program, command in uploads.items():
                with checks.check(f"{name}: {program}, {title(form, None)}: 256 MiB in flat memory"):
                    peak, seconds = watched(command, environment)
                    assert stored(server, path) == expected, "stored is something else"
                    print(f"   {peak / MIB:.1f} MiB, {seconds:.1f} s", flush=True)
                    assert peak < FLAT, f"it took {peak} bytes of memory"
                    status, said = send(*server.signed("DELETE", path))
                    assert status == 204, f"{status}: {text(said)}"


def watched(command: list, environment: dict) -> tuple:
    """Runs a command; the most memory that its process ever had, and the time it took."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid))
            if time.monotonic() > start + SECONDS:
                process.kill()
            time.sleep(0.02)
        log.seek(0)
        assert process.returncode == 0, f"exit code {process.returncode}: {text(log.read())}"
    return peak, time.monotonic() - start


def peak_memory(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def put(server: Server, path: str, form: chunks.Form, trailer: str | None, body: bytes = b"", **fields) -> list:
    """Method, URL, headers and body to send, from `sign --jsonl`."""
    trailer = {"trailer": trailer} if trailer else {}
    return server.signed("PUT", path, body, payload=form.name, **trailer, **fields)


def stored(server: Server, path: str) -> str:
    """The SHA-256 of an object."""
    with requested(*server.signed("GET", path)) as answer:
        assert answer.status == 200, f"GET: {answer.status}: {text(answer.read())}"
        return hashlib.file_digest(answer, "sha256").hexdigest()


def send(method: str, url: str, headers: dict, body: bytes) -> tuple:
    """Status and body of the answer to a request that is sent exactly so."""
    with requested(method, url, headers, body) as answer:
        return answer.status, answer.read()


@contextmanager
def requested(method: str, url: str, headers: dict, body: bytes):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.putrequest(method, url.removeprefix(f"http://{urlsplit(url).netloc}"), True, True)
        # What was altered may have another length.
        for header, value in (headers | {"content-length": str(len(body))}).items():
            connection.putheader(header, value.encode())
        try:
            connection.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was read; the answer says why
        yield connection.getresponse()
    finally:
        connection.close()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


if __name__ == "__main__":
    main()
