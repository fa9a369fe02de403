"""The examples in docs/requests.md, tried: each command is run as it stands there, with what is needed
to reach a server on loopback behind it.

Every example goes to `countersign listen`, which must accept it for the service and region that the page
says; so must it the request of boto3 to the same host, or of botocore's signer where boto3 has no such
call. Those that moto serves and verifies rightly (see README.md) go to moto too, with signatures enforced,
and must be answered with what they are about. With another secret each must be refused.

All goes over TLS with a certificate for the hosts in the page, so the URLs are AWS's.
"""

import hashlib
import json
import os
import queue
import re
import shlex
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).resolve().parent / "clients"))

import boto3
import urllib3.util.connection
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.httpsession import URLLib3Session
from checks import BINARY, Checks, Credentials, Loopback, clean_environment, run, text
from servers import NotStarted, moto
from wire import Listener, listening

PAGE = Path(__file__).resolve().parent.parent / "docs" / "requests.md"
REGION = "eu-central-1"
CAT = bytes(range(256)) * 9
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
# A heading of the page, or a command and what it is signed for.
PIECE = r"^(?:##+ .+|```sh\n[\s\S]*?\n```\n\nSigned as `[^`]+` in `[^`]+`)"
REFUSED = 22  # curl's exit code where the answer is a refusal
# How the services call a signature that does not match.
REFUSALS = ("SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure")


@dataclass(frozen=True)
class Example:
    """A command in the page, and what the page says that it is signed for."""

    name: str
    command: str
    service: str
    region: str

    @property
    def url(self) -> str:
        return next(word for word in shlex.split(self.command.replace("\\\n", " ")) if word.startswith("https://"))

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname

    @property
    def is_run_by_curl(self) -> bool:
        return self.command.startswith("countersign curl ")

    @property
    def is_through_proxy(self) -> bool:
        return "$PROXY" in self.command


@dataclass(frozen=True)
class Boto3:
    """A call of boto3 that sends the same."""

    service: str
    operation: str
    parameters: dict = field(default_factory=dict)
    client: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    is_presigned: bool = False


@dataclass(frozen=True)
class Botocore:
    """A request to the example's URL for botocore's signer, where boto3 has no such call."""

    method: str
    headers: dict = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Tried:
    """What there is to an example beyond its text."""

    theirs: Boto3 | Botocore
    # What moto's answer must hold; moto is not asked if there is nothing.
    of_moto: tuple = ()
    # What curl needs beside a URL that was presigned.
    then: tuple = ()


ODD_KEY = "year=2026//./a cat (1)+ü.jpg"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:resize"
MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
SSH_KEY = {"InstanceId": "i-0123456789abcdef0", "InstanceOSUser": "ec2-user", "SSHPublicKey": "ssh-ed25519 " + "A" * 68}
METRIC = {"Namespace": "Shop/Web", "MetricData": [{"MetricName": "Orders", "Value": 3}]}
QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"
STATEMENT = {"ClusterIdentifier": "sales", "Database": "dev", "DbUser": "eric", "Sql": "select 1"}
CAT_KEY = {"Bucket": "photos", "Key": "cats/cat.jpg"}
DOG_KEY = {"Bucket": "photos", "Key": "cats/dog.jpg", "ContentType": "image/jpeg"}
# Without these boto3 signs URLs by the version before, for the host without a region.
PRESIGNED = {"signature_version": "s3v4", "s3": {"addressing_style": "virtual"}}
VPCE = "https://vpce-0123456789abcdef0-abcdefgh.monitoring.eu-central-1.vpce.amazonaws.com"
S3_VPCE = "https://bucket.vpce-0123456789abcdef0-abcdefgh.s3.eu-central-1.vpce.amazonaws.com"
CALLER = ":user/interop</Arn>"
# OpenSearch Serverless wants it, and botocore's signer leaves it to its caller.
BODY_HASH = {"x-amz-content-sha256": hashlib.sha256(b"{}").hexdigest()}

