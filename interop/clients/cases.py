"""What the clients are asked to send."""

import base64
from dataclasses import asdict, dataclass, field

REGION = "us-east-1"
FORM = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
JSON = ("Content-Type", "application/x-amz-json-1.0")
BINARY = bytes(range(256)) * 3


@dataclass(frozen=True)
class Case:
    """A request that any signer can be given; path and query are as they are to be on the wire."""

    name: str
    service: str
    target: str = "/"
    method: str = "GET"
    headers: tuple = ()
    body: bytes = b""
    token: bool = False
    presign: bool = False


@dataclass(frozen=True)
class Operation:
    """A call of boto3, by the names boto3 has for it."""

    name: str
    service: str
    operation: str
    parameters: dict = field(default_factory=dict)
    token: bool = False
    presign: bool = False
    # "secret" or "access key id" to sign with one that the server does not know.
    unknown: str = ""
    # A header that no parameter can write, added before the request is signed.
    header: tuple = ()


@dataclass(frozen=True)
class Command:
    """A command line of the AWS CLI; BODY stands for a file with bytes in it."""

    name: str
    arguments: tuple
    token: bool = False


CALLER = "Action=GetCallerIdentity&Version=2011-06-15"
METHOD_ARN = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af/invocations"
STAGE = "/prod/items"

