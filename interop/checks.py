"""What both check programs share: counting, and running `countersign` in a clean environment."""

import os
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BINARY = Path(os.environ.get("COUNTERSIGN_BIN", "countersign")).absolute()
SECONDS = 30  # for one command


class Checks:
    """Prints a line for each check and remembers whether one failed."""

    def __init__(self, program: str):
        self.program, self.passed, self.failed = program, 0, 0

    @contextmanager
    def check(self, name: str):
        try:
            yield
        except Exception as why:
            # Whatever is wrong with one check, the others still run.
            kind = "" if isinstance(why, AssertionError) else f"{type(why).__name__}: "
            print(f"FAIL {name}: {kind}{' '.join(str(why).split())[:900]}", flush=True)
            self.failed += 1
        else:
            print(f"ok {name}", flush=True)
            self.passed += 1

    def finish(self) -> None:
        print(f"{self.program}: {self.passed} ok, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)


class Loopback(socketserver.ThreadingTCPServer):
    """Listens on a free port of loopback, and has a thread for each connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, handler: type):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]

    @contextmanager
    def serving(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def environment(self) -> dict:
        token = {"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {}
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key} | token


def clean_environment(home: Path) -> dict:
    """An environment without the proxies, profiles and `.curlrc` of whoever calls."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "AWS_EC2_METADATA_DISABLED": "true"}


def run(command: list, environment: dict, stdin: bytes = b"", directory: Path | None = None):
    return subprocess.run(
        command, env=environment, input=stdin, cwd=directory, capture_output=True, timeout=SECONDS
    )


def text(data: bytes) -> str:
    return data.decode(errors="replace")
