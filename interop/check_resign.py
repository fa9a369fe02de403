"""`countersign proxy` with keys of its own: clients sign with placeholders, it verifies that and signs anew.

boto3, the AWS CLI, the AWS SDK for JavaScript and bodies in chunks by `chunks.py` to s3s-fs and Swift, whose keys
the proxy alone has: what is stored is compared with what was sent, and all that goes back to a client is searched
for the real keys. Then what a key may not do, and placeholders that are wrong: SDKs must read why. Run it under
servers.py.
"""

import asyncio
import base64
import json
import os
import random
import socket
import socketserver
import ssl
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

sys.path.append(str(Path(__file__).resolve().parent / "clients"))

import boto3
import chunks
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from check_clients import Coprocess
from check_proxy import key_of, new_key, refusal, send
from checks import BINARY, Checks, Credentials, Loopback, clean_environment, run, text
from judge import judge
from proxying import certificate, proxying, route
from recorder import Recorder
from servers import BUCKET, CACHE, REGION, NotStarted

CLIENTS = Path(__file__).resolve().parent / "clients"
PART = 5 << 20
CONTENT = random.Random(11).randbytes(200_000)
PARTED = random.Random(12).randbytes(2 * PART + 1234)
SERVERS = {"s3s-fs": "S3", "swift": "SWIFT"}
# Without being told boto3 signs URLs by the version before.
S3_SETTINGS = {"s3": {"addressing_style": "path"}, "signature_version": "s3v4"}

NASTY_KEYS = {
    "spaces": " a  b ",
    "plus": "a+b",
    "percent sign": "100%",
    "escape of an escape": "%41%2F",
    "unicode": "Grüße/日本 €",
    "equals and parentheses": "year=2026/copy (1)",
    "tilde": "~home",
    "dots in names": "...a../..b",
    "dot segments": "d/./x/../y",
    "empty segments": "e//f///g",
    "in front a slash": "/h",
    "behind a slash": "i/",
    "marks": "m!*'$,;:@&=?#\"<>",
}
# s3s-fs keeps objects as files.
NOT_A_FILE = {"s3s-fs": {"behind a slash", "in front a slash"}}


def main() -> None:
    checks = Checks("check_resign")
    with tempfile.TemporaryDirectory(prefix="countersign-interop-") as name:
        home = Path(name)
        # boto3 is not to find the configuration or the proxy of whoever calls.
        os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(home / "none")
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
        trusted = certificate(home)
        for server, prefix in SERVERS.items():
            url, real = os.environ[f"INTEROP_{prefix}_URL"], key_of(prefix)
            with tls_in_front(url, trusted) as secure:
                check_server(checks, server, secure, trusted, real, home)
            check_plain(checks, server, url, real, home)
            check_wrong_real_key(checks, server, url, real, home)
        check_limits(checks, home)
        check_faults(checks, home)
        with tls_in_front(os.environ["INTEROP_S3_URL"], trusted) as secure:
            check_tunnel(checks, secure, trusted, home)
    checks.finish()


# What passes between proxy and client.


class Tap(Loopback):
    """Stands between clients and a proxy, alters nothing, and keeps what goes back."""

    def __init__(self, port: int):
        super().__init__(TapHandler)
        self.to, self.back = port, []

    def holds(self, *names: str) -> list:
        """Which of these went back to a client, as they are or as a URL writes them."""
        seen = b"".join(self.back).lower()
        return [it for it in names if any(form.lower().encode() in seen for form in (it, quote(it, "")))]


class TapHandler(socketserver.BaseRequestHandler):
    server: Tap

    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.to)) as proxy:
            threading.Thread(target=pour, args=(self.request, proxy), daemon=True).start()
            pour(proxy, self.request, self.server.back)


def pour(source: socket.socket, sink: socket.socket, kept: list | None = None) -> None:
    try:
        while piece := source.recv(65536):
            if kept is not None:
                kept.append(piece)
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of them has left, and the other direction goes on


