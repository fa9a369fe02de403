"""AWS Signature Version 4 a second time: hmac and hashlib over the bytes of a recorded request.

Written from the rules, not from the library, so that an error in one shows against the other. It
computes what the signature of a request must be and compares it with the one the request carries.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

S3_FAMILY = {"s3", "s3express", "s3-outposts", "s3-object-lambda"}
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
NEVER_SIGNED = re.compile(
    r"authorization|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect"
    r"|user-agent|x-amzn-trace-id|x-forwarded-.*|forwarded|via|traceparent|tracestate|baggage"
    r"|accept-encoding|max-forwards|sec-.*"
)


@dataclass(frozen=True)
class Request:
    """An HTTP/1.1 request as it was on the wire; the body is without its chunked framing."""

    method: str
    path: bytes
    query: bytes
    headers: list  # of (lower-case name, value as bytes)
    body: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Request":
        head, _, body = raw.partition(b"\r\n\r\n")
        request_line, *lines = head.split(b"\r\n")
        method, target, _ = request_line.split(b" ")
        # A proxy is sent the absolute form.
        target = re.sub(rb"^https?://[^/?]*", b"", target)
        path, _, query = target.partition(b"?")
        headers = []
        for line in lines:
            name, _, value = line.partition(b":")
            headers.append((name.decode("ascii").lower(), value))
        if (b"chunked") in b"".join(v for n, v in headers if n == "transfer-encoding"):
            body = dechunk(body)
        return cls(method.decode("ascii"), path, query, headers, body)

    def values(self, name: str) -> list:
        return [value.strip(b" \t") for n, value in self.headers if n == name]

    def only(self, name: str) -> str:
        values = self.values(name)
        assert len(values) == 1, f"{len(values)} `{name}` headers where one is needed"
        return values[0].decode()


def dechunk(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        out, body = out + body[:length], body[length + 2 :]
    return out


def encode(data: bytes, keep: bytes = b"") -> str:
    return "".join(chr(b) if b in UNRESERVED or b in keep else f"%{b:02X}" for b in data)


def canonical_path(path: bytes, service: str) -> str:
    if service in S3_FAMILY:
        # No normalization; one decoding, one encoding.
        return encode(unquote_to_bytes(path), b"/") or "/"
    kept = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    normal = b"/" + b"/".join(kept)
    if kept and path.endswith((b"/", b"/.", b"/..")):
        normal += b"/"
    # What the wire has percent-encoded is encoded once more: `%` becomes `%25`.
    return encode(normal, b"/")


def canonical_query(query: bytes) -> str:
    pairs = []
    for piece in query.split(b"&"):
        name, _, value = (unquote_to_bytes(part.replace(b"+", b" ")) for part in piece.partition(b"="))
        if name:
            pairs.append((encode(name), encode(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def canonical_request(request: Request, query: bytes, signed: list, payload: str, service: str) -> bytes:
    lines = [request.method.encode(), canonical_path(request.path, service).encode(), canonical_query(query).encode()]
    for name in signed:
        values = request.values(name)
        assert values, f"`{name}` is signed but not sent"
        lines.append(name.encode() + b":" + b",".join(re.sub(rb"[ \t]+", b" ", value) for value in values))
    return b"\n".join([*lines, b"", ";".join(signed).encode(), payload.encode()])


def hmac_sha256(key: bytes, data: str) -> bytes:
    return hmac.new(key, data.encode(), hashlib.sha256).digest()


def signature(secret: str, timestamp: str, scope: str, canonical: bytes) -> str:
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac_sha256(key, part)
    hashed = hashlib.sha256(canonical).hexdigest()
    return hmac_sha256(key, f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashed}").hex()


def authorization(request: Request, credential: str, secret: str, signed: list, payload: str) -> str:
    """The Authorization header of a request that already has its `x-amz-date`."""
    scope = credential.partition("/")[2]
    canonical = canonical_request(request, request.query, signed, payload, scope.split("/")[2])
    mac = signature(secret, request.only("x-amz-date"), scope, canonical)
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={mac}"


def check_header_form(raw: bytes, secret: str, must_sign: frozenset = frozenset()) -> None:
    """Asserts that a recorded request is signed as the rules say, by the key with this secret."""
    request = Request.parse(raw)
    found = request.only("authorization")
    form = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(.+), SignedHeaders=(.+), Signature=([0-9a-f]{64})", found)
    assert form, f"not the form of an Authorization header: {found!r}"
    credential, signed = form[1], form[2].split(";")
    service = credential.split("/")[3]
    check_signed_names(request, signed, {"host", "x-amz-date"} | must_sign)

    payload = hashlib.sha256(request.body).hexdigest()
    declared = request.values("x-amz-content-sha256")
    assert declared or service not in S3_FAMILY, "S3 needs `x-amz-content-sha256`"
    if declared:
        value = request.only("x-amz-content-sha256")
        allowed = {payload, UNSIGNED_PAYLOAD} if service in S3_FAMILY else {payload}
        assert value in allowed, f"`x-amz-content-sha256: {value}` but the body's hash is {payload}"
        payload = value
    expected = authorization(request, credential, secret, signed, payload)
    assert found == expected, f"signed {found!r}, the reference says {expected!r}"


def check_presigned(raw: bytes, secret: str) -> None:
    """The same for a request whose signature is in its query."""
    request = Request.parse(raw)
    fields = {}
    for piece in request.query.split(b"&"):
        name, _, value = piece.partition(b"=")
        if name.startswith(b"X-Amz-"):
            assert name not in fields, f"two {name!r} in the query"
            fields[name] = unquote_to_bytes(value).decode()
    assert list(fields)[-1] == b"X-Amz-Signature", "`X-Amz-Signature` is not the last field"
    _, scope = fields[b"X-Amz-Credential"].split("/", 1)
    service, signed = scope.split("/")[2], fields[b"X-Amz-SignedHeaders"].split(";")
    check_signed_names(request, signed, {"host"})
    payload = UNSIGNED_PAYLOAD if service in S3_FAMILY else hashlib.sha256(request.body).hexdigest()
    unsigned_query = re.sub(rb"&?X-Amz-Signature=[^&]*", b"", request.query)
    canonical = canonical_request(request, unsigned_query, signed, payload, service)
    expected = signature(secret, fields[b"X-Amz-Date"], scope, canonical)
    assert fields[b"X-Amz-Signature"] == expected, f"the reference says {expected}"


def check_signed_names(request: Request, signed: list, must_sign: set) -> None:
    assert signed == sorted(set(signed)), f"signed header names are not in order: {signed}"
    must_sign = must_sign | {name for name, _ in request.headers if name.startswith("x-amz-")}
    unsigned = sorted(must_sign - set(signed))
    assert not unsigned, f"sent but not signed: {unsigned}"
    for name in signed:
        assert not NEVER_SIGNED.fullmatch(name), f"`{name}` must not be signed"
