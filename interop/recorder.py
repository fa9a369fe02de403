"""A loopback HTTP/1.1 server that keeps the raw bytes of each request."""

import queue
import re
import socketserver
import ssl
import threading
from pathlib import Path

from checks import Loopback


class Recorder(Loopback):
    def __init__(self, tls: tuple[Path, Path] | None = None):
        """`tls` is a certificate and its key."""
        super().__init__(Handler)
        self.recorded: queue.Queue[bytes] = queue.Queue()
        self.status = 200
        # An answer waits for this event; clear it to look at a client that is still running.
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)

    def take(self, seconds: float = 10) -> bytes:
        """The one request received since the last call; an error when there was another number."""
        try:
            raw = self.recorded.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError("no request arrived") from None
        assert not self.forget(), "more than one request arrived"
        return raw

    def forget(self) -> int:
        """Drops what was received and says how many requests that were."""
        count = 0
        while not self.recorded.empty():
            self.recorded.get()
            count += 1
        return count

    def handle_error(self, request, client_address):
        pass  # a client that leaves early shows up as a missing request


class Handler(socketserver.BaseRequestHandler):
    server: Recorder

    def handle(self):
        connection = self.request
        if self.server.context:
            connection = self.server.context.wrap_socket(connection, server_side=True)
        connection.settimeout(20)
        raw = read_request(connection)
        self.server.recorded.put(raw)
        self.server.may_answer.wait(20)
        answer = b"HTTP/1.1 %d -\r\nContent-Length: 3\r\nConnection: close\r\n\r\n" % self.server.status
        connection.sendall(answer if raw.startswith(b"HEAD ") else answer + b"ok\n")


def read_request(connection) -> bytes:
    """One request, head and body, as it came."""
    raw = b""

    def read_until(complete):
        nonlocal raw
        while not complete():
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError(f"the client left after {len(raw)} bytes")
            raw += piece

    read_until(lambda: b"\r\n\r\n" in raw)
    head, _, _ = raw.partition(b"\r\n\r\n")
    if re.search(rb"\r\nexpect: *100-continue", head, re.I):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.I):
        # A body may hold what looks like its end.
        at, size = len(head) + 4, 1
        while size:
            read_until(lambda: raw.find(b"\r\n", at) >= 0)
            end = raw.find(b"\r\n", at)
            size = int(raw[at:end], 16)
            at = end + 2 + size + 2
            read_until(lambda: len(raw) >= at)
    elif length:
        read_until(lambda: len(raw) >= len(head) + 4 + int(length[1]))
    return raw
