"""Clients in Python, driven a line at a time: boto3, botocore, aws-cli, awscurl, requests-aws4auth, awscrt.

    python.py CLIENT

reads a JSON object per line (the fields of `cases.Case`, or only its name, with `endpoint` and
`credentials`), sends that one request, and answers with a line: {"status": 200} or {"error": "…"}.
"""

import base64
import contextlib
import http.client
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from cases import BINARY, COMMANDS, OPERATIONS, REGION

EXPIRES = 600


def send(endpoint: str, method: str, target: str, headers, body: bytes) -> int:
    """What another signed, sent exactly so."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=20)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode() if isinstance(value, str) else value)
        if body and "content-length" not in {name.lower() for name, _ in headers}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        return connection.getresponse().status
    finally:
        connection.close()


class Boto3:
    """Operations, as an application calls them."""

    def __init__(self):
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        self.boto3, self.refusals = boto3, (ClientError, BotoCoreError)
        self.config = Config(
            proxies={},
            retries={"total_max_attempts": 1},
            signature_version="v4",
            # Else small uploads go in chunks with a checksum behind them.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        )
        self.clients = {}

    def client(self, service: str, endpoint: str, key: dict):
        from botocore.config import Config

        name = (service, *key.values())
        if name not in self.clients:
            config = self.config.merge(Config(signature_version="s3v4")) if service == "s3" else self.config
            self.clients[name] = self.boto3.client(
                service,
                endpoint_url=endpoint,
                region_name=REGION,
                aws_access_key_id=key["access_key_id"],
                aws_secret_access_key=key["secret_access_key"],
                aws_session_token=key["session_token"] or None,
                config=config,
            )
        return self.clients[name]

    def perform(self, line: dict) -> dict:
        case = OPERATIONS[line["name"]]
        client = self.client(case.service, line["endpoint"], line["credentials"])
        if case.presign:
            put = case.operation.startswith("put")
            method, body = ("PUT", BINARY) if put else ("GET", b"")
            url = client.generate_presigned_url(
                case.operation, Params=case.parameters, ExpiresIn=EXPIRES, HttpMethod=method
            )
            host = urlsplit(url).netloc
            target = url.removeprefix(f"http://{host}")
            return {"status": send(line["endpoint"], method, target, [("Host", host)], body)}

        def add_header(request, **_):
            request.headers[case.header[0]] = case.header[1]

        event = f"before-sign.{client.meta.service_model.service_id.hyphenize()}"
        if case.header:
            client.meta.events.register(event, add_header)
        try:
            answer = getattr(client, case.operation)(**case.parameters)
            return {"status": answer["ResponseMetadata"]["HTTPStatusCode"]}
        except self.refusals as why:
            answer = getattr(why, "response", {})
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return {"status": status, "code": answer.get("Error", {}).get("Code"), "error": str(why)}
        finally:
            if case.header:
                client.meta.events.unregister(event, add_header)


class Botocore:
    """botocore's signers alone, given URLs that none of its operations would make."""

    def perform(self, line: dict) -> dict:
        from botocore import auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        key = line["credentials"]
        credentials = Credentials(key["access_key_id"], key["secret_access_key"], key["session_token"] or None)
        s3 = line["service"] == "s3"
        if line["presign"]:
            kind = auth.S3SigV4QueryAuth if s3 else auth.SigV4QueryAuth
            signer = kind(credentials, line["service"], REGION, expires=EXPIRES)
        else:
            signer = (auth.S3SigV4Auth if s3 else auth.SigV4Auth)(credentials, line["service"], REGION)
        # A presigned S3 URL leaves the body open, and others have none here.
        body = None if line["presign"] else line["body"]
        request = AWSRequest(line["method"], line["endpoint"] + line["target"], data=body)
        for name, value in line["headers"]:
            request.headers.add_header(name, value)
        signer.add_auth(request)
        parts = urlsplit(request.url)
        target = request.url.removeprefix(line["endpoint"])
        headers = [("Host", parts.netloc), *request.headers.items()]
        return {"status": send(line["endpoint"], line["method"], target, headers, line["body"])}


