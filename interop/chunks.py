"""Bodies in chunks a second time: written, judged, taken apart and altered.

Like `reference.py` written from the rules, with hashlib and hmac, and shares no code with the library.
"""

import base64
import hashlib
import hmac
import random
import re
import zlib
from dataclasses import dataclass

from reference import Request, canonical_request, hmac_sha256, signature


@dataclass(frozen=True)
class Form:
    """One of the three ways; `name` is that of `sign --jsonl`."""

    name: str
    line: str
    signed: bool
    trailer: bool


STREAMING = Form("streaming", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", True, False)
STREAMING_TRAILER = Form("streaming-trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", True, True)
UNSIGNED_TRAILER = Form("unsigned-trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", False, True)
FORMS = {form.line: form for form in (STREAMING, STREAMING_TRAILER, UNSIGNED_TRAILER)}

NOTHING = hashlib.sha256(b"").hexdigest()
TRAILER_SIGNATURE = b"x-amz-trailer-signature"


class Chain:
    """Signatures of which each signs the one before it."""

    def __init__(self, secret: str, timestamp: str, scope: str, seed: str):
        self.key = b"AWS4" + secret.encode()
        for part in scope.split("/"):
            self.key = hmac_sha256(self.key, part)
        self.timestamp, self.scope, self.last = timestamp, scope, seed

    def chunk(self, data: bytes) -> str:
        return self._next("PAYLOAD", NOTHING, hashlib.sha256(data).hexdigest())

    def trailer(self, trailers: list) -> str:
        lines = sorted((name.lower().strip(), value.strip()) for name, value in trailers)
        text = b"".join(name + b":" + value + b"\n" for name, value in lines)
        return self._next("TRAILER", hashlib.sha256(text).hexdigest())

    def _next(self, kind: str, *hashes: str) -> str:
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self.timestamp, self.scope, self.last, *hashes])
        self.last = hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
        return self.last


def framed(body: bytes, form: Form, size: int, trailers: list, chain: Chain | None) -> bytes:
    """The body as it goes over the wire, in chunks of this many bytes."""
    out = []
    for at in [*range(0, len(body), size), len(body)]:
        data = body[at : at + size]
        out.append(b"%x" % len(data))
        if form.signed:
            out.append(b";chunk-signature=" + chain.chunk(data).encode())
        out += [b"\r\n", data, b"\r\n" if data else b""]
    out += [name + b":" + value + b"\r\n" for name, value in trailers]
    if form.signed and form.trailer:
        out.append(TRAILER_SIGNATURE + b":" + chain.trailer(trailers).encode() + b"\r\n")
    return b"".join([*out, b"\r\n"])


@dataclass(frozen=True)
class Piece:
    """A stretch of a body on the wire."""

    what: str
    start: int
    end: int


def pieces(wire: bytes, form: Form) -> list:
    """A well-framed body taken apart, its chunks numbered from 1."""
    found, at, number = [], 0, 0

    def take(what: str, length: int) -> bytes:
        nonlocal at
        assert at + length <= len(wire), f"{what}: the body ends too early"
        found.append(Piece(what, at, at + length))
        at += length
        return wire[at - length : at]

    while True:
        line = wire[at : wire.index(b"\r\n", at)]
        shape = rb"([0-9a-fA-F]+);chunk-signature=([0-9a-f]{64})" if form.signed else rb"([0-9a-fA-F]+)()"
        read = re.fullmatch(shape, line)
        assert read, f"not the line of a chunk: {line[:100]!r}"
        length, number = int(read[1], 16), number + 1
        chunk = f"chunk {number}" if length else "final chunk"
        take(f"size of {chunk}", len(read[1]))
        if form.signed:
            take(f"extension of {chunk}", len(b";chunk-signature="))
            take(f"signature of {chunk}", 64)
        take(f"line of {chunk}", 2)
        if not length:
            break
        take(f"data of {chunk}", length)
        assert take(f"data of {chunk}, its end", 2) == b"\r\n"
    while form.trailer and wire[at : at + 2] != b"\r\n":
        name, colon, value = wire[at : wire.index(b"\r\n", at)].partition(b":")
        own = name.lower() == TRAILER_SIGNATURE
        take("trailer signature's name" if own else "trailer name", len(name))
        take("trailer colon", len(colon))
        take("trailer signature" if own else "trailer value", len(value))
        take("trailer signature line" if own else "trailer line", 2)
    assert take("end", 2) == b"\r\n" and at == len(wire), f"more than a body: {wire[at : at + 100]!r}"
    return found


def alterations(wire: bytes, form: Form, randomness: random.Random) -> list:
    """Pairs of what was altered and the body with one bit of it flipped, for each kind of piece.

    Of the chunks the first, one between and the last are altered, and the final one, which is empty.
    """
    found = pieces(wire, form)
    last = max((int(n) for p in found for n in re.findall(r"^data of chunk (\d+)$", p.what)), default=0)
    chosen = {1, (last + 1) // 2, last}
    altered = []
    for piece in found:
        number = re.search(r"chunk (\d+)", piece.what)
        if number and int(number[1]) not in chosen:
            continue
        if wire[piece.start : piece.end] == b"\r\n":
            places = {f"CR of {piece.what}": piece.start, f"LF of {piece.what}": piece.start + 1}
        else:
            places = {piece.what: randomness.randrange(piece.start, piece.end)}
        for what, at in places.items():
            # Never the bit that makes a letter a capital: in a name and in a size it says the same.
            altered.append((what, wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]))
    return altered


