"""Tokens that others make, made once more by `countersign token` at the same moment, byte for byte.

    check_tokens.py

The AWS CLI, boto3, and the packages that AWS publishes for Bedrock, MSK and CodeCommit. They sign by the clock;
the moment stands in what they print, and is given to our program. kubectl, where there is one, must send
what our program answers it.
"""

import base64
import json
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import boto3
from aws_bedrock_token_generator import BedrockTokenGenerator
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore.credentials import CredentialProvider
from botocore.credentials import Credentials as Keys
from git_remote_codecommit import sign as sign_for_git

from checks import BINARY, Checks, Credentials, clean_environment, run, text

REGION = "eu-west-1"
DATABASE = "db.abc.eu-west-1.rds.amazonaws.com"
CLUSTER = "abc.dsql.eu-west-1.on.aws"
GIT = f"git-codecommit.{REGION}.amazonaws.com"
ASKED = f"protocol=https\nhost={GIT}\npath=v1/repos/app\n\n".encode()
AWS = Path(sys.executable).parent / "aws"


class Both:
    """Our program and the others, with the same credentials."""

    def __init__(self, home: Path, credentials: Credentials):
        self.credentials = credentials
        self.environment = clean_environment(home) | credentials.environment()
        self.environment |= {"AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}
        self.keys = Keys(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token or None
        )

    def ours(self, *arguments, at=None, stdin=b"") -> str:
        time = ["--time", at] if at else []
        return self.output([BINARY, "token", *arguments, *time], stdin)

    def aws(self, *arguments, stdin=b"") -> str:
        return self.output([AWS, *arguments], stdin)

    def output(self, command, stdin=b"") -> str:
        done = run(command, self.environment, stdin)
        assert done.returncode == 0, text(done.stderr)
        return text(done.stdout).strip()


def moment_in(url: str) -> str:
    return re.search(r"X-Amz-Date=(\w+)", url)[1]


def decoded(token: str) -> str:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()


def same(ours: str, theirs: str) -> None:
    assert ours == theirs, f"{ours} is not {theirs}"


def fields(lines: str) -> dict:
    return dict(line.split("=", 1) for line in lines.splitlines())


def check_databases(checks: Checks, both: Both, what: str) -> None:
    with checks.check(f"aws rds generate-db-auth-token, {what}"):
        user = "a b+c@d/e%f"
        theirs = both.aws("rds", "generate-db-auth-token", "--hostname", DATABASE, "--port", "5432",
                          "--username", user)
        same(both.ours("rds", f"{DATABASE}:5432", "--user", user, at=moment_in(theirs)), theirs)
    dsql = boto3.client(
        "dsql", REGION, aws_access_key_id=both.keys.access_key,
        aws_secret_access_key=both.keys.secret_key, aws_session_token=both.keys.token,
    )
    for make, option in (
        (dsql.generate_db_connect_auth_token, []),
        (dsql.generate_db_connect_admin_auth_token, ["--admin"]),
    ):
        with checks.check(f"boto3's {make.__name__}, {what}"):
            theirs = make(CLUSTER, REGION, 3600)
            ours = both.ours("dsql", CLUSTER, *option, "--expires", "1h", at=moment_in(theirs))
            same(ours, theirs)


def check_eks(checks: Checks, both: Both, what: str) -> None:
    with checks.check(f"aws eks get-token, {what}"):
        theirs = json.loads(both.aws("eks", "get-token", "--cluster-name", "my-cluster"))
        url = decoded(theirs["status"]["token"].removeprefix("k8s-aws-v1."))
        ours = json.loads(both.ours("eks", "my-cluster", at=moment_in(url)))
        same(ours["status"].pop("token"), theirs["status"].pop("token"))
        until = [datetime.fromisoformat(made["status"].pop("expirationTimestamp")) for made in (ours, theirs)]
        assert abs((until[0] - until[1]).total_seconds()) < 10, until
        assert theirs.pop("apiVersion") == "client.authentication.k8s.io/v1beta1"
        assert ours.pop("apiVersion") == "client.authentication.k8s.io/v1"
        assert ours == theirs, f"{ours} is not {theirs}"


def check_git(checks: Checks, both: Both, what: str) -> None:
    with checks.check(f"aws codecommit credential-helper, {what}"):
        theirs = fields(both.aws("codecommit", "credential-helper", "get", stdin=ASKED))
        ours = fields(both.ours("codecommit", "get", at=theirs["password"][:16], stdin=ASKED))
        del ours["password_expiry_utc"]
        assert ours == theirs, f"{ours} is not {theirs}"
    with checks.check(f"git-remote-codecommit, {what}"):
        theirs = sign_for_git(GIT, "/v1/repos/app", REGION, both.keys)
        same(fields(both.ours("codecommit", "get", at=theirs[:16], stdin=ASKED))["password"], theirs)


def check_bearers(checks: Checks, both: Both, what: str) -> None:
    with checks.check(f"aws-bedrock-token-generator, {what}"):
        theirs = BedrockTokenGenerator().get_token(both.keys, REGION)
        url = base64.b64decode(theirs.removeprefix("bedrock-api-key-")).decode()
        same(both.ours("bedrock", at=moment_in(url)), theirs)

    class Provider(CredentialProvider):
        def load(self):
            return both.keys

    with checks.check(f"aws-msk-iam-sasl-signer-python, {what}"):
        theirs, expires = MSKAuthTokenProvider.generate_auth_token_from_credentials_provider(
            REGION, Provider()
        )
        url = decoded(theirs)
        agent = re.search(r"&User-Agent=(.*)", url)[1].replace("%2F", "/")
        assert re.fullmatch(r"[\w./-]+", agent), agent
        ours = json.loads(both.ours("msk", "--user-agent", agent, "--output", "json", at=moment_in(url)))
        assert ours == {"token": theirs, "expires_at_ms": expires}, f"{ours} is not {theirs} {expires}"


class Cluster(BaseHTTPRequestHandler):
    """An API server that notes who asks, and lets nobody in."""

    seen: list = []

    def do_GET(self):
        self.seen.append(self.headers.get("Authorization"))
        body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def check_kubectl(checks: Checks, both: Both, home: Path) -> None:
    if not shutil.which("kubectl"):
        print("kubectl: did not run, there is none on the PATH")
        return
    certificate, key = home / "cluster.pem", home / "cluster.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cluster",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )
    server = HTTPServer(("127.0.0.1", 0), Cluster)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for version in ("v1", "v1beta1"):
        with checks.check(f"kubectl asks for {version} and sends the token"):
            config = {
                "apiVersion": "v1", "kind": "Config", "current-context": "eks",
                "clusters": [{"name": "eks", "cluster": {
                    "server": f"https://127.0.0.1:{server.server_port}",
                    "certificate-authority": str(certificate)}}],
                "users": [{"name": "eks", "user": {"exec": {
                    "apiVersion": f"client.authentication.k8s.io/{version}", "command": str(BINARY),
                    "args": ["token", "eks", "my-cluster"], "interactiveMode": "Never"}}}],
                "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "eks"}}],
            }
            file = home / f"{version}.json"
            file.write_text(json.dumps(config))
            Cluster.seen.clear()
            run(["kubectl", "--kubeconfig", file, "get", "--raw", "/version"], both.environment)
            bearer = [value for value in Cluster.seen if value]
            assert bearer and bearer[-1].startswith("Bearer k8s-aws-v1."), Cluster.seen
            url = decoded(bearer[-1].removeprefix("Bearer k8s-aws-v1."))
            assert url.startswith(f"https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity"), url
    server.shutdown()


def main() -> None:
    checks = Checks("tokens")
    permanent = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    temporary = Credentials(
        permanent.access_key_id, permanent.secret_access_key, "session/token+EXAMPLE=="
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for what, credentials in (("permanent", permanent), ("temporary", temporary)):
            both = Both(home, credentials)
            for check in (check_databases, check_eks, check_git, check_bearers):
                check(checks, both, what)
        check_kubectl(checks, both, home)
    checks.finish()


if __name__ == "__main__":
    main()
