"""`countersign curl`, `sign` and `presign` against real servers: what is right is accepted, what is
altered is refused.

Run it under servers.py, which starts the servers and says where they are. Not checked, because the
servers themselves depart from AWS there:

- moto: presigned URLs (it crashes on them), and paths other than `/` except for S3.
- moto verifies parsed parameters in place of the body: a form as Python's urlencode writes it (as
  `--data-urlencode` does), and a GET as if its query were a form, unless the request says what its
  body hashes to. `moto_get` therefore says so.
- moto: `x-amz-content-sha256` against the body; clock skew; keys that S3 signs otherwise than they
  are on the wire (it verifies the wire form).
- s3s-fs: a session token, region, unsigned `x-amz-*` headers, an expiry of more than a week.
- s3s-fs keeps objects as files: no key ends in `/`, none is a directory of another.
"""

import hashlib
import json
import os
import re
import tempfile
import xml.etree.ElementTree as xml
from dataclasses import replace
from pathlib import Path

from checks import BINARY, Checks, Credentials, clean_environment, run, text
from servers import BUCKET, REGION

EMPTY_HASH = hashlib.sha256(b"").hexdigest()
NO_SUCH_SESSION = "x" * 40

# A key and how it is written in a URL: the bytes that peers sign wrongly.
NASTY_KEYS = {
    "space": ("a b", "a%20b"),
    "plus": ("a+b", "a+b"),
    "encoded plus": ("c+d", "c%2Bd"),
    "equals": ("year=2015/x", "year=2015/x"),
    "encoded equals, lower case": ("y=z", "y%3dz"),
    "encoded slash": ("dir/file", "dir%2Ffile"),
    "encoded unicode": ("Grüße/日本", "Gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC"),
    "two slashes": ("x//y", "x//y"),
    "tilde": ("~home", "~home"),
    "encoded tilde": ("~away", "%7Eaway"),
    "parentheses": ("copy (1)", "copy%20(1)"),
    "ampersand": ("a&b", "a&b"),
    "question mark": ("what?", "what%3F"),
    "percent sign": ("100%", "100%25"),
    "escape of an escape": ("%41", "%2541"),
    "comma, colon, semicolon, at": ("a,b:c;d@e", "a,b:c;d@e"),
    "exclamation, dollar, star, quote": ("a!b$c*d'e", "a!b$c*d'e"),
    "number sign": ("a#b", "a%23b"),
    "dots": ("dots/./x/../y", "dots/./x/../y"),
    "encoded dots": ("d/../e", "d/%2e%2e/e"),
}


class Server:
    """A server under test: where it is, whose key it knows, and the ways to call it."""

    def __init__(self, name: str, scratch: Path):
        prefix = f"INTEROP_{name}_"
        self.url = os.environ[prefix + "URL"]
        self.credentials = Credentials(
            os.environ[prefix + "ACCESS_KEY_ID"], os.environ[prefix + "SECRET_ACCESS_KEY"]
        )
        self.scratch = scratch

    def countersign(self, *arguments: str, credentials: Credentials | None = None, stdin: bytes = b"") -> bytes:
        """What a subcommand of countersign prints; an error when its exit code is not 0."""
        environment = clean_environment(self.scratch) | (credentials or self.credentials).environment()
        done = run([BINARY, *arguments], environment | {"AWS_REGION": REGION}, stdin)
        assert done.returncode == 0, f"exit code {done.returncode}: {text(done.stderr + done.stdout)}"
        return done.stdout

    def curl(self, service: str, *arguments: str, **options) -> bytes:
        """The body of the answer to `countersign curl`."""
        return self.countersign("curl", "--service", service, "-sS", *arguments, **options)

    def signed(self, service: str, method: str, path: str, headers: dict, body: str = "") -> dict:
        """All headers, as `countersign sign` wants them sent."""
        arguments = ["sign", self.url + path, "--service", service, "-X", method]
        for name, value in headers.items():
            arguments += ["-H", f"{name}: {value}"]
        if body:
            arguments += ["-d", body]
        lines = text(self.countersign(*arguments, "--output", "headers")).splitlines()
        added = dict(line.split(": ", 1) for line in lines)
        return headers | {name.lower(): value for name, value in added.items()}

    def plain_curl(self, method: str, url: str, headers: dict, body: str = "") -> bytes:
        """The body of the answer to a request that is sent exactly so, by curl alone."""
        lines = [f'header = "{name}: {value}"' for name, value in headers.items()]
        if body:
            lines.append(f'data-raw = "{body}"')
        if "content-type" not in headers:
            lines.append('header = "Content-Type:"')
        command = ["curl", "-q", "-sS", "--path-as-is", "-X", method, "--config", "-", url]
        done = run(command, clean_environment(self.scratch), "\n".join(lines).encode())
        assert done.returncode == 0, f"curl: {text(done.stderr)}"
        return done.stdout


