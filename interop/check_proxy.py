"""`countersign proxy` signs for clients without keys: curl and boto3 to moto, curl to s3s-fs, any request to
`countersign listen` and to a service that checks each signature by `reference.py`.

Run it under servers.py. What moto verifies wrongly (see README.md) goes to `listen` only, where botocore's own
signature of the same request must be accepted too.
"""

import hashlib
import http.client
import json
import os
import random
import re
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "clients"))

import boto3
from botocore import UNSIGNED, auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import ClientError
from cases import GENERIC, STAGE, Case
from check_curl import NASTY_KEYS, expect, expect_empty
from checks import Checks, Credentials, clean_environment, run, text
from deviations import DEVIATIONS
from judge import judge
from proxying import Proxy, Strict, proxying, route
from servers import BUCKET, REGION, NotStarted
from wire import Relay, listening

EMPTY_HASH = hashlib.sha256(b"").hexdigest()
PART = 5 << 20  # the least that a part may have
REQUESTS, CONNECTIONS, IN_FLIGHT = 1200, 50, 100

# By the host that a client names, the service that the proxy must sign for.
HOSTS = {
    "sts.us-east-1.amazonaws.com": "sts",
    "ec2.us-east-1.amazonaws.com": "ec2",
    "sqs.us-east-1.amazonaws.com": "sqs",
    "dynamodb.us-east-1.amazonaws.com": "dynamodb",
    "monitoring.us-east-1.amazonaws.com": "monitoring",
    "lambda.us-east-1.amazonaws.com": "lambda",
    "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com": "execute-api",
    "search-cats-abcdefgh.us-east-1.es.amazonaws.com": "es",
    "s3.us-east-1.amazonaws.com": "s3",
}
HOST_OF = {service: host for host, service in HOSTS.items()}
JSON = ("Content-Type", "application/json")
MORE = [
    Case("opensearch search", "es", "/cats/_search?q=name%3AGr%C3%BC%C3%9Fe&size=2", "POST", (JSON,), b'{"query":{}}'),
    Case("opensearch odd index", "es", "/%3Clogs-%7Bnow%2Fd%7D%3E/_doc/a%2Fb", "PUT", (JSON,), b"{}"),
    Case("opensearch pattern", "es", "/_cat/indices/logs-*,-old*?v&h=index,docs.count"),
    Case("lambda list functions", "lambda", "/2015-03-31/functions/?MaxItems=10&Marker=a%2Bb"),
    Case("execute-api PATCH", "execute-api", f"{STAGE}/1", "PATCH", (JSON,), b'{"a":1}'),
    Case("execute-api HEAD", "execute-api", STAGE, "HEAD"),
    Case("execute-api POST without a body", "execute-api", STAGE, "POST"),
]
# botocore signs queries as they stand on the wire.
ONLY_BY_PROXY = DEVIATIONS["botocore"].keys() | {"opensearch pattern"}
# None of them is forwarded.
NOT_HTTP = {
    "a raw space": b"GET /prod/a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two hosts": b"GET /prod HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n",
    "a line folded": b"GET /prod HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n",
    "a space in front of a colon": b"GET /prod HTTP/1.1\r\nHost: localhost\r\nX-A : a\r\n\r\n",
    "two lengths": b"POST /prod HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length that is none": b"POST /prod HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\na",
    "connection takes off the host": b"GET /prod HTTP/1.1\r\nHost: localhost\r\nConnection: host\r\n\r\n",
}


def main() -> None:
    checks = Checks("check_proxy")
    with tempfile.TemporaryDirectory(prefix="countersign-interop-") as name:
        home = Path(name)
        check_moto(checks, home)
        check_s3s_fs(checks, home)
        check_verified(checks, home)
        check_isolation(checks, home)
        check_drain(checks, home)
    checks.finish()


class Curl:
    """curl alone, without keys, through a proxy."""

    def __init__(self, proxy: Proxy, home: Path):
        self.proxy, self.environment = proxy, clean_environment(home)

    def __call__(self, path: str, *arguments: str, stdin: bytes = b"") -> bytes:
        command = ["curl", "-q", "-sS", "-g", "--path-as-is", *arguments, self.proxy.url + path]
        done = run(command, self.environment, stdin)
        assert done.returncode == 0, f"curl: {text(done.stderr)}"
        return done.stdout