GENERIC = [
    # Services and bodies.
    Case("sts GET", "sts", f"/?{CALLER}"),
    Case("sts form", "sts", "/", "POST", (FORM,), CALLER.encode()),
    Case("sts form, session token", "sts", "/", "POST", (FORM,), CALLER.encode(), token=True),
    Case("form with unicode", "sts", "/", "POST", (FORM,), b"Action=X&Name=Gr%C3%BC%C3%9Fe+%2F&a=1&a="),
    Case(
        "ec2 filters out of order",
        "ec2",
        "/?Action=DescribeInstances&Filter.10.Name=b&Filter.1.Name=a&Version=2016-11-15",
    ),
    Case("ec2 prefixes", "ec2", "/?a-b=1&a=2&a.b=3&aa=4&A=5"),
    Case("sqs json", "sqs", "/", "POST", (JSON, ("X-Amz-Target", "AmazonSQS.SendMessage")), b'{"MessageBody":"a b"}'),
    Case(
        "dynamodb json",
        "dynamodb",
        "/",
        "POST",
        (JSON, ("X-Amz-Target", "DynamoDB_20120810.PutItem")),
        '{"Item":{"id":{"S":"Grüße €"}}}'.encode(),
    ),
    Case("monitoring binary", "monitoring", "/", "POST", (("Content-Type", "application/cbor"),), BINARY),
    Case("lambda arn in the path", "lambda", METHOD_ARN, "POST", (("Content-Type", "application/json"),), b"{}"),
    Case("execute-api PUT", "execute-api", STAGE, "PUT", (("Content-Type", "application/json"),), b"[1,2]"),
    Case("execute-api DELETE, session token", "execute-api", f"{STAGE}/1", "DELETE", token=True),
    # Paths, general rules.
    Case("path: space", "execute-api", "/prod/a%20b/c"),
    Case("path: =(1)", "execute-api", "/prod/a=b(1)"),
    Case("path: !*'@:$,;+", "execute-api", "/prod/!*'@:$,;+"),
    Case("path: //", "execute-api", "/prod//a"),
    Case("path: final /", "execute-api", "/prod/a/"),
    Case("path: dots", "execute-api", "/prod/./x/../a"),
    Case("path: final dot segment", "execute-api", "/prod/x/.."),
    Case("path: unicode", "execute-api", "/prod/%E2%82%AC/%C3%BC"),
    Case("path: %25", "execute-api", "/prod/100%25"),
    Case("path: %2F", "execute-api", "/prod/a%2Fb"),
    Case("path: lower-case escape", "execute-api", "/prod/a%c3%bc"),
    Case("path: ~", "execute-api", "/prod/~a-b_c.d"),
    # Queries.
    Case("query: space as %20", "execute-api", f"{STAGE}?q=a%20b"),
    Case("query: space as +", "execute-api", f"{STAGE}?q=a+b"),
    Case("query: %2B", "execute-api", f"{STAGE}?q=a%2Bb"),
    Case("query: %2F and raw /", "execute-api", f"{STAGE}?q=a%2Fb&r=a/b"),
    Case("query: repeated name", "execute-api", f"{STAGE}?q=2&q=1&q=10"),
    Case("query: empty values", "execute-api", f"{STAGE}?q=&r&s=1"),
    Case("query: unicode", "execute-api", f"{STAGE}?q=%E2%82%AC&%C3%BC=1"),
    Case("query: lower-case escape", "execute-api", f"{STAGE}?q=%c3%bc"),
    Case("query: = in a value", "execute-api", f"{STAGE}?q=a=b=="),
    Case("query: %3D and %26", "execute-api", f"{STAGE}?q=a%3Db%26c"),
    Case("query: !*'():@$,;", "execute-api", f"{STAGE}?q=!*'():@$,;"),
    Case("query: %25", "execute-api", f"{STAGE}?q=100%25&r=%252F"),
    # Headers.
    Case("header: inner spaces", "execute-api", STAGE, headers=(("X-Amz-Meta-A", "a   b    c"),)),
    Case("header: repeated", "execute-api", STAGE, headers=(("X-Amz-Meta-A", "b"), ("X-Amz-Meta-A", "a"))),
    Case("header: quotes, commas and colons", "execute-api", STAGE, headers=(("X-Amz-Meta-A", '"a,  b": c;d=e'),)),
    Case("header: names in mixed case", "execute-api", STAGE, headers=(("x-amz-META-b", "1"), ("X-AMZ-meta-A", "2"))),
    # S3.
    Case("s3 GET", "s3", "/bucket/key"),
    Case("s3 GET, session token", "s3", "/bucket/key", token=True),
    Case(
        "s3 PUT binary", "s3", "/bucket/key", "PUT", (("Content-Type", "image/png"), ("X-Amz-Meta-A", "a  b")), BINARY
    ),
    Case("s3 PUT empty", "s3", "/bucket/empty", "PUT"),
    Case("s3 DELETE a version", "s3", "/bucket/key?versionId=a.b_c-d~e", "DELETE"),
    Case("s3 list", "s3", "/bucket?list-type=2&prefix=a%2Fb%20c&delimiter=%2F"),
    Case("s3 sub-resource", "s3", "/bucket/key?acl"),
    Case("s3 query: repeated name", "s3", "/bucket/key?q=2&q=1"),
    Case("s3 key: space", "s3", "/bucket/a%20b"),
    Case("s3 key: raw =(1)", "s3", "/bucket/a=b(1)"),
    Case("s3 key: raw +@!", "s3", "/bucket/a+b@c!"),
    Case("s3 key: encoded =(1)", "s3", "/bucket/a%3Db%281%29"),
    Case("s3 key: %2B", "s3", "/bucket/a%2Bb"),
    Case("s3 key: %2F", "s3", "/bucket/a%2Fb"),
    Case("s3 key: //", "s3", "/bucket//a//b"),
    Case("s3 key: dots", "s3", "/bucket/./a/../b"),
    Case("s3 key: unicode", "s3", "/bucket/%E2%82%AC%20%C3%BC"),
    Case("s3 key: %25", "s3", "/bucket/100%25"),
    Case("s3 key: lower-case escape", "s3", "/bucket/a%3db"),
    # Presigned.
    Case("presigned s3 GET", "s3", "/bucket/key", presign=True),
    Case("presigned s3 GET, session token", "s3", "/bucket/key", presign=True, token=True),
    Case("presigned s3 GET, odd key", "s3", "/bucket/a%20b%3D%281%29%2B/%C3%BC", presign=True),
    Case(
        "presigned s3 GET, query",
        "s3",
        "/bucket/key?response-content-disposition=a%20b%3B%20%22c%22&versionId=1",
        presign=True,
    ),
    Case("presigned s3 PUT", "s3", "/bucket/key", "PUT", body=BINARY, presign=True),
    Case("presigned sts", "sts", f"/?{CALLER}", presign=True),
    Case("presigned sts, session token", "sts", f"/?{CALLER}", presign=True, token=True),
    Case("presigned execute-api", "execute-api", "/prod/a%20b/c=d?q=a%20b&q=a", presign=True),
]

# What only one client is asked for.
EXTRA = {
    "botocore": [Case("header: no-break space", "s3", "/bucket/key", headers=(("X-Amz-Meta-A", "\u00a0a"),))],
    "curl": [Case("s3 GET without x-amz-content-sha256", "s3", "/bucket/key")],
}

ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
TIMES = {"StartTime": "2026-01-01T00:00:00Z", "EndTime": "2026-01-02T00:00:00Z", "Period": 60}
KEYS = {
    "space": "a b",
    "=(1)": "a=b(1)",
    "+@!": "a+b@c!",
    "//": "/a//b",
    "dots": "./a/../b",
    "unicode": "€ ü",
    "%": "100%",
    "%2F": "a%2Fb",
    "final /": "a/",
    "*'~": "*'~",
}


