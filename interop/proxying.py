"""`countersign proxy` as a process, and a service behind it that checks what it gets by `reference.py`."""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "clients"))

from checks import BINARY, Credentials, clean_environment
from judge import judge
from servers import NotStarted

STOP_SECONDS = 40  # longer than the proxy drains


@dataclass
class Proxy:
    """A proxy that runs."""

    process: subprocess.Popen
    port: int
    admin: int
    log: Path
    said: list

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def peak_memory(self) -> int:
        """The most memory that it ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def requests(self) -> list:
        """What it logged of each request."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("message") == "request"]


@contextmanager
def proxying(home: Path, settings: str, keys: dict | Credentials | None = None, *options, **environment):
    """The proxy with these settings, in TOML, from the moment that it says where it listens.

    `keys` is what it signs with: one, or one for each profile. It listens on ports that are free.
    """
    home.mkdir(parents=True, exist_ok=True)
    file, log = home / "proxy.toml", home / "proxy.log"
    file.write_text('listen = ["127.0.0.1:0"]\nadmin = "127.0.0.1:0"\n' + settings)
    environment = clean_environment(home) | {"AWS_CONFIG_FILE": str(home / "none")} | environment
    if isinstance(keys, Credentials):
        environment |= keys.environment()
    elif keys:
        shared = home / "credentials"
        shared.touch(mode=0o600)
        shared.write_text("".join(profile(name, key) for name, key in keys.items()))
        environment["AWS_SHARED_CREDENTIALS_FILE"] = str(shared)
    with log.open("w") as err:
        process = subprocess.Popen(
            [BINARY, "proxy", "--config", file, *options],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True,
        )  # fmt: skip
    try:
        said = [process.stdout.readline(), process.stdout.readline()]
        ports = [re.search(r"on https?://127\.0\.0\.1:(\d+)$", line.strip()) for line in said]
        if not all(ports):
            raise NotStarted(f"FAIL start countersign proxy: it says {said}\n{log.read_text()[-2000:]}")
        yield Proxy(process, int(ports[0][1]), int(ports[1][1]), log, said)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def profile(name: str, key: Credentials) -> str:
    lines = [f"[{name}]", f"aws_access_key_id = {key.access_key_id}", f"aws_secret_access_key = {key.secret_access_key}"]
    return "\n".join(lines + [f"aws_session_token = {key.session_token}"] * bool(key.session_token)) + "\n"


def route(name: str, **fields) -> str:
    """A route, in TOML: text and lists of text are written alike in JSON."""
    lines = [f"{field} = {json.dumps(value, ensure_ascii=False)}" for field, value in fields.items()]
    return "\n".join(["\n[[route]]", f'name = "{name}"', *lines]) + "\n"


def certificate(home: Path) -> tuple:
    """A certificate for loopback, and its key. It is no authority's: rustls takes none of those for a server's."""
    files = home / "loopback.pem", home / "loopback.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE", "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


class Strict:
    """A service that answers 200 to what is rightly signed, 403 to the rest; with what it got, as JSON.

    It waits with its answers while `may_answer` is clear.
    """

    def __init__(self, keys: list):
        self.keys, self.port, self.arrived = keys, 0, 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    @contextmanager
    def serving(self):
        loop, started = asyncio.new_event_loop(), threading.Event()

        async def begin():
            server = await asyncio.start_server(self._converse, "127.0.0.1", 0, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            started.set()

        def work():
            loop.run_until_complete(begin())
            loop.run_forever()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.arrived += 1
                while not self.may_answer.is_set():
                    await asyncio.sleep(0.01)
                wrong = judge(head + body, self.keys)
                answer = json.dumps(
                    {
                        "wrong": wrong,
                        "target": head.split(b" ")[1].decode("latin-1"),
                        "credential": found[1].decode() if (found := re.search(rb"Credential=([^,/]+)", head)) else "",
                        "mark": found[1].decode() if (found := re.search(rb"\r\nx-mark: *(\S+)", head, re.I)) else "",
                        "body": hashlib.sha256(body).hexdigest(),
                    }
                ).encode()
                status = b"403 Forbidden" if wrong else b"200 OK"
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n" % (status, len(answer)))
                if not head.startswith(b"HEAD "):
                    writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the proxy has left
        finally:
            writer.close()