def main() -> None:
    checks = Checks("check_curl")
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        moto, s3 = Server("MOTO", scratch), Server("S3", scratch)
        check_query_services(checks, moto)
        check_session(checks, moto)
        check_json_service(checks, moto)
        check_moto_s3(checks, moto)
        check_alterations_at_moto(checks, moto)
        check_s3_keys(checks, s3)
        check_uploads(checks, s3)
        check_presigned(checks, s3)
        check_alterations_at_s3(checks, s3)
    checks.finish()


def check_query_services(checks: Checks, moto: Server) -> None:
    with checks.check("moto CloudWatch PutMetricData, form"):
        form = ["Action=PutMetricData", "Version=2010-08-01", "Namespace=Inter op/+"]
        form += ["MetricData.member.1.MetricName=Lat=ency&~", "MetricData.member.1.Value=1.5"]
        arguments = [part for field in form for part in ("--data-urlencode", field)]
        expect(moto.curl("monitoring", *arguments, moto.url + "/"), "PutMetricDataResponse")
    with checks.check("moto CloudWatch ListMetrics, form"):
        answer = moto.curl("monitoring", "-d", "Action=ListMetrics", "-d", "Version=2010-08-01", moto.url)
        expect(answer, "Lat=ency&amp;~", "Inter op/+")

    instance = []
    with checks.check("moto EC2 RunInstances, form with --region"):
        form = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=1&MaxCount=1"
        answer = moto.curl("ec2", "--region", REGION, "-d", form, moto.url + "/")
        instance += re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", text(answer))
        expect(answer, "RunInstancesResponse")
    with checks.check("moto EC2 DescribeInstances, form"):
        answer = moto.curl("ec2", "-d", "Action=DescribeInstances&Version=2016-11-15", moto.url + "/")
        expect(answer, *instance)
    with checks.check("moto EC2 DescribeInstances, query with filters to sort"):
        filters = "&".join(f"Filter.{n}.Name=instance-state-name&Filter.{n}.Value.1=running" for n in (1, 10, 2))
        answer = moto_get(moto, "ec2", f"/?Version=2016-11-15&Action=DescribeInstances&{filters}")
        expect(answer, *instance)
    with checks.check("moto EC2 DescribeVpcs, query"):
        expect(moto_get(moto, "ec2", "/?Action=DescribeVpcs&Version=2016-11-15"), "<isDefault>true")
    with checks.check("moto EC2 DescribeVpcs, -G"):
        fields = ["-G", "-d", "Action=DescribeVpcs", "-d", "Version=2016-11-15"]
        expect(moto_get(moto, "ec2", "/", *fields), "<isDefault>true")
    with checks.check("moto EC2 DescribeVpcs, form"):
        answer = moto.curl("ec2", "--data-raw", "Action=DescribeVpcs&Version=2016-11-15", moto.url + "/")
        expect(answer, "<isDefault>true")

    with checks.check("moto IAM ListUsers, form"):
        answer = moto.curl("iam", "-X", "POST", "-d", "Action=ListUsers&Version=2010-05-08", moto.url + "/")
        expect(answer, "<UserName>interop</UserName>")
    with checks.check("moto IAM ListUsers, query"):
        answer = moto_get(moto, "iam", "/?Action=ListUsers&Version=2010-05-08&PathPrefix=%2F")
        expect(answer, "<UserName>interop</UserName>")
    with checks.check("moto STS GetCallerIdentity, form from standard input"):
        answer = moto.curl("sts", "-d", "@-", moto.url + "/", stdin=caller_identity().encode())
        expect(answer, ":user/interop</Arn>")
    with checks.check("moto refuses a wrong secret"):
        expect(moto.curl("sts", "-d", caller_identity(), moto.url + "/"), ":user/interop</Arn>")
        wrong = replace(moto.credentials, secret_access_key="wrong" * 8)
        answer = moto.curl("sts", "-d", caller_identity(), moto.url + "/", credentials=wrong)
        expect(answer, "SignatureDoesNotMatch")
        answer = moto.curl("ec2", "-d", "Action=DescribeVpcs", moto.url + "/", credentials=wrong)
        expect(answer, "AuthFailure")