def cuts(wire: bytes, form: Form) -> list:
    """Pairs of what was done and the body with chunks moved, taken out, or sent twice."""
    found = pieces(wire, form)

    def chunk(number: int) -> tuple:
        own = [p for p in found if re.search(rf" chunk {number}\b", p.what)]
        return own[0].start, own[-1].end

    (a, b), (c, d) = chunk(1), chunk(2)
    assert b == c
    end = next(p.start for p in found if p.what == "size of final chunk")
    cut = [
        ("two chunks swapped", wire[:a] + wire[c:d] + wire[a:b] + wire[d:]),
        ("a chunk taken out", wire[:a] + wire[b:]),
        ("a chunk sent twice", wire[:b] + wire[a:b] + wire[b:]),
        ("the final chunk taken out", wire[:end]),
        ("bytes behind the end", wire + b"0\r\n\r\n"),
    ]
    if form.trailer:
        trailer = next(p.start for p in found if p.what == "trailer name")
        cut.append(("the trailer taken out", wire[:trailer] + b"\r\n"))
    return cut


def judge_body(request: Request, form: Form, secret: str, timestamp: str, scope: str, seed: str) -> bytes:
    """The body that a rightly framed and signed request carries; an assertion fails if it is not."""
    chain = Chain(secret, timestamp, scope, seed)
    body, sent, trailers, data, name = b"", request.body, [], b"", b""
    for piece in pieces(sent, form):
        text = sent[piece.start : piece.end]
        if piece.what.startswith("size of"):
            size = int(text, 16)
            if form.signed:
                start = piece.end + len(b";chunk-signature=") + 64 + 2
                expected = chain.chunk(sent[start : start + size])
        elif piece.what.startswith("signature of"):
            assert text.decode() == expected, f"{piece.what}: the reference says {expected}"
        elif re.fullmatch(r"data of chunk \d+", piece.what):
            body += text
        elif piece.what == "trailer name":
            name = text.lower()
        elif piece.what == "trailer value":
            trailers.append((name, text.strip()))
        elif piece.what == "trailer signature":
            expected = chain.trailer(trailers)
            assert text.decode() == expected, f"{piece.what}: the reference says {expected}"
            name = TRAILER_SIGNATURE
    if form.signed and form.trailer:
        assert name == TRAILER_SIGNATURE, "no trailer signature"
    declared = {n.strip().lower() for v in request.values("x-amz-trailer") for n in v.split(b",")}
    assert declared == {n for n, _ in trailers}, f"declared {declared}, sent {trailers}"
    for trailer, value in trailers:
        if trailer.decode() in CHECKSUMS:
            expected = checksum(trailer.decode(), body)
            assert value == expected, f"{trailer}: the reference says {expected}"
    length = int(request.only("x-amz-decoded-content-length"))
    assert length == len(body), f"{length} bytes are declared, {len(body)} sent"
    assert "aws-chunked" in request.only("content-encoding").split(","), "content-encoding"
    return body


@dataclass(frozen=True)
class Signed:
    """The head of a signed request, and the chain that its chunks go on."""

    headers: list
    chain: Chain


def signed_head(method: str, path: str, headers: list, line: str, key, timestamp: str, region: str) -> Signed:
    """Signs for S3 with all headers, which are pairs of text."""
    headers = [*headers, ("x-amz-date", timestamp), ("x-amz-content-sha256", line)]
    if key.session_token:
        headers.append(("x-amz-security-token", key.session_token))
    wire = [(name.lower(), value.encode()) for name, value in headers]
    request = Request(method, path.encode(), b"", wire, b"")
    names = sorted({name for name, _ in wire})
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    canonical = canonical_request(request, b"", names, line, "s3")
    seed = signature(key.secret_access_key, timestamp, scope, canonical)
    credential = f"AWS4-HMAC-SHA256 Credential={key.access_key_id}/{scope}"
    value = f"{credential}, SignedHeaders={';'.join(names)}, Signature={seed}"
    chain = Chain(key.secret_access_key, timestamp, scope, seed)
    return Signed([*headers, ("authorization", value)], chain)


# Checksums.


def table(polynomial: int) -> list:
    """Of a reflected CRC."""
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        rows.append(byte)
    return rows


def crc(rows: list, bits: int, data: bytes) -> bytes:
    value = start = (1 << bits) - 1
    for byte in data:
        value = rows[(value ^ byte) & 0xFF] ^ value >> 8
    return (value ^ start).to_bytes(bits // 8, "big")


CRC32C, CRC64NVME = table(0x82F63B78), table(0x9A6C9329AC4BC9B5)
CHECKSUMS = {
    "x-amz-checksum-crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "x-amz-checksum-crc32c": lambda data: crc(CRC32C, 32, data),
    "x-amz-checksum-crc64nvme": lambda data: crc(CRC64NVME, 64, data),
    "x-amz-checksum-sha1": lambda data: hashlib.sha1(data).digest(),
    "x-amz-checksum-sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum(name: str, data: bytes) -> bytes:
    return base64.b64encode(CHECKSUMS[name](data))
