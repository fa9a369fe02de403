#!/usr/bin/env python3
"""Writes the signing vectors of this folder: one JSON file per family of cases.

    pip install -r requirements.txt
    python generate.py            write the files
    python generate.py --check    write nothing; exit 1 if a file differs from what would be written

Three signers look at every case. The *reference*, in the first part of this file, is a plain
reading of the rules with hashlib and hmac; it decides. botocore and awscrt are asked as well,
where they can express the case at all. Where one of them answers differently the case must say
so and why (`differs`). An undeclared difference stops the run, and so does a declared one that is
not there: neither kind of surprise can slip into the files.

The order of this file: the reference, the oracles, the cases by family, the writing.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import io
import json
import re
import sys
import types
from importlib import metadata
from pathlib import Path
from unittest import mock

import awscrt.auth
import awscrt.exceptions
import awscrt.http
import botocore.auth
import botocore.awsrequest
import botocore.credentials

import chunked
import tokens

HERE = Path(__file__).resolve().parent
ALGORITHM = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


# --------------------------------------------------------------------------------------------
# The reference
# --------------------------------------------------------------------------------------------


class Refused(Exception):
    """The request must not be signed; `kind` names the reason."""

    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


# What differs between services is data. `content_sha256_header` is three-valued: True and False
# force and forbid the header, None writes it only when the payload line is not a plain hash.
GENERAL = {
    "double_encode": True,
    "normalize_path": True,
    "content_sha256_header": None,
    "token_after_signing": False,
    "strict_path": False,  # a malformed % in the path is an error
    "presign_unsigned": False,  # presigned URLs sign UNSIGNED-PAYLOAD
    "always_unsigned": False,  # every request signs UNSIGNED-PAYLOAD
    "never_signed": frozenset(),
}
S3 = {
    **GENERAL,
    "double_encode": False,
    "normalize_path": False,
    "content_sha256_header": True,
    "strict_path": True,
    "presign_unsigned": True,
}
SERVICES = {
    "s3": S3,
    "s3express": S3,
    "s3-outposts": S3,
    "s3-object-lambda": S3,
    "aoss": {
        **GENERAL,
        "content_sha256_header": True,
        "never_signed": frozenset({"content-length"}),
    },
    "glacier": {**GENERAL, "content_sha256_header": True},
    "iotdevicegateway": {**GENERAL, "token_after_signing": True},
    "vpc-lattice-svcs": {**GENERAL, "content_sha256_header": True, "always_unsigned": True},
}

# Headers that a hop between client and service may add, drop or rewrite.
NEVER_SIGNED = frozenset(
    "authorization connection keep-alive te trailer transfer-encoding upgrade expect user-agent"
    " x-amzn-trace-id forwarded via traceparent tracestate baggage accept-encoding"
    " max-forwards".split()
)
NEVER_SIGNED_PREFIXES = ("proxy-", "x-forwarded-", "sec-")

# What an earlier signature leaves in a request; signing again drops it first.
AUTH_HEADERS = frozenset(
    "authorization x-amz-date x-amz-security-token x-amz-s3session-token x-amz-region-set".split()
)
AUTH_PARAMETERS = frozenset(
    b"X-Amz-Algorithm X-Amz-Credential X-Amz-Date X-Amz-Expires X-Amz-SignedHeaders"
    b" X-Amz-Security-Token X-Amz-Signature X-Amz-S3session-Token X-Amz-Region-Set"
    b" X-Amz-Content-Sha256".split()
)

PAYLOAD_LINES = {
    "unsigned": UNSIGNED,
    "streaming": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "streaming-trailer": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "unsigned-trailer": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
}

UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
DEFAULT_PORTS = {b"http": b"80", b"ws": b"80", b"https": b"443", b"wss": b"443"}
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
URL = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL
)
AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[!-9;-Z\\^-~]+)(?::([0-9]+))?")


def encode(data, keep=b""):
    """Percent-encodes every byte but the unreserved ones and those of `keep`."""
    return "".join(chr(b) if b in UNRESERVED or b in keep else f"%{b:02X}" for b in data)


def decode(data, strict):
    """Undoes percent-encoding; a malformed % stays itself, or is refused when `strict`."""
    if strict and b"%" in ESCAPE.sub(b"", data):
        raise Refused("malformed_escape")
    return ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), data)


def normalize(path):
    """Drops empty and `.` segments and resolves `..`, on the bytes as sent."""
    kept = []
    segments = path.split(b"/")
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    final = b"/" if kept and segments[-1] in (b"", b".", b"..") else b""
    return b"/" + b"/".join(kept) + final


def canonical_path(path, rules):
    path = path or b"/"
    if rules["normalize_path"]:
        path = normalize(path)
    if not rules["double_encode"]:
        path = decode(path, rules["strict_path"])
    return encode(path, keep=b"/")


def parameters(query):
    """The decoded (name, value) pairs of a query, in order."""
    pairs = []
    for piece in query.split(b"&"):
        name, _, value = piece.partition(b"=")
        if name:
            pair = (decode(part.replace(b"+", b" "), strict=True) for part in (name, value))
            pairs.append(tuple(pair))
    return pairs


def canonical_query(query):
    # Sorting the pairs differs from sorting the joined text: "=" is above "-", "." and digits.
    pairs = sorted((encode(name), encode(value)) for name, value in parameters(query))
    return "&".join(f"{name}={value}" for name, value in pairs)


def without_auth_parameters(query):
    """The query less an earlier signature; the very same text if it holds none."""
    pieces = query.split(b"&")
    kept = [
        piece
        for piece in pieces
        if decode(piece.partition(b"=")[0], strict=False) not in AUTH_PARAMETERS
    ]
    return query if len(kept) == len(pieces) else b"&".join(kept)


def canonical_value(value):
    return re.sub(r"[ \t]+", " ", value).strip(" ")


def is_never_signed(name, rules):
    return (
        name in NEVER_SIGNED
        or name.startswith(NEVER_SIGNED_PREFIXES)
        or name in rules["never_signed"]
    )


def host_and_port(authority, scheme):
    """An authority in comparable form: lower case, the port spelled out."""
    match = AUTHORITY.fullmatch(authority)
    if not match:
        return None
    return match[1].lower(), match[2] or DEFAULT_PORTS.get(scheme)


def signed_host(authority, scheme):
    match = AUTHORITY.fullmatch(authority)
    if match[2] is None or match[2] == DEFAULT_PORTS.get(scheme):
        return match[1].decode()
    return authority.decode()


def rules_of(request):
    return {**SERVICES.get(request["service"], GENERAL), **request.get("rules", {})}


def check(request):
    """Refuses what can never be signed, whatever the URL says."""
    if not TOKEN.fullmatch(request["method"]):
        raise Refused("invalid_method")
    for name, value in request["headers"]:
        if not TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise Refused("invalid_header")
    credentials = request["credentials"]
    key_id = credentials["access_key_id"]
    if not key_id or re.search(r"[/, \x00-\x1f\x7f]", key_id):
        raise Refused("invalid_credentials")
    if not credentials["secret_access_key"]:
        raise Refused("invalid_credentials")
    if re.search(r"[\r\n\0]", credentials.get("session_token", "")):
        raise Refused("invalid_credentials")
    for part in (request["region_set" if is_asymmetric(request) else "region"], request["service"]):
        if not part or re.search(r"[/\x00-\x1f\x7f]", part):
            raise Refused("invalid_scope")
    try:
        time = datetime.datetime.strptime(request["time"], "%Y%m%dT%H%M%SZ")
    except ValueError:
        raise Refused("invalid_time") from None
    if time.year < 1970 or len(request["time"]) != 16:
        raise Refused("invalid_time")
    if request["as"] == "query" and not 1 <= request.get("expires", 900) <= 604800:
        raise Refused("invalid_expiry")


def body_of(request):
    if "body_base64" in request:
        return base64.b64decode(request["body_base64"])
    return request.get("body", "").encode()


def payload_line(request, rules):
    payload = request.get("payload", "hash")
    if is_asymmetric(request) and payload in ("streaming", "streaming-trailer"):
        return PAYLOAD_LINES[payload].replace(ALGORITHM, ASYMMETRIC)
    if rules["always_unsigned"]:
        return UNSIGNED
    if payload == "hash":
        if request["as"] == "query" and rules["presign_unsigned"]:
            return UNSIGNED
        return hashlib.sha256(body_of(request)).hexdigest()
    return PAYLOAD_LINES.get(payload, payload)


def signing_key(secret, scope):
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def is_asymmetric(request):
    return request.get("algorithm") == "sigv4a"


# The curve P-256 (FIPS 186-4, D.1.2.3), in affine coordinates; None is the point at infinity.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (
        (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
        if a == b
        else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    )
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(number, point):
    product = None
    for bit in f"{number:b}":
        product = add(product, product)
        if bit == "1":
            product = add(product, point)
    return product


def private_key(key_id, secret):
    for counter in range(1, 255):
        text = b"\0\0\0\1" + ASYMMETRIC.encode() + b"\0" + key_id.encode()
        text += bytes([counter]) + b"\0\0\1\0"
        candidate = hmac.digest(b"AWS4A" + secret.encode(), text, "sha256")
        if int.from_bytes(candidate) <= ORDER - 2:
            return int.from_bytes(candidate) + 1
    raise AssertionError("no candidate is small enough")


def ecdsa(key, text):
    """The signature by RFC 6979, in DER."""
    digest = hashlib.sha256(text).digest()
    number = int.from_bytes(digest)
    seed = key.to_bytes(32) + (number % ORDER).to_bytes(32)
    value, mac_key = b"\1" * 32, b"\0" * 32
    for mark in (b"\0", b"\1"):
        mac_key = hmac.digest(mac_key, value + mark + seed, "sha256")
        value = hmac.digest(mac_key, value, "sha256")
    while True:
        value = hmac.digest(mac_key, value, "sha256")
        nonce = int.from_bytes(value)
        if 0 < nonce < ORDER:
            r = multiply(nonce, BASE)[0] % ORDER
            s = pow(nonce, -1, ORDER) * (number + r * key) % ORDER
            if r and s:
                return der(r, s)
        mac_key = hmac.digest(mac_key, value + b"\0", "sha256")
        value = hmac.digest(mac_key, value, "sha256")


def ecdsa_by(credentials, text):
    return ecdsa(private_key(credentials["access_key_id"], credentials["secret_access_key"]), text)


def der(*numbers):
    texts = [number.to_bytes(number.bit_length() // 8 + 1) for number in numbers]
    inner = b"".join(bytes([2, len(text)]) + text for text in texts)
    return (bytes([0x30, len(inner)]) + inner).hex()


def is_ecdsa(public, text, signature):
    """Whether a signature in DER is good, whoever made it."""
    match = re.fullmatch(r"30(..)02(..)(.*)", signature)
    r_end = 2 * int(match[2], 16)
    r, s = int(match[3][:r_end], 16), int(match[3][r_end + 4 :], 16)
    number, inverse = int.from_bytes(hashlib.sha256(text).digest()), pow(s, -1, ORDER)
    point = add(multiply(number * inverse % ORDER, BASE), multiply(r * inverse % ORDER, public))
    return der(r, s) == signature and point[0] % ORDER == r


def parse_url(url):
    """Scheme, authority, path and query as sent, and the authority less user and password."""
    match = URL.fullmatch(url.encode())
    if not match:
        raise Refused("invalid_url")
    authority = match[2].rpartition(b"@")[2]
    if not authority:
        raise Refused("missing_host")
    if not AUTHORITY.fullmatch(authority):
        raise Refused("invalid_url")
    return *match.groups(), authority


def take_host(headers, authority, scheme):
    """Takes the Host header out of `headers`; the value to sign is its own or the URL's."""
    sent = headers.pop("host", None)
    if sent is None:
        return signed_host(authority, scheme)
    same = host_and_port(sent[0].encode(), scheme) == host_and_port(authority, scheme)
    if len(sent) > 1 or not same:
        raise Refused("conflicting_host")
    return sent[0]


def writes_content_sha256(rules, line, in_query, callers):
    """Whether x-amz-content-sha256 is part of the signed request; `callers`: it was there."""
    if rules["content_sha256_header"] is False:
        return False
    if callers or in_query:
        return callers
    return rules["content_sha256_header"] or not re.fullmatch("[0-9a-f]{64}", line)