def check_session(checks: Checks, moto: Server) -> None:
    with checks.check("moto STS AssumeRole"):
        role = os.environ["INTEROP_MOTO_ROLE_ARN"]
        fields = ["Action=AssumeRole", "Version=2011-06-15", f"RoleArn={role}", "RoleSessionName=session"]
        arguments = [part for field in fields for part in ("--data-urlencode", field)]
        answer = moto.curl("sts", *arguments, moto.url + "/")
        found = {tag.tag.partition("}")[2]: tag.text for tag in xml.fromstring(answer).iter()}
        session = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        with checks.check("moto STS GetCallerIdentity as the session"):
            answer = moto.curl("sts", "-d", caller_identity(), moto.url + "/", credentials=session)
            expect(answer, ":assumed-role/interop/session</Arn>")
        with checks.check("moto EC2 DescribeVpcs as the session"):
            answer = moto_get(moto, "ec2", "/?Action=DescribeVpcs", credentials=session)
            expect(answer, "<isDefault>true")
        with checks.check("moto refuses another session token"):
            other = replace(session, session_token=NO_SUCH_SESSION)
            answer = moto.curl("sts", "-d", caller_identity(), moto.url + "/", credentials=other)
            expect(answer, "InvalidClientTokenId")


def check_json_service(checks: Checks, moto: Server) -> None:
    def ssm(operation: str, request: dict) -> bytes:
        headers = ["-H", f"X-Amz-Target: AmazonSSM.{operation}", "-H", "Content-Type: application/x-amz-json-1.1"]
        return moto.curl("ssm", *headers, "-d", json.dumps(request), moto.url + "/")

    with checks.check("moto SSM PutParameter, JSON"):
        answer = ssm("PutParameter", {"Name": "/inter/op", "Value": "grüße = \"1\" + 1", "Type": "String"})
        expect(answer, '"Version": 1')
    with checks.check("moto SSM GetParameter, JSON"):
        parameter = json.loads(ssm("GetParameter", {"Name": "/inter/op"}))["Parameter"]
        assert parameter["Value"] == 'grüße = "1" + 1', parameter


def check_moto_s3(checks: Checks, moto: Server) -> None:
    bucket = f"{moto.url}/{BUCKET}"
    with checks.check("moto S3 create bucket"):
        expect_empty(moto.curl("s3", "-X", "PUT", bucket))
    with checks.check("moto S3 put"):
        put = ["-X", "PUT", "-H", "Content-Type: text/plain", "-H", "x-amz-meta-note: two  spaces"]
        expect_empty(moto.curl("s3", *put, "--data-raw", "body", f"{bucket}/dir/a%20b.txt"))
    with checks.check("moto S3 get"):
        assert moto.curl("s3", f"{bucket}/dir/a%20b.txt") == b"body"
    with checks.check("moto S3 list"):
        answer = moto.curl("s3", f"{bucket}?list-type=2&delimiter=%2F&prefix=dir%2Fa%20")
        expect(answer, "<Key>dir/a b.txt</Key>")
    with checks.check("moto S3 subresource without a value"):
        expect(moto.curl("s3", f"{bucket}?versioning"), "BucketVersioning")


