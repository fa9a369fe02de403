"""Bytes between client and server: a relay that records, and requests with one thing changed."""

import json
import queue
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checks import BINARY, Loopback, clean_environment
from recorder import read_request
from servers import NotStarted

SECONDS = 20  # for one answer


@dataclass(frozen=True)
class Exchange:
    """A request as it was on the wire, and what the server said of it."""

    raw: bytes
    answer: bytes
    verdict: dict


class Listener:
    """`countersign listen --json`; it gets one request at a time, so verdicts are in order."""

    def __init__(self, process, address: tuple, trust: ssl.SSLContext | None = None):
        self.process, self.address, self.trust = process, address, trust
        self.lines: queue.Queue[bytes] = queue.Queue()
        self.connection, self.busy = None, threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)

    def exchange(self, raw: bytes) -> Exchange:
        with self.busy:
            answer = self._send(raw)
            try:
                return Exchange(raw, answer, json.loads(self.lines.get(timeout=SECONDS)))
            except queue.Empty:
                raise AssertionError(f"no verdict on {raw[:200]!r}, answered {answer[:200]!r}") from None

    def _send(self, raw: bytes) -> bytes:
        if self.connection is None:
            self.connection = socket.create_connection(self.address, SECONDS)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.trust:
                self.connection = self.trust.wrap_socket(self.connection, server_hostname="127.0.0.1")
        try:
            self.connection.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the body was read; the answer says why
        answer, keep = read_answer(self.connection, raw.startswith(b"HEAD "))
        if not keep:
            self.connection.close()
            self.connection = None
        return answer


def read_answer(connection, bodyless: bool) -> tuple:
    """The final answer, and whether the connection may be used again."""
    raw = b""

    def more() -> None:
        nonlocal raw
        piece = connection.recv(65536)
        if not piece:
            raise AssertionError(f"the server left in the middle of an answer: {raw[:200]!r}")
        raw += piece

    while True:
        while b"\r\n\r\n" not in raw:
            more()
        if not re.match(rb"HTTP/1\.[01] 1\d\d ", raw):
            break
        raw = raw.partition(b"\r\n\r\n")[2]
    head, _, _ = raw.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
    bodyless = bodyless or re.match(rb"HTTP/1\.[01] (204|304) ", head)
    assert length or bodyless, f"an answer of unknown length: {head!r}"
    while not bodyless and len(raw) < len(head) + 4 + int(length[1]):
        more()
    closes = re.search(rb"\r\nconnection: *close", head, re.I) or head.startswith(b"HTTP/1.0")
    return raw, not closes