def sign(request):
    """The whole of it: a request as in the files' `in`, to what the files call `expect`."""
    check(request)
    rules = rules_of(request)
    in_query = request["as"] == "query"
    credentials = request["credentials"]
    token = credentials.get("session_token")
    token_later = rules["token_after_signing"]
    scheme, full_authority, path, query, authority = parse_url(request["url"])

    # The caller's headers, less those of an earlier signature.
    headers, drops = {}, set()
    for name, value in request["headers"]:
        name = name.lower()
        if name in AUTH_HEADERS:
            drops.add(name)
        else:
            headers.setdefault(name, []).append(canonical_value(value))
    host = take_host(headers, authority, scheme.lower())
    callers_hash = headers.pop("x-amz-content-sha256", None)

    # What the signer writes. The payload line is its own to state, whatever the caller's says.
    time = request["time"]
    if is_asymmetric(request):
        algorithm, region_set = ASYMMETRIC, request["region_set"]
        scope = f"{time[:8]}/{request['service']}/aws4_request"
    else:
        algorithm, region_set = ALGORITHM, None
        scope = f"{time[:8]}/{request['region']}/{request['service']}/aws4_request"
    credential = f"{credentials['access_key_id']}/{scope}"
    line = payload_line(request, rules)
    writes = {}
    if writes_content_sha256(rules, line, in_query, callers_hash is not None):
        writes["x-amz-content-sha256"] = line
    elif callers_hash is not None:
        drops.add("x-amz-content-sha256")
    if not in_query:
        writes["x-amz-date"] = time
        if token and not token_later:
            writes["x-amz-security-token"] = token
        if region_set:
            writes["x-amz-region-set"] = region_set

    excluded = {name.lower() for name in request.get("exclude", [])}
    signed = {
        name: ",".join(values)
        for name, values in headers.items()
        if not is_never_signed(name, rules) and name not in excluded
    }
    signed |= writes | {"host": host}
    names = ";".join(sorted(signed))

    sent_query = None if query is None else without_auth_parameters(query)
    if query and not sent_query:
        sent_query = None  # nothing is left, not even the question mark
    if in_query:
        ours = {
            "X-Amz-Algorithm": algorithm,
            "X-Amz-Credential": credential,
            "X-Amz-Date": time,
            "X-Amz-Expires": str(request.get("expires", 900)),
            "X-Amz-SignedHeaders": names,
        }
        if token and not token_later:
            ours["X-Amz-Security-Token"] = token
        if region_set:
            ours["X-Amz-Region-Set"] = region_set
        text = "&".join(f"{name}={encode(value.encode())}" for name, value in ours.items())
        sent_query = (sent_query + b"&" if sent_query else b"") + text.encode()

    canonical_request = "\n".join(
        [
            request["method"],
            canonical_path(path, rules),
            canonical_query(sent_query or b""),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            line,
        ]
    )
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    string_to_sign = "\n".join([algorithm, time, scope, digest])
    if region_set:
        key = private_key(credentials["access_key_id"], credentials["secret_access_key"])
        signature = ecdsa(key, string_to_sign.encode())
    else:
        key = signing_key(credentials["secret_access_key"], scope)
        signature = hmac.digest(key, string_to_sign.encode(), "sha256").hex()
    expect = {
        "canonical_request": canonical_request,
        "string_to_sign": string_to_sign,
        "signed_headers": names,
        "signature": signature,
    }

    if in_query:
        sent_query += f"&X-Amz-Signature={signature}".encode()
        if token and token_later:
            sent_query += f"&X-Amz-Security-Token={encode(token.encode())}".encode()
    else:
        expect["authorization"] = (
            f"{algorithm} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        if token and token_later:
            writes["x-amz-security-token"] = token
    if sent_query != query:
        url = scheme + b"://" + full_authority + path
        expect["url"] = (url if sent_query is None else url + b"?" + sent_query).decode()
    if writes:
        expect["writes"] = dict(sorted(writes.items()))
    if drops:
        expect["drops"] = sorted(drops)
    return expect


# --------------------------------------------------------------------------------------------
# The oracles
#
# Each answers with an Authorization value or with (signed names, signature); with None where it
# has no way to express the case; with other text where it fails. It gets the request as its users
# would write it.
# --------------------------------------------------------------------------------------------


def has_header(request, *names):
    return any(name.lower() in names for name, _ in request["headers"])


def answer_of(expect):
    return expect.get("authorization") or (expect["signed_headers"], expect["signature"])


def answer_in_url(url):
    found = dict(parameters(url.partition("?")[2].encode()))
    return found[b"X-Amz-SignedHeaders"].decode(), found[b"X-Amz-Signature"].decode()


def ask_botocore(request, expect):
    rules, overrides = rules_of(request), request.get("rules", {})
    in_query = request["as"] == "query"
    payload = request.get("payload", "hash")
    s3 = rules["strict_path"]
    token = request["credentials"].get("session_token")
    https = request["url"].lower().startswith("https:")

    # It leaves SigV4A to awscrt.
    if is_asymmetric(request):
        return None
    # It has no such switches, and no list of headers to leave out.
    if "double_encode" in overrides or "normalize_path" in overrides:
        return None
    if request.get("exclude") or (rules["token_after_signing"] and token):
        return None
    # It writes the S3 content hash always, and takes the payload line from nothing but the body.
    if rules["content_sha256_header"] is False and (s3 or payload != "hash"):
        return None
    if payload not in ("hash", "unsigned", "unsigned-trailer") or (payload != "hash" and not https):
        return None
    # Its query signers move a body into the query, and take no payload line from the caller.
    content_sha256 = expect.get("writes", {}).get("x-amz-content-sha256")
    if in_query and body_of(request) or rules["always_unsigned"] and not content_sha256:
        return None

    headers = list(map(tuple, request["headers"]))
    if content_sha256 and not s3 and not has_header(request, "x-amz-content-sha256"):
        headers.append(("x-amz-content-sha256", content_sha256))  # as its callers do themselves
    context = {"payload_signing_enabled": payload != "unsigned"}
    context["client_config"] = types.SimpleNamespace(
        s3={"payload_signing_enabled": payload != "unsigned"}
    )
    if payload == "unsigned-trailer":
        context["checksum"] = {"request_algorithm": {"in": "trailer"}}

    aws_request = botocore.awsrequest.AWSRequest(
        method=request["method"], url=request["url"], data=body_of(request)
    )
    for name, value in headers:
        aws_request.headers.add_header(name, value)
    aws_request.context.update(context)
    keys = botocore.credentials.Credentials(
        request["credentials"]["access_key_id"],
        request["credentials"]["secret_access_key"],
        token,
    )
    arguments = [keys, request["service"], request["region"]]
    if in_query:
        signer = botocore.auth.S3SigV4QueryAuth if s3 else botocore.auth.SigV4QueryAuth
        arguments.append(request.get("expires", 900))
    else:
        signer = botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth
    now = datetime.datetime.strptime(request["time"], "%Y%m%dT%H%M%SZ")
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: now):
        signer(*arguments).add_auth(aws_request)
    return answer_in_url(aws_request.url) if in_query else aws_request.headers["Authorization"]


# How it refuses a request that carries part of an earlier signature already.
AWSCRT_CANNOT = {
    "AWS_AUTH_SIGNING_ILLEGAL_REQUEST_HEADER",
    "AWS_AUTH_SIGNING_ILLEGAL_REQUEST_QUERY_PARAM",
}


def ask_awscrt(request, expect):
    rules = rules_of(request)
    in_query = request["as"] == "query"
    token = request["credentials"].get("session_token")
    body, line = body_of(request), payload_line(request, rules)
    _, authority, path, query, _ = parse_url(request["url"])

    # It never sees the URL's authority: it is no witness where the host has to be worked out.
    host = re.search(r"^host:(.*)$", expect["canonical_request"], re.MULTILINE)[1]
    headers = list(map(tuple, request["headers"]))
    if not has_header(request, "host"):
        if host != authority.decode():
            return None
        headers.append(("Host", host))

    body_header = awscrt.auth.AwsSignedBodyHeaderType.NONE
    if "x-amz-content-sha256" in expect.get("writes", {}):
        body_header = awscrt.auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256
    excluded = {name.lower() for name in request.get("exclude", [])} - {"host"}
    kind = awscrt.auth.AwsSignatureType
    algorithms = awscrt.auth.AwsSigningAlgorithm
    config = awscrt.auth.AwsSigningConfig(
        algorithm=algorithms.V4_ASYMMETRIC if is_asymmetric(request) else algorithms.V4,
        signature_type=kind.HTTP_REQUEST_QUERY_PARAMS if in_query else kind.HTTP_REQUEST_HEADERS,
        credentials_provider=awscrt.auth.AwsCredentialsProvider.new_static(
            request["credentials"]["access_key_id"],
            request["credentials"]["secret_access_key"],
            token,
        ),
        region=request["region_set"] if is_asymmetric(request) else request["region"],
        service=request["service"],
        date=datetime.datetime.strptime(request["time"] + "+0000", "%Y%m%dT%H%M%SZ%z"),
        should_sign_header=lambda name: not is_never_signed(name.lower(), rules)
        and name.lower() not in excluded,
        use_double_uri_encode=rules["double_encode"],
        should_normalize_uri_path=rules["normalize_path"],
        signed_body_value=None if line == hashlib.sha256(body).hexdigest() else line,
        signed_body_header_type=body_header,
        expiration_in_seconds=request.get("expires", 900) if in_query else None,
        omit_session_token=rules["token_after_signing"],
    )
    target = (path or b"/") + (b"" if query is None else b"?" + query)
    crt_request = awscrt.http.HttpRequest(
        method=request["method"],
        path=target.decode(),
        headers=awscrt.http.HttpHeaders(headers),
        body_stream=io.BytesIO(body),
    )
    try:
        awscrt.auth.aws_sign_request(crt_request, config).result()
    except awscrt.exceptions.AwsCrtError as error:
        return None if error.name in AWSCRT_CANNOT else f"refused: {error.name}"
    answer = (
        answer_in_url(crt_request.path) if in_query else crt_request.headers.get("Authorization")
    )
    return same_if_good(answer, request, expect) if is_asymmetric(request) else answer


def same_if_good(answer, request, expect):
    """The answer with the expected signature in place of its own, which is random, if that is good."""
    own = answer[1] if isinstance(answer, tuple) else answer.rpartition("=")[2]
    keys = request["credentials"]
    public = multiply(private_key(keys["access_key_id"], keys["secret_access_key"]), BASE)
    if not is_ecdsa(public, expect["string_to_sign"].encode(), own):
        return answer
    if isinstance(answer, tuple):
        return answer[0], expect["signature"]
    return answer.replace(own, expect["signature"])


ORACLES = {"botocore": ask_botocore, "awscrt": ask_awscrt}


# --------------------------------------------------------------------------------------------
# The cases
# --------------------------------------------------------------------------------------------

# Why an oracle answers differently, by a word that the cases use in `differs`.
REASONS = {
    "adds-hash-header": "writes and signs x-amz-content-sha256 in a presigned URL for VPC Lattice",
    "as-on-the-wire": "signs a path that is encoded once as it stands on the wire, without decoding"
    " it first",
    "caller-hash": "takes the caller's x-amz-content-sha256 for the payload line and signs it",
    "date-header": "writes the signing time into a date header that is there already, in place of"
    " x-amz-date",
    "drops-content-type": "does not sign the content-type of a form in a presigned URL",
    "empty-pieces": "keeps the empty pieces and the empty names of a query",
    "fragment": "appends the signature behind the fragment",
    "keeps-old-headers": "signs headers of an earlier signature, which the rules drop",
    "keeps-old-parameters": "signs parameters of an earlier presigned URL, which the rules drop",
    "lower-case-host": "signs the URL's host in lower case",
    "nameless-value": "decodes the value of a piece without a name, and refuses the request",
    "one-value": "keeps one value of a repeated name when it presigns",
    "plus": "takes a + in a query for a plus sign, not for a space",
    "ports": "does not know the default ports of ws and wss",
    "query-as-on-the-wire": "signs a query's pieces as they stand on the wire, without decoding and"
    " encoding them",
    "rewrites-bytes": "turns bytes that are not UTF-8 into replacement characters when it presigns",
    "signs-never-signed": "signs a header that the rules never sign",
    "trailing-dots": "drops the final slash of a path that ends in /. or /..",
    "unicode-spaces": "trims and folds NBSP and the other spaces of Unicode",
    "upper-case-method": "signs the method in upper case, whatever is sent"
}

TIME = "20150830T123600Z"
KEY = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
SESSION = {**KEY, "session_token": "IQoJb3JpZ2luX2VjEXAMPLE//token+with/reserved=="}
HOST = "https://example.amazonaws.com"
BUCKET = "https://bucket.s3.us-east-1.amazonaws.com"
NBSP = "\u00a0"
IN_QUERY = {"as": "query"}  # `as` is a word of Python's own

IN_ORDER = (
    "method url headers body body_base64 payload as expires exclude algorithm region region_set"
    " service time credentials rules"
).split()


def case(name, about, url=HOST + "/", **fields):
    """One case: a name that says what it shows, a sentence, and the request.

    The fields are those of the request, with the plainest defaults, and besides:
    differs    {oracle: words of REASONS}: where an oracle is known to answer differently
    error      the kind of refusal, for input that must not be signed
    source     the address of the page that published the case
    published  what that page states; checked here against the reference
    """
    extra = {key: fields.pop(key, None) for key in ("differs", "error", "source", "published")}
    body = fields.get("body")
    if isinstance(body, bytes):
        fields["body_base64"] = base64.b64encode(fields.pop("body")).decode()
    request = {
        "method": "GET",
        "url": url,
        "headers": [],
        "as": "headers",
        "region": "us-east-1",
        "service": "service",
        "time": TIME,
        "credentials": KEY,
        **fields,
    }
    request["headers"] = [list(pair) for pair in request["headers"]]
    ordered = {field: request[field] for field in IN_ORDER if field in request}
    stated = {key: value for key, value in extra.items() if value is not None}
    return {"name": name, "about": about, "in": ordered} | stated


def regions(name, region_set, about, url=HOST + "/", **fields):
    """A case of SigV4A."""
    made = case(name, about, url, algorithm="sigv4a", region_set=region_set, **fields)
    del made["in"]["region"]
    return made


def path(name, path, about, **fields):
    return case(name, about, HOST + path, **fields)


def key(name, path, about, **fields):
    """A case about an S3 path."""
    return case(name, about, BUCKET + path, **{"service": "s3", **fields})