def check_alterations_at_moto(checks: Checks, moto: Server) -> None:
    """No body under S3: moto does not compare it with its hash."""
    headers = {"content-type": "application/x-www-form-urlencoded", "x-amz-meta-color": "red"}
    good = moto.signed("sts", "POST", "/", headers, caller_identity())
    send = ["POST", moto.url + "/", good, caller_identity()]
    accepted, refused = ":user/interop</Arn>", "SignatureDoesNotMatch"
    altered = alterations(send) | {"body": [*send[:3], caller_identity() + "&a=b"]}
    check_alterations(checks, "moto STS", moto, send, accepted, altered, refused)

    # The query is in the alterations of a list, the path in those of an object.
    query = f"/{BUCKET}?list-type=2&prefix=dir"
    send = ["GET", moto.url + query, moto.signed("s3", "GET", query, {})]
    altered = {"query": ["GET", moto.url + query + "x", send[2]]}
    check_alterations(checks, "moto S3 list", moto, send, "<Key>dir/a b.txt</Key>", altered, refused)

    path = f"/{BUCKET}/dir/a%20b.txt"
    send = ["GET", moto.url + path, moto.signed("s3", "GET", path, {"x-amz-meta-color": "red"})]
    altered = alterations(send) | {"path": ["GET", moto.url + path.replace("a%20b", "a%20c"), send[2]]}
    altered["method"] = ["DELETE", *send[1:]]
    check_alterations(checks, "moto S3 get", moto, send, "body", altered, refused)


def check_s3_keys(checks: Checks, s3: Server) -> None:
    for name, (key, path) in NASTY_KEYS.items():
        url = f"{s3.url}/{BUCKET}/{path}"
        as_is = ["--path-as-is"] if "dots" in name else []
        with checks.check(f"s3s-fs put, get, delete: {name} in the key"):
            put = ["-X", "PUT", "-H", "Content-Type: text/plain", "--data-raw", key]
            expect_empty(s3.curl("s3", *as_is, *put, url))
            assert text(s3.curl("s3", *as_is, url)) == key
            expect_empty(s3.curl("s3", *as_is, "-X", "DELETE", url))
            expect(s3.curl("s3", *as_is, url), "NoSuchKey")
    with checks.check("s3s-fs put, get: raw unicode in the URL"):
        # curl sends it as it is written; the server must come to the same key as from the escapes.
        expect_empty(s3.curl("s3", "-X", "PUT", "--data-raw", "body", f"{s3.url}/{BUCKET}/rohe/Grüße"))
        assert s3.curl("s3", f"{s3.url}/{BUCKET}/rohe/Gr%C3%BC%C3%9Fe") == b"body"
    with checks.check("s3s-fs list"):
        for path in ("list/a%20b", "list/c%2Bd", "list/e%26f"):
            expect_empty(s3.curl("s3", "-X", "PUT", "--data-raw", "x", f"{s3.url}/{BUCKET}/{path}"))
        answer = s3.curl("s3", f"{s3.url}/{BUCKET}?list-type=2&prefix=list%2F&max-keys=100")
        expect(answer, "<Key>list/a b</Key>", "<Key>list/c+d</Key>", "<Key>list/e&amp;f</Key>")
    with checks.check("s3s-fs list: a raw plus in the query is a space"):
        answer = s3.curl("s3", f"{s3.url}/{BUCKET}?prefix=list/a+&list-type=2")
        expect(answer, "<Key>list/a b</Key>")
        assert b"list/c+d" not in answer, text(answer)
    with checks.check("s3s-fs list: -G and --data-urlencode"):
        fields = ["-G", "-d", "list-type=2", "--data-urlencode", "prefix=list/c+"]
        expect(s3.curl("s3", *fields, f"{s3.url}/{BUCKET}"), "<Key>list/c+d</Key>")
    with checks.check("s3s-fs head"):
        answer = s3.curl("s3", "-I", f"{s3.url}/{BUCKET}/list/a%20b")
        expect(answer, "HTTP/1.1 200")
    with checks.check("s3s-fs refuses a wrong secret"):
        url = f"{s3.url}/{BUCKET}/list/a%20b"
        assert s3.curl("s3", url) == b"x"
        wrong = replace(s3.credentials, secret_access_key="wrong" * 8)
        expect(s3.curl("s3", url, credentials=wrong), "SignatureDoesNotMatch")
    with checks.check("s3s-fs refuses a clock that is an hour slow"):
        expect(s3.curl("s3", "--time", "20200101T000000Z", f"{s3.url}/{BUCKET}?list-type=2"), "RequestTimeTooSkewed")