# By the headings of the page.
TRIED = {
    "CloudWatch: Send a metric": Tried(Boto3("cloudwatch", "put_metric_data", METRIC), ("<PutMetricDataResponse",)),
    "CloudWatch: List metrics": Tried(
        Boto3("cloudwatch", "list_metrics"), ("<MetricName>Orders</MetricName>", "<Namespace>Shop/Web</Namespace>")
    ),
    "CloudWatch: List canaries of Synthetics": Tried(Boto3("synthetics", "describe_canaries", {"MaxResults": 5})),
    "EC2 and VPC: List instances": Tried(
        Boto3("ec2", "describe_instances", {"Filters": [{"Name": "instance-state-name", "Values": ["running"]}]}),
        ("<instanceId>{instance}</instanceId>",),
    ),
    "EC2 and VPC: List networks": Tried(Boto3("ec2", "describe_vpcs"), ("<isDefault>true</isDefault>",)),
    "EC2 and VPC: List networks, by GET": Tried(
        Boto3("ec2", "describe_vpcs", {"Filters": [{"Name": "tag:Name", "Values": ["blue & green"]}]})
    ),
    "EC2 Instance Connect: Push an SSH key to an instance": Tried(
        Boto3("ec2-instance-connect", "send_ssh_public_key", SSH_KEY), ('"Success": true',)
    ),
    "Systems Manager: Write a parameter": Tried(
        Boto3("ssm", "put_parameter", {"Name": "/shop/colour", "Value": "grün & blue", "Type": "String"}),
        ('"Version": 1',),
    ),
    "Systems Manager: Read a parameter": Tried(
        Boto3("ssm", "get_parameter", {"Name": "/shop/colour", "WithDecryption": True}), ('"Value": "grün & blue"',)
    ),
    "Security Hub: List findings": Tried(Boto3("securityhub", "get_findings", {"MaxResults": 10})),
    "STS: Ask who you are": Tried(Boto3("sts", "get_caller_identity"), (CALLER,)),
    "STS: Ask who you are, at the global host": Tried(
        Boto3("sts", "get_caller_identity", client={"region_name": "aws-global"})
    ),
    "IAM: List users": Tried(Boto3("iam", "list_users"), ("<UserName>interop</UserName>",)),
    "S3: Upload a file": Tried(
        Boto3("s3", "put_object", CAT_KEY | {"Body": CAT, "ContentType": "image/jpeg"}), ("",)
    ),
    "S3: Download a file": Tried(Boto3("s3", "get_object", CAT_KEY), (text(CAT),)),
    "S3: List a folder": Tried(
        Boto3("s3", "list_objects_v2", {"Bucket": "photos", "Prefix": "cats/"}), ("<Key>cats/cat.jpg</Key>",)
    ),
    "S3: Upload under an odd name": Tried(Boto3("s3", "put_object", {"Bucket": "photos", "Key": ODD_KEY, "Body": CAT})),
    "S3: Make a URL to download": Tried(Boto3("s3", "get_object", CAT_KEY, config=PRESIGNED, is_presigned=True)),
    "S3: Make a URL to upload": Tried(
        Boto3("s3", "put_object", DOG_KEY, config=PRESIGNED, is_presigned=True),
        then=("-T", "cat.jpg", "-H", "Content-Type: image/jpeg"),
    ),
    "Lambda: List functions": Tried(Boto3("lambda", "list_functions")),
    "Lambda: Invoke a function": Tried(
        Boto3("lambda", "invoke", {"FunctionName": "resize", "Payload": b'{"width": 640}'})
    ),
    "Lambda: Invoke a function by its ARN": Tried(
        Boto3("lambda", "invoke", {"FunctionName": ARN, "InvocationType": "Event", "Payload": b'{"width": 640}'})
    ),
    "Lambda: Call a function's URL": Tried(Botocore("GET")),
    "API Gateway: Call an API": Tried(Botocore("GET")),
    "API Gateway: Call an API at a domain of your own": Tried(Botocore("DELETE")),
    "API Gateway: Send to a client of a WebSocket API": Tried(
        Boto3(
            "apigatewaymanagementapi",
            "post_to_connection",
            {"ConnectionId": "L0SM9cOFvHcCIhw=", "Data": b"hello"},
            {"endpoint_url": "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/prod"},
        )
    ),
    "OpenSearch: Search in a domain": Tried(Botocore("POST", JSON, b"{}")),
    "OpenSearch: List indices of a domain": Tried(Botocore("GET")),
    "OpenSearch: Search in a collection of OpenSearch Serverless": Tried(Botocore("POST", JSON | BODY_HASH, b"{}")),
    "Managed Prometheus: Query": Tried(Botocore("POST", FORM, b"query=sum+by+%28job%29+%28up%29")),
    "Managed Prometheus: Write samples": Tried(
        Botocore("POST", {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}, CAT)
    ),
    "Bedrock: Invoke a model": Tried(Boto3("bedrock-runtime", "invoke_model", {"modelId": MODEL, "body": b"{}"})),
    "Redshift: List clusters": Tried(
        Boto3("redshift", "describe_clusters"), ("<ClusterIdentifier>sales</ClusterIdentifier>",)
    ),
    "Redshift: Run a statement": Tried(
        Boto3("redshift-data", "execute_statement", STATEMENT), ('"ClusterIdentifier": "sales"',)
    ),
    "Directory Service: List directories": Tried(
        Boto3("ds", "describe_directories"), ('"DirectoryId": "{directory}"', '"corp.example.com"')
    ),
    "DynamoDB: Put an item": Tried(
        Boto3("dynamodb", "put_item", {"TableName": "cats", "Item": {"name": {"S": "Grüße"}, "lives": {"N": "9"}}}),
        ("{{}}",),
    ),
    "DynamoDB: Get an item": Tried(
        Boto3("dynamodb", "get_item", {"TableName": "cats", "Key": {"name": {"S": "Grüße"}}}),
        ('"name": {{"S": "Grüße"}}', '"lives": {{"N": "9"}}'),
    ),
    "SQS: Send a message": Tried(
        Boto3("sqs", "send_message", {"QueueUrl": QUEUE, "MessageBody": "3 + 4"}),
        (hashlib.md5(b"3 + 4").hexdigest(),),
    ),
    "SQS: Send a message to the queue's URL": Tried(Botocore("POST", FORM, b"Action=SendMessage&MessageBody=3+%2B+4")),
    "Through an interface endpoint: Send a metric from a network without a way out": Tried(
        Boto3("cloudwatch", "put_metric_data", METRIC, {"endpoint_url": VPCE})
    ),
    "Through an interface endpoint: Download from S3 through an interface endpoint": Tried(
        Boto3("s3", "get_object", CAT_KEY, {"endpoint_url": S3_VPCE}, {"s3": {"addressing_style": "path"}})
    ),
    "Behind a proxy: Ask who you are, through a proxy": Tried(Boto3("sts", "get_caller_identity")),
    "From another program: Print the headers of a request": Tried(Botocore("GET")),
}


