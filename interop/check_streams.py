"""Clients of others that upload in chunks, against `countersign listen`: let in as they sent it, refused
once one bit of it is another.

    check_streams.py [CLIENT…]

Each upload goes through a relay that keeps the bytes (`clients/wire.py`), over TLS where a client wants
that for its chunks. `chunks.py` says that the body was rightly framed, signed and summed; the listener
must say so too, and name the form. Then it is sent again with one bit flipped in each kind of place, or
with chunks moved, and must be refused by the name of the chunk.
"""

import base64
import contextlib
import json
import os
import random
import re
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "clients"))

import chunks
from check_clients import CLIENTS, Coprocess
from checks import BINARY, Checks, Credentials, clean_environment, run, text
from judge import judge
from python import send
from reference import Request
from servers import CACHE, REGION, NotStarted
from wire import Parts, Relay, listening

PATH = "/bucket/a=b%20(1)"
KIB, MIB = 1 << 10, 1 << 20
# As many as the listener takes.
MANY = [(f"x-amz-meta-{n}", f"value {n}") for n in range(11)]


@dataclass(frozen=True)
class Upload:
    """What a client is asked to send, and what must come of it."""

    name: str
    form: chunks.Form
    length: int
    chunk: int = 64 * KIB
    trailers: list = field(default_factory=list)  # names of checksums, or pairs
    options: dict = field(default_factory=dict)  # for the client

    def body(self) -> bytes:
        return random.Random(self.length).randbytes(self.length)

    def trailer_lines(self) -> list:
        """Pairs of text."""
        return [t if isinstance(t, tuple) else (t, chunks.checksum(t, self.body()).decode()) for t in self.trailers]


CRC32 = "x-amz-checksum-crc32"
SIZES = {"nothing": (0, 100), "1 byte": (1, 100), "chunks of 1 byte": (5, 1), "chunks of 100 bytes": (350, 100)}
SIZES |= {"chunks of 64 KiB": (150_000, 65536), "a chunk of 1 MiB": (MIB, MIB), "chunks of 5 bytes": (15, 5)}


def by_hand() -> list:
    """For a client that does as it is told."""
    plain = [Upload(name, chunks.STREAMING, *sizes) for name, sizes in SIZES.items()]
    for form in (chunks.STREAMING_TRAILER, chunks.UNSIGNED_TRAILER):
        plain += [Upload(f"{name}, {form.name}", form, *sizes, [CRC32]) for name, sizes in SIZES.items()]
        plain += [Upload(f"{n}, {form.name}", form, 350, 100, [n]) for n in chunks.CHECKSUMS]
        # Unsigned, only checksums vouch for themselves.
        many = [*chunks.CHECKSUMS, *(MANY if form.signed else [])]
        plain.append(Upload(f"{len(many)} trailers, {form.name}", form, 350, 100, many))
    return plain


def signed_by_hand() -> list:
    return [upload for upload in by_hand() if upload.form.signed]