def check_uploads(checks: Checks, s3: Server) -> None:
    large = s3.scratch / "nine MiB"
    large.write_bytes(os.urandom(9 << 20))
    with checks.check("s3s-fs -T: 9 MiB from a file"):
        expect_empty(s3.curl("s3", "-T", str(large), f"{s3.url}/{BUCKET}/large"))
        assert s3.curl("s3", f"{s3.url}/{BUCKET}/large") == large.read_bytes()
    with checks.check("s3s-fs -T: the file's name completes the URL"):
        expect_empty(s3.curl("s3", "-T", str(large), f"{s3.url}/{BUCKET}/named/"))
        assert s3.curl("s3", f"{s3.url}/{BUCKET}/named/nine%20MiB") == large.read_bytes()
    with checks.check("s3s-fs --data-binary: 9 MiB from a file"):
        expect_empty(s3.curl("s3", "-X", "PUT", "--data-binary", f"@{large}", f"{s3.url}/{BUCKET}/binary"))
        assert s3.curl("s3", f"{s3.url}/{BUCKET}/binary") == large.read_bytes()
    with checks.check("s3s-fs --data-binary: 9 MiB from standard input"):
        put = ["-X", "PUT", "--data-binary", "@-", f"{s3.url}/{BUCKET}/input"]
        expect_empty(s3.curl("s3", *put, stdin=large.read_bytes()))
        assert s3.curl("s3", f"{s3.url}/{BUCKET}/input") == large.read_bytes()
    with checks.check("s3s-fs -T: 9 MiB from standard input"):
        # Left to itself curl sends chunks, and S3 wants a length.
        framing = ["-H", "Transfer-Encoding:", "-H", f"Content-Length: {9 << 20}"]
        put = ["-T", "-", *framing, f"{s3.url}/{BUCKET}/pipe"]
        expect_empty(s3.curl("s3", *put, stdin=large.read_bytes()))
        assert s3.curl("s3", f"{s3.url}/{BUCKET}/pipe") == large.read_bytes()


def check_presigned(checks: Checks, s3: Server) -> None:
    def presign(path: str, *arguments: str, **options) -> str:
        command = ["presign", f"{s3.url}/{BUCKET}/{path}", "--service", "s3", *arguments]
        return text(s3.countersign(*command, **options)).strip()

    # A presigned URL carries the dots into a program that would remove them: not a use case.
    for name, (key, path) in NASTY_KEYS.items():
        if "dots" in name:
            continue
        with checks.check(f"s3s-fs presigned put, get: {name} in the key"):
            url = presign(f"signed/{path}", "--expires", "15m", "-X", "PUT")
            expect_empty(s3.plain_curl("PUT", url, {}, "presigned"))
            url = presign(f"signed/{path}", "--expires", "15m")
            assert s3.plain_curl("GET", url, {}) == b"presigned"

    path = "signed/presigned"
    with checks.check("s3s-fs presigned with signed headers"):
        headers = {"content-type": "text/plain", "x-amz-meta-color": "red"}
        arguments = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        url = presign(path, "--expires", "15m", "-X", "PUT", *arguments)
        expect_empty(s3.plain_curl("PUT", url, headers, "presigned"))
        expect(s3.plain_curl("PUT", url, headers | {"x-amz-meta-color": "blue"}, "no"), "SignatureDoesNotMatch")
        assert s3.plain_curl("GET", presign(path, "--expires", "1m"), {}) == b"presigned"
    with checks.check("s3s-fs presigned with a query of its own"):
        url = presign(f"{path}?response-content-type=text%2Fplain", "--expires", "15m")
        assert s3.plain_curl("GET", url, {}) == b"presigned"
        expect(s3.plain_curl("GET", url.replace("text%2Fplain", "text%2Fhtml"), {}), "SignatureDoesNotMatch")
    with checks.check("s3s-fs refuses a presigned URL: path, method, expiry, signature altered"):
        url = presign(path, "--expires", "15m")
        assert s3.plain_curl("GET", url, {}) == b"presigned"
        for method, altered in (
            ("GET", url.replace("signed/presigned?", "signed/other?")),
            ("DELETE", url),
            ("GET", url.replace("X-Amz-Expires=900", "X-Amz-Expires=901")),
            ("GET", url[:-1] + flipped(url[-1])),
        ):
            assert (method, altered) != ("GET", url), "nothing was altered"
            expect(s3.plain_curl(method, altered, {}), "SignatureDoesNotMatch")
        assert s3.plain_curl("GET", url, {}) == b"presigned"
    with checks.check("s3s-fs refuses a presigned URL of a wrong secret"):
        wrong = replace(s3.credentials, secret_access_key="wrong" * 8)
        url = presign(path, "--expires", "15m", credentials=wrong)
        expect(s3.plain_curl("GET", url, {}), "SignatureDoesNotMatch")
    with checks.check("s3s-fs refuses an expired presigned URL"):
        url = presign(path, "--expires", "15m", "--time", "20200101T000000Z")
        expect(s3.plain_curl("GET", url, {}), "expired")