def examples() -> list[Example]:
    """The commands of the page, each with its two headings and the line behind it."""
    found, service, what = [], "", ""
    for piece in re.findall(PIECE, PAGE.read_text(), re.M):
        if piece.startswith("## "):
            service = piece[3:]
        elif piece.startswith("### "):
            what = piece[4:]
        elif piece.startswith("```sh\n"):
            command, _, said = piece.removeprefix("```sh\n").partition("\n```\n\n")
            signed_for = re.findall(r"`([^`]+)`", said)
            found.append(Example(f"{service}: {what}", command, *signed_for))
    return found


class Place:
    """Where commands are run, and where they are led."""

    def __init__(self, home: Path, certificate: tuple, listener: Listener, proxy: "Proxy", moto_port: int):
        self.home, self.certificate, self.listener, self.proxy = home, certificate, listener, proxy
        self.moto_port, self.listener_port = moto_port, listener.address[1]
        self.trust = ["-sS", "--fail-with-body", "--cacert", str(certificate[0])]
        self.port = self.listener_port  # where boto3 is led
        urllib3.util.connection.create_connection = self.connect

    def connect(self, address: tuple, timeout=None, *_others, **_more):
        """What urllib3 calls to reach a host; the host is still the one that TLS and boto3 see."""
        host, port = address
        return socket.create_connection(address if host == "127.0.0.1" else ("127.0.0.1", self.port), timeout)

    def reach(self, port: int) -> list:
        """The options by which curl gets there."""
        return [*self.trust, "--connect-to", f"::127.0.0.1:{port}"]

    def run(self, example: Example, tried: Tried, port: int, key: Credentials) -> tuple:
        """curl's exit code, 0 or `REFUSED`, and what was answered."""
        if example.is_run_by_curl:
            # The proxy leads to the listener.
            options = self.trust if example.is_through_proxy else self.reach(port)
            done = self.shell(f"{example.command} {shlex.join(options)}", key)
            assert done.returncode in (0, REFUSED), f"exit code {done.returncode}: {text(done.stderr)}"
            saved = re.search(r" -o (\S+)", example.command)
            return done.returncode, (self.home / saved[1]).read_bytes() if saved else done.stdout
        done = self.shell(example.command, key)
        assert done.returncode == 0, text(done.stderr)
        if example.command.startswith("countersign presign "):
            return self.curl(text(done.stdout).strip(), port, *tried.then)
        headers = [word for line in text(done.stdout).splitlines() for word in ("-H", line)]
        return self.curl(example.url, port, *headers)

    def shell(self, command: str, key: Credentials):
        environment = clean_environment(self.home) | key.environment() | {"PROXY": self.proxy.url}
        environment["PATH"] = f"{self.home / 'bin'}:{environment['PATH']}"
        return run(["bash", "-c", command], environment, directory=self.home)

    def curl(self, url: str, port: int, *arguments: str) -> tuple:
        command = ["curl", "-q", *self.reach(port), *arguments, url]
        done = run(command, clean_environment(self.home), directory=self.home)
        assert done.returncode in (0, REFUSED), f"exit code {done.returncode}: {text(done.stderr)}"
        return done.returncode, done.stdout

    def verdict(self) -> dict:
        """What the listener said of the one request that it got."""
        try:
            verdict = json.loads(self.listener.lines.get(timeout=10))
        except queue.Empty:
            raise AssertionError("no request arrived") from None
        assert self.listener.lines.empty(), "more than one request arrived"
        return verdict


