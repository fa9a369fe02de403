"""`countersign proxy` under load: large bodies, many at once, and thousands of slow clients, each in little memory.

Clients and services are processes of their own (`proxy_load.py`; curl; s3s-fs). The most memory that the proxy
ever had is what the system says (`VmHWM`). Run it under servers.py.
"""

import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from check_proxy import key_of, new_key, send
from checks import Checks, clean_environment
from proxying import Proxy, certificate, proxying, route
from servers import BUCKET, REGION, NotStarted

LOAD = Path(__file__).resolve().parent / "proxy_load.py"
MIB = 1 << 20
LARGE = 1024 * MIB
FLAT = 64 * MIB
UPLOADS, UPLOAD = 200, 10 * MIB
CLIENTS, SLOW_FLAT = 10_000, 200 * MIB
PROCESSES = 5
SECONDS = 180  # for one process


def main() -> None:
    checks = Checks("check_load")
    with tempfile.TemporaryDirectory(prefix="countersign-interop-") as name:
        home = Path(name)
        check_large(checks, home, certificate(home))
        check_many(checks, home)
        check_slow(checks, home)
    checks.finish()


def check_large(checks: Checks, home: Path, trusted: tuple) -> None:
    file, expected = home / "large", hashlib.md5()
    with file.open("wb") as out:
        block = random.Random(1).randbytes(MIB)
        for number in range(LARGE // MIB):
            piece = block[number:] + block[:number]
            expected.update(piece)
            out.write(piece)
    s3, key = os.environ["INTEROP_S3_URL"], key_of("S3")
    with sink(home, *trusted) as port:
        at = f"https://127.0.0.1:{port}"
        for payload, upstream, signing in (("hash", s3, key), ("chunks", s3, key), ("unsigned", at, new_key())):
            settings = f'ca_file = "{trusted[0]}"\n[limits]\nspool = "{home}"\n'
            settings += route("s3", upstream=upstream, service="s3", region=REGION, payload=payload)
            with checks.check(f"1 GiB up, {payload}: in flat memory"), proxying(home / "large-up", settings, signing) as proxy:
                began = time.monotonic()
                url = f"{proxy.url}/{BUCKET}/large-{payload}"
                head = curl(home, "-T", file, "-D", "-", "-o", os.devnull, url)
                assert expected.hexdigest().encode() in head, f"what came is something else: {head}"
                tell_and_limit(proxy, began, FLAT)
    file.unlink()
    settings = route("s3", upstream=s3, service="s3", region=REGION)
    for payload in ("hash", "chunks"):
        with checks.check(f"1 GiB down, as it went up by {payload}: in flat memory"), proxying(
            home / "large-down", settings, key
        ) as proxy:
            began, url = time.monotonic(), f"{proxy.url}/{BUCKET}/large-{payload}"
            command = ["curl", "-q", "-sS", "--fail-with-body", url]
            with subprocess.Popen(command, env=clean_environment(home), stdout=subprocess.PIPE) as process:
                found = hashlib.file_digest(process.stdout, "md5").hexdigest()
            assert process.returncode == 0, f"curl: exit code {process.returncode}"
            assert found == expected.hexdigest(), "what came is something else"
            tell_and_limit(proxy, began, FLAT)
            curl(home, "-X", "DELETE", url)


def check_many(checks: Checks, home: Path) -> None:
    with sink(home) as port:
        at = f"http://127.0.0.1:{port}"
        for payload, upstream, key in (("hash", at, new_key()), ("chunks", os.environ["INTEROP_S3_URL"], key_of("S3"))):
            settings = f'[limits]\nspool = "{home}"\n'
            settings += route("s3", upstream=upstream, service="s3", region=REGION, payload=payload)
            with checks.check(f"{UPLOADS} uploads of 10 MiB at once, {payload}: in flat memory"), proxying(
                home / "many", settings, key
            ) as proxy:
                began, share = time.monotonic(), str(UPLOADS // PROCESSES)
                commands = [
                    ["upload", str(proxy.port), f"/{BUCKET}/many-{payload}/{n}", share, str(UPLOAD)]
                    for n in range(PROCESSES)
                ]
                with loaded(home, commands) as programs:
                    said = programs.end()
                wrong = [problem for one in said for problem in one["wrong"]]
                assert not wrong, f"{len(wrong)}: {wrong[0]}"
                assert sum(one["uploads"] for one in said) == UPLOADS, said
                tell_and_limit(proxy, began, FLAT)


def check_slow(checks: Checks, home: Path) -> None:
    key = new_key()
    with checks.check(f"{CLIENTS} slow clients: in little memory, and others wait for none of them"):
        raise_limit(CLIENTS + 500)
        with sink(home) as port:
            # What a client may take between two bytes is the default.
            settings = f"[limits]\nconnections = {CLIENTS + 100}\nrequests = {CLIENTS}\n[timeouts]\nhead = \"5m\"\n"
            at = f"http://127.0.0.1:{port}"
            settings += route("api", upstream=at, service="execute-api", region=REGION)
            with proxying(home / "slow", settings, key) as proxy:
                began, share = time.monotonic(), str(CLIENTS // PROCESSES)
                commands = [["slow", str(proxy.port), share, f"127.0.0.{n + 2}"] for n in range(PROCESSES)]
                with loaded(home, commands) as programs:
                    slowest = {}
                    for _ in range(10):
                        for what, at in (("/healthz", proxy.admin), ("/readyz", proxy.admin), ("/prod", proxy.port)):
                            start = time.monotonic()
                            status, _ = send(at, "GET", what, [("Host", "localhost")], b"")
                            assert status == 200, f"{what}: {status}"
                            slowest[what] = max(slowest.get(what, 0), time.monotonic() - start)
                        time.sleep(0.3)
                    _, text = send(proxy.admin, "GET", "/metrics", [("Host", "localhost")], b"")
                    connections = [line for line in text.decode().splitlines() if "proxy_connections " in line]
                    assert int(connections[-1].split(" ")[1]) >= CLIENTS, connections
                    said = programs.end()
                assert sum(one["lost"] for one in said) == 0, said
                print("   " + ", ".join(f"{what} {1000 * took:.0f} ms" for what, took in slowest.items()), flush=True)
                assert max(slowest.values()) < 1, slowest
                tell_and_limit(proxy, began, SLOW_FLAT)


def tell_and_limit(proxy: Proxy, began: float, limit: int) -> None:
    peak = proxy.peak_memory()
    print(f"   {peak / MIB:.1f} MiB, {time.monotonic() - began:.1f} s", flush=True)
    assert peak <= limit, f"it took {peak / MIB:.1f} MiB of memory"


def raise_limit(files: int) -> None:
    """Descriptors, for all processes that are started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(most, files) if most != resource.RLIM_INFINITY else files
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError) as why:
        raise AssertionError(f"this machine does not allow {files} open files: {why}") from None


class Programs:
    """Some of `proxy_load.py`, each of which waits in the middle."""

    def __init__(self, processes: list):
        self.processes = processes

    def end(self) -> list:
        """Has them go on; what each says of how it went."""
        for process in self.processes:
            process.stdin.close()
        return [json.loads(process.stdout.readline() or '"it has exited"') for process in self.processes]


@contextmanager
def loaded(home: Path, commands: list):
    """These programs, from the moment that all are in the middle."""
    with ExitStack() as stack:
        processes = [stack.enter_context(program(home, *command)) for command in commands]
        for process in processes:
            assert process.stdout.readline(), f"{process.args[2]} has exited"
        yield Programs(processes)


@contextmanager
def sink(home: Path, *tls: Path):
    """The port of a service that takes whatever comes."""
    with program(home, "sink", *tls) as process:
        yield int(process.stdout.readline())


@contextmanager
def program(home: Path, *arguments):
    process = subprocess.Popen(
        [sys.executable, LOAD, *arguments],
        env=clean_environment(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def curl(home: Path, *arguments) -> bytes:
    command = ["curl", "-q", "-sS", "--fail-with-body", "-H", "Expect:", *arguments]
    done = subprocess.run(command, env=clean_environment(home), capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, f"curl: {done.stderr} {done.stdout}"
    return done.stdout


if __name__ == "__main__":
    try:
        main()
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