def check_alterations_at_s3(checks: Checks, s3: Server) -> None:
    refused = "SignatureDoesNotMatch"
    path = f"/{BUCKET}/alter/object%20(1)"
    headers = {"content-type": "text/plain", "x-amz-meta-color": "red"}
    send = ["PUT", s3.url + path, s3.signed("s3", "PUT", path, headers, "body"), "body"]
    altered = alterations(send) | {
        "path": ["PUT", s3.url + path.replace("object", "objekt"), *send[2:]],
        "query": ["PUT", s3.url + path + "?a=b", *send[2:]],
        "method": ["DELETE", *send[1:]],
        "payload": [*send[:2], send[2] | {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, "body"],
    }
    check_alterations(checks, "s3s-fs put", s3, send, "", altered, refused)
    with checks.check("s3s-fs put: altered body is refused"):
        # s3s-fs notices while it reads, and says so as an internal error.
        expect(s3.plain_curl(*send[:3], "bodi"), "<Error>")
        assert s3.curl("s3", s3.url + path) == b"body"

    query = f"/{BUCKET}?list-type=2&prefix=alter%2F&marker="
    send = ["GET", s3.url + query, s3.signed("s3", "GET", query, {})]
    altered = {
        "query value": ["GET", s3.url + query.replace("alter", "later"), send[2]],
        "query name": ["GET", s3.url + query.replace("marker", "market"), send[2]],
        "query addition": ["GET", s3.url + query + "&max-keys=1", send[2]],
    }
    check_alterations(checks, "s3s-fs list", s3, send, "<Key>alter/object (1)</Key>", altered, refused)


def alterations(send: list) -> dict:
    """What goes for any request whose signed headers are known to the server only from the request."""
    method, url, headers, *body = send
    second = headers["x-amz-date"][:-2] + ("1Z" if headers["x-amz-date"][-2] != "1" else "2Z")
    mac = headers["authorization"]
    return {
        "header": [method, url, headers | {"x-amz-meta-color": "blue"}, *body],
        "date": [method, url, headers | {"x-amz-date": second}, *body],
        "signature": [method, url, headers | {"authorization": mac[:-1] + flipped(mac[-1])}, *body],
        "region": [method, url, headers | {"authorization": mac.replace(REGION, "eu-west-1")}, *body],
    }


def check_alterations(
    checks: Checks, name: str, server: Server, send: list, accepted: str, altered: dict, refused: str
) -> None:
    """The request as signed is accepted, each alteration is refused, and after all it is accepted still."""

    def is_accepted():
        answer = text(server.plain_curl(*send))
        assert accepted in answer if accepted else answer == "", f"the unaltered request got {answer!r}"

    with checks.check(f"{name}: as signed is accepted"):
        is_accepted()
    for what, alteration in altered.items():
        with checks.check(f"{name}: altered {what} is refused"):
            assert alteration != send, "nothing was altered"
            expect(server.plain_curl(*alteration), refused)
            is_accepted()


def moto_get(moto: Server, service: str, path_and_query: str, *arguments: str, **options) -> bytes:
    declared = ["-H", f"x-amz-content-sha256: {EMPTY_HASH}"]
    return moto.curl(service, *declared, *arguments, moto.url + path_and_query, **options)


def caller_identity() -> str:
    return "Action=GetCallerIdentity&Version=2011-06-15"


def flipped(digit: str) -> str:
    """Another hexadecimal digit: one bit differs."""
    return f"{int(digit, 16) ^ 1:x}"


def expect(answer: bytes, *parts: str) -> None:
    for part in parts:
        assert part in text(answer), f"no {part!r} in the answer {text(answer)!r}"


def expect_empty(answer: bytes) -> None:
    assert answer == b"", f"the answer is {text(answer)!r}"


if __name__ == "__main__":
    main()