class Proxy(Loopback):
    """A proxy for what goes over TLS; whatever is asked for, it leads to one port."""

    def __init__(self, port: int):
        super().__init__(ProxyHandler)
        self.to, self.url, self.asked = port, f"http://127.0.0.1:{self.port}", []


class ProxyHandler(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(65536)
            if not piece:
                return
            head += piece
        self.server.asked.append(text(head.partition(b" HTTP/")[0]))
        with socket.create_connection(("127.0.0.1", self.server.to)) as server:
            self.request.sendall(b"HTTP/1.1 200 -\r\n\r\n")
            back = threading.Thread(target=pour, args=(server, self.request), daemon=True)
            back.start()
            pour(self.request, server)
            back.join(20)


def pour(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of them has left


def main() -> None:
    checks, all_examples = Checks("check_services"), examples()
    with checks.check("every command of the page is an example that is tried, and the other way round"):
        assert len(re.findall(r"^```sh$", PAGE.read_text(), re.M)) == len(all_examples), "a command without `Signed as`"
        assert [example.name for example in all_examples] == list(TRIED), [
            name for name in {example.name for example in all_examples} ^ TRIED.keys()
        ]
    with tempfile.TemporaryDirectory(prefix="countersign-interop-") as name:
        home = Path(name)
        (home / "bin").mkdir()
        (home / "bin" / "countersign").symlink_to(BINARY)
        (home / "cat.jpg").write_bytes(CAT)
        (home / "samples.snappy").write_bytes(CAT)
        certificate = make_certificate(home, {example.host for example in all_examples})
        # boto3 is not to find the configuration or the proxy of whoever calls.
        os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(home / "none")
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
        os.environ["SSL_CERT_FILE"] = os.environ["AWS_CA_BUNDLE"] = str(certificate[0])
        with moto(home / "moto", certificate) as served:
            key = Credentials(served["INTEROP_MOTO_ACCESS_KEY_ID"], served["INTEROP_MOTO_SECRET_ACCESS_KEY"])
            with listening([key], home, certificate) as listener, Proxy(listener.address[1]).serving() as proxy:
                place = Place(home, certificate, listener, proxy, urlsplit(served["INTEROP_MOTO_URL"]).port)
                made = prepare(place, key)
                for example in all_examples:
                    if example.name in TRIED:
                        check_example(checks, place, example, TRIED[example.name], key, made)
    checks.finish()


def make_certificate(home: Path, hosts: set) -> tuple:
    """A certificate for these hosts and loopback, and its key."""
    certificate = home / "certificate.pem", home / "key.pem"
    names = ",".join(["IP:127.0.0.1", *(f"DNS:{host}" for host in sorted(hosts))])
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName={names}"]
    subprocess.run([*command, "-out", certificate[0], "-keyout", certificate[1]], check=True, capture_output=True)
    return certificate


def prepare(place: Place, key: Credentials) -> dict:
    """What the examples need to exist in moto, and the names that moto gave."""
    place.port = place.moto_port

    def call(service: str, operation: str, **parameters) -> dict:
        return getattr(client(service, key), operation)(**parameters)

    call("s3", "create_bucket", Bucket="photos", CreateBucketConfiguration={"LocationConstraint": REGION})
    call("sqs", "create_queue", QueueName="orders")
    call(
        "dynamodb",
        "create_table",
        TableName="cats",
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    instances = call("ec2", "run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"]
    subnets = call("ec2", "describe_subnets")["Subnets"][:2]
    network = {"VpcId": subnets[0]["VpcId"], "SubnetIds": [subnet["SubnetId"] for subnet in subnets]}
    directory = call(
        "ds", "create_directory", Name="corp.example.com", Password="Passw0rd!", Size="Small", VpcSettings=network
    )
    call(
        "redshift",
        "create_cluster",
        ClusterIdentifier="sales",
        NodeType="ra3.large",
        MasterUsername="eric",
        MasterUserPassword="Passw0rd1",
    )
    place.port = place.listener_port
    return {"instance": instances[0]["InstanceId"], "directory": directory["DirectoryId"]}


def client(service: str, key: Credentials, config: dict | None = None, **options):
    """A client of boto3 that resolves its endpoint as it does for everybody."""
    settings = {"proxies": {}, "retries": {"total_max_attempts": 1}} | (config or {})
    return boto3.client(
        service,
        **{"region_name": REGION} | options,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(**settings),
    )


def check_example(
    checks: Checks, place: Place, example: Example, tried: Tried, key: Credentials, made: dict
) -> None:
    wrong = replace(key, secret_access_key="wrong" * 8)
    with checks.check(f"{example.name}: listen accepts it for {example.service} in {example.region}"):
        code, answer = place.run(example, tried, place.listener_port, key)
        check_accepted(example, place.verdict())
        assert code == 0, text(answer)
        assert expected_of_listen(example) in text(answer), text(answer)
        check_proxy(place, example)
    with checks.check(f"{example.name}: listen refuses it with another secret"):
        code, _ = place.run(example, tried, place.listener_port, wrong)
        verdict = place.verdict()
        assert code == REFUSED and not verdict["ok"] and verdict["code"] in REFUSALS, (code, verdict)
        check_proxy(place, example)
    with checks.check(f"{example.name}: listen accepts what {type(tried.theirs).__name__.lower()} sends there"):
        send = send_by_boto3 if isinstance(tried.theirs, Boto3) else send_by_botocore
        why = send(place, example, tried, key)
        try:
            check_accepted(example, place.verdict())
        except AssertionError as problem:
            raise AssertionError(f"{problem}; the client: {why}") from None
        check_proxy(place, example)
    if tried.of_moto:
        with checks.check(f"{example.name}: moto answers it"):
            code, answer = place.run(example, tried, place.moto_port, key)
            assert code == 0, text(answer)
            for part in tried.of_moto:
                part = part if part == text(CAT) else part.format_map(made)
                assert part in readable(answer), f"{part!r} is not in {readable(answer)}"
        with checks.check(f"{example.name}: moto refuses it with another secret"):
            code, answer = place.run(example, tried, place.moto_port, wrong)
            assert code == REFUSED and any(refusal in text(answer) for refusal in REFUSALS), (code, text(answer))


def check_accepted(example: Example, verdict: dict) -> None:
    assert verdict["ok"], verdict
    _, region, service, _ = verdict["scope"].split("/")
    assert (service, region) == (example.service, example.region), verdict["scope"]


def check_proxy(place: Place, example: Example) -> None:
    """The proxy was told the host, if the example is about a proxy, and nothing otherwise."""
    expected = [f"CONNECT {example.host}:443"] if example.is_through_proxy else []
    asked, place.proxy.asked = place.proxy.asked, []
    assert asked == expected, asked


def expected_of_listen(example: Example) -> str:
    """The least that a client of the service takes for a success."""
    action = re.search(r"\bAction=(\w+)", example.command)
    if action:
        return f"<{action[1]}Response>"
    return "{}" if "X-Amz-Target" in example.command else "" if example.service == "s3" else "<Response>"


def readable(answer: bytes) -> str:
    try:
        return json.dumps(json.loads(answer), ensure_ascii=False)
    except ValueError:
        return text(answer)


def send_by_boto3(place: Place, example: Example, tried: Tried, key: Credentials) -> str:
    """Has boto3 send it; what boto3 made of the answer, which holds nothing that it looks for."""
    call, urls = tried.theirs, []
    proxies = {"proxies": {"https": place.proxy.url}} if example.is_through_proxy else {}
    calling = client(call.service, key, call.config | proxies, **call.client)
    if call.is_presigned:
        url = calling.generate_presigned_url(call.operation, call.parameters)
        urls.append(url)
        place.curl(url, place.listener_port, *tried.then)
        why = ""
    else:
        calling.meta.events.register("before-send", lambda request, **_: urls.append(request.url))
        try:
            why = getattr(calling, call.operation)(**call.parameters)
        except Exception as error:
            why = error
    hosts = {urlsplit(url).hostname for url in urls}
    assert hosts == {example.host}, f"boto3 sent it to {hosts}: {why}"
    return str(why)


def send_by_botocore(place: Place, example: Example, tried: Tried, key: Credentials) -> str:
    request = AWSRequest(tried.theirs.method, example.url, dict(tried.theirs.headers), tried.theirs.body)
    credentials = BotocoreCredentials(key.access_key_id, key.secret_access_key)
    SigV4Auth(credentials, example.service, example.region).add_auth(request)
    answer = URLLib3Session(verify=str(place.certificate[0])).send(request.prepare())
    return f"{answer.status_code} {text(answer.content)}"


if __name__ == "__main__":
    try:
        main()
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