def query(name, query, about, **fields):
    return case(name, about, f"{HOST}/?{query}", **fields)


def headers(name, pairs, about, **fields):
    return case(name, about, headers=pairs, **fields)


def presigned(name, about, url=HOST + "/", **fields):
    return case(name, about, url, **IN_QUERY, **fields)


BOTO = "botocore"
CRT = "awscrt"


def both(word):
    return {BOTO: word, CRT: word}


PATH_GENERAL = (
    "Path, all services but the S3 family: the path as sent is normalized first - empty and `.` "
    "segments go, `..` takes the segment before it along, a final slash stays - and then every "
    "byte but A-Z a-z 0-9 - . _ ~ / is percent-encoded. A path that is already percent-encoded is "
    "so encoded a second time, %20 becoming %2520. `%2e` is never a dot, and a malformed % is a "
    "byte like any other.",
    [
        path("empty-path-is-root", "", "A URL without a path signs /."),
        path("root", "/", "The root path is itself."),
        path("plain-segments", "/alpha/beta", "Unreserved segments are signed as they are."),
        path("unreserved-bytes-stay", "/-._~/AZaz09", "None of the unreserved bytes is encoded."),
        path("double-slash-is-one", "//alpha///beta", "Empty segments are dropped."),
        path("only-slashes-are-root", "///", "Nothing but empty segments leaves the root."),
        path("dot-segment-is-dropped", "/./alpha/./beta", "A single dot stands for nothing."),
        path("dotdot-removes-the-last", "/alpha/beta/../gamma", "Two dots remove one segment."),
        path("dotdot-removes-several", "/a/b/c/../../d", "Each pair of dots removes one more."),
        path("dotdot-stops-at-root", "/../../alpha", "There is nothing above the root to remove."),
        path("dotdot-over-empty-segments", "/alpha//../beta",
             "Two dots remove the last segment kept, not the empty one between the slashes."),
        path("final-slash-stays", "/alpha/beta/", "The final slash is part of the path."),
        path("final-slashes-are-one", "/alpha/beta//", "Of several final slashes one stays."),
        path("final-dot-leaves-a-slash", "/alpha/beta/.", "A path ending in /. ends in a slash.",
             differs=both("trailing-dots")),
        path("final-dotdot-leaves-a-slash", "/alpha/beta/..",
             "A path ending in /.. ends in a slash.", differs=both("trailing-dots")),
        path("final-dot-and-slash", "/alpha/./", "After /./ there is one slash."),
        path("final-dotdot-to-root", "/alpha/..", "When nothing is left the path is the root."),
        path("lone-dot-is-root", "/.", "The path /. is the root."),
        path("lone-dotdot-is-root", "/..", "The path /.. is the root."),
        path("three-dots-are-a-name", "/.../a..b/.hidden/c.",
             "Only the segments . and .. are special."),
        path("encoded-dot-is-never-a-dot", "/alpha/%2e%2e/%2E/beta",
             "Normalization looks at the bytes as sent; %2e is not a dot there."),
        path("escape-is-encoded-again", "/my%20file", "The % of an escape becomes %25."),
        path("escape-of-an-escape", "/my%2520file", "However many times it was encoded before."),
        path("encoded-slash-survives", "/alpha%2Fbeta", "%2F is not a separator; it signs %252F."),
        path("escape-keeps-its-case", "/alpha%2fbeta%c3%A9",
             "Hex digits of the caller's escapes are text here and keep their case."),
        path("raw-space", "/my file", "A raw space is encoded once."),
        path("raw-utf8", "/caf\u00e9/\u65e5\u672c/\U0001f511",
             "Raw UTF-8 is encoded byte by byte."),
        path("encoded-utf8", "/caf%C3%A9", "Encoded UTF-8 is encoded again."),
        path("encoded-non-utf8", "/%FF%E4", "Escapes need not be UTF-8."),
        path("reserved-bytes-are-encoded", "/!$&'()*+,;=:@", "Every reserved byte is encoded."),
        path("unwise-bytes-are-encoded", "/\"<>[]^`{|}\\", "So is what a URL should not hold."),
        path("plus-in-a-path-is-a-plus", "/a+b", "A + means a space only in a query."),
        path("malformed-percent-is-literal", "/100%/a%2/b%zz%",
             "A % without two hex digits is a byte to encode, not an error."),
        path("function-name-with-arn",
             "/2015-03-31/functions/"
             "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aresize/invocations",
             "The escaped colons of an ARN in a Lambda path are encoded twice.",
             service="lambda", method="POST", body="{}"),
        path("connection-id-of-a-web-socket", "/prod/@connections/JBDvjfGEIAMCERw%3D",
             "The API Gateway path that is most often signed wrongly.", service="execute-api",
             method="POST", body="hello"),
        case("presigned-path-is-normalized", "The query form uses the same path rules.",
             HOST + "/alpha//./my%20file", **IN_QUERY),
    ],
)

PATH_S3 = (
    "Path, S3 family (s3, s3express, s3-outposts, s3-object-lambda): nothing is normalized. The "
    "path is decoded once and encoded once, so that every spelling of a key signs the same and the "
    "signed path is the one that servers compute from the key. The request itself keeps the "
    "caller's spelling.",
    [
        key("empty-path-is-root", "", "A URL without a path signs /.",
            differs={BOTO: "as-on-the-wire"}),
        key("root", "/", "The root path is itself."),
        key("plain-key", "/photos/2015/cat.jpg", "An unreserved key is itself."),
        key("equals-and-parentheses", "/a=b(1)", "Raw reserved bytes are encoded.",
            differs=both("as-on-the-wire")),
        key("lower-case-escape", "/a%3db", "Hex digits come out in upper case.",
            differs=both("as-on-the-wire")),
        key("upper-case-escape", "/a%3Db", "A proper escape is left as it is."),
        key("raw-plus", "/a+b", "A raw + is a plus sign and signs %2B.",
            differs=both("as-on-the-wire")),
        key("encoded-plus", "/a%2Bb", "An encoded plus signs the same."),
        key("encoded-slash-is-a-slash", "/folder%2Ffile", "%2F is decoded and a slash stays.",
            differs=both("as-on-the-wire")),
        key("tilde-stays", "/~home/%7Euser", "A tilde is never encoded, and %7E is one.",
            differs=both("as-on-the-wire")),
        key("escaped-letters-are-letters", "/%41%62%2D%5f", "Needless escapes are undone.",
            differs=both("as-on-the-wire")),
        key("double-slashes-stay", "//a///b//", "Empty segments are part of the key."),
        key("dots-stay", "/a/./b/../c", "Dot segments are part of the key."),
        key("final-dots-stay", "/a/..", "So they are at the end."),
        key("encoded-dots-are-dots", "/a/%2e%2e/b", "Decoded dots are not normalized either.",
            differs=both("as-on-the-wire")),
        key("raw-space", "/my file", "A raw space signs %20.", differs=both("as-on-the-wire")),
        key("encoded-space", "/my%20file", "An encoded space is not encoded again."),
        key("raw-utf8", "/caf\u00e9/\u65e5\u672c", "Raw UTF-8 is encoded byte by byte.",
            differs=both("as-on-the-wire")),
        key("encoded-utf8", "/caf%c3%a9", "Encoded UTF-8 comes out in upper case.",
            differs=both("as-on-the-wire")),
        key("encoded-non-utf8", "/%FF%E4%00%7F", "A key is bytes, not text."),
        key("encoded-percent", "/100%25", "%25 is a percent sign and signs %25."),
        key("escape-within-a-key", "/a%2520b", "A key may hold the text %20: it is decoded once."),
        key("encoded-query-marks", "/what%3F/no.%231", "%3F and %23 belong to the key."),
        key("reserved-bytes-are-encoded", "/!$&'()*+,;=:@", "Every reserved byte is encoded.",
            differs=both("as-on-the-wire")),
        key("unwise-bytes-are-encoded", "/\"<>[]^`{|}\\", "So is what a URL should not hold.",
            differs=both("as-on-the-wire")),
        key("bucket-in-the-path", "/my-bucket/key=1/part(2)", "Path style changes nothing.",
            region="eu-west-1", differs=both("as-on-the-wire")),
        case("s3express-is-s3-family", "Directory buckets use the S3 path rules.",
             "https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/a//=b",
             service="s3express", differs=both("as-on-the-wire")),
        case("s3-outposts-is-s3-family", "So does S3 on Outposts.",
             "https://ap.op-01ac5d28a6a232904.s3-outposts.us-east-1.amazonaws.com/a//=b",
             service="s3-outposts", differs=both("as-on-the-wire")),
        case("s3-object-lambda-is-s3-family", "So does S3 Object Lambda.",
             "https://ap.s3-object-lambda.us-east-1.amazonaws.com/a//=b",
             service="s3-object-lambda", differs=both("as-on-the-wire")),
        case("s3-control-signs-as-s3", "The control endpoint signs with the name s3.",
             "https://123456789012.s3-control.us-east-1.amazonaws.com/v20180820/jobs/a%3Db",
             service="s3"),
        case("s3tables-is-not-s3-family", "A name that only begins like s3 has the general rules.",
             "https://s3tables.us-east-1.amazonaws.com/buckets//arn%3Aaws", service="s3tables"),
        case("presigned-raw-equals", "A presigned URL keeps the raw path, signing the encoded one.",
             BUCKET + "/a=b(1)+c", service="s3", **IN_QUERY, differs=both("as-on-the-wire")),
        case("presigned-lower-case-escape", "The same for an escape in lower case.",
             BUCKET + "/a%3db//c", service="s3", **IN_QUERY, differs=both("as-on-the-wire")),
    ],
)

