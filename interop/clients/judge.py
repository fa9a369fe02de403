"""What the rules say of a request as a client sent it, by `reference.py`."""

import hashlib
import hmac
import re
from urllib.parse import unquote_to_bytes

from chunks import FORMS
from reference import S3_FAMILY, UNSIGNED_PAYLOAD, Request, canonical_request, signature

WIRE = re.compile(rb"[\x21-\x7e]+")


def judge(raw: bytes, keys: list) -> str:
    """Why the request is to be refused; empty if it is to be accepted."""
    try:
        return _judge(Request.parse(raw), {key.access_key_id: key for key in keys})
    except (AssertionError, ValueError, KeyError, IndexError, UnicodeDecodeError) as why:
        return f"malformed: {type(why).__name__} {why}"


def _judge(request: Request, keys: dict) -> str:
    presigned = not request.values("authorization")
    query, token_sent = request.query, [v.decode() for v in request.values("x-amz-security-token")]
    fields = {}
    for piece in request.query.split(b"&"):
        name, _, value = piece.partition(b"=")
        name = unquote_to_bytes(name).decode("latin-1")
        if name.lower().startswith("x-amz-"):
            fields[name] = unquote_to_bytes(value).decode()
    if presigned:
        if fields.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
            return "algorithm"
        credential, found = fields["X-Amz-Credential"], fields["X-Amz-Signature"]
        signed, timestamp = fields["X-Amz-SignedHeaders"].split(";"), fields["X-Amz-Date"]
        query = b"&".join(p for p in query.split(b"&") if not p.startswith(b"X-Amz-Signature="))
        token_sent = [fields["X-Amz-Security-Token"]] if "X-Amz-Security-Token" in fields else token_sent
    else:
        form = re.fullmatch(
            r"AWS4-HMAC-SHA256 +Credential=([^ ,]+), *SignedHeaders=([^ ,]+), *Signature=([^ ,]+)",
            request.only("authorization"),
        )
        if not form:
            return "Authorization"
        credential, signed, found = form[1], form[2].split(";"), form[3]
        timestamp = request.only("x-amz-date")

    access_key, _, scope = credential.partition("/")
    date, _region, service, end = scope.split("/")
    if end != "aws4_request" or date != timestamp[:8]:
        return "scope"
    if access_key not in keys:
        return "access key id"
    key = keys[access_key]
    if token_sent != ([key.session_token] if key.session_token else []):
        return "session token"
    if "host" not in signed:
        return "host is not signed"
    for name, _ in request.headers:
        if name.startswith("x-amz-") and name not in signed:
            return f"{name} is not signed"

    s3, payload = service in S3_FAMILY, hashlib.sha256(request.body).hexdigest()
    declared = request.values("x-amz-content-sha256")
    if declared:
        value = request.only("x-amz-content-sha256")
        # What comes in chunks, `chunks.py` judges.
        if value != payload and not (s3 and value in {UNSIGNED_PAYLOAD, *FORMS}):
            return "body"
        payload = value
    elif s3 and not presigned:
        return "no x-amz-content-sha256"
    elif s3:
        payload = UNSIGNED_PAYLOAD

    canonical = canonical_request(request, query, signed, payload, service)
    method, path, rest = canonical.split(b"\n", 2)
    paths = [path]
    # What boto3 and the CRT sign where they follow another reading of the rules.
    if s3 and WIRE.fullmatch(request.path):
        paths.append(request.path)
    elif not s3 and request.path.endswith((b"/.", b"/..")) and path.endswith(b"/"):
        paths.append(path[:-1] or b"/")
    for path in paths:
        expected = signature(key.secret_access_key, timestamp, scope, b"\n".join([method, path, rest]))
        if hmac.compare_digest(expected.encode(), found.encode()):
            return ""
    return "signature"