@contextmanager
def listening(keys: list, directory: Path, tls: tuple | None = None):
    """`countersign listen` with these keys, from the moment it says where it listens.

    `tls` is a certificate and its key.
    """
    command = [BINARY, "listen", "127.0.0.1:0", "--json", *(("--tls", *tls) if tls else ())]
    trust = ssl.create_default_context(cafile=tls[0]) if tls else None
    for number, key in enumerate(keys):
        file = directory / f"key-{number}.json"
        file.touch(mode=0o600)
        fields = {"Version": 1, "AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key}
        token = {"SessionToken": key.session_token} if key.session_token else {}
        file.write_text(json.dumps(fields | token))
        command += ["--credentials-file", file]
    process = subprocess.Popen(
        command, env=clean_environment(directory), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        first = process.stdout.readline()
        try:
            host, _, port = json.loads(first)["listening"].partition("://")[2].rpartition(":")
        except (ValueError, KeyError):
            raise NotStarted(f"FAIL start countersign listen: its first line is {first!r}") from None
        yield Listener(process, (host, int(port)), trust)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Relay(Loopback):
    """Stands between client and listener, alters nothing, and keeps what passed."""

    def __init__(self, listener: Listener, tls: tuple | None = None):
        super().__init__(RelayHandler)
        self.listener, self.context = listener, None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.passed: queue.Queue = queue.Queue()

    def take(self) -> Exchange:
        """The one request that passed since the last call; an error if there was another number."""
        passed = []
        while not self.passed.empty():
            passed.append(self.passed.get())
        for one in passed:
            if isinstance(one, Exception):
                raise one
        assert len(passed) == 1, f"{len(passed)} requests came where one was expected"
        return passed[0]

    def handle_error(self, request, client_address):
        pass  # told through `passed`


class RelayHandler(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self):
        connection = self.request
        if self.server.context:
            connection = self.server.context.wrap_socket(connection, server_side=True)
        while True:
            try:
                raw = read_request(connection)
            except OSError:
                return  # the client has left
            try:
                exchange = self.server.listener.exchange(raw)
            except Exception as why:
                self.server.passed.put(why)
                raise
            self.server.passed.put(exchange)
            connection.sendall(exchange.answer)


# What a request says of its own signature, and the same request with one thing changed.


@dataclass(frozen=True)
class Parts:
    """A raw request in pieces that can be put together again."""

    method: bytes
    path: bytes
    query: bytes | None
    headers: tuple  # raw lines
    body: bytes

    @classmethod
    def of(cls, raw: bytes) -> "Parts":
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *headers = head.split(b"\r\n")
        method, target, _ = first.split(b" ")
        path, mark, query = target.partition(b"?")
        return cls(method, path, query if mark else None, tuple(headers), body)

    def raw(self) -> bytes:
        target = self.path if self.query is None else self.path + b"?" + self.query
        return b"\r\n".join([b"%s %s HTTP/1.1" % (self.method, target), *self.headers, b"", self.body])

    def with_(self, **fields) -> "Parts":
        return Parts(**(self.__dict__ | fields))

    def header(self, name: str) -> bytes | None:
        for line in self.headers:
            if header_name(line) == name:
                return line.partition(b":")[2].strip()
        return None

    def with_header(self, name: str, value: bytes | None) -> "Parts":
        """With the first header of that name replaced, or gone."""
        lines = list(self.headers)
        at = next(i for i, line in enumerate(lines) if header_name(line) == name)
        lines[at : at + 1] = [] if value is None else [lines[at].partition(b":")[0] + b": " + value]
        return self.with_(headers=tuple(lines))

    def replaced(self, old: bytes, new: bytes) -> "Parts":
        """With one occurrence of `old`, in the Authorization header or else in the query, replaced."""
        authorization = self.header("authorization")
        if authorization is not None:
            assert old in authorization, (old, authorization)
            return self.with_header("authorization", authorization.replace(old, new, 1))
        assert self.query and old in self.query, (old, self.query)
        return self.with_(query=self.query.replace(old, new, 1))


def header_name(line: bytes) -> str:
    return line.partition(b":")[0].decode("latin-1").strip().lower()


# To alter these would alter how the request is read, not what it says.
FRAMING = {"content-length", "transfer-encoding", "connection", "expect"}


def swap(byte: int) -> bytes:
    """Another letter or digit in place of this one."""
    for first, last in (b"09", b"az", b"AZ"):
        if first <= byte <= last:
            return bytes([first if byte == last else byte + 1])
    raise ValueError(byte)


def alter_one(data: bytes) -> bytes | None:
    """With the last letter or digit that is no part of an escape changed, if there is one."""
    found = list(re.finditer(rb"(?<!%)(?<!%[0-9A-Fa-f])[0-9A-Za-z]", data))
    if not found:
        return None
    at = found[-1].start()
    return data[:at] + swap(data[at]) + data[at + 1 :]


def tamperings(raw: bytes, other_key: str):
    """Pairs of what was changed and the changed request."""
    parts = Parts.of(raw)
    presigned = parts.header("authorization") is None
    where = parts.query if presigned else parts.header("authorization")
    yield "method", parts.with_(method=b"PUT" if parts.method != b"PUT" else b"POST")
    yield "path byte", parts.with_(path=alter_one(parts.path) or parts.path + b"x")
    yield "longer path", parts.with_(path=parts.path + b"x")

    own, auth = parts.query or b"", b""
    if presigned:
        pieces = own.split(b"&")
        own = b"&".join(p for p in pieces if not p.lower().startswith(b"x-amz-"))
        auth = b"".join(b"&" + p for p in pieces if p.lower().startswith(b"x-amz-"))
    if own:
        if altered := alter_one(own):
            yield "query byte", parts.with_(query=altered + auth)
        yield "query piece gone", parts.with_(query=own.partition(b"&")[2] + auth)
    yield "query piece added", parts.with_(query=own + (b"&" if own else b"") + b"tamper=1" + auth)

    signed = re.search(rb"SignedHeaders=([^,&]+)", where)[1].replace(b"%3B", b";").decode().split(";")
    for name in dict.fromkeys(signed):
        if name in FRAMING:
            continue
        value = parts.header(name)
        yield f"signed {name}", parts.with_header(name, alter_one(value) or value + b"x")
        yield f"signed {name} gone", parts.with_header(name, None)
    yield "unsigned x-amz header", parts.with_(headers=(*parts.headers, b"x-amz-copy-source: /other/key"))

    if parts.body and parts.header("transfer-encoding") is None:
        yield "body byte", parts.with_(body=parts.body[:-1] + bytes([parts.body[-1] ^ 1]))
        first = bytes([parts.body[0] ^ 0x20])
        yield "first body byte", parts.with_(body=first + parts.body[1:])
    elif not parts.body and "content-length" not in signed:
        headers = tuple(h for h in parts.headers if header_name(h) != "content-length")
        yield "body added", parts.with_(headers=(*headers, b"content-length: 1"), body=b"x")

    signature = re.search(rb"Signature=([0-9a-f]{64})", where)[1]
    yield "signature, first digit", parts.replaced(signature, b"%x" % (int(signature[:1], 16) ^ 1) + signature[1:])
    yield "signature, last digit", parts.replaced(signature, signature[:-1] + b"%x" % (int(signature[-1:], 16) ^ 8))
    yield "signature cut", parts.replaced(signature, signature[:-2])
    if signature != signature.upper():
        yield "signature in upper case", parts.replaced(signature, signature.upper())

    credential = re.search(rb"Credential=([^,&\s]+)", where)[1]
    slash = b"/" if b"/" in credential else b"%2F" if b"%2F" in credential else b"%2f"
    fields = credential.split(slash)
    for i, field in enumerate(("access key id", "scope date", "region", "service", "terminator")):
        changed = [*fields[:i], alter_one(fields[i]), *fields[i + 1 :]]
        yield f"credential's {field}", parts.replaced(credential, slash.join(changed))
    yield "another known key", parts.replaced(credential, slash.join([other_key.encode(), *fields[1:]]))

    if presigned:
        for name in (b"X-Amz-Date", b"X-Amz-Expires", b"X-Amz-Algorithm"):
            if found := re.search(name + rb"=([^&]+)", parts.query):
                value = found[1].replace(b"Z", b"")
                yield name.decode(), parts.replaced(name + b"=" + value, name + b"=" + alter_one(value))
    else:
        if date := parts.header("x-amz-date"):
            yield "x-amz-date", parts.with_header("x-amz-date", alter_one(date[:-1]) + b"Z")


def flips(raw: bytes, randomness, count: int):
    """The request with one random letter or digit changed: target, header values, body."""
    parts = Parts.of(raw)
    fixed = [line for line in parts.headers if header_name(line) in FRAMING]
    start = len(parts.method) + 1
    places = [(start, start + len(parts.path) + len(parts.query or b""))]
    at = raw.index(b"\r\n") + 2
    for line in parts.headers:
        if line not in fixed:
            places.append((at + line.index(b":") + 1, at + len(line)))
        at += len(line) + 2
    places.append((at + 2, len(raw) if parts.header("transfer-encoding") is None else at + 2))
    candidates = [i for a, b in places for i in range(a, b) if chr(raw[i]).isascii() and chr(raw[i]).isalnum()]
    for at in randomness.sample(candidates, min(count, len(candidates))):
        yield f"byte {at}", raw[:at] + swap(raw[at]) + raw[at + 1 :]