QUERY = (
    "Query: split at & and then at the first =, a piece without = having an empty value. Empty "
    "pieces and pieces with an empty name are dropped. Name and value are decoded to bytes, + "
    "meaning a space, and encoded again with the unreserved set. The pairs are sorted by encoded "
    "name, then by encoded value; every value of a repeated name is signed.",
    [
        case("no-query", "Without a query its line is empty.", HOST + "/"),
        query("empty-query", "", "A lone ? is no query either."),
        query("bare-name", "flag", "A name without = signs name=."),
        query("empty-value", "flag=", "A name with an empty value signs the same."),
        query("plus-means-space", "a=b+c", "A raw + is a space and signs %20.",
              differs={BOTO: "query-as-on-the-wire", CRT: "plus"}),
        query("plus-in-a-name-means-space", "a+b=c", "In a name as well.",
              differs={BOTO: "query-as-on-the-wire", CRT: "plus"}),
        query("encoded-plus-is-a-plus", "a=b%2Bc", "%2B is a plus sign."),
        query("encoded-space", "a=b%20c", "%20 stays %20."),
        query("raw-space", "a=b c", "A raw space is a byte of the value.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("split-at-the-first-equals", "a=b=c==", "Further = signs belong to the value.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("equals-in-a-name", "a%3Db=c", "An encoded = belongs to the name."),
        query("empty-pieces-are-dropped", "&&a=1&&&b=2&", "Nothing between two & signs nothing.",
              differs={BOTO: "empty-pieces"}),
        query("only-empty-pieces", "&&", "A query of nothing but & is empty.",
              differs={BOTO: "empty-pieces"}),
        query("empty-name-is-dropped", "=lost&a=1", "A piece without a name is dropped.",
              differs=both("empty-pieces")),
        query("lone-equals-is-dropped", "=", "A lone = has no name.", differs=both("empty-pieces")),
        query("empty-name-before-its-value", "=%zz&a=1",
              "The piece is gone before anyone looks at its malformed value.",
              differs={BOTO: "empty-pieces", CRT: "nameless-value"}),
        query("non-utf8-bytes-stay", "a=%FF&b=%E4%00",
              "Values are bytes: %FF must not become a replacement character."),
        query("non-utf8-name", "%FE=1", "Names are bytes too."),
        query("control-bytes-stay", "a=%0A%0D%00%7F", "Encoded control bytes are bytes."),
        query("lower-case-escape", "a=%2f%c3%a9", "Hex digits come out in upper case.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("escaped-letters-are-letters", "%61=%41%7E%2D", "Needless escapes are undone.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("escapes-are-not-encoded-again", "prefix=a%2Fb%20c%3D", "One encoding, not two."),
        query("encoded-percent", "a=100%25&b=%2541", "%25 is a percent sign, decoded once."),
        query("reserved-bytes-are-encoded", "a=/:@!$'()*,;[]", "Every reserved byte is encoded.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("question-marks", "a=?&?=b", "A second ? is a byte.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("semicolon-does-not-separate", "a=1;b=2", "Only & separates.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("encoded-separator", "a%26b=c%26d", "An encoded & is part of name or value."),
        query("raw-utf8", "\u00e9=\u65e5", "Raw UTF-8 is encoded byte by byte.",
              differs={BOTO: "query-as-on-the-wire"}),
        query("encoded-utf8", "q=%E6%97%A5%E6%9C%AC", "Encoded UTF-8 is left as it is."),
        query("sorted-by-name", "b=2&c=3&a=1", "Pairs are sorted by name."),
        query("capitals-before-small-letters", "b=1&B=2&a=3&A=4", "The order is that of bytes."),
        query("names-are-case-sensitive", "Key=1&key=2", "Names keep their case."),
        query("sorted-as-pairs-not-text", "a-b=1&a=2&a.c=3",
              "As text a-b=1 sorts before a=2; as pairs it does not."),
        query("sorted-filter-numbers", "Filter.10=x&Filter.1=y&Filter.2=z",
              "As text Filter.10=x sorts before Filter.1=y."),
        query("sorted-by-encoded-name", "a=1&%C3%A9=2&~=3&_=4&Z=5&%7B=6",
              "Encoded names sort by their % sign, before every letter."),
        query("repeated-name-signs-every-value", "id=3&id=1&id=2", "All values, sorted."),
        query("repeated-pair-stays-twice", "a=1&a=1", "Equal pairs are not merged."),
        query("sorted-by-encoded-value", "a=~&a=%20&a=b&a=B&a=", "Values sort in encoded form."),
        query("values-sorted-as-pairs", "a=1&a=10&a=1%200&a=1-",
              "A value sorts before its extensions."),
        query("fragment-is-dropped", "a=1#b=2&c", "What follows # is never sent."),
        query("question-mark-in-fragment", "a=1#?b=2", "Nor is it looked at."),
        case("query-service-call", "An EC2 call as its users write it.",
             "https://ec2.us-east-1.amazonaws.com/?Action=DescribeInstances&Version=2016-11-15"
             "&Filter.1.Name=tag%3AName&Filter.1.Value.1=web+server&Filter.10.Name=zone"
             "&Filter.2.Name=vpc-id", service="ec2",
             differs={BOTO: "query-as-on-the-wire", CRT: "plus"}),
        case("s3-subresource", "A sub-resource of S3 signs name=.", BUCKET + "/?uploads",
             service="s3", method="POST"),
        case("s3-listing", "S3 has no query rules of its own.",
             BUCKET + "/?list-type=2&prefix=a/b+c&delimiter=/&continuation-token=1%2b2%3d",
             service="s3", differs={BOTO: "query-as-on-the-wire", CRT: "plus"}),
        case("s3-bare-and-valued-names", "Bare names sort among the others.",
             BUCKET + "/key?versionId=3/L4k&acl&response-content-type=text/plain", service="s3",
             differs={BOTO: "query-as-on-the-wire"}),
    ],
)

HEADERS = (
    "Headers: names in lower case, sorted by name; values with spaces and tabs trimmed at both "
    "ends and folded to one space within, every other byte kept; repeats joined by commas in order "
    "of arrival. All headers are signed but those that a hop may change and those that the caller "
    "excludes; the host and what the signer writes are always signed.",
    [
        headers("names-in-lower-case", [("My-Header", "Value"), ("X-AMZ-Meta-A", "B")],
                "Names are lowered, values are not."),
        headers("sorted-by-name", [("z", "1"), ("b", "2"), ("a", "3")], "Arrival does not matter."),
        headers("sorted-by-name-not-by-line", [("a-b", "1"), ("a", "2"), ("a1", "3")],
                "As lines a-b:1 and a1:3 sort before a:2; by name they do not."),
        headers("sorted-bytewise", [("x_y", "1"), ("x-y", "2"), ("xay", "3"), ("x.y", "4")],
                "Punctuation sorts by its byte."),
        headers("spaces-and-tabs-are-trimmed", [("a", "  \t b \t ")], "At both ends."),
        headers("inner-spaces-are-folded", [("a", "b    c  d")],
                "Any run becomes one space, in one pass or many."),
        headers("inner-tabs-are-folded", [("a", "b\tc"), ("d", "e \t\t  f")],
                "Tabs count, one alone as well."),
        headers("folded-inside-quotes", [("a", '"b   c"   d')], "Quotes protect nothing."),
        headers("nbsp-stays", [("a", f"{NBSP}b{NBSP}{NBSP}c{NBSP}")],
                "A no-break space is no white space here.", differs={BOTO: "unicode-spaces"}),
        headers("unicode-spaces-stay", [("a", "\u3000b\u2003\u2003c\u2028")],
                "Nor is any other space of Unicode.", differs={BOTO: "unicode-spaces"}),
        headers("utf8-value", [("a", "caf\u00e9 \u65e5\u672c \U0001f511")], "Values are bytes."),
        headers("empty-value", [("a", "")], "An empty value is signed."),
        headers("blank-value", [("a", " \t ")], "A value of nothing but white space is empty."),
        headers("repeats-in-order-of-arrival", [("a", "z"), ("a", "b"), ("a", "m")],
                "Repeats are joined, never sorted."),
        headers("repeats-are-trimmed-one-by-one", [("a", " b  c "), ("a", "\td ")],
                "Each value is trimmed before the comma."),
        headers("repeats-in-any-case", [("A", "1"), ("b", "2"), ("a", "3")],
                "Names that differ in case are one name."),
        headers("empty-repeats", [("a", ""), ("a", "b"), ("a", "")], "Empty values leave commas."),
        headers("repeated-pair-stays-twice", [("a", "1"), ("a", "1")], "Nothing is merged."),
        headers("comma-in-a-value", [("a", "b,c, d")], "A comma in a value is a byte."),
        headers("colon-space-in-a-value", [("a", "b: c: d"), ("e", ":f")],
                "A line is split at its first colon only."),
        headers("equals-and-semicolon-in-a-value", [("a", "b=c;d")], "So are = and ;."),
        headers("every-token-byte-in-a-name", [("x!#$%&'*+-.^_`|~0", "1")],
                "A name is any token of HTTP."),
        headers("date-header-stays", [("Date", "Sun, 30 Aug 2015 12:36:00 GMT")],
                "It is signed beside x-amz-date.", differs={BOTO: "date-header"}),
        headers("date-is-not-the-signing-time", [("Date", "Mon, 31 Aug 2015 00:00:00 GMT")],
                "The signing time and the scope ignore it.", differs={BOTO: "date-header"}),
        headers("x-amz-date-is-written", [], "The header form always writes x-amz-date."),
        headers("token-is-written-and-signed", [], "With a token, x-amz-security-token is written.",
                credentials=SESSION),
        headers("all-others-are-signed",
                [("Accept", "*/*"), ("Accept-Language", "en"), ("Cache-Control", "no-cache"),
                 ("Content-Length", "2"), ("Content-MD5", "mZFLkyvTelC5g8XnyQrpOw=="),
                 ("Content-Type", "application/json"), ("Cookie", "a=b"), ("If-None-Match", "*"),
                 ("Origin", "https://example.com"), ("Range", "bytes=0-9"),
                 ("Referer", "https://example.com/"), ("X-Amz-Target", "T.Op"), ("X-Other", "1")],
                "Whatever is not on the list of never-signed headers is signed.", method="POST",
                body="{}"),
        headers("many-meta-headers", [(f"x-amz-meta-{n}", f"v{n}") for n in (10, 9, 1, 2)],
                "Numbers sort as text.", service="s3", url=BUCKET + "/k",
                method="PUT", body="x"),
        headers("hop-by-hop-is-never-signed",
                [("Connection", "close"), ("Keep-Alive", "5"), ("TE", "trailers"),
                 ("Trailer", "x"), ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c")],
                "Headers of one connection."),
        headers("proxy-headers-are-never-signed",
                [("Proxy-Authorization", "Basic x"), ("Proxy-Connection", "close"),
                 ("Proxy-Anything", "1")], "Whatever begins with proxy-.",
                differs={BOTO: "signs-never-signed"}),
        headers("expect-is-never-signed", [("Expect", "100-continue")], "A proxy may answer it."),
        headers("user-agent-is-never-signed", [("User-Agent", "curl/8")], "Proxies rewrite it."),
        headers("accept-encoding-is-never-signed", [("Accept-Encoding", "gzip")],
                "Look-alike stores rewrite it.", differs={BOTO: "signs-never-signed"}),
        headers("forwarding-headers-are-never-signed",
                [("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https"),
                 ("Forwarded", "for=10.0.0.1"), ("Via", "1.1 proxy"), ("Max-Forwards", "3")],
                "Each hop adds to them.", differs={BOTO: "signs-never-signed"}),
        headers("trace-headers-are-never-signed",
                [("X-Amzn-Trace-Id", "Root=1-2-3"), ("traceparent", "00-a-b-01"),
                 ("tracestate", "a=b"), ("baggage", "c=d")], "Tracing rewrites them."),
        headers("sec-headers-are-never-signed",
                [("Sec-Fetch-Mode", "cors"), ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==")],
                "Whatever begins with sec-.", differs={BOTO: "signs-never-signed"}),
        headers("similar-names-are-signed",
                [("X-Forwarded", "1"), ("Proxy", "2"), ("Sec", "3"), ("Te-X", "4"),
                 ("Expect-CT", "5"), ("User-Agent-X", "6"), ("X-Via", "7"), ("Forwarded-X", "8")],
                "The list holds names and three prefixes, nothing like them."),
        headers("content-length-is-signed", [("Content-Length", "0")],
                "By the general rules it is."),
        headers("excluded-header", [("a", "1"), ("b", "2"), ("Content-Type", "text/plain")],
                "The caller's list is left out, in any case.", exclude=["B", "content-type"]),
        headers("host-cannot-be-excluded", [("a", "1")], "host is always signed.",
                exclude=["host", "Host"]),
        headers("what-is-written-cannot-be-excluded", [("a", "1")],
                "Nor can the signer's own headers be left out.", credentials=SESSION,
                exclude=["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"],
                service="s3", url=BUCKET + "/k"),
        headers("absent-header-excluded", [("a", "1")], "Excluding what is not there does nothing.",
                exclude=["b", "user-agent"]),
        case("method-as-sent", "An extension method is signed as it is.", method="PURGE-2"),
        case("method-keeps-its-case", "Methods are case-sensitive and signed as sent.",
             method="get", differs={BOTO: "upper-case-method"}),
    ],
)

HOSTS = (
    "Host: a Host header is signed as sent. Without one the host is the URL's authority, without "
    "user and password, its port dropped only if it is 80 for http and ws or 443 for https and "
    "wss. A Host header may differ from the authority in case and in a default port, no more.",
    [
        case("from-the-url", "Without a Host header the URL says it.", HOST + "/"),
        case("https-443-is-dropped", "The default port of https is no part of the host.",
             "https://example.amazonaws.com:443/"),
        case("http-80-is-dropped", "Nor is that of http.", "http://example.amazonaws.com:80/"),
        case("https-80-stays", "Port 80 is not the default of https.",
             "https://example.amazonaws.com:80/"),
        case("http-443-stays", "Nor is 443 that of http.", "http://example.amazonaws.com:443/"),
        case("other-port-stays", "Any other port is part of the host.",
             "https://example.amazonaws.com:8443/"),
        case("wss-443-is-dropped", "wss has the default port of https.",
             "wss://example.amazonaws.com:443/mqtt", differs={BOTO: "ports"}),
        case("ws-80-is-dropped", "ws has the default port of http.",
             "ws://example.amazonaws.com:80/mqtt", differs={BOTO: "ports"}),
        case("wss-80-stays", "And only that.", "wss://example.amazonaws.com:80/mqtt"),
        case("scheme-in-capitals", "Schemes are compared without case.",
             "HTTPS://example.amazonaws.com:443/"),
        case("userinfo-is-never-signed", "User and password are no part of the host.",
             "https://user:secret@example.amazonaws.com/"),
        case("user-without-password", "Nor is a user alone.",
             "https://user@example.amazonaws.com/"),
        case("userinfo-and-port", "The port stays, the user goes.",
             "https://user:secret@example.amazonaws.com:8443/"),
        case("userinfo-and-default-port", "Both go.",
             "https://user:secret@example.amazonaws.com:443/"),
        case("userinfo-beside-a-host-header", "A Host header is compared with the host alone.",
             "https://user:secret@example.amazonaws.com/",
             headers=[("Host", "example.amazonaws.com")]),
        case("ipv4", "An address is a host.", "http://127.0.0.1:9000/"),
        case("ipv6-keeps-its-brackets", "Brackets are part of the host.", "https://[2001:db8::1]/"),
        case("ipv6-with-port", "A port follows the brackets.", "http://[::1]:9000/"),
        case("ipv6-with-default-port", "And is dropped like any other.", "http://[::1]:80/"),
        case("localhost", "A host needs no dot.", "http://localhost:4566/"),
        case("path-is-missing", "A query may follow the authority at once.",
             "https://example.amazonaws.com?a=b"),
        case("fragment-after-the-authority", "So may a fragment.",
             "https://example.amazonaws.com#a/b?c"),
        case("capitals-in-the-url", "The authority's letters are signed as they are written.",
             "https://Example.AmazonAWS.com/", differs={BOTO: "lower-case-host"}),
        case("host-header", "A Host header equal to the authority is signed.",
             headers=[("Host", "example.amazonaws.com")]),
        case("host-header-name-in-capitals", "Its name may be in any case.",
             headers=[("HOST", "example.amazonaws.com")]),
        case("host-header-in-other-case", "A Host that differs in case is signed as sent.",
             headers=[("Host", "EXAMPLE.amazonaws.com")]),
        case("host-header-with-default-port", "One with the default port is signed with it.",
             headers=[("Host", "example.amazonaws.com:443")]),
        case("host-header-without-default-port", "One without it is signed without it.",
             "https://example.amazonaws.com:443/", headers=[("Host", "example.amazonaws.com")]),
        case("host-header-with-port", "Another port must be there and is signed.",
             "http://example.amazonaws.com:8000/",
             headers=[("Host", "example.amazonaws.com:8000")]),
        case("host-header-is-trimmed", "Its value is trimmed like any other.",
             headers=[("Host", "\t example.amazonaws.com ")]),
        case("presigned-host-and-port", "The query form signs the same host.",
             "http://localhost:9000/bucket/key", service="s3", **IN_QUERY),
        case("presigned-host-header", "And the same Host header.",
             headers=[("Host", "EXAMPLE.amazonaws.com")], **IN_QUERY),
    ],
)

PAYLOAD = (
    "Payload line: the lower-case hex SHA-256 of the body, or the word for what is sent in its "
    "place. x-amz-content-sha256 repeats the line where the service asks for it (S3 family, aoss, "
    "vpc-lattice-svcs, glacier) and wherever the line is not a plain hash.",
    [
        case("no-body", "No body is an empty body."),
        case("empty-body", "An empty body is an empty body.", method="POST", body=""),
        case("text-body", "A body's hash.", method="POST", body="Action=ListUsers",
             headers=[("Content-Type", "application/x-www-form-urlencoded")]),
        case("utf8-body", "Text is UTF-8.", method="POST", body="caf\u00e9 \u65e5\u672c"),
        case("binary-body", "A body is bytes.", method="POST", body=bytes(range(256))),
        case("white-space-body", "Nothing is trimmed.", method="POST", body=" \r\n\t\n"),
        case("body-with-get", "The method does not matter.", body="{\"query\":{}}", service="es"),
        case("body-with-delete", "Not for DELETE either.", method="DELETE", body="x"),
        case("given-hash", "The caller may know the hash.", method="PUT",
             payload=hashlib.sha256(b"known beforehand").hexdigest()),
        case("general-rules-write-no-hash", "Most services get no x-amz-content-sha256.",
             method="POST", body="{}", service="dynamodb",
             headers=[("X-Amz-Target", "T.ListTables")]),
        case("unsigned-writes-the-header", "An unsigned payload must say so in a header.",
             method="POST", body="ignored", payload="unsigned"),
        case("s3-empty-body", "S3 states the hash of nothing.", BUCKET + "/key", service="s3"),
        case("s3-body", "S3 states the body's hash.", BUCKET + "/key", service="s3", method="PUT",
             body="Welcome"),
        case("s3-given-hash", "And a hash that the caller knows.", BUCKET + "/key", service="s3",
             method="PUT", payload=hashlib.sha256(b"known beforehand").hexdigest()),
        case("s3-unsigned", "An unsigned upload to S3.", BUCKET + "/key", service="s3",
             method="PUT", payload="unsigned"),
        case("s3express-body", "The whole S3 family does.",
             "https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/key",
             service="s3express", method="PUT", body="x"),
        case("s3-outposts-body", "S3 on Outposts.",
             "https://ap.op-01ac5d28a6a232904.s3-outposts.us-east-1.amazonaws.com/key",
             service="s3-outposts", method="PUT", body="x"),
        case("s3-object-lambda-body", "S3 Object Lambda.",
             "https://ap.s3-object-lambda.us-east-1.amazonaws.com/key",
             service="s3-object-lambda", method="PUT", body="x"),
        case("aoss-states-the-hash", "OpenSearch Serverless asks for the header.",
             "https://c.us-east-1.aoss.amazonaws.com/i/_search", service="aoss", method="POST",
             body="{}"),
        case("glacier-states-the-hash", "Glacier asks for the header.",
             "https://glacier.us-east-1.amazonaws.com/-/vaults/v/archives", service="glacier",
             method="POST", body="x", headers=[("x-amz-glacier-version", "2012-06-01")]),
        case("vpc-lattice-is-unsigned", "VPC Lattice supports no signed payload.",
             "https://s.vpc-lattice-svcs.us-east-1.on.aws/", service="vpc-lattice-svcs",
             method="POST", body="x"),
        case("vpc-lattice-is-unsigned-when-empty", "Not even an empty one.",
             "https://s.vpc-lattice-svcs.us-east-1.on.aws/", service="vpc-lattice-svcs"),
        case("vpc-lattice-ignores-a-given-hash", "Nor one that the caller knows.",
             "https://s.vpc-lattice-svcs.us-east-1.on.aws/", service="vpc-lattice-svcs",
             payload=hashlib.sha256(b"x").hexdigest()),
        case("streaming-head", "The head of an upload in signed chunks.", BUCKET + "/key",
             service="s3", method="PUT", payload="streaming",
             headers=[("Content-Encoding", "aws-chunked"), ("Content-Length", "66824"),
                      ("x-amz-decoded-content-length", "66560")]),
        case("streaming-trailer-head", "The head of one with a signed trailer.", BUCKET + "/key",
             service="s3", method="PUT", payload="streaming-trailer",
             headers=[("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", "5"),
                      ("x-amz-trailer", "x-amz-checksum-crc32c")]),
        case("unsigned-trailer-head", "The head of one with an unsigned trailer.", BUCKET + "/key",
             service="s3", method="PUT", payload="unsigned-trailer",
             headers=[("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", "5"),
                      ("x-amz-trailer", "x-amz-checksum-crc32")]),
        case("streaming-for-a-general-service", "The word is stated whatever the service.",
             HOST + "/", method="PUT", payload="streaming",
             headers=[("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", "0")]),
        case("stale-content-sha256-is-replaced", "The caller's own header gives way, also where "
             "the service asks for none.", method="POST", body="{}",
             headers=[("X-Amz-Content-SHA256", EMPTY_SHA256)], differs={BOTO: "caller-hash"}),
        case("right-content-sha256-is-kept", "One that is right stays and is signed.",
             method="POST", body="{}",
             headers=[("x-amz-content-sha256", hashlib.sha256(b"{}").hexdigest())]),
        case("s3-stale-content-sha256-is-replaced", "For S3 too.", BUCKET + "/key", service="s3",
             method="PUT", body="new", headers=[("x-amz-content-sha256", UNSIGNED)]),
        case("repeated-content-sha256-is-replaced", "All of them give way to one.", BUCKET + "/key",
             service="s3", method="PUT", body="new",
             headers=[("x-amz-content-sha256", UNSIGNED), ("X-Amz-Content-Sha256", EMPTY_SHA256)]),
    ],
)

PRESIGN = (
    "Presigned URLs: the caller's query stays as it is written; behind it stand X-Amz-Algorithm, "
    "X-Amz-Credential, X-Amz-Date, X-Amz-Expires, X-Amz-SignedHeaders, X-Amz-Security-Token if "
    "there is one, and X-Amz-Signature last. host and every header of the caller's but the "
    "never-signed are signed, none is written. The S3 family signs UNSIGNED-PAYLOAD, others sign "
    "the hash of the body.",
    [
        presigned("plainest", "Nothing but a host; it expires after 900 seconds."),
        presigned("no-question-mark-twice", "A lone ? is used, not doubled.", HOST + "/a?"),
        presigned("query-stays-in-place", "The caller's part keeps order and spelling.",
                  HOST + "/?z=1&a=%7e&Z=%2f&m"),
        presigned("query-sorts-among-ours", "All parameters are sorted together.",
                  HOST + "/?x-a=1&X-Amz-E=2&Action=3&~=4&X-Amz-Date-Range=5"),
        presigned("plus-stays-in-the-url", "The URL keeps the +, the signature means a space.",
                  HOST + "/?a=b+c", differs={CRT: "plus"}),
        presigned("repeated-parameters", "Every value of a repeated name is signed.",
                  HOST + "/?id=2&id=1&id=2", differs={BOTO: "one-value"}),
        presigned("non-utf8-parameter", "Bytes that are no text stay what they are.",
                  HOST + "/?a=%FF", differs={BOTO: "rewrites-bytes"}),
        presigned("encoded-parameter-is-not-encoded-again", "One encoding, not two.",
                  HOST + "/?prefix=a%2Fb%20c"),
        presigned("fragment-is-dropped", "The URL ends before the #.", HOST + "/a?b=1#c",
                  differs={BOTO: "fragment"}),
        presigned("odd-header-names", "A header name is a token: its odd characters are encoded in the query.",
                  headers=[["X-!#$%&'*+.^_`|~", "1"], ["a&b", "2"]]),
        presigned("expires-1", "The shortest time.", expires=1),
        presigned("expires-604800", "The longest time, seven days.", expires=604800),
        presigned("credential-is-encoded", "Slashes in the credential are %2F.", expires=60,
                  credentials={**KEY, "access_key_id": "test:tester+1="}),
        presigned("token", "The token is signed and stands before the signature.",
                  credentials=SESSION),
        presigned("signed-headers-are-encoded", "The ; between names is %3B.",
                  headers=[("x-amz-meta-b", "2"), ("Content-Type", "text/plain")]),
        presigned("never-signed-headers", "The never-signed stay unsigned.",
                  headers=[("User-Agent", "curl/8"), ("Accept-Encoding", "gzip"), ("A", "1")],
                  differs={BOTO: "signs-never-signed"}),
        presigned("excluded-header", "So do those that the caller excludes.",
                  headers=[("A", "1"), ("B", "2")], exclude=["a"]),
        presigned("no-x-amz-date-header", "The caller's x-amz-date is dropped, none is written.",
                  headers=[("X-Amz-Date", "20110909T233600Z")],
                  differs={BOTO: "keeps-old-headers"}),
        presigned("date-header-is-signed", "A date header is a header like any other.",
                  headers=[("Date", "Sun, 30 Aug 2015 12:36:00 GMT")]),
        presigned("general-empty-body", "Without a body the hash of nothing is signed.",
                  service="sts"),
        presigned("general-body", "A body given is hashed.", method="POST", body="a=b"),
        presigned("general-given-hash", "Or its hash is given.", method="PUT",
                  payload=hashlib.sha256(b"a=b").hexdigest()),
        presigned("general-unsigned", "Or it is left unsigned; no header is written.",
                  method="PUT", payload="unsigned"),
        presigned("s3-get", "S3 signs UNSIGNED-PAYLOAD.", BUCKET + "/key", service="s3"),
        presigned("s3-put-ignores-the-body", "Whatever the body.", BUCKET + "/key", service="s3",
                  method="PUT", body="Welcome"),
        presigned("s3-headers-are-signed", "Headers that the caller must send are signed.",
                  BUCKET + "/key", service="s3", method="PUT",
                  headers=[("Content-Type", "image/png"), ("x-amz-acl", "public-read"),
                           ("Content-MD5", "mZFLkyvTelC5g8XnyQrpOw==")]),
        presigned("s3-token-and-subresource", "A sub-resource and a token.",
                  BUCKET + "/key?uploadId=a+b&partNumber=1", service="s3", method="PUT",
                  credentials=SESSION, differs={CRT: "plus"}),
        presigned("s3-content-sha256-is-replaced", "A content hash gives way to the payload line.",
                  BUCKET + "/key", service="s3", method="PUT",
                  headers=[("x-amz-content-sha256", hashlib.sha256(b"x").hexdigest())],
                  differs={BOTO: "caller-hash"}),
        presigned("content-sha256-is-replaced", "So it does by the general rules.", method="PUT",
                  body="x", headers=[("x-amz-content-sha256", EMPTY_SHA256)]),
        presigned("s3express-ordinary-token", "Ordinary credentials keep the ordinary name.",
                  "https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/key",
                  service="s3express", credentials=SESSION),
        presigned("vpc-lattice-is-unsigned", "VPC Lattice signs UNSIGNED-PAYLOAD here too.",
                  "https://s.vpc-lattice-svcs.us-east-1.on.aws/", service="vpc-lattice-svcs",
                  differs={CRT: "adds-hash-header"}),
        presigned("aoss-writes-no-header", "No service gets a header written in this form.",
                  "https://c.us-east-1.aoss.amazonaws.com/", service="aoss"),
        presigned("token-after-the-signature", "IoT leaves the token out of what is signed and "
                  "appends it last.", "wss://abc-ats.iot.us-east-1.amazonaws.com/mqtt",
                  service="iotdevicegateway", credentials=SESSION),
        presigned("iot-without-a-token", "Without a token there is nothing to append.",
                  "wss://abc-ats.iot.us-east-1.amazonaws.com/mqtt", service="iotdevicegateway"),
        presigned("database-login", "A login token of RDS is a presigned URL.",
                  "https://db.123456789012.us-east-1.rds.amazonaws.com:3306/"
                  "?Action=connect&DBUser=me",
                  service="rds-db", credentials=SESSION),
        presigned("cluster-login", "One of EKS signs a header besides.",
                  "https://sts.us-east-1.amazonaws.com/"
                  "?Action=GetCallerIdentity&Version=2011-06-15",
                  service="sts", expires=60, headers=[("x-k8s-aws-id", "cluster")]),
        presigned("head-method", "The method is part of it.", BUCKET + "/key", service="s3",
                  method="HEAD"),
    ],
)

OLD = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=OLDKEY%2F20110909%2Feu-west-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20110909T233600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
    "&X-Amz-Security-Token=old%2Ftoken"
)
OLD_SIGNED = OLD + "&X-Amz-Signature=" + "0123456789abcdef" * 4
OLD_HEADERS = [
    ("Authorization", "AWS4-HMAC-SHA256 Credential=OLDKEY/20110909/eu-west-1/s3/aws4_request,"
     " SignedHeaders=host;x-amz-date, Signature=" + "0123456789abcdef" * 4),
    ("X-Amz-Date", "20110909T233600Z"),
    ("X-Amz-Security-Token", "old/token"),
]
RESIGN = (
    "Signing again: whatever an earlier signature left is dropped first, in either form - the "
    "headers authorization, x-amz-date, x-amz-security-token, x-amz-s3session-token and "
    "x-amz-region-set, and the nine parameters of presigned URLs, their names compared after "
    "decoding and with exact case. A query that holds none of them is left as it is, to the byte.",
    [
        headers("authorization-is-dropped", [OLD_HEADERS[0]], "The old signature is not signed."),
        headers("basic-authorization-is-dropped", [("Authorization", "Basic dXNlcjpwYXNz")],
                "Whatever scheme it has."),
        headers("stale-date-is-replaced", [OLD_HEADERS[1]], "The signing time replaces it."),
        headers("stale-dates-are-replaced", [("x-amz-date", "1"), ("X-AMZ-DATE", "2"), ("a", "b")],
                "All of them."),
        headers("token-is-replaced", [OLD_HEADERS[2]], "The credentials' token replaces it.",
                credentials=SESSION),
        headers("token-is-dropped", [OLD_HEADERS[2]], "Without a token none is sent or signed.",
                differs={BOTO: "keeps-old-headers"}),
        headers("session-token-is-dropped", [("x-amz-s3session-token", "old")],
                "So is one of S3 Express.", differs=both("keeps-old-headers")),
        headers("region-set-is-dropped", [("X-Amz-Region-Set", "*")], "So is a region set.",
                differs={BOTO: "keeps-old-headers"}),
        headers("signed-request", OLD_HEADERS, "A whole signed request, signed again.",
                differs={BOTO: "keeps-old-headers"}),
        headers("signed-s3-request", OLD_HEADERS + [("x-amz-content-sha256", UNSIGNED)],
                "One of S3, whose content hash is replaced too.", credentials=SESSION,
                service="s3", url=BUCKET + "/key", method="PUT", body="x"),
        headers("date-header-stays", OLD_HEADERS + [("Date", "Sun, 30 Aug 2015 12:36:00 GMT")],
                "A date header is the caller's and stays.",
                differs={BOTO: "keeps-old-headers date-header"}),
        presigned("presigned-url", "A whole presigned URL, presigned again.",
                  f"{BUCKET}/key?{OLD_SIGNED}", service="s3", credentials=SESSION,
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("presigned-url-without-token", "Its token goes when there is no new one.",
                  f"{BUCKET}/key?{OLD_SIGNED}", service="s3",
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("presigned-url-with-parameters", "The caller's parameters stay, in order.",
                  f"{HOST}/?b=2&{OLD_SIGNED}&a=%7e&c", expires=60,
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("presigned-url-interleaved", "Wherever they stand.",
                  f"{HOST}/?X-Amz-Date=1&b=2&X-Amz-Signature=3&a=+&X-Amz-Expires=4",
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("s3session-token-and-region-set", "Those two parameters go as well.",
                  f"{HOST}/?X-Amz-S3session-Token=t&a=1&X-Amz-Region-Set=%2A",
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("repeated-auth-parameters", "Each of several goes.",
                  f"{HOST}/?X-Amz-Date=1&X-Amz-Date=2&a=b&X-Amz-Date",
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("escaped-auth-parameter", "Names are compared after decoding.",
                  f"{HOST}/?X%2DAmz%2ddate=1&%58-Amz-Date=2&a=b&X%2DAmz-Signature=3",
                  differs={BOTO: "keeps-old-parameters"}),
        presigned("bare-auth-parameter", "A parameter without a value goes.",
                  f"{HOST}/?X-Amz-Signature&a=b", differs={BOTO: "keeps-old-parameters"}),
        presigned("other-case-is-another-parameter", "x-amz-date is the caller's own parameter.",
                  f"{HOST}/?x-amz-date=1&X-AMZ-DATE=2&X-Amz-date=3"),
        presigned("similar-parameters-stay", "So is any other X-Amz- parameter.",
                  f"{HOST}/?X-Amz-Target=1&X-Amz-Dates=2"),
        presigned("hash-of-another-signature-goes",
                  "A verifier would read X-Amz-Content-Sha256 as the hash of the body.",
                  f"{HOST}/?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&a=b",
                  differs={BOTO: "keeps-old-parameters", CRT: "keeps-old-parameters"}),
        presigned("untouched-byte-for-byte", "Without any of them the text stays as written.",
                  f"{HOST}/?a=1&&b=%7e&=x&c+d&e=%2f",
                  differs={BOTO: "empty-pieces", CRT: "empty-pieces plus"}),
        presigned("from-header-form", "A signed request becomes a presigned URL.",
                  headers=OLD_HEADERS + [("x-amz-s3session-token", "t"), ("A", "1")],
                  differs={BOTO: "keeps-old-headers"}),
        presigned("from-both-forms", "Headers and parameters go together.",
                  f"{HOST}/?{OLD_SIGNED}&a=1", headers=OLD_HEADERS,
                  differs={BOTO: "keeps-old-headers keeps-old-parameters"}),
        case("to-header-form", "A presigned URL becomes a signed request.",
             f"{HOST}/?a=1&{OLD_SIGNED}", differs={BOTO: "keeps-old-parameters"}),
        case("to-header-form-nothing-else", "Nothing of its query is left.",
             f"{BUCKET}/key?{OLD_SIGNED}", service="s3", differs={BOTO: "keeps-old-parameters"}),
        case("to-header-form-parameters-stay", "The caller's parameters stay as written.",
             f"{HOST}/?b=%7e&{OLD_SIGNED}&a=+&c",
             differs={BOTO: "keeps-old-parameters query-as-on-the-wire"}),
        case("to-header-form-untouched", "A query without them is untouched.",
             f"{HOST}/?x-amz-date=1&&b=%7e", differs={BOTO: "empty-pieces query-as-on-the-wire"}),
    ],
)

RULES = (
    "Rules: what a service's name implies, and the four switches by which a request overrides it "
    "one by one. double_encode off decodes a path once and encodes it once; normalize_path acts on "
    "the path as sent, before any decoding; content_sha256_header forces or forbids the header; "
    "token_after_signing keeps the token out of what is signed.",
    [
        path("decode-once-space", "/my%20file", "Without the second encoding %20 stays.",
             service="execute-api", rules={"double_encode": False}),
        path("decode-once-slash", "/alpha%2Fbeta%2f", "And %2F becomes a slash.",
             rules={"double_encode": False}, differs={CRT: "as-on-the-wire"}),
        path("decode-once-lower-case", "/%c3%a9%7e=", "And hex comes out in upper case.",
             rules={"double_encode": False}, differs={CRT: "as-on-the-wire"}),
        path("decode-once-still-normalizes", "//a/./my%20file/../b/",
             "The other switch is left alone.", rules={"double_encode": False}),
        path("decode-once-malformed-is-literal", "/100%/%zz/a%2/b%20c%",
             "A malformed % stays a byte under the general rules.", rules={"double_encode": False},
             differs={CRT: "as-on-the-wire"}),
        path("decode-once-encoded-percent", "/100%25/%2520", "Escapes are undone once.",
             rules={"double_encode": False}),
        path("normalized-before-decoding", "/a/%2e%2e/b/%2F%2F/c",
             "Dots and slashes that appear by decoding are not normalized.",
             rules={"double_encode": False}, differs={CRT: "as-on-the-wire"}),
        path("not-normalized", "//a/./b/../c//", "Segments stay as they are.",
             rules={"normalize_path": False}),
        path("not-normalized-still-encodes-twice", "//my%20file/..", "But escapes are encoded.",
             rules={"normalize_path": False}),
        path("not-normalized-empty-path", "", "The empty path is / all the same.",
             rules={"normalize_path": False}),
        path("both-off", "//my%20file/./a=b", "Both off is the S3 path for any service.",
             rules={"double_encode": False, "normalize_path": False},
             differs={CRT: "as-on-the-wire"}),
        path("both-off-malformed-is-literal", "/100%", "But not the S3 family's strictness.",
             rules={"double_encode": False, "normalize_path": False},
             differs={CRT: "as-on-the-wire"}),
        path("both-on-is-the-default", "//my%20file/./a=b", "Both on changes nothing.",
             rules={"double_encode": True, "normalize_path": True}),
        key("s3-double-encode", "/my%20file//a=b", "S3 with the second encoding.",
            rules={"double_encode": True}),
        key("s3-double-encode-malformed", "/100%/%zz", "Where nothing is decoded nothing is "
            "malformed.", rules={"double_encode": True}),
        key("s3-normalize", "//a/./b/../c%3d/", "S3 with normalization, decoding once.",
            rules={"normalize_path": True}, differs={CRT: "as-on-the-wire"}),
        key("s3-with-the-general-path", "//a/../my%20file", "S3 with both is the general path.",
            rules={"double_encode": True, "normalize_path": True}),
        case("content-sha256-forced", "A general service with the header.", method="POST",
             body="{}", rules={"content_sha256_header": True}),
        case("content-sha256-forced-in-query-form", "The query form writes no header even so.",
             rules={"content_sha256_header": True}, **IN_QUERY),
        case("content-sha256-forbidden-on-s3", "S3 without the header still signs the hash.",
             BUCKET + "/key", service="s3", method="PUT", body="x",
             rules={"content_sha256_header": False}),
        case("content-sha256-forbidden-when-unsigned", "Nor does an unsigned payload write it.",
             method="POST", payload="unsigned", rules={"content_sha256_header": False}),
        case("content-sha256-forbidden-on-aoss", "Nor does a service that asks for it.",
             "https://c.us-east-1.aoss.amazonaws.com/", service="aoss",
             rules={"content_sha256_header": False}),
        case("content-sha256-forbidden-on-vpc-lattice", "The payload line stays what it is.",
             "https://s.vpc-lattice-svcs.us-east-1.on.aws/", service="vpc-lattice-svcs",
             rules={"content_sha256_header": False}),
        case("content-sha256-forbidden-drops-the-callers", "The caller's own is removed.",
             method="POST", body="{}", headers=[("x-amz-content-sha256", EMPTY_SHA256)],
             rules={"content_sha256_header": False}, differs={BOTO: "caller-hash"}),
        case("content-sha256-forbidden-in-query-form", "In the query form as well.",
             BUCKET + "/key", service="s3", headers=[("x-amz-content-sha256", EMPTY_SHA256)],
             rules={"content_sha256_header": False}, **IN_QUERY),
        case("token-after-signing-header", "The token is sent and not signed.",
             credentials=SESSION, rules={"token_after_signing": True}),
        case("token-after-signing-query", "The token follows the signature.",
             credentials=SESSION, rules={"token_after_signing": True}, **IN_QUERY),
        case("token-after-signing-without-a-token", "Without a token it changes nothing.",
             rules={"token_after_signing": True}),
        case("token-after-signing-replaces", "An old token is replaced, unsigned.",
             headers=[("X-Amz-Security-Token", "old")], credentials=SESSION,
             rules={"token_after_signing": True}),
        case("iot-token-after-signing", "The IoT gateway's name implies it.",
             "https://abc-ats.iot.us-east-1.amazonaws.com/", service="iotdevicegateway",
             credentials=SESSION),
        case("iot-token-signed-by-override", "And the switch overrides the name.",
             "https://abc-ats.iot.us-east-1.amazonaws.com/", service="iotdevicegateway",
             credentials=SESSION, rules={"token_after_signing": False}),
        case("iot-token-signed-by-override-in-query-form", "In the query form too.",
             "https://abc-ats.iot.us-east-1.amazonaws.com/mqtt", service="iotdevicegateway",
             credentials=SESSION, rules={"token_after_signing": False}, **IN_QUERY),
        case("iotdata-is-general", "Other IoT names have the general rules.",
             "https://abc-ats.iot.us-east-1.amazonaws.com/topics/a%2Fb", service="iotdata",
             method="POST", body="x", credentials=SESSION),
        case("aoss-never-signs-content-length", "OpenSearch Serverless leaves it out.",
             "https://c.us-east-1.aoss.amazonaws.com/i/_doc", service="aoss", method="POST",
             body="{}", headers=[("Content-Length", "2"), ("Content-Type", "application/json")],
             differs={BOTO: "signs-never-signed"}),
        case("aoss-path-is-general", "Its path has the general rules.",
             "https://c.us-east-1.aoss.amazonaws.com//i/my%20doc/", service="aoss"),
        case("vpc-lattice-path-is-general", "So has that of VPC Lattice.",
             "https://s.vpc-lattice-svcs.us-east-1.on.aws//a/my%20file",
             service="vpc-lattice-svcs"),
        case("all-four-overridden", "The switches do not touch one another.",
             HOST + "//my%20file/../b", service="s3", credentials=SESSION, method="PUT", body="x",
             rules={"double_encode": True, "normalize_path": True, "content_sha256_header": False,
                    "token_after_signing": True}),
    ],
)


def secret(text, **fields):
    return {**KEY, "secret_access_key": text, **fields}


SCOPE = (
    "Scope and key: the scope is date/region/service/aws4_request, its date always that of the "
    "timestamp. The key is the HMAC chain over AWS4 and the secret, the date, the region, the "
    "service and aws4_request; the secret is bytes of any length.",
    [
        case("us-east-1", "The plainest scope.", service="sts"),
        case("china", "A region of China.", "https://sts.cn-north-1.amazonaws.com.cn/",
             service="sts", region="cn-north-1"),
        case("gov-cloud", "A region of GovCloud.", "https://sts.us-gov-west-1.amazonaws.com/",
             service="sts", region="us-gov-west-1"),
        case("sovereign-cloud", "A region of the European sovereign cloud.",
             "https://sts.eusc-de-east-1.amazonaws.eu/", service="sts", region="eusc-de-east-1"),
        case("aws-global", "A region that is no place.", region="aws-global", service="s3"),
        case("region-of-a-look-alike", "Look-alike stores have regions of their own.",
             "http://localhost:3900/bucket/key", service="s3", region="garage"),
        case("region-keeps-its-case", "Nothing is lowered in a scope.", region="US-East-1",
             service="SErvice"),
        case("dashes-and-dots-in-a-service", "A service's name is any text without a slash.",
             service="a.b-c_d"),
        case("other-region-other-signature", "Compare with us-east-1.", service="sts",
             region="us-east-2"),
        case("undelimited-scope-one", "Key parts are not joined: see the next.",
             region="us-east-1", service="s3"),
        case("undelimited-scope-two", "Same letters, another scope and key.",
             region="us-east-1s", service="3"),
        case("secret-before-rotation", "A key id, day and scope under one secret.",
             credentials=secret("first+secret+first+secret+first+secret+1")),
        case("secret-after-rotation", "The same id, day and scope, the next secret: another key.",
             credentials=secret("second/secret/second/secret/second/sec/2")),
        case("utf8-secret", "A secret may hold any character.",
             credentials=secret("s\u00e9cret-\u2603-\U0001f511")),
        case("secret-of-one-byte", "It may be short.", credentials=secret("x")),
        case("secret-of-60-bytes", "With AWS4 it fills one block of SHA-256.",
             credentials=secret("0123456789" * 6)),
        case("secret-of-61-bytes", "With AWS4 it is one byte more than a block.",
             credentials=secret("0123456789" * 6 + "0")),
        case("secret-of-200-bytes", "It may be long.", credentials=secret("abcdefghij" * 20)),
        case("secret-is-not-trimmed", "Spaces in it are part of it.",
             credentials=secret(" secret with spaces ")),
        case("key-id-of-a-look-alike", "A key id may hold a colon.",
             credentials={**KEY, "access_key_id": "account:user"}, service="s3"),
        case("first-second-of-a-day", "Midnight belongs to the new day.", time="20150831T000000Z"),
        case("last-second-of-a-day", "The second before belongs to the old.",
             time="20150830T235959Z"),
        case("leap-day", "29 February of a leap year.", time="20240229T120000Z"),
        case("leap-day-of-2000", "2000 was one.", time="20000229T235959Z"),
        case("first-day-of-a-year", "A new year.", time="20260101T000000Z"),
        case("first-second-of-1970", "The earliest time.", time="19700101T000000Z"),
        case("after-2038", "Later than 32 bits reach.", time="20380119T031408Z"),
        case("last-second-of-9999", "The latest time.", time="99991231T235959Z"),
        presigned("presigned-midnight", "Scope and X-Amz-Date agree in the query form.",
                  time="20150831T000000Z"),
    ],
)


def refused(name, kind, about, url=HOST + "/", **fields):
    return case(name, about, url, error={"kind": kind}, **fields)


def bad_key_id(name, text, about):
    return refused(name, "invalid_credentials", about,
                   credentials={**KEY, "access_key_id": text})


def bad_token(name, text, about, **fields):
    return refused(name, "invalid_credentials", about,
                   credentials={**KEY, "session_token": text}, **fields)


def bad_header(name, pair, about, **fields):
    return refused(name, "invalid_header", about, headers=[pair], **fields)


def bad_key(name, path, about, **fields):
    return refused(name, "malformed_escape", about, BUCKET + path, **{"service": "s3", **fields})


def bad_query(name, query, about, **fields):
    return refused(name, "malformed_escape", about, f"{HOST}/?{query}", **fields)


ERRORS = (
    "Errors: input that cannot be signed is refused before anything is written, by a kind that "
    "names what is wrong. Nothing is repaired in silence.",
    [
        bad_key_id("empty-key-id", "", "A key id cannot be empty."),
        bad_key_id("slash-in-key-id", "AKID/EXAMPLE", "A slash would break the credential apart."),
        bad_key_id("comma-in-key-id", "AKID,EXAMPLE", "A comma would break the header apart."),
        bad_key_id("space-in-key-id", "AKID EXAMPLE", "A key id holds no space."),
        bad_key_id("newline-in-key-id", "AKIDEXAMPLE\n", "A key id holds no line feed."),
        bad_key_id("control-byte-in-key-id", "AKID\u001fEXAMPLE", "Nor any other control byte."),
        bad_key_id("delete-in-key-id", "AKIDEXAMPLE\u007f", "DEL is a control byte."),
        refused("empty-secret", "invalid_credentials", "A secret cannot be empty.",
                credentials=secret("")),
        bad_token("return-in-token", "to\rken", "A token holds no CR."),
        bad_token("newline-in-token", "token\n", "A token holds no LF."),
        bad_token("nul-in-token", "to\0ken", "A token holds no NUL."),
        bad_token("newline-in-presigned-token", "to\nken", "Nor in the query form.",
                  **IN_QUERY),
        refused("expires-0", "invalid_expiry", "A URL must live for a second.", expires=0,
                **IN_QUERY),
        refused("expires-negative", "invalid_expiry", "It cannot expire in the past.", expires=-1,
                **IN_QUERY),
        refused("expires-604801", "invalid_expiry", "Nor after seven days.", expires=604801,
                **IN_QUERY),
        refused("expires-604801-on-s3", "invalid_expiry", "On S3 neither.", BUCKET + "/key",
                service="s3", expires=604801, **IN_QUERY),
        bad_header("empty-header-name", ("", "1"), "A name has a letter at least."),
        bad_header("space-in-header-name", ("a b", "1"), "A space is no part of a token."),
        bad_header("space-after-header-name", ("a ", "1"), "At the end neither."),
        bad_header("colon-in-header-name", ("a:b", "1"), "Nor is a colon."),
        bad_header("newline-in-header-name", ("a\nb", "1"), "Nor is a line feed."),
        bad_header("non-ascii-header-name", ("caf\u00e9", "1"), "Nor is a letter beyond ASCII."),
        bad_header("return-in-header-value", ("a", "b\rc"), "A value holds no CR."),
        bad_header("newline-in-header-value", ("a", "b\nc"), "A value holds no LF."),
        bad_header("nul-in-header-value", ("a", "b\0c"), "A value holds no NUL."),
        bad_header("header-injection", ("a", "b\r\nx-amz-acl: public-read"),
                   "A value cannot smuggle in a header."),
        bad_header("newline-at-the-end", ("a", "b\n"), "Trimming does not save it."),
        bad_header("newline-in-a-never-signed-header", ("User-Agent", "b\nc"),
                   "Headers that are not signed are checked too."),
        bad_header("newline-in-presigned-header", ("a", "b\nc"), "In the query form as well.",
                   **IN_QUERY),
        refused("no-host", "missing_host", "An empty authority names no host.",
                "https:///key"),
        refused("no-host-but-a-user", "missing_host", "A user alone names no host.",
                "https://user@/key"),
        refused("two-host-headers", "conflicting_host", "Two Host headers are refused.",
                headers=[("Host", "example.amazonaws.com"), ("Host", "evil.example.com")]),
        refused("two-equal-host-headers", "conflicting_host", "Even two equal ones are.",
                headers=[("Host", "example.amazonaws.com"), ("host", "example.amazonaws.com")]),
        refused("host-differs-from-url", "conflicting_host", "A Host must be the URL's.",
                headers=[("Host", "evil.example.com")]),
        refused("host-port-differs-from-url", "conflicting_host", "Its port too.",
                headers=[("Host", "example.amazonaws.com:8443")]),
        refused("host-lacks-the-port", "conflicting_host", "A port that is no default is needed.",
                "https://example.amazonaws.com:8443/", headers=[("Host", "example.amazonaws.com")]),
        refused("host-with-the-other-default-port", "conflicting_host", "80 is not 443.",
                headers=[("Host", "example.amazonaws.com:80")]),
        refused("empty-host-header", "conflicting_host", "An empty Host is not the URL's.",
                headers=[("Host", "")]),
        refused("host-header-with-userinfo", "conflicting_host", "Userinfo is no part of a Host.",
                "https://user@example.amazonaws.com/",
                headers=[("Host", "user@example.amazonaws.com")]),
        refused("presigned-host-differs", "conflicting_host", "In the query form as well.",
                headers=[("Host", "evil.example.com")], **IN_QUERY),
        refused("empty-method", "invalid_method", "A method has a letter at least.", method=""),
        refused("space-in-method", "invalid_method", "A space ends a method.", method="GET /"),
        refused("newline-in-method", "invalid_method", "A method is one line.", method="GET\r\n"),
        refused("non-ascii-method", "invalid_method", "A method is ASCII.", method="G\u00c9T"),
        refused("empty-region", "invalid_scope", "A region cannot be empty.", region=""),
        refused("empty-service", "invalid_scope", "Nor can a service.", service=""),
        refused("slash-in-region", "invalid_scope", "A slash would move the scope's parts.",
                region="us/east/1"),
        refused("slash-in-service", "invalid_scope", "In a service as well.", service="s3/x"),
        refused("control-byte-in-region", "invalid_scope", "Nor may a control byte stand there.",
                region="us-east-1\n"),
        refused("control-byte-in-service", "invalid_scope", "Here neither.", service="s3\u0001"),
        refused("before-1970", "invalid_time", "The second before the first.",
                time="19691231T235959Z"),
        refused("after-9999", "invalid_time", "A year of five digits.", time="100000101T000000Z"),
        refused("no-such-day", "invalid_time", "30 February.", time="20150230T000000Z"),
        refused("no-leap-day", "invalid_time", "29 February of a common year.",
                time="20150229T000000Z"),
        refused("no-such-hour", "invalid_time", "The 25th hour.", time="20150830T250000Z"),
        refused("no-time-at-all", "invalid_time", "A word.", time="yesterday"),
        refused("relative-path", "invalid_url", "A path alone says nothing of the host.", "/key"),
        refused("relative-path-with-host-header", "invalid_url", "A Host header does not mend it.",
                "/key", headers=[("Host", "example.amazonaws.com")]),
        refused("no-scheme", "invalid_url", "A host alone is not a URL.",
                "example.amazonaws.com/key"),
        refused("scheme-relative", "invalid_url", "Two slashes are not a scheme.",
                "//example.amazonaws.com/key"),
        refused("query-alone", "invalid_url", "Nor is a query.", "?a=b"),
        refused("empty-url", "invalid_url", "Nor is nothing.", ""),
        refused("space-in-host", "invalid_url", "Bytes are forgiven in path and query only.",
                "https://example amazonaws.com/"),
        refused("presigned-relative-path", "invalid_url", "In the query form as well.", "/key",
                **IN_QUERY),
        bad_key("s3-percent-at-the-end", "/100%", "An S3 path must decode."),
        bad_key("s3-one-digit", "/a%2", "One digit is not enough."),
        bad_key("s3-no-hex", "/a%zz", "Hex digits are 0-9, a-f and A-F."),
        bad_key("s3-sign-is-no-digit", "/a%+1b", "A sign is not among them."),
        bad_key("s3-unicode-escape", "/%u00e9", "Nor is there a %u."),
        bad_key("s3-non-ascii-after-percent", "/%\u00e9\u00e9", "Nor are letters beyond ASCII."),
        bad_key("s3express-malformed", "/a%zz", "The whole family is strict.", service="s3express"),
        bad_key("s3-normalized-malformed", "/a%zz", "With normalization too.",
                rules={"normalize_path": True}),
        bad_key("s3-presigned-malformed", "/a%zz", "In the query form as well.", **IN_QUERY),
        bad_query("query-percent-at-the-end", "a=100%", "A query must decode, for all services."),
        bad_query("query-one-digit", "a=%2&b=1", "One digit is not enough."),
        bad_query("query-no-hex", "a=%G0", "G is no digit."),
        bad_query("query-sign-is-no-digit", "a=%-1", "A sign is not one."),
        bad_query("query-malformed-name", "a%=1", "Names must decode too."),
        bad_query("query-malformed-bare-name", "%zz", "Without a value as well."),
        bad_query("query-malformed-second-value", "a=1&a=%", "Every value is looked at."),
        bad_query("query-malformed-presigned", "a=%zz", "In the query form as well.",
                  **IN_QUERY),
        refused("s3-query-malformed", "malformed_escape", "For S3 as well.", BUCKET + "/?prefix=%",
                service="s3"),
    ],
)

# Facts that AWS's own documentation states. The keys are those of its examples.
S3_KEY = {
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
S3_DOCS = "https://docs.aws.amazon.com/AmazonS3/latest/API/"
IAM_DOCS = "https://docs.aws.amazon.com/general/latest/gr/"
FORM = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")


def s3_example(name, page, about, path, signature, digest, **fields):
    host = fields.pop("host", "examplebucket.s3.amazonaws.com")
    return case(name, about, f"https://{host}{path}", service="s3", time="20130524T000000Z",
                credentials=S3_KEY, source=S3_DOCS + page,
                published={"canonical_request_sha256": digest, "signature": signature}, **fields)


PUBLISHED = (
    "Published: the worked examples of the AWS documentation. The request and the published "
    "results are facts of the page named; the rest is computed like everything here.",
    [
        case("iam-list-users", "The worked example of the general documentation.",
             "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", headers=[FORM],
             service="iam", source=IAM_DOCS + "sigv4-create-canonical-request.html",
             published={
                 "canonical_request_sha256":
                     "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59",
                 "signing_key":
                     "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9",
                 "signature":
                     "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"}),
        case("iam-list-users-presigned", "The same call as a presigned URL.",
             "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", headers=[FORM],
             service="iam", expires=60, source=IAM_DOCS + "sigv4-add-signature-to-request.html",
             published={"signature":
                        "37ac2f4fde00b0ac9bd9eadeb459b1bbee224158d66e7ae5fcadb70b2d181d02"},
             **IN_QUERY, differs={BOTO: "drops-content-type"}),
        case("iam-list-users-post", "The older example, a form in the body.",
             "http://iam.amazonaws.com/", method="POST", headers=[FORM],
             body="Action=ListUsers&Version=2010-05-08", service="iam", time="20110909T233600Z",
             source=IAM_DOCS + "sigv4-signed-request-examples.html",
             published={"signature":
                        "ced6826de92d2bdeed8f846f0bf508e8559e98e4b0199114b84c54174deb456c"}),
        case("glacier-create-vault", "Glacier's example, which sends no content hash.",
             "https://glacier.us-east-1.amazonaws.com/-/vaults/examplevault", method="PUT",
             headers=[("x-amz-glacier-version", "2012-06-01")], service="glacier",
             time="20120525T002453Z", credentials=S3_KEY, rules={"content_sha256_header": False},
             source="https://docs.aws.amazon.com/amazonglacier/latest/dev/"
             "amazon-glacier-signing-requests.html",
             published={
                 "canonical_request_sha256":
                     "5f1da1a2d0feb614dd03d71e87928b8e449ac87614479332aced3a701f916743",
                 "signature":
                     "3ce5b2f2fffac9262b4da9256f8d086b4aaf42eba5f111c21681a65a127b7c2a"}),
        s3_example("s3-get-object-range", "sig-v4-header-based-auth.html", "GET with a range.",
                   "/test.txt",
                   "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
                   "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
                   headers=[("Range", "bytes=0-9")]),
        s3_example("s3-put-object", "sig-v4-header-based-auth.html",
                   "PUT; the $ of the key is signed as %24, and a date header is signed.",
                   "/test$file.text",
                   "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
                   "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
                   method="PUT", body="Welcome to Amazon S3.",
                   headers=[("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                            ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                   differs={BOTO: "as-on-the-wire date-header", CRT: "as-on-the-wire"}),
        s3_example("s3-get-bucket-lifecycle", "sig-v4-header-based-auth.html",
                   "A sub-resource without a value.", "/?lifecycle",
                   "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
                   "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca"),
        s3_example("s3-list-objects", "sig-v4-header-based-auth.html", "A listing.",
                   "/?max-keys=2&prefix=J",
                   "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
                   "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7"),
        s3_example("s3-presigned-get", "sigv4-query-string-auth.html", "A presigned GET.",
                   "/test.txt",
                   "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
                   "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04",
                   expires=86400, **IN_QUERY),
        s3_example("s3-signed-chunks-head", "sigv4-streaming.html",
                   "The head of an upload in signed chunks.", "/examplebucket/chunkObject.txt",
                   "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
                   "cee3fed04b70f867d036f722359b0b1f2f0e5dc0efadbc082b76c4c60e316455",
                   host="s3.amazonaws.com", method="PUT", payload="streaming",
                   headers=[("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                            ("Content-Encoding", "aws-chunked"),
                            ("x-amz-decoded-content-length", "66560"),
                            ("Content-Length", "66824")]),
        s3_example("s3-signed-trailer-head", "sigv4-streaming-trailers.html",
                   "The head of one with a trailer; this page leaves content-length unsigned.",
                   "/examplebucket/chunkObject.txt",
                   "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
                   "44d48b8c2f70eae815a0198cc73d7a546a73a93359c070abbaa5e6c7de112559",
                   host="s3.amazonaws.com", method="PUT", payload="streaming-trailer",
                   exclude=["content-length"],
                   headers=[("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                            ("Content-Encoding", "aws-chunked"),
                            ("x-amz-decoded-content-length", "66560"),
                            ("x-amz-trailer", "x-amz-checksum-crc32c"),
                            ("Content-Length", "66824")]),
    ],
)

SIGV4A = (
    "SigV4A signs by ECDSA on P-256, with a key derived from the secret and the access key id. The"
    " scope names no region; a region set is signed as x-amz-region-set, or as X-Amz-Region-Set"
    " behind the token. The signatures here are those of RFC 6979; others are as good.",
    [
        regions("one-region", "us-east-1", "A set of one region."),
        regions("two-regions", "us-east-1,eu-west-1", "A set of two."),
        regions("all-regions", "*", "Every region."),
        regions("pattern-and-region", "us-*,eu-west-1", "A pattern and a region.",
                url=HOST + "/a%20b?b=2&a=1", method="POST", body="Action=x",
                headers=[("Content-Type", "application/x-www-form-urlencoded")]),
        regions("token", "us-east-1", "A session token stands before the region set.",
                credentials=SESSION),
        regions("token-after-signing", "us-east-1", "The token is no part of what is signed.",
                credentials=SESSION, rules={"token_after_signing": True}),
        regions("s3", "*", "S3 has its own rules by this algorithm too.",
                url=BUCKET + "/a=b?x=/", service="s3", body="meow", method="PUT",
                differs={CRT: "as-on-the-wire"}),
        regions("s3-unsigned", "eu-*", "A payload that is left unsigned.",
                url=BUCKET + "/cat.jpg", service="s3", payload="unsigned"),
        regions("s3-streaming-head", "us-east-1", "The head of an upload in signed chunks.",
                url=BUCKET + "/cat.jpg", service="s3", method="PUT", payload="streaming",
                headers=[("Content-Encoding", "aws-chunked"),
                         ("x-amz-decoded-content-length", "66560")]),
        regions("s3-trailer-head", "us-east-1", "The same with a signed trailer.",
                url=BUCKET + "/cat.jpg", service="s3", method="PUT", payload="streaming-trailer",
                headers=[("x-amz-trailer", "x-amz-checksum-crc32c")]),
        regions("presigned", "us-east-1,eu-*", "In the query, commas and stars are encoded.",
                url=HOST + "/?b=2&a=1", **IN_QUERY),
        regions("presigned-token", "*", "The region set stands behind the token.",
                credentials=SESSION, **IN_QUERY),
        regions("presigned-token-after-signing", "*", "The token is appended last.",
                credentials=SESSION, rules={"token_after_signing": True}, **IN_QUERY),
        regions("presigned-s3", "*", "A presigned URL of S3.", url=BUCKET + "/cat.jpg",
                service="s3", expires=60, **IN_QUERY),
        regions("second-candidate", "us-east-1",
                "The first candidate for this key is not below the order of the curve.",
                credentials={**KEY, "access_key_id": "AKIDCTR2AAAAACKL335K"}),
        regions("long-key-id", "us-east-1", "The key id is part of what the key is derived from.",
                credentials={**KEY, "access_key_id": "AKID" + 100 * "F"}),
        regions("again-after-sigv4", "us-east-1", "Signing again drops the other algorithm's.",
                headers=[("Authorization", ALGORITHM + " Credential=old"),
                         ("X-Amz-Date", "20140101T000000Z")]),
        regions("again", "us-east-1", "An old region set is replaced.",
                url=HOST + "/?X-Amz-Region-Set=eu-west-1&a=1",
                headers=[("X-Amz-Region-Set", "eu-west-1")]),
        case("sigv4-after-sigv4a", "Signing by SigV4 drops the region set.",
             HOST + "/?X-Amz-Region-Set=eu-west-1&a=1",
             headers=[("X-Amz-Region-Set", "eu-west-1")],
             differs={BOTO: "keeps-old-headers keeps-old-parameters"}),
        regions("empty-region-set", "", "A set of no regions.", error={"kind": "invalid_scope"}),
        regions("control-byte-in-region-set", "us-east-1\r\nx-evil: 1", "A set that ends its line.",
                error={"kind": "invalid_scope"}),
    ],
)

FAMILIES = {
    "path-general": PATH_GENERAL,
    "path-s3": PATH_S3,
    "query": QUERY,
    "headers": HEADERS,
    "host": HOSTS,
    "payload": PAYLOAD,
    "presign": PRESIGN,
    "resign": RESIGN,
    "rules": RULES,
    "scope-and-key": SCOPE,
    "errors": ERRORS,
    "published": PUBLISHED,
    "sigv4a": SIGV4A,
}


# --------------------------------------------------------------------------------------------
# The writing
# --------------------------------------------------------------------------------------------


def settle(case):
    """A case as it is written, and what is wrong with its declarations."""
    request = case["in"]
    written = {key: case[key] for key in ("name", "about", "source", "in") if key in case}
    try:
        expect = sign(request)
    except Refused as refusal:
        problems = []
        if case.get("error") != {"kind": refusal.kind}:
            problems.append(f"is refused as {refusal.kind}, declared {case.get('error')}")
        written["error"] = {"kind": refusal.kind}
        written["agree"] = dict.fromkeys(ORACLES)
        return written, problems

    problems = ["is signed, though it is declared an error"] if "error" in case else []
    written["expect"] = expect
    for fact, value in case.get("published", {}).items():
        written["published"] = case["published"]
        if value != fact_of(fact, request, expect):
            problems.append(f"does not reproduce the published {fact}")
    agree = {}
    for oracle, ask in ORACLES.items():
        answer = ask(request, expect)
        agree[oracle] = None if answer is None else answer == answer_of(expect)
        declared = oracle in case.get("differs", {})
        if (agree[oracle] is False) != declared:
            problems.append(
                f"{oracle} {'agrees' if agree[oracle] else answer}, declared"
                f" {case.get('differs', {}).get(oracle)}"
            )
    written["agree"] = agree
    if "differs" in case:
        written["because"] = because(case["differs"])
    return written, problems


def fact_of(fact, request, expect):
    if fact == "canonical_request_sha256":
        return expect["string_to_sign"].rpartition("\n")[2]
    if fact == "signing_key":
        scope = expect["string_to_sign"].split("\n")[2]
        return signing_key(request["credentials"]["secret_access_key"], scope).hex()
    return expect[fact]


def because(differs):
    by_reason = {}
    for oracle, words in differs.items():
        for word in words.split():
            by_reason.setdefault(REASONS[word], []).append(oracle)
    return "; ".join(
        f"{' and '.join(oracles)}: {reason}" for reason, oracles in by_reason.items()
    )


def text_of(family):
    """Two-space JSON in ASCII, so that every odd character is seen; pairs stay on one line."""
    text = json.dumps(family, indent=2)
    string = r'("(?:[^"\\]|\\.)*")'
    return re.sub(rf"\[\n\s+{string},\n\s+{string}\n\s+\]", r"[\1, \2]", text) + "\n"


def generate():
    files, table, problems = {}, [], []
    for family, (rule, cases) in FAMILIES.items():
        names = [case["name"] for case in cases]
        problems += [f"{family}: {name} twice" for name in set(names) if names.count(name) > 1]
        settled = []
        for case in cases:
            written, wrong = settle(case)
            settled.append(written)
            problems += [f"{family}/{case['name']}: {problem}" for problem in wrong]
        files[f"{family}.json"] = text_of({"family": family, "rule": rule, "cases": settled})
        counts = [
            [written["agree"][oracle] for written in settled].count(answer)
            for oracle in ORACLES
            for answer in (True, False, None)
        ]
        table.append((family, len(settled), *counts))
    for written, wrong in (
        chunked.family(sign, ecdsa_by),
        tokens.family(sign, answer_of, ORACLES),
    ):
        family = written["family"]
        files[f"{family}.json"] = text_of(written)
        problems += wrong
        agree = [case["agree"] for case in written["cases"]]
        counts = [
            [a[oracle] for a in agree].count(b) for oracle in ORACLES for b in (True, False, None)
        ]
        table.append((family, len(agree), *counts))
    used = {
        word
        for _, cases in FAMILIES.values()
        for case in cases
        for words in case.get("differs", {}).values()
        for word in words.split()
    }
    problems += [f"nothing differs for the reason {word}" for word in REASONS.keys() - used]
    return files, table, problems


def print_table(table):
    print(f"{'':15}{'cases':>6}   {'botocore':^18}   {'awscrt':^18}")
    print(f"{'':15}{'':>6}   {'yes':>6}{'no':>6}{'-':>6}   {'yes':>6}{'no':>6}{'-':>6}")
    total = ("total", *(sum(column) for column in list(zip(*table))[1:]))
    for family, cases, *counts in [*table, total]:
        cells = [f"{count:>6}" for count in counts]
        print(f"{family:15}{cases:>6}   {''.join(cells[:3])}   {''.join(cells[3:])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; compare only")
    check_only = parser.parse_args().check

    for line in (HERE / "requirements.txt").read_text().splitlines():
        package, pinned, version = line.partition("==")
        if pinned and metadata.version(package) != version:
            return f"{package} is {metadata.version(package)}, requirements.txt says {version}"

    files, table, problems = generate()
    print_table(table)
    if problems:
        return "\n".join(["", *problems])

    stale = {file.name for file in HERE.glob("*.json")} - files.keys()
    for name, text in files.items():
        file = HERE / name
        if not file.exists() or file.read_text() != text:
            stale.add(name)
            if not check_only:
                file.write_text(text)
    if check_only and stale:
        return "differs from what generate.py writes: " + ", ".join(sorted(stale))
    if extra := stale - files.keys():
        return "no family writes " + ", ".join(sorted(extra))
    return 0


if __name__ == "__main__":
    sys.exit(main())