def checksums(length: int, names: tuple = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")) -> list:
    """Uploads with each checksum, for clients that compute it."""
    options = [{"operation": "PutObject", "algorithm": name} for name in names]
    return [Upload(f"PutObject, {o['algorithm']}", chunks.UNSIGNED_TRAILER, length, options=o) for o in options]


def default(operation: str, length: int) -> Upload:
    options = {"operation": operation}
    return Upload(f"{operation}, as it comes, {length} bytes", chunks.UNSIGNED_TRAILER, length, options=options)


UPLOADS = {
    "by hand": by_hand(),
    "aws-sigv4": signed_by_hand(),
    "boto3": [
        *(default("PutObject", length) for length in (0, 1, 100_000, 2 * MIB + MIB // 2)),
        default("UploadPart", 100_000),
        *checksums(1000),
    ],
    "awscrt": checksums(100_000),
    "aws-sdk-js": [
        *(default("PutObject", length) for length in (0, 1, 100_000, 300_000)),
        default("UploadPart", 100_000),
        # For CRC64NVME it wants a package of its own.
        *checksums(1000, ("CRC32", "CRC32C", "SHA1", "SHA256")),
    ],
}
OVER_TLS = {"boto3"}


class ByHand:
    """`chunks.py` itself, which writes chunks of any size and any trailers."""

    def __call__(self, upload: Upload, endpoint: str, key: Credentials) -> int:
        headers = wire_headers(upload, endpoint)
        timestamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        signed = chunks.signed_head("PUT", PATH, headers, upload.form.line, key, timestamp, REGION)
        trailers = [(name.encode(), value.encode()) for name, value in upload.trailer_lines()]
        body = chunks.framed(upload.body(), upload.form, upload.chunk, trailers, signed.chain)
        return send(endpoint, "PUT", PATH, signed.headers, body)

    def close(self) -> None:
        pass


def wire_headers(upload: Upload, endpoint: str) -> list:
    names = ",".join(name for name, _ in upload.trailer_lines())
    headers = [("host", endpoint.partition("://")[2]), ("content-encoding", "aws-chunked")]
    headers.append(("x-amz-decoded-content-length", str(upload.length)))
    return headers + ([("x-amz-trailer", names)] if names else [])


class Line:
    """A client in a process of its own, which is asked a line at a time."""

    def __init__(self, command: list, home: Path):
        self.ask = Coprocess(command, environment(home))

    def __call__(self, upload: Upload, endpoint: str, key: Credentials) -> int:
        answer = self.ask(
            {"endpoint": endpoint, "region": REGION, "service": "s3", "credentials": key.__dict__}
            | {"body_base64": base64.b64encode(upload.body()).decode()}
            | self.fields(upload, endpoint)
        )
        assert answer.get("status"), answer
        return answer["status"]

    def close(self) -> None:
        self.ask.close()


class AwsSigv4(Line):
    def fields(self, upload: Upload, endpoint: str) -> dict:
        headers = wire_headers(upload, endpoint)[1:]
        fields = {"method": "PUT", "target": PATH, "headers": headers, "chunks": upload.chunk}
        return fields | {"trailers": upload.trailer_lines()}


class Js(Line):
    def fields(self, upload: Upload, _endpoint: str) -> dict:
        extra = {"ChecksumAlgorithm": upload.options["algorithm"]} if "algorithm" in upload.options else {}
        part = {"UploadId": "id", "PartNumber": 1} if upload.options["operation"] == "UploadPart" else {}
        return {"operation": upload.options["operation"], "piece": 16 * KIB, "input": extra | part}


class Boto3:
    """With its default settings; it uploads in chunks over TLS alone."""

    def __init__(self, certificate: Path):
        self.certificate = str(certificate)

    def __call__(self, upload: Upload, endpoint: str, key: Credentials) -> int:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import ClientError

        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token or None,
            verify=self.certificate,
            config=Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        fields = {"Bucket": "bucket", "Key": "a=b (1)", "Body": upload.body()}
        if "algorithm" in upload.options:
            fields["ChecksumAlgorithm"] = upload.options["algorithm"]
        with contextlib.closing(client):
            try:
                if upload.options["operation"] == "UploadPart":
                    answer = client.upload_part(**fields, PartNumber=1, UploadId="id")
                else:
                    answer = client.put_object(**fields)
                return answer["ResponseMetadata"]["HTTPStatusCode"]
            except ClientError as why:
                return why.response["ResponseMetadata"]["HTTPStatusCode"]

    def close(self) -> None:
        pass


class Awscrt:
    """The S3 client of the AWS common runtime."""

    def __call__(self, upload: Upload, endpoint: str, key: Credentials) -> int:
        import io

        from awscrt import auth, http, io as crt_io, s3

        provider = auth.AwsCredentialsProvider.new_static(
            key.access_key_id, key.secret_access_key, key.session_token or None
        )
        signing = s3.create_default_s3_signing_config(region=REGION, credential_provider=provider)
        client = s3.S3Client(
            bootstrap=crt_io.ClientBootstrap.get_or_create_static_default(),
            region=REGION,
            signing_config=signing,
            tls_mode=s3.S3RequestTlsMode.DISABLED,
        )
        headers = http.HttpHeaders([("host", endpoint.partition("://")[2])])
        headers.add("content-length", str(upload.length))
        request = http.HttpRequest("PUT", PATH, headers, io.BytesIO(upload.body()))
        status = []
        sent = client.make_request(
            type=s3.S3RequestType.PUT_OBJECT,
            request=request,
            checksum_config=s3.S3ChecksumConfig(
                algorithm=s3.S3ChecksumAlgorithm[upload.options["algorithm"]],
                location=s3.S3ChecksumLocation.TRAILER,
            ),
            on_headers=lambda status_code, **_: status.append(status_code),
        )
        with contextlib.suppress(Exception):
            sent.finished_future.result(30)
        return status[-1] if status else 0

    def close(self) -> None:
        pass


def environment(home: Path) -> dict:
    nowhere = {"AWS_CONFIG_FILE": str(home / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(home / "none")}
    return clean_environment(home) | nowhere | {"NO_PROXY": "127.0.0.1", "INTEROP_NODE_MODULES": str(CACHE / "node")}


def start(client: str, home: Path, certificate: Path):
    if client == "aws-sigv4":
        return AwsSigv4([CACHE / "client" / "debug" / "aws-sigv4-client"], home)
    if client == "aws-sdk-js":
        return Js(["node", CLIENTS / "node" / "upload.mjs"], home)
    return {"by hand": ByHand, "boto3": lambda: Boto3(certificate), "awscrt": Awscrt}[client]()


def main() -> None:
    chosen = sys.argv[1:] or list(UPLOADS)
    checks = Checks("check_streams")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        # The SDKs are not to find the configuration of whoever calls.
        os.environ |= environment(home)
        keys = [
            Credentials("AKIASTREAMEXAMPLE", secrets.token_hex(20)),
            Credentials("ASIASTREAMEXAMPLE", secrets.token_hex(20), secrets.token_hex(60)),
        ]
        tls = certificate(home)
        altered = 0
        for client in chosen:
            over = tls if client in OVER_TLS else None
            with listening(keys, home, over) as listener, Relay(listener, over).serving() as relay:
                driver = start(client, home, tls[0])
                try:
                    for number, upload in enumerate(UPLOADS[client]):
                        with checks.check(f"{client}: {upload.name}"):
                            key = keys[number % len(keys)]
                            exchange = accepted(driver, upload, relay, "https" if over else "http", key, keys)
                            refused = check_altered(exchange, upload, listener)
                            altered += refused
                            check_offline(exchange, key, home)
                finally:
                    driver.close()
        print(f"{altered} alterations were refused")
    checks.finish()


def certificate(home: Path) -> tuple:
    """A certificate and its key, for loopback."""
    files = home / "certificate", home / "key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def accepted(driver, upload: Upload, relay: Relay, scheme: str, key: Credentials, keys: list):
    """The exchange of an upload that reference and listener let in."""
    status = driver(upload, f"{scheme}://127.0.0.1:{relay.port}", key)
    exchange = relay.take()
    verdict, request = exchange.verdict, Request.parse(exchange.raw)
    assert verdict["ok"], f"{verdict}: {text(exchange.raw[:1500])}"
    assert status == 200, f"the client reads {status}"
    assert request.only("x-amz-content-sha256") == upload.form.line, request.only("x-amz-content-sha256")
    assert verdict["payload"] == upload.form.name, verdict
    wrong = judge(exchange.raw, keys)
    assert not wrong, f"the reference says {wrong}"
    body = chunks.judge_body(request, upload.form, *chain_of(exchange.raw, key))
    assert body == upload.body(), "it sent another body"
    return exchange


def chain_of(raw: bytes, key: Credentials) -> tuple:
    """Secret, timestamp, scope and first signature of the chain."""
    parts = Parts.of(raw)
    authorization = parts.header("authorization").decode()
    scope = re.search(r"Credential=[^/]+/([^, ]+)", authorization)[1]
    seed = re.search(r"Signature=([0-9a-f]{64})", authorization)[1]
    return key.secret_access_key, parts.header("x-amz-date").decode(), scope, seed


def check_altered(exchange, upload: Upload, listener) -> int:
    """Refused by the name of the chunk; how many were."""
    parts, form = with_length(exchange.raw), upload.form
    numbers = [int(n) for p in chunks.pieces(parts.body, form) for n in re.findall(r"^data of chunk (\d+)$", p.what)]
    last, refused, problems = max(numbers, default=0), 0, []
    altered = chunks.alterations(parts.body, form, random.Random(upload.name))
    if last > 1:
        signs_length = b"content-length" in parts.header("authorization")
        cut = chunks.cuts(parts.body, form)
        altered += [(what, body) for what, body in cut if len(body) == len(parts.body) or not signs_length]
    for what, body in altered:
        sent = parts.with_(body=body).with_header("content-length", str(len(body)).encode())
        verdict = listener.exchange(sent.raw()).verdict
        expected = expected_chunk(what, form, last)
        if verdict["ok"] or verdict["code"] not in CODES or (expected != ANY and verdict.get("chunk", ANY) != expected):
            seen = {name: verdict.get(name) for name in ("ok", "code", "message", "chunk")}
            problems.append(f"{what}: {seen}, expected chunk {expected}")
        else:
            refused += 1
    assert listener.exchange(exchange.raw).verdict["ok"], "unaltered it is refused the second time"
    assert not problems, "; ".join(problems)
    return refused


def with_length(raw: bytes) -> Parts:
    """The request with its body in one piece, if it came in chunks of HTTP's own."""
    parts, request = Parts.of(raw), Request.parse(raw)
    if parts.header("content-length"):
        return parts
    parts = parts.with_(body=request.body).with_header("transfer-encoding", None)
    return parts.with_(headers=(*parts.headers, b"content-length: %d" % len(request.body)))


CODES = {"SignatureDoesNotMatch", "BadDigest", "IncompleteBody", "InvalidRequest", "MalformedTrailerError"}
ANY = "any"
MOVED = {"two chunks swapped", "a chunk taken out", "a chunk sent twice", "the final chunk taken out"}


def expected_chunk(what: str, form: chunks.Form, last: int):
    """The number of the chunk that a refusal must name; `None` is the trailer."""
    if number := re.search(r"chunk (\d+)", what):
        # Data that nobody signed is told by its checksum alone.
        return int(number[1]) if form.signed or not what.endswith(f"data of chunk {number[1]}") else None
    if not form.signed and what in MOVED:
        return ANY
    if "final chunk" in what:
        return last + 1
    if "trailer" in what:
        return None
    # Where nobody signs, a chunk that moved is told by the checksum, or by the length.
    return {"two chunks swapped": 1, "a chunk taken out": 1, "a chunk sent twice": 2}.get(what, ANY)


def check_offline(exchange, key: Credentials, home: Path) -> None:
    """`verify --jsonl` says the same of the recorded request."""
    request, parts = Request.parse(exchange.raw), Parts.of(exchange.raw)
    target = parts.path.decode() + ("" if parts.query is None else "?" + parts.query.decode())
    token = {"session_token": key.session_token} if key.session_token else {}
    line = {
        "method": request.method,
        "url": f"http://{request.only('host')}{target}",
        "headers": [[name, value.decode()] for name, value in request.headers],
        "body_base64": base64.b64encode(request.body).decode(),
        "credentials": {key.access_key_id: {"secret_access_key": key.secret_access_key} | token},
    }
    done = run([BINARY, "verify", "--jsonl"], clean_environment(home), json.dumps(line).encode() + b"\n")
    answer = json.loads(done.stdout)
    assert answer.get("ok"), f"verify --jsonl: {answer}"


if __name__ == "__main__":
    try:
        main()
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