class AwsCli:
    """The AWS CLI's own main function, in this process: it takes a second to start."""

    def __init__(self):
        from awscli.clidriver import create_clidriver

        self.create = create_clidriver
        self.directory = Path(tempfile.mkdtemp(dir=os.environ["HOME"]))
        (self.directory / "body").write_bytes(BINARY)
        os.environ |= {
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_DEFAULT_REGION": REGION,
        }

    def perform(self, line: dict) -> dict:
        key = line["credentials"]
        os.environ |= {"AWS_ACCESS_KEY_ID": key["access_key_id"], "AWS_SECRET_ACCESS_KEY": key["secret_access_key"]}
        os.environ.pop("AWS_SESSION_TOKEN", None)
        if key["session_token"]:
            os.environ["AWS_SESSION_TOKEN"] = key["session_token"]
        files = {"BODY": str(self.directory / "body"), "OUT": str(self.directory / "out")}
        arguments = [files.get(argument, argument) for argument in COMMANDS[line["name"]].arguments]
        code = self.create().main(["--endpoint-url", line["endpoint"], *arguments])
        return {"status": code}


class Awscurl:
    def perform(self, line: dict) -> dict:
        from awscurl.awscurl import inner_main

        key = line["credentials"]
        arguments = ["--service", line["service"], "--region", REGION, "-X", line["method"]]
        arguments += ["--access_key", key["access_key_id"], "--secret_key", key["secret_access_key"]]
        if key["session_token"]:
            arguments += ["--session_token", key["session_token"]]
        for name, value in line["headers"] or [("Accept", "application/xml")]:
            arguments += ["-H", f"{name}: {value}"]
        with tempfile.NamedTemporaryFile(dir=os.environ["HOME"]) as body:
            body.write(line["body"])
            body.flush()
            if line["body"]:
                arguments += ["--data-binary", "-d", "@" + body.name]
            return {"status": inner_main([*arguments, line["endpoint"] + line["target"]])}


class RequestsAws4auth:
    def perform(self, line: dict) -> dict:
        import requests
        from requests_aws4auth import AWS4Auth

        key = line["credentials"]
        token = {"session_token": key["session_token"]} if key["session_token"] else {}
        auth = AWS4Auth(key["access_key_id"], key["secret_access_key"], REGION, line["service"], **token)
        answer = requests.request(
            line["method"],
            line["endpoint"] + line["target"],
            headers=dict(line["headers"]),
            data=line["body"] or None,
            auth=auth,
            allow_redirects=False,
            timeout=20,
        )
        return {"status": answer.status_code}


class Awscrt:
    def perform(self, line: dict) -> dict:
        from awscrt import auth
        from awscrt.http import HttpHeaders, HttpRequest

        key = line["credentials"]
        s3, presign = line["service"] == "s3", line["presign"]
        body_hash = auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256
        types = auth.AwsSignatureType
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=types.HTTP_REQUEST_QUERY_PARAMS if presign else types.HTTP_REQUEST_HEADERS,
            credentials_provider=auth.AwsCredentialsProvider.new_static(
                key["access_key_id"], key["secret_access_key"], key["session_token"] or None
            ),
            region=REGION,
            service=line["service"],
            use_double_uri_encode=not s3,
            should_normalize_uri_path=not s3,
            signed_body_value=auth.AwsSignedBodyValue.UNSIGNED_PAYLOAD if s3 and presign else None,
            signed_body_header_type=body_hash if s3 and not presign else auth.AwsSignedBodyHeaderType.NONE,
            expiration_in_seconds=EXPIRES if presign else None,
        )
        headers = HttpHeaders([("Host", urlsplit(line["endpoint"]).netloc), *map(tuple, line["headers"])])
        body = io.BytesIO(line["body"]) if line["body"] else None
        request = HttpRequest(line["method"], line["target"], headers, body)
        request = auth.aws_sign_request(request, config).result(20)
        return {"status": send(line["endpoint"], request.method, request.path, list(request.headers), line["body"])}


CLIENTS = {
    "boto3": Boto3,
    "botocore": Botocore,
    "aws-cli": AwsCli,
    "awscurl": Awscurl,
    "requests-aws4auth": RequestsAws4auth,
    "awscrt": Awscrt,
}


def main() -> None:
    client = CLIENTS[sys.argv[1]]()
    out = sys.stdout
    for text in sys.stdin:
        line = json.loads(text)
        if "body_base64" in line:
            line["body"] = base64.b64decode(line.pop("body_base64"))
        # What a client prints is no answer to whoever drives it.
        quiet = io.TextIOWrapper(io.BytesIO())
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                answer = client.perform(line)
        except (Exception, SystemExit) as why:
            answer = {"error": f"{type(why).__name__}: {why}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