@contextmanager
def tls_in_front(url: str, trusted: tuple):
    """The same server over TLS, without which unsigned chunks are for nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*trusted)
    loop, started, ports = asyncio.new_event_loop(), threading.Event(), []

    async def carry(reader, writer) -> None:
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # one of them has left
        finally:
            writer.close()

    async def converse(client_reader, client_writer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        await asyncio.gather(carry(client_reader, writer), carry(reader, client_writer))

    async def serve() -> None:
        server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()

    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def work() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(end())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"https://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


# Keys of the proxy's own.


def write_keys(path: Path, keys: list) -> str:
    """The file with these keys: pairs of a key and what it may do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    text = ""
    for key, may in keys:
        fields = {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key} | may
        text += "[[key]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
    path.write_text(text)
    return str(path)


def placeholder() -> Credentials:
    return replace(new_key(), access_key_id="CSPX" + os.urandom(8).hex().upper())


def s3_client(url: str, key: Credentials, **settings):
    config = Config(proxies={}, retries={"total_max_attempts": 1}, **S3_SETTINGS | settings)
    return client("s3", url, key, config)


def client(service: str, url: str, key: Credentials, config: Config | None = None):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=config or Config(proxies={}, retries={"total_max_attempts": 1}),
    )


# All that clients do with objects.


def check_server(checks: Checks, server: str, upstream: str, trusted: tuple, real: Credentials, home: Path) -> None:
    key = placeholder()
    keys = write_keys(home / server / "keys.toml", [(key, {"services": ["s3"]})])
    settings = f'ca_file = "{trusted[0]}"\naudit = "{home / server / "audit.jsonl"}"\n'
    settings += route("s3", upstream=upstream, service="s3", region=REGION, keys=keys)
    with proxying(home / server, settings, real) as proxy, Tap(proxy.port).serving() as tap:
        url = f"http://127.0.0.1:{tap.port}"
        check_boto3(checks, server, url, key)
        check_cli(checks, server, url, key, home)
        check_javascript(checks, server, url, key, home)
        check_chunks(checks, server, url, key)
        with checks.check(f"{server}: nothing of the real key goes back to a client"):
            assert sum(map(len, tap.back)) > len(PARTED), "too little went back"
            found = tap.holds(real.access_key_id, real.secret_access_key)
            assert not found, f"{len(found)} of them"
        with checks.check(f"{server}: the audit log names each request and no secret"):
            lines = (home / server / "audit.jsonl").read_text()
            logged = [json.loads(line) for line in lines.splitlines()]
            requests = {line["id"] for line in proxy.requests()}
            assert {line["id"] for line in logged} == requests, f"{len(logged)} lines, {len(requests)} requests"
            assert len(requests) > 50, f"{len(requests)} requests"
            for secret in (real.secret_access_key, key.secret_access_key):
                assert secret not in lines + proxy.log.read_text(), "a secret"


def check_plain(checks: Checks, server: str, url: str, real: Credentials, home: Path) -> None:
    """Where there is no TLS, nothing is left unsigned: what comes so goes on in signed chunks."""
    key = placeholder()
    keys = write_keys(home / "plain" / "keys.toml", [(key, {"services": ["s3"]})])
    settings = route("s3", upstream=url, service="s3", region=REGION, keys=keys)
    with proxying(home / "plain", settings, real) as proxy:
        check_chunks(checks, f"{server} without TLS", proxy.url, key)