def _object(operation: str, key: str = "key", **parameters) -> tuple:
    return "s3", operation, {"Bucket": "bucket", "Key": key} | parameters


BOTO3 = [
    Operation("sts get_caller_identity", "sts", "get_caller_identity"),
    Operation("sts get_caller_identity, session token", "sts", "get_caller_identity", token=True),
    Operation(
        "ec2 filters",
        "ec2",
        "describe_instances",
        {"Filters": [{"Name": f"tag:{i} +/", "Values": ["Grüße", "a=b&c", ""]} for i in range(12)]},
    ),
    Operation(
        "sqs send_message",
        "sqs",
        "send_message",
        {"QueueUrl": "http://127.0.0.1/123/q", "MessageBody": "Grüße + / %2F"},
    ),
    Operation(
        "dynamodb put_item",
        "dynamodb",
        "put_item",
        {"TableName": "t", "Item": {"id": {"S": "€"}, "b": {"B": BINARY}}},
        token=True,
    ),
    Operation(
        "cloudwatch put_metric_data",
        "cloudwatch",
        "put_metric_data",
        {"Namespace": "a/b c", "MetricData": [{"MetricName": "m", "Value": 1.5}]},
    ),
    Operation(
        "cloudwatch get_metric_statistics",
        "cloudwatch",
        "get_metric_statistics",
        {"Namespace": "a b", "MetricName": "m", "Statistics": ["Sum"]} | TIMES,
    ),
    Operation(
        "lambda invoke",
        "lambda",
        "invoke",
        {"FunctionName": ARN, "Payload": BINARY, "ClientContext": "e30=", "Qualifier": "$LATEST"},
    ),
    Operation("lambda list_tags", "lambda", "list_tags", {"Resource": ARN}),
    Operation(
        "lambda untag_resource: repeated names in the query",
        "lambda",
        "untag_resource",
        {"Resource": ARN, "TagKeys": ["b", "a c", "a+", "ü"]},
    ),
    Operation(
        "execute-api post_to_connection",
        "apigatewaymanagementapi",
        "post_to_connection",
        {"ConnectionId": "L0SM9cOFvHcCIhw=(1) @/ü", "Data": BINARY},
    ),
    Operation("s3 list_buckets", "s3", "list_buckets"),
    Operation(
        "s3 list_objects_v2",
        "s3",
        "list_objects_v2",
        {"Bucket": "bucket", "Prefix": "a b+/ü=&", "Delimiter": "/", "StartAfter": ""},
    ),
    Operation(
        "s3 put_object: body, metadata, tags",
        *_object(
            "put_object", Body=BINARY, Metadata={"a": "x   y", "b": "z"}, Tagging="a=b%20c&d=", ContentType="text/plain"
        ),
    ),
    Operation("s3 put_object, session token", *_object("put_object", Body=b"text"), token=True),
    Operation("s3 put_object: no body", *_object("put_object")),
    Operation("s3 copy_object", *_object("copy_object", CopySource="other/a b+ü")),
    Operation("s3 get_object: range", *_object("get_object", Range="bytes=0-9")),
    Operation(
        "s3 get_object: query",
        *_object("get_object", VersionId="a.b-c", ResponseContentDisposition='attachment; filename="a  b+ü.txt"'),
    ),
    Operation("s3 delete_object", *_object("delete_object")),
    Operation("s3 create_multipart_upload: name without value", *_object("create_multipart_upload")),
    Operation(
        "s3 delete_objects",
        "s3",
        "delete_objects",
        {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a"}, {"Key": "ü"}]}},
    ),
    *(Operation(f"s3 key: {name}", *_object("put_object", key, Body=b"x")) for name, key in KEYS.items()),
    Operation("presigned get_object", *_object("get_object"), presign=True),
    Operation("presigned get_object, session token", *_object("get_object"), presign=True, token=True),
    Operation(
        "presigned get_object: query",
        *_object("get_object", ResponseContentDisposition='attachment; filename="a  b+ü.txt"'),
        presign=True,
    ),
    Operation("presigned put_object", *_object("put_object"), presign=True),
    *(Operation(f"presigned key: {name}", *_object("get_object", key), presign=True) for name, key in KEYS.items()),
    Operation("presigned get_caller_identity", "sts", "get_caller_identity", presign=True),
    Operation("presigned get_caller_identity, session token", "sts", "get_caller_identity", presign=True, token=True),
    # The code of each refusal must be what the client reads from the answer.
    *(
        Operation(f"unknown {what}: {service}", service, operation, parameters, unknown=what)
        for what in ("secret", "access key id")
        for service, operation, parameters in (
            ("sts", "get_caller_identity", {}),
            ("ec2", "describe_instances", {}),
            ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1/123/q", "MessageBody": "a"}),
            ("dynamodb", "list_tables", {}),
            ("cloudwatch", "list_metrics", {}),
            ("lambda", "list_functions", {}),
            _object("get_object"),
        )
    ),
    Operation("header: no-break space at the ends", *_object("get_object"), header=("x-amz-meta-a", "\u00a0a\u00a0")),
    Operation("header: tab and spaces inside", *_object("get_object"), header=("x-amz-meta-a", "a \t  b")),
]

AWS_CLI = [
    Command("sts get-caller-identity", ("sts", "get-caller-identity")),
    Command("sts get-caller-identity, session token", ("sts", "get-caller-identity"), token=True),
    Command(
        "ec2 describe-instances",
        ("ec2", "describe-instances", "--filters", "Name=tag:Name,Values=a b,ü,c+d", "Name=x,Values=1"),
    ),
    Command("ec2 describe-tags, session token", ("ec2", "describe-tags", "--max-items", "5"), token=True),
    Command(
        "sqs send-message",
        ("sqs", "send-message", "--queue-url", "http://127.0.0.1/1/q", "--message-body", "Grüße + %2F"),
    ),
    Command("dynamodb put-item", ("dynamodb", "put-item", "--table-name", "t", "--item", '{"id": {"S": "€ ü"}}')),
    Command(
        "cloudwatch put-metric-data",
        (
            "cloudwatch",
            "put-metric-data",
            "--namespace",
            "a/b c",
            "--metric-name",
            "m",
            "--value",
            "1",
            "--dimensions",
            "a=b",
        ),
    ),
    Command("lambda invoke", ("lambda", "invoke", "--function-name", ARN, "--payload", '{"a": "ü"}', "OUT")),
    Command("lambda list-tags", ("lambda", "list-tags", "--resource", ARN)),
    Command("lambda untag-resource", ("lambda", "untag-resource", "--resource", ARN, "--tag-keys", "b", "a c", "a+")),
    Command(
        "execute-api post-to-connection",
        ("apigatewaymanagementapi", "post-to-connection", "--connection-id", "a=(1) @", "--data", "hello"),
    ),
    Command("s3api list-buckets", ("s3api", "list-buckets")),
    Command(
        "s3api list-objects-v2",
        ("s3api", "list-objects-v2", "--bucket", "bucket", "--prefix", "a b+/ü", "--no-paginate"),
    ),
    Command(
        "s3api put-object, session token",
        ("s3api", "put-object", "--bucket", "bucket", "--key", "k", "--body", "BODY"),
        token=True,
    ),
    Command(
        "s3api put-object: metadata",
        (
            "s3api",
            "put-object",
            "--bucket",
            "bucket",
            "--key",
            "k",
            "--body",
            "BODY",
            "--metadata",
            "a=x   y",
            "--tagging",
            "a=b%20c",
        ),
    ),
    Command(
        "s3api get-object: version",
        ("s3api", "get-object", "--bucket", "bucket", "--key", "k", "--version-id", "a.b-c", "OUT"),
    ),
    Command("s3api delete-object", ("s3api", "delete-object", "--bucket", "bucket", "--key", "k")),
    Command("s3 cp", ("s3", "cp", "BODY", "s3://bucket/dir/a b(1)=+ü")),
    Command("s3 ls", ("s3", "ls", "s3://bucket/a b+/")),
    *(
        Command(f"s3api key: {name}", ("s3api", "put-object", "--bucket", "bucket", "--key", key, "--body", "BODY"))
        for name, key in KEYS.items()
    ),
]

OPERATIONS = {case.name: case for case in BOTO3}
COMMANDS = {case.name: case for case in AWS_CLI}


def line(case) -> dict:
    """A case for a program in another language."""
    if not isinstance(case, Case):
        return {"name": case.name}
    fields = asdict(case)
    fields["body_base64"] = base64.b64encode(fields.pop("body")).decode()
    return fields | {"region": REGION}
