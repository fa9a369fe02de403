"""`countersign sign --jsonl` as a coprocess: one process signs for this program, real servers verify.

    check_jsonl.py

Whole bodies; those in chunks are for check_uploads.py. Run it under servers.py.
"""

import base64
import http.client
import json
import os
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from check_curl import NASTY_KEYS, alterations, caller_identity, expect, expect_empty
from checks import BINARY, Checks, clean_environment, text
from servers import BUCKET, REGION

LARGE = bytes(range(256)) * 800


class Coprocess:
    """`countersign sign --jsonl`, asked one line at a time; it must answer before the next."""

    def __init__(self, home: Path):
        self.process = subprocess.Popen(
            [BINARY, "sign", "--jsonl"],
            env=clean_environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.lines = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()

    def ask(self, line: dict) -> dict:
        self.lines += 1
        self.process.stdin.write(json.dumps({"id": self.lines} | line).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or b'{"error": "it has exited"}')
        assert answer.get("id") == self.lines, f"the answer to line {self.lines} is {answer}"
        return answer


class Server:
    """A server under test and the signer to call it with."""

    def __init__(self, name: str, service: str, signer: Coprocess):
        prefix = f"INTEROP_{name}_"
        self.url, self.service, self.signer = os.environ[prefix + "URL"], service, signer
        self.credentials = {
            "access_key_id": os.environ[prefix + "ACCESS_KEY_ID"],
            "secret_access_key": os.environ[prefix + "SECRET_ACCESS_KEY"],
        }

    def signed(self, method: str, path: str, data: bytes = b"", headers: dict | None = None, **fields) -> list:
        """Method, URL, headers and body to send."""
        request = {
            "method": method,
            "url": self.url + path,
            "headers": [["host", urlsplit(self.url).netloc], *map(list, (headers or {}).items())],
            "region": REGION,
            "service": self.service,
            "credentials": self.credentials,
        }
        if not {"body", "body_file"} & fields.keys():
            request["body_base64"] = base64.b64encode(data).decode()
        answer = self.signer.ask(request | fields)
        assert "error" not in answer, answer
        if "body_base64" in answer:
            data = base64.b64decode(answer["body_base64"])
        return [answer["method"], answer["url"], {n.lower(): v for n, v in answer["headers"]}, data]

    def call(self, *arguments, **fields) -> bytes:
        return send(*self.signed(*arguments, **fields))


def send(method: str, url: str, headers: dict, body: bytes) -> bytes:
    """The body of the answer to a request that is sent exactly so."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.putrequest(method, url.removeprefix(f"http://{parts.netloc}"), True, True)
        for name, value in ({"content-length": str(len(body))} | headers).items():
            connection.putheader(name, value.encode())
        connection.endheaders(body)
        return connection.getresponse().read()
    finally:
        connection.close()


def main() -> None:
    checks = Checks("check_jsonl")
    with tempfile.TemporaryDirectory() as name, Coprocess(Path(name)) as signer:
        moto, s3 = Server("MOTO", "sts", signer), Server("S3", "s3", signer)
        check_forms(checks, moto)
        check_errors(checks, moto)
        check_keys(checks, s3)
        check_payloads(checks, s3, Path(name))
    checks.finish()


def check_forms(checks: Checks, moto: Server) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "x-amz-meta-color": "red"}
    accepted, refused = ":user/interop</Arn>", "SignatureDoesNotMatch"
    with checks.check("moto STS GetCallerIdentity"):
        good = moto.signed("POST", "/", caller_identity().encode(), headers)
        expect(send(*good), accepted)
    for what, altered in alterations(good).items():
        with checks.check(f"moto STS: altered {what} is refused"):
            expect(send(*altered), refused)
    with checks.check("moto STS: still accepted as signed"):
        expect(send(*good), accepted)


def check_errors(checks: Checks, moto: Server) -> None:
    with checks.check("a line that cannot be signed is an error, and the next one is signed"):
        answer = moto.signer.ask({"method": "GET", "url": "/no/host"})
        assert answer["error"]["kind"] and answer["error"]["message"], answer
        expect(moto.call("POST", "/", caller_identity().encode()), ":user/interop</Arn>")


def check_keys(checks: Checks, s3: Server) -> None:
    for name, (key, path) in NASTY_KEYS.items():
        path = f"/{BUCKET}/jsonl/{path}"
        with checks.check(f"s3s-fs put, get, delete: {name} in the key"):
            expect_empty(s3.call("PUT", path, key.encode()))
            assert text(s3.call("GET", path)) == key
            expect_empty(s3.call("DELETE", path))
            expect(s3.call("GET", path), "NoSuchKey")
        with checks.check(f"s3s-fs presigned put, get: {name} in the key"):
            put = s3.signed("PUT", path, **{"as": "query", "expires": 60})
            expect_empty(send(*put[:3], key.encode()))
            assert text(s3.call("GET", path, **{"as": "query"})) == key


def check_payloads(checks: Checks, s3: Server, directory: Path) -> None:
    path = f"/{BUCKET}/jsonl/payload"
    with checks.check("s3s-fs put: body as text"):
        expect_empty(s3.call("PUT", path, "Grüße".encode(), body="Grüße"))
        assert text(s3.call("GET", path)) == "Grüße"
    with checks.check("s3s-fs put: body in a file"):
        (directory / "body").write_bytes(LARGE)
        expect_empty(s3.call("PUT", path, LARGE, body_file=str(directory / "body")))
        assert s3.call("GET", path) == LARGE
    with checks.check("s3s-fs put: unsigned payload"):
        put = s3.signed("PUT", path, b"signed", payload="unsigned")
        expect_empty(send(*put[:3], b"anyone"))
        assert s3.call("GET", path) == b"anyone"


if __name__ == "__main__":
    main()