def check_boto3(checks: Checks, server: str, url: str, key: Credentials) -> None:
    # Over plain HTTP it sends the hash of a body, and a checksum in a header.
    s3 = s3_client(url, key)
    with checks.check(f"{server}, boto3: put, get, head, list, delete"):
        s3.put_object(Bucket=BUCKET, Key="boto3/a", Body=CONTENT, Metadata={"note": "two  spaces"})
        assert get(s3, "boto3/a") == CONTENT
        assert s3.head_object(Bucket=BUCKET, Key="boto3/a")["ContentLength"] == len(CONTENT)
        assert s3.get_object(Bucket=BUCKET, Key="boto3/a", Range="bytes=5-9")["Body"].read() == CONTENT[5:10]
        assert listed(s3, "boto3/") == ["boto3/a"]
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "boto3/a"}]})
        assert listed(s3, "boto3/") == []
    for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256"):
        with checks.check(f"{server}, boto3: put with {algorithm}"):
            s3.put_object(Bucket=BUCKET, Key=f"boto3/{algorithm}", Body=CONTENT, ChecksumAlgorithm=algorithm)
            assert get(s3, f"boto3/{algorithm}") == CONTENT
    with checks.check(f"{server}, boto3: put without its hash"):
        unsigned = s3_client(url, key, s3={"addressing_style": "path", "payload_signing_enabled": False})
        unsigned.put_object(Bucket=BUCKET, Key="boto3/unsigned", Body=CONTENT)
        assert get(s3, "boto3/unsigned") == CONTENT
    with checks.check(f"{server}, boto3: upload and download in parts"):
        parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=3)
        with tempfile.TemporaryFile() as file:
            file.write(PARTED)
            file.seek(0)
            s3.upload_fileobj(Unclosed(file), BUCKET, "boto3/parts", Config=parts)
        with tempfile.TemporaryFile() as file:
            s3.download_fileobj(BUCKET, "boto3/parts", Unclosed(file), Config=parts)
            file.seek(0)
            assert file.read() == PARTED
    for name, odd in NASTY_KEYS.items():
        if name in NOT_A_FILE.get(server, ()):
            continue
        with checks.check(f"{server}, boto3: put, get, presigned get and put, delete: {name} in the key"):
            s3.put_object(Bucket=BUCKET, Key=odd, Body=odd.encode())
            assert get(s3, odd) == odd.encode()
            check_presigned(url, s3, odd)
            s3.delete_object(Bucket=BUCKET, Key=odd)
            assert refusal(lambda: s3.get_object(Bucket=BUCKET, Key=odd)) == "NoSuchKey"
    with checks.check(f"{server}, boto3: the service's own refusals are read"):
        assert refusal(lambda: s3.get_object(Bucket=BUCKET, Key="nothing")) == "NoSuchKey"
        assert refusal(lambda: s3.list_objects_v2(Bucket="nothing-here")) == "NoSuchBucket"
    with checks.check(f"{server}, boto3: an altered presigned URL is refused"):
        made = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "boto3/SHA1"}, 600)
        assert fetch(url, made)[0] == 200
        for what, altered in (("key", made.replace("SHA1", "CRC32")), ("expiry", made.replace("Expires=600", "Expires=601"))):
            assert altered != made, made
            status, said = fetch(url, altered)
            assert (status, b"SignatureDoesNotMatch" in said) == (403, True), f"{what}: {status} {said}"


def check_presigned(url: str, s3, key: str) -> None:
    put, body = s3.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": key}, 600), b"presigned"
    status, said = fetch(url, put, "PUT", body)
    assert status == 200, f"PUT: {status} {said}"
    status, said = fetch(url, s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, 600))
    assert (status, said) == (200, body), f"GET: {status} {said}"


def fetch(base: str, url: str, method: str = "GET", body: bytes = b"") -> tuple:
    """Exactly what stands in the URL."""
    parts = urlsplit(base)
    return send(parts.port, method, url.removeprefix(base), [("Host", parts.netloc)], body)