def key_of(server: str) -> Credentials:
    return Credentials(*(os.environ[f"INTEROP_{server}_{part}"] for part in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")))


def new_key(token: str = "") -> Credentials:
    return Credentials("AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20), token)


# moto and s3s-fs, each with a path of its own for each service.


def check_moto(checks: Checks, home: Path) -> None:
    url, key = os.environ["INTEROP_MOTO_URL"], key_of("MOTO")
    services = ("monitoring", "ec2", "sts", "iam", "ssm", "dynamodb", "sqs")
    settings = "".join(
        route(service, path=f"/{service}", upstream=url, service=service, region=REGION) for service in services
    )
    # What is no other route's is S3's.
    settings += route("s3", upstream=url, service="s3", region=REGION)
    with proxying(home / "moto", settings, key) as proxy:
        curl = Curl(proxy, home)
        check_query_services(checks, curl)
        check_json_services(checks, curl)
        check_boto3(checks, proxy)
        check_moto_s3(checks, curl, home)
        with checks.check("moto: the log has each request, whole, and none that was refused"):
            logged = proxy.requests()
            assert len(logged) > 20, f"{len(logged)} requests"
            assert not [line for line in logged if line.get("refusal")], logged
            cut = [line for line in logged if not line["whole"]]
            assert not cut, f"{len(cut)} of {len(logged)} are not whole: {cut[0]}"
    check_wrong_keys(checks, settings, key, home)


def check_query_services(checks: Checks, curl: Curl) -> None:
    with checks.check("moto CloudWatch PutMetricData, form"):
        form = ["Action=PutMetricData", "Version=2010-08-01", "Namespace=Inter op/+"]
        form += ["MetricData.member.1.MetricName=Lat=ency&~", "MetricData.member.1.Value=1.5"]
        fields = [part for field in form for part in ("--data-urlencode", field)]
        expect(curl("/monitoring/", *fields), "PutMetricDataResponse")
    with checks.check("moto CloudWatch ListMetrics, form"):
        expect(curl("/monitoring", "-d", "Action=ListMetrics&Version=2010-08-01"), "Lat=ency&amp;~", "Inter op/+")
    with checks.check("moto EC2 DescribeVpcs, form"):
        expect(curl("/ec2/", "-d", "Action=DescribeVpcs&Version=2016-11-15"), "<isDefault>true")
    with checks.check("moto EC2 DescribeVpcs, query"):
        # moto looks for the parameters in the body, unless it is told the body's hash.
        declared = f"x-amz-content-sha256: {EMPTY_HASH}"
        expect(curl("/ec2/?Version=2016-11-15&Action=DescribeVpcs", "-H", declared), "<isDefault>true")
    with checks.check("moto STS GetCallerIdentity, form in chunks of HTTP's own"):
        chunked = ["-H", "Transfer-Encoding: chunked", "-d", "@-"]
        answer = curl("/sts/", *chunked, stdin=b"Action=GetCallerIdentity&Version=2011-06-15")
        expect(answer, ":user/interop</Arn>")
    with checks.check("moto STS GetCallerIdentity, a signature of the client's own is replaced"):
        own = "Authorization: AWS4-HMAC-SHA256 Credential=AKIAOTHER/20200101/r/s/aws4_request, SignedHeaders=host, Signature="
        fields = ["-H", own + "0" * 64, "-H", "X-Amz-Date: 20200101T000000Z", "-H", "X-Amz-Security-Token: other"]
        answer = curl("/sts/", *fields, "-d", "Action=GetCallerIdentity&Version=2011-06-15")
        expect(answer, ":user/interop</Arn>")
    with checks.check("moto IAM ListUsers, form"):
        expect(curl("/iam/", "-d", "Action=ListUsers&Version=2010-05-08"), "<UserName>interop</UserName>")


def check_json_services(checks: Checks, curl: Curl) -> None:
    def ssm(operation: str, request: dict) -> bytes:
        headers = ["-H", f"X-Amz-Target: AmazonSSM.{operation}", "-H", "Content-Type: application/x-amz-json-1.1"]
        return curl("/ssm/", *headers, "-d", json.dumps(request))

    with checks.check("moto SSM PutParameter, JSON"):
        expect(ssm("PutParameter", {"Name": "/inter/op", "Value": 'grüße = "1" + 1', "Type": "String"}), '"Version": 1')
    with checks.check("moto SSM GetParameter, JSON"):
        parameter = json.loads(ssm("GetParameter", {"Name": "/inter/op"}))["Parameter"]
        assert parameter["Value"] == 'grüße = "1" + 1', parameter
    with checks.check("moto SSM GetParameter of nothing: the service's own refusal"):
        expect(ssm("GetParameter", {"Name": "/nothing"}), "ParameterNotFound")


def check_boto3(checks: Checks, proxy: Proxy) -> None:
    def client(service: str, path: str):
        settings = Config(signature_version=UNSIGNED, proxies={}, retries={"total_max_attempts": 1})
        return boto3.client(service, region_name=REGION, endpoint_url=f"{proxy.url}/{path}", config=settings)

    cloudwatch = client("cloudwatch", "monitoring")
    protocol = cloudwatch.meta.service_model.resolved_protocol
    with checks.check(f"moto CloudWatch, boto3 without keys, {protocol}"):
        cloudwatch.put_metric_data(Namespace="boto3", MetricData=[{"MetricName": "m", "Value": 2.5}])
        names = [metric["MetricName"] for metric in cloudwatch.list_metrics(Namespace="boto3")["Metrics"]]
        assert names == ["m"], names
    with checks.check("moto EC2 DescribeVpcs, boto3 without keys"):
        assert client("ec2", "ec2").describe_vpcs()["Vpcs"][0]["IsDefault"]
    with checks.check("moto DynamoDB, boto3 without keys"):
        dynamodb = client("dynamodb", "dynamodb")
        name = {"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "id", "AttributeType": "S"}
        dynamodb.create_table(
            TableName="t", KeySchema=[name[0]], AttributeDefinitions=[name[1]], BillingMode="PAY_PER_REQUEST"
        )
        item = {"id": {"S": "Grüße"}, "data": {"B": bytes(range(256))}}
        dynamodb.put_item(TableName="t", Item=item)
        assert dynamodb.get_item(TableName="t", Key={"id": item["id"]})["Item"] == item
    with checks.check("moto SQS, boto3 without keys"):
        sqs = client("sqs", "sqs")
        sqs.create_queue(QueueName="q")
        queue = f"{proxy.url}/sqs/123456789012/q"
        sqs.send_message(QueueUrl=queue, MessageBody="3 + 4 = €")
        assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "3 + 4 = €"
    with checks.check("moto SSM of nothing: boto3 reads the service's refusal"):
        code = refusal(lambda: client("ssm", "ssm").get_parameter(Name="/nothing"))
        assert code == "ParameterNotFound", code


def refusal(call) -> str:
    """The code of the error that boto3 raises."""
    try:
        call()
    except ClientError as why:
        return why.response["Error"]["Code"]
    raise AssertionError("it was not refused")


def check_moto_s3(checks: Checks, curl: Curl, home: Path) -> None:
    with checks.check("moto S3 create bucket, put, get, head"):
        expect_empty(curl(f"/{BUCKET}", "-X", "PUT"))
        plain = ["-H", "Content-Type: text/plain", "-H", "x-amz-meta-note: two  spaces"]
        expect_empty(curl(f"/{BUCKET}/dir/a%20b.txt", "-X", "PUT", *plain, "--data-raw", "body"))
        assert curl(f"/{BUCKET}/dir/a%20b.txt") == b"body"
        expect(curl(f"/{BUCKET}/dir/a%20b.txt", "-I"), "HTTP/1.1 200", "content-length: 4", "x-amz-meta-note: two  spaces")
    with checks.check("moto S3 list"):
        expect(curl(f"/{BUCKET}?list-type=2&delimiter=%2F&prefix=dir%2Fa%20"), "<Key>dir/a b.txt</Key>")
    with checks.check("moto S3 range, and what has not changed"):
        assert curl(f"/{BUCKET}/dir/a%20b.txt", "-r", "1-2") == b"od"
        etag = re.search(rb'etag: ("\w+")', curl(f"/{BUCKET}/dir/a%20b.txt", "-I"), re.I)[1]
        expect(curl(f"/{BUCKET}/dir/a%20b.txt", "-i", "-H", f"If-None-Match: {text(etag)}"), "HTTP/1.1 304")
    check_multipart(checks, "moto", curl, home)
    with checks.check("moto S3 delete"):
        expect_empty(curl(f"/{BUCKET}/dir/a%20b.txt", "-X", "DELETE"))
        expect(curl(f"/{BUCKET}/dir/a%20b.txt"), "NoSuchKey")


def check_multipart(checks: Checks, server: str, curl: Curl, home: Path) -> None:
    with checks.check(f"{server}: S3 upload in parts"):
        path, content = f"/{BUCKET}/parts", random.Random(7).randbytes(PART + 1000)
        upload = re.search(rb"<UploadId>(.+?)</UploadId>", curl(f"{path}?uploads", "-X", "POST"))[1].decode()
        parts = ""
        for number, part in enumerate((content[:PART], content[PART:]), 1):
            (home / "part").write_bytes(part)
            head = curl(f"{path}?partNumber={number}&uploadId={upload}", "-T", str(home / "part"), "-D", "-")
            etag = re.search(rb"etag: *(\S+)", head, re.I)[1].decode()
            parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        whole = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
        xml = ["-H", "Content-Type: application/xml"]
        expect(curl(f"{path}?uploadId={upload}", *xml, "-d", whole), "CompleteMultipartUploadResult")
        assert curl(path) == content, "stored is something else"
        expect_empty(curl(path, "-X", "DELETE"))


def check_wrong_keys(checks: Checks, settings: str, key: Credentials, home: Path) -> None:
    ask = ["-i", "-d", "Action=GetCallerIdentity&Version=2011-06-15"]
    wrong = replace(key, secret_access_key="wrong" * 8)
    with proxying(home / "wrong", settings, wrong) as proxy:
        with checks.check("moto refuses a wrong secret of the proxy, and the client gets the 403"):
            answer = Curl(proxy, home)("/sts/", *ask)
            expect(answer, "HTTP/1.1 403", "SignatureDoesNotMatch")
            assert b"x-countersign-refusal" not in answer.lower(), text(answer)
            expect(Curl(proxy, home)("/ec2/", "-i", "-d", "Action=DescribeVpcs"), "AuthFailure")
    with proxying(home / "nothing", settings) as proxy:
        with checks.check("without credentials nothing is forwarded"):
            answer = Curl(proxy, home)("/sts/", *ask)
            expect(answer, "HTTP/1.1 503", "x-countersign-refusal: no_credentials")
            for part in ("access", "wrong"):
                assert key.secret_access_key not in text(answer), part


def check_s3s_fs(checks: Checks, home: Path) -> None:
    url, key = os.environ["INTEROP_S3_URL"], key_of("S3")
    for payload in ("hash", "chunks"):
        settings = route("s3", upstream=url, service="s3", region=REGION, payload=payload)
        with proxying(home / payload, settings, key) as proxy:
            curl = Curl(proxy, home)
            for name, (content, path) in NASTY_KEYS.items():
                with checks.check(f"s3s-fs, {payload}: put, get, delete: {name} in the key"):
                    at = f"/{BUCKET}/{path}"
                    expect_empty(curl(at, "-X", "PUT", "-H", "Content-Type: text/plain", "--data-raw", content))
                    assert text(curl(at)) == content
                    expect_empty(curl(at, "-X", "DELETE"))
                    expect(curl(at), "NoSuchKey")
            with checks.check(f"s3s-fs, {payload}: an empty object"):
                expect_empty(curl(f"/{BUCKET}/empty", "-T", os.devnull, "-H", "Content-Length: 0"))
                expect_empty(curl(f"/{BUCKET}/empty"))
            check_multipart(checks, f"s3s-fs, {payload}", curl, home)


# Whatever there is to sign, against the verifier.


def check_verified(checks: Checks, home: Path) -> None:
    key, placeholder = new_key(f"{secrets.token_hex(20)}/+=="), new_key()
    with listening([key], home) as listener, Relay(listener).serving() as relay:
        settings = "".join(
            route(service, hosts=[host], sign_host=host, upstream=f"http://127.0.0.1:{relay.port}")
            for host, service in HOSTS.items()
        )
        with proxying(home / "verified", settings, key) as proxy:
            for case in GENERIC + MORE:
                with checks.check(f"listen: {case.name}: signed by the proxy"):
                    # Whoever made a URL for another key has it replaced.
                    sent = signed_by_botocore(case, placeholder) if case.presign else plain(case)
                    send(proxy.port, *sent)
                    check_exchange(relay.take(), case, key, sent)
                if case.name in ONLY_BY_PROXY:
                    continue
                with checks.check(f"listen: {case.name}: signed by botocore"):
                    send(relay.port, *signed_by_botocore(case, key))
                    assert not (wrong := relay.take().verdict).get("code"), wrong
            with checks.check("listen: nothing that two could read differently is forwarded"):
                for what, raw in NOT_HTTP.items():
                    status = send_raw(proxy.port, raw)
                    assert 400 <= status < 500, f"{what}: {status}"
                    assert relay.passed.empty(), f"{what}: it was forwarded"


def check_exchange(exchange, case: Case, key: Credentials, sent: tuple) -> None:
    verdict = exchange.verdict
    assert verdict["ok"], verdict
    assert verdict["access_key_id"] == key.access_key_id, verdict
    _, region, service, _ = verdict["scope"].split("/")
    assert (region, service) == (REGION, case.service), verdict
    assert not (wrong := judge(exchange.raw, [key])), f"the reference says: {wrong}"
    head, _, body = exchange.raw.partition(b"\r\n\r\n")
    method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
    assert (method, body) == (sent[0], sent[3]), f"{head!r}"
    assert without_signature(target) == without_signature(sent[1]), f"{sent[1]} became {target}"


def without_signature(target: str) -> str:
    path, _, query = target.partition("?")
    kept = [piece for piece in query.split("&") if piece and not piece.startswith("X-Amz-")]
    return path + "?" * bool(kept) + "&".join(kept)


def plain(case: Case) -> tuple:
    """Method, target, headers and body without a signature."""
    return case.method, case.target, [("Host", HOST_OF[case.service]), *case.headers], case.body


def signed_by_botocore(case: Case, key: Credentials) -> tuple:
    credentials = BotocoreCredentials(key.access_key_id, key.secret_access_key, key.session_token or None)
    s3, base = case.service == "s3", f"https://{HOST_OF[case.service]}"
    if case.presign:
        kind, options = auth.S3SigV4QueryAuth if s3 else auth.SigV4QueryAuth, {"expires": 600}
    else:
        kind, options = auth.S3SigV4Auth if s3 else auth.SigV4Auth, {}
    # A presigned S3 URL leaves the body open, and others have none here.
    request = AWSRequest(case.method, base + case.target, data=None if case.presign else case.body)
    for name, value in case.headers:
        request.headers.add_header(name, value)
    kind(credentials, case.service, REGION, **options).add_auth(request)
    headers = [("Host", HOST_OF[case.service]), *request.headers.items()]
    return case.method, request.url.removeprefix(base), headers, case.body


def send(port: int, method: str, target: str, headers: list, body: bytes) -> tuple:
    """Sends exactly this; status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        return exchange(connection, method, target, headers, body)
    finally:
        connection.close()


def exchange(connection, method: str, target: str, headers: list, body: bytes) -> tuple:
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value.encode() if isinstance(value, str) else value)
    if body and "content-length" not in {name.lower() for name, _ in headers}:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    answer = connection.getresponse()
    return answer.status, answer.read()


def send_raw(port: int, raw: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(raw)
        return int(connection.recv(65536).split(b" ")[1])


# Many at once.

ODD = (
    "a//b", "a%2Fb", "a%20b", "Gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC", "a+b=(1)", "%25/100%25", "./x/../y", "~/'!*@$,;",
    "final/", "lower%c3%bc", "%2e%2e/e", "//",
)  # fmt: skip


def mixed(count: int) -> list:
    """So many requests, each with a mark of its own: service, method, target, body, mark."""
    requests, randomness = [], random.Random(3)
    for number in range(count):
        service = ("s3", "execute-api")[number % 2]
        target = f"/{('bucket', 'prod')[number % 2]}/{number}/{ODD[number // 2 % len(ODD)]}"
        target += ("", "?", "?q=a%20b&q=a", "?list=&x=%2F/")[number // 3 % 4]
        method, length = (("GET", 0), ("PUT", 10), ("POST", 70_000), ("DELETE", 0))[number // 5 % 4]
        requests.append((service, method, target, randomness.randbytes(length), f"mark-{number}"))
    return requests


def check_isolation(checks: Checks, home: Path) -> None:
    keys = {"s3": new_key("first/+=" + secrets.token_hex(20)), "execute-api": new_key()}
    requests = mixed(REQUESTS)

    def settings(url: str) -> str:
        return "".join(
            route(service, hosts=[f"{service}.local"], upstream=url, service=service, region=REGION, profile=service)
            for service in keys
        )

    def all_through(proxy: Proxy) -> list:
        """The answers, in the order of the requests: so many connections with a share each."""

        def share(first: int) -> list:
            connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
            answers = []
            for service, method, target, body, mark in requests[first::CONNECTIONS]:
                headers = [("Host", f"{service}.local"), ("X-Mark", mark)]
                answers.append(exchange(connection, method, target, headers, body))
            connection.close()
            return answers

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            shares = list(pool.map(share, range(CONNECTIONS)))
        return [shares[n % CONNECTIONS][n // CONNECTIONS] for n in range(REQUESTS)]

    with Strict(list(keys.values())).serving() as strict, proxying(home / "many", settings(strict.url), keys) as proxy:
        with checks.check(f"{REQUESTS} requests over {CONNECTIONS} connections: each signed rightly, each with its own answer"):
            for request, (status, answer) in zip(requests, all_through(proxy), strict=True):
                service, _, target, body, mark = request
                got = json.loads(answer)
                expected = {"wrong": "", "target": target, "mark": mark, "body": hashlib.sha256(body).hexdigest()}
                expected["credential"] = keys[service].access_key_id
                assert (status, got) == (200, expected), f"{request[:3]} got {status} {got}"
    with listening(list(keys.values()), home) as listener:
        url = f"http://127.0.0.1:{listener.address[1]}"
        with proxying(home / "many", settings(url), keys) as proxy:
            with checks.check(f"{REQUESTS} requests over {CONNECTIONS} connections: listen accepts each"):
                refused = [answer for status, answer in all_through(proxy) if status != 200]
                assert not refused, f"{len(refused)}: {text(refused[0])}"
                verdicts = [json.loads(listener.lines.get(timeout=10)) for _ in range(REQUESTS)]
                assert all(verdict["ok"] for verdict in verdicts)
                seen = Counter((v["method"], v["target"], v["access_key_id"]) for v in verdicts)
                assert seen == Counter((m, t, keys[s].access_key_id) for s, m, t, _, _ in requests)


def check_drain(checks: Checks, home: Path) -> None:
    key = new_key()
    with Strict([key]).serving() as strict:
        settings = route("api", upstream=strict.url, service="execute-api", region=REGION)
        for what in ("SIGTERM", "SIGINT"):
            with checks.check(f"{what} with {IN_FLIGHT} requests in flight loses none"), proxying(
                home / "drain", settings, key
            ) as proxy:
                check_none_lost(strict, proxy, getattr(signal, what))


def check_none_lost(strict: Strict, proxy: Proxy, how: signal.Signals) -> None:
    """Half of the requests wait for their answer, of half the body is not there yet."""
    strict.may_answer.clear()
    strict.arrived, ready, go_on = 0, threading.Barrier(IN_FLIGHT + 1), threading.Event()
    body = bytes(range(256)) * 400

    def one(number: int) -> tuple:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        connection.putrequest("POST", f"/prod/{number}")
        connection.putheader("X-Mark", f"mark-{number}")
        connection.putheader("Content-Length", str(len(body)))
        half = len(body) // (1 + number % 2)
        connection.endheaders(body[:half])
        ready.wait(30)
        go_on.wait(30)
        if half < len(body):
            connection.send(body[half:])
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    try:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            answers = [pool.submit(one, number) for number in range(IN_FLIGHT)]
            ready.wait(30)
            deadline = time.monotonic() + 20
            while strict.arrived < IN_FLIGHT // 2 or in_flight(proxy) < IN_FLIGHT:
                assert time.monotonic() < deadline, f"{strict.arrived} arrived, {in_flight(proxy)} are in flight"
                time.sleep(0.02)
            proxy.process.send_signal(how)
            time.sleep(0.5)  # until it listens no more
            go_on.set()
            strict.may_answer.set()
            for number, answer in enumerate(answers):
                status, got = answer.result(60)
                expected = ("", f"mark-{number}", hashlib.sha256(body).hexdigest())
                assert (status, got["wrong"], got["mark"], got["body"]) == (200, *expected), f"{status} {got}"
        assert proxy.process.wait(20) == 0, f"exit code {proxy.process.returncode}"
        logged = proxy.requests()
        assert len(logged) == IN_FLIGHT, f"{len(logged)} requests are in the log"
    finally:
        go_on.set()
        strict.may_answer.set()


def in_flight(proxy: Proxy) -> int:
    status, answer = send(proxy.admin, "GET", "/metrics", [("Host", "localhost")], b"")
    assert status == 200, status
    return int(re.search(rb"^countersign_proxy_requests_in_flight (\d+)$", answer, re.M)[1])


if __name__ == "__main__":
    try:
        main()
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