class Unclosed:
    """A file that whoever transfers it does not close."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name: str):
        return (lambda: None) if name == "close" else getattr(self.file, name)


def get(s3, key: str) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def listed(s3, prefix: str) -> list:
    return [it["Key"] for it in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def check_cli(checks: Checks, server: str, url: str, key: Credentials, home: Path) -> None:
    environment = clean_environment(home) | key.environment()
    environment |= {"AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": str(home / "aws"), "NO_PROXY": "127.0.0.1"}
    settings = ["[default]", "s3 =", "  addressing_style = path", "  signature_version = s3v4"]
    settings += ["  multipart_threshold = 5MB", "  multipart_chunksize = 5MB", ""]
    (home / "aws").write_text("\n".join(settings))
    (home / "parted").write_bytes(PARTED)

    def aws(*arguments) -> bytes:
        command = [CACHE / "clients" / "bin" / "aws", "--endpoint-url", url, *arguments]
        done = run(command, environment, directory=home)
        assert done.returncode == 0, f"exit code {done.returncode}: {text(done.stderr)}"
        return done.stdout

    with checks.check(f"{server}, AWS CLI: cp in parts, ls, cp back, rm"):
        odd = f"s3://{BUCKET}/cli/a b(1)=ü"
        aws("s3", "cp", "--no-progress", "parted", odd)
        listing = text(aws("s3", "ls", f"s3://{BUCKET}/cli/"))
        assert f"{len(PARTED)} a b(1)=ü" in listing, listing
        aws("s3", "cp", "--no-progress", odd, "back")
        assert (home / "back").read_bytes() == PARTED
        aws("s3", "rm", odd)
        listing = text(aws("s3api", "list-objects-v2", "--bucket", BUCKET, "--prefix", "cli/"))
        assert "a b" not in listing, listing
    with checks.check(f"{server}, AWS CLI: presign"):
        (home / "small").write_bytes(b"small")
        aws("s3", "cp", "--no-progress", "small", f"s3://{BUCKET}/cli/~small 1")
        made = text(aws("s3", "presign", f"s3://{BUCKET}/cli/~small 1")).strip()
        assert fetch(url, made) == (200, b"small")


def check_javascript(checks: Checks, server: str, url: str, key: Credentials, home: Path) -> None:
    environment = clean_environment(home) | key.environment() | {"INTEROP_NODE_MODULES": str(CACHE / "node")}
    program = Coprocess(["node", CLIENTS / "node" / "objects.mjs", url, REGION], environment)

    def ask(command: str, key: str, body: bytes | None = None, stream: bool = False, **fields) -> dict:
        line = {"command": command, "input": {"Bucket": BUCKET} | ({"Key": key} if key else {}) | fields}
        if body is not None:
            line |= {"body_base64": base64.b64encode(body).decode(), "stream": stream}
        answer = program(line)
        assert "code" not in answer, answer
        return answer

    def got(key: str) -> bytes:
        return base64.b64decode(ask("GetObjectCommand", key)["body_base64"])

    try:
        with checks.check(f"{server}, JavaScript: put, get, list, delete"):
            ask("PutObjectCommand", "js/a", CONTENT)
            assert got("js/a") == CONTENT
            assert [it["Key"] for it in ask("ListObjectsV2Command", "", Prefix="js/")["Contents"]] == ["js/a"]
            ask("DeleteObjectCommand", "js/a")
            assert not ask("ListObjectsV2Command", "", Prefix="js/").get("Contents")
        for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256"):
            with checks.check(f"{server}, JavaScript: a stream in unsigned chunks with {algorithm}"):
                ask("PutObjectCommand", f"js/{algorithm}", CONTENT, stream=True, ChecksumAlgorithm=algorithm)
                assert got(f"js/{algorithm}") == CONTENT
        with checks.check(f"{server}, JavaScript: upload in parts, one of them a stream"):
            upload = ask("CreateMultipartUploadCommand", "js/parts")["UploadId"]
            parts = []
            for number, stream in ((1, False), (2, True), (3, False)):
                part, which = PARTED[(number - 1) * PART : number * PART], {"UploadId": upload, "PartNumber": number}
                done = ask("UploadPartCommand", "js/parts", part, stream, **which)
                parts.append({"ETag": done["ETag"], "PartNumber": number})
            ask("CompleteMultipartUploadCommand", "js/parts", UploadId=upload, MultipartUpload={"Parts": parts})
            assert got("js/parts") == PARTED
        with checks.check(f"{server}, JavaScript: odd keys"):
            for name, odd in NASTY_KEYS.items():
                # It sends dot segments as they would be without them.
                if name not in {"dot segments", *NOT_A_FILE.get(server, ())}:
                    ask("PutObjectCommand", f"js/{odd}", odd.encode())
                    assert got(f"js/{odd}") == odd.encode(), name
                    ask("DeleteObjectCommand", f"js/{odd}")
        with checks.check(f"{server}, JavaScript: the service's own refusal is read"):
            answer = program({"command": "GetObjectCommand", "input": {"Bucket": BUCKET, "Key": "nothing"}})
            assert answer["code"] == "NoSuchKey", answer
    finally:
        program.close()


def check_chunks(checks: Checks, server: str, url: str, key: Credentials) -> None:
    s3, checksums = s3_client(url, key), list(chunks.CHECKSUMS)
    for form in chunks.FORMS.values():
        for checksum in checksums if form.trailer else [None]:
            with checks.check(f"{server}, {form.name}{f', {checksum}' if checksum else ''}: signed by hand"):
                for length in (0, 1, 65_536, 1_000_001):
                    body, name = CONTENT * 6, f"chunks/{form.name}-{length}"
                    body = body[:length]
                    status, said = put_in_chunks(url, name, form, checksum, body, key)
                    assert status == 200, f"{length} bytes: {status} {said}"
                    assert get(s3, name) == body, f"{length} bytes: stored is something else"
        # s3s-fs answers with an error, and stores it.
        stays = (server, form.name) != ("s3s-fs", "unsigned-trailer")
        with checks.check(f"{server}, {form.name}: an altered body is refused{', and what was there stays' * stays}"):
            name, checksum = f"chunks/altered-{form.name}", checksums[0] if form.trailer else None
            status, said = put_in_chunks(url, name, form, checksum, CONTENT, key)
            assert status == 200, f"{status} {said}"
            for at in (100, 100_000, len(CONTENT) - 1):
                status, said = put_in_chunks(url, name, form, checksum, CONTENT, key, alter=at)
                assert 400 <= status < 500, f"byte {at}: {status} {said}"
                assert not stays or get(s3, name) == CONTENT, f"byte {at}: stored is something else"


def put_in_chunks(
    url: str, name: str, form: chunks.Form, checksum: str | None, body: bytes, key: Credentials, alter: int | None = None
) -> tuple:
    path, timestamp = f"/{BUCKET}/{name}", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    trailers = [(checksum.encode(), chunks.checksum(checksum, body))] if checksum else []
    headers = [("host", urlsplit(url).netloc), ("content-encoding", "aws-chunked")]
    headers += [("x-amz-decoded-content-length", str(len(body)))] + [("x-amz-trailer", checksum)] * bool(checksum)
    signed = chunks.signed_head("PUT", path, headers, form.line, key, timestamp, REGION)
    wire = chunks.framed(body, form, 65_536, trailers, signed.chain)
    if alter is not None:
        # A piece that occurs once, with one bit of it another.
        piece = body[alter - 20 : alter + 1]
        assert wire.count(piece) == 1
        end = wire.index(piece) + len(piece) - 1
        wire = wire[:end] + bytes([wire[end] ^ 1]) + wire[end + 1 :]
    return send(urlsplit(url).port, "PUT", path, signed.headers, wire)


def check_wrong_real_key(checks: Checks, server: str, url: str, real: Credentials, home: Path) -> None:
    with checks.check(f"{server}: its refusal of the real key does not tell the client which key that is"):
        key, wrong = placeholder(), replace(real, secret_access_key="wrong" * 8)
        keys = write_keys(home / "wrong" / "keys.toml", [(key, {"services": ["s3"]})])
        settings = route("s3", upstream=url, service="s3", region=REGION, keys=keys)
        with proxying(home / "wrong", settings, wrong) as proxy, Tap(proxy.port).serving() as tap:
            s3 = s3_client(f"http://127.0.0.1:{tap.port}", key)
            code = refusal(lambda: s3.list_objects_v2(Bucket=BUCKET))
            assert tap.back, "nothing went back"
            assert not tap.holds(wrong.access_key_id, wrong.secret_access_key), f"{code}: the access key id goes back"


# What keys may do, and keys that are wrong.


def check_limits(checks: Checks, home: Path) -> None:
    url, real, s3 = os.environ["INTEROP_S3_URL"], key_of("S3"), {"services": ["s3"]}
    may = {
        "paths": s3 | {"paths": [f"/{BUCKET}/mine/*"]},
        "methods": s3 | {"methods": ["GET", "HEAD"]},
        "regions": s3 | {"regions": ["eu-central-1"]},
        "hosts": s3 | {"hosts": ["elsewhere.example"]},
        "services": {"services": ["sqs"]},
        "nothing": s3 | {"methods": []},
    }
    keys = {name: placeholder() for name in may}
    file = write_keys(home / "limits" / "keys.toml", [(keys[name], may[name]) for name in may])
    settings = route("s3", upstream=url, service="s3", region=REGION, keys=file)
    with proxying(home / "limits", settings, real) as proxy:
        def put(name: str, path: str) -> None:
            s3_client(proxy.url, keys[name]).put_object(Bucket=BUCKET, Key=path, Body=b"x")

        def denied(call) -> None:
            code = refusal(call)
            assert code == "AccessDenied", code

        with checks.check("a key for some paths: others are AccessDenied for boto3"):
            put("paths", "mine/a b")
            denied(lambda: put("paths", "theirs/a"))
            denied(lambda: put("paths", "mine/../theirs/a"))
            denied(lambda: put("paths", "mine%2F..%2Ftheirs/a"))
            denied(lambda: s3_client(proxy.url, keys["paths"]).list_objects_v2(Bucket=BUCKET))
        with checks.check("a key for some methods: others are AccessDenied for boto3"):
            assert get(s3_client(proxy.url, keys["methods"]), "mine/a b") == b"x"
            denied(lambda: put("methods", "mine/c"))
            denied(lambda: s3_client(proxy.url, keys["methods"]).delete_object(Bucket=BUCKET, Key="mine/a b"))
        for name, what in {"regions": "another region", "hosts": "another host", "services": "another service",
                           "nothing": "nothing"}.items():  # fmt: skip
            with checks.check(f"a key for {what}: all is AccessDenied for boto3"):
                denied(lambda: put(name, "mine/d"))
        with checks.check("a key for some paths: what was refused is not there"):
            directory = listed(client("s3", url, real), "")
            assert "mine/a b" in directory and not [key for key in directory if key.startswith("theirs")], directory
        with checks.check("AWS CLI shows AccessDenied"):
            environment = clean_environment(home) | keys["methods"].environment() | {"NO_PROXY": "127.0.0.1"}
            environment |= {"AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": str(home / "none")}
            command = [CACHE / "clients" / "bin" / "aws", "--endpoint-url", proxy.url]
            done = run([*command, "s3api", "delete-object", "--bucket", BUCKET, "--key", "mine/e"], environment)
            assert done.returncode and b"AccessDenied" in done.stderr, text(done.stderr)
        with checks.check("JavaScript reads AccessDenied"):
            environment = clean_environment(home) | keys["methods"].environment()
            environment["INTEROP_NODE_MODULES"] = str(CACHE / "node")
            program = Coprocess(["node", CLIENTS / "node" / "objects.mjs", proxy.url, REGION], environment)
            answer = program({"command": "DeleteObjectCommand", "input": {"Bucket": BUCKET, "Key": "mine/e"}})
            program.close()
            assert answer["code"] == "AccessDenied", answer


# By service, what boto3 must read: of an unknown access key id, of a wrong secret, of a key for another service.
BY_XML = ("InvalidClientTokenId", "SignatureDoesNotMatch", "AccessDenied")
IN_JSON = ("UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException")
CODES = {
    "s3": ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"),
    "sts": BY_XML,
    "ec2": BY_XML,
    "dynamodb": IN_JSON,
    "ssm": IN_JSON,
    # It reads the code from a header.
    "lambda": BY_XML,
}
CALLS = {
    "s3": lambda it: it.get_object(Bucket="bucket", Key="a b"),
    "sts": lambda it: it.get_caller_identity(),
    "ec2": lambda it: it.describe_instances(),
    "dynamodb": lambda it: it.list_tables(),
    "ssm": lambda it: it.get_parameter(Name="/a"),
    "lambda": lambda it: it.invoke(FunctionName="f", Payload=b"{}"),
}


def check_faults(checks: Checks, home: Path) -> None:
    """The service behind would take whatever comes: it must get nothing."""
    key, elsewhere, real = placeholder(), placeholder(), new_key()
    file = write_keys(home / "faults" / "keys.toml", [(key, {"services": ["*"]}), (elsewhere, {"services": ["sqs"]})])
    with Recorder().serving() as behind:
        settings = "".join(
            route(it, path=f"/{it}", upstream=f"http://127.0.0.1:{behind.port}", service=it, region=REGION, keys=file)
            for it in CODES
        )
        wrong = (placeholder(), replace(key, secret_access_key=key.secret_access_key[::-1]), elsewhere)
        with proxying(home / "faults", settings, real) as proxy:
            for service, codes in CODES.items():
                whats = ("an unknown access key id", "a wrong secret", "a key for another service")
                for what, bad, code in zip(whats, wrong, codes, strict=True):
                    with checks.check(f"{service}: boto3 reads {code} for {what}"):
                        found = refusal(lambda: CALLS[service](client(service, f"{proxy.url}/{service}", bad)))
                        assert found == code, found
                        assert not behind.forget(), "it was forwarded"
                with checks.check(f"{service}: what boto3 signs with a right placeholder goes on, signed anew"):
                    with suppress(BotoCoreError, ClientError, ResponseParserError):  # the answer is no service's
                        CALLS[service](client(service, f"{proxy.url}/{service}", key))
                    raw = text(behind.take())
                    assert f"Credential={real.access_key_id}/" in raw and key.access_key_id not in raw, raw
                    assert not judge(raw.encode(), [real]), judge(raw.encode(), [real])
            with checks.check("each refusal is in the log, and no secret"):
                logged, said = proxy.requests(), proxy.log.read_text()
                refused = [line for line in logged if line["status"] in (400, 401, 403)]
                assert len(refused) == 3 * len(CODES), f"{len(refused)} of {len(logged)}"
                assert not [it for it in wrong if it.secret_access_key in said], "a secret"


# Through tunnels.


def check_tunnel(checks: Checks, upstream: str, trusted: tuple, home: Path) -> None:
    """The AWS CLI as if it spoke to AWS, led to s3s-fs."""
    made = run([BINARY, "proxy", "ca", home / "ca"], clean_environment(home))
    with checks.check("countersign proxy ca makes an authority whose key is its owner's alone"):
        assert made.returncode == 0, text(made.stderr)
        assert (home / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    real, key = key_of("S3"), placeholder()
    keys = write_keys(home / "tunnel" / "keys.toml", [(key, {"services": ["s3"]})])
    connect = f'ca_file = "{trusted[0]}"\n[connect]\nca = "{home / "ca" / "ca.pem"}"\nca_key = "{home / "ca" / "ca.key"}"\n'
    # In this region it still asks for the host without one.
    host = {"hosts": ["s3.amazonaws.com"], "upstream": upstream, "service": "s3", "region": REGION}
    (home / "parted").write_bytes(PARTED)
    (home / "aws").write_text("[default]\ns3 =\n  addressing_style = path\n  signature_version = s3v4\n")
    for what, settings, options, environment in (
        ("without keys", route("s3", **host), ["--no-sign-request"], {}),
        ("with a placeholder", route("s3", **host, keys=keys), [], key.environment()),
    ):
        with proxying(home / "tunnel", connect + settings, real) as proxy:
            environment = clean_environment(home) | environment | {"HTTPS_PROXY": proxy.url}
            environment |= {"AWS_CA_BUNDLE": str(home / "ca" / "ca.pem"), "AWS_CONFIG_FILE": str(home / "aws")}
            environment["AWS_DEFAULT_REGION"] = REGION

            def aws(*arguments):
                command = [CACHE / "clients" / "bin" / "aws", *options, *arguments]
                return run(command, environment, directory=home)

            with checks.check(f"AWS CLI {what}, through HTTPS_PROXY: cp in parts, ls, cp back, rm"):
                at = f"s3://{BUCKET}/tunnel/a b(1)=ü"
                for arguments in (("cp", "--no-progress", "parted", at), ("cp", "--no-progress", at, "back"), ("rm", at)):
                    done = aws("s3", *arguments)
                    assert done.returncode == 0, f"{arguments[0]}: {text(done.stderr)}"
                assert (home / "back").read_bytes() == PARTED
            with checks.check(f"AWS CLI {what}, through HTTPS_PROXY: a host of no route is refused"):
                done = aws("sts", "get-caller-identity")
                assert done.returncode and b"proxy" in done.stderr.lower(), text(done.stderr)


if __name__ == "__main__":
    try:
        main()
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
