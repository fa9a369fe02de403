"""Real servers on loopback that refuse a wrong signature: s3s-fs, moto, Swift and radosgw.

    servers.py NAME[,NAME…] COMMAND [ARGUMENT…]

runs COMMAND while the servers of these names, `s3s-fs`, `moto`, `swift` and `radosgw`, are up, stops them
whatever happens, and exits with COMMAND's code. The command finds addresses and keys, made up anew for each
run, in its environment: INTEROP_S3_URL, INTEROP_S3_ACCESS_KEY_ID, INTEROP_S3_SECRET_ACCESS_KEY for s3s-fs,
the same three with MOTO, SWIFT and RADOSGW, and the ROLE_ARN of MOTO and RADOSGW; of moto also
INTEROP_WEB_IDENTITY_FILE and INTEROP_SAML_ASSERTION. `servers.py s3s-fs bash` is a place to try things by
hand.
"""

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

REGION = "us-east-1"
BUCKET = "interop"
START_SECONDS = 60

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("COUNTERSIGN_INTEROP_CACHE") or HERE.parent / "target" / "interop")
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ANYONE_MAY_ASSUME = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}


class NotStarted(Exception):
    """A server does not answer; the message is the line to print."""


@contextmanager
def s3s_fs(directory: Path):
    """s3s-fs with one bucket; objects are files under `directory`."""
    (directory / BUCKET).mkdir(parents=True)
    # s3s-fs takes its keys as arguments only. They open nothing but this server, for this run.
    access_key, secret = "AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20)
    port = free_port()
    command = [CACHE / "bin" / "s3s-fs", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--access-key", access_key, "--secret-key", secret, directory]
    url = f"http://127.0.0.1:{port}"
    with running("s3s-fs", command, url):
        yield {
            "INTEROP_S3_URL": url,
            "INTEROP_S3_ACCESS_KEY_ID": access_key,
            "INTEROP_S3_SECRET_ACCESS_KEY": secret,
        }


@contextmanager
def swift(directory: Path):
    """Swift with one bucket, in a process of its own from an environment of its own."""
    directory.mkdir()
    access_key, secret = "interop:interop", secrets.token_hex(20)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    secret_too = {"INTEROP_SWIFT_SECRET_ACCESS_KEY": secret}
    command = [CACHE / "swift" / "bin" / "python", HERE / "swift_server.py", str(port), directory]
    with running("swift", command, url, os.environ | secret_too):
        client("s3", url, access_key, secret).create_bucket(Bucket=BUCKET)
        yield {"INTEROP_SWIFT_URL": url, "INTEROP_SWIFT_ACCESS_KEY_ID": access_key} | secret_too


@contextmanager
def moto(directory: Path, tls: tuple | None = None):
    """moto with a user and a role that may do anything, and every request's signature checked.

    `tls` is a certificate and its key; SSL_CERT_FILE and AWS_CA_BUNDLE must name the certificate then.
    """
    port = free_port()
    url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if tls:
        command += ["--ssl", "--ssl-cert", tls[0], "--ssl-key", tls[1]]
    with running("moto", command, url + "/moto-api/data.json"):
        iam = client("iam", url, "anyone", "anything")
        iam.create_user(UserName="interop")
        iam.put_user_policy(UserName="interop", PolicyName="all", PolicyDocument=policy(ALLOW_ALL))
        key = iam.create_access_key(UserName="interop")["AccessKey"]
        role = iam.create_role(RoleName="interop", AssumeRolePolicyDocument=policy(ANYONE_MAY_ASSUME))
        iam.put_role_policy(RoleName="interop", PolicyName="all", PolicyDocument=policy(ALLOW_ALL))
        check_signatures_after(url, "0")
        directory.mkdir()
        token = directory / "web-identity"
        token.write_text(secrets.token_urlsafe(200) + "\n")
        yield {
            "INTEROP_WEB_IDENTITY_FILE": str(token),
            "INTEROP_SAML_ASSERTION": base64.b64encode(
                ASSERTION.format(role=role["Role"]["Arn"]).encode()
            ).decode(),
            "INTEROP_MOTO_URL": url,
            "INTEROP_MOTO_ACCESS_KEY_ID": key["AccessKeyId"],
            "INTEROP_MOTO_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "INTEROP_MOTO_ROLE_ARN": role["Role"]["Arn"],
        }


@contextmanager
def radosgw(directory: Path):
    """Ceph's gateway with a user, a role that it may assume and a bucket, over a cluster of one monitor and one
    store in memory."""
    for part in ("mon", "osd"):
        (directory / part).mkdir(parents=True)
    access_key, secret = "AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20)
    port, url = free_port(), f"http://127.0.0.1:{(gateway := free_port())}"
    cluster, store = str(uuid.uuid4()), str(uuid.uuid4())
    configuration, keys = directory / "ceph.conf", directory / "keyring"
    configuration.write_text(CEPH.format(cluster=cluster, port=port, at=directory))
    environment = os.environ | {"CEPH_CONF": str(configuration)}

    def run(*command) -> None:
        try:
            subprocess.run(
                command, env=environment, check=True, capture_output=True, timeout=START_SECONDS, text=True
            )
        except OSError as why:
            raise NotStarted(f"FAIL start radosgw: {why}") from None
        except subprocess.SubprocessError as why:
            tail = (getattr(why, "stderr", None) or "")[-2000:]
            raise NotStarted(f"FAIL start radosgw: {command[0]}: {why}\n{tail}") from None

    run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[v2:127.0.0.1:{port}]", directory / "monmap")
    run("ceph-authtool", "--create-keyring", keys, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for who in ("client.admin", "osd.0"):
        may = [part for what in ("mon", "osd", "mgr") for part in ("--cap", what, "allow *")]
        run("ceph-authtool", keys, "--gen-key", "-n", who, *may)
    run("ceph-mon", "--mkfs", "-i", "a", "--monmap", directory / "monmap", "--keyring", keys)
    with ExitStack() as stack:
        up = lambda name, command, is_up: stack.enter_context(running(name, command, is_up, environment))
        quick = lambda *command: subprocess.run(
            ["timeout", "5", *command], env=environment, capture_output=True, text=True
        )
        up("ceph-mon", ["ceph-mon", "-i", "a", "-f"], lambda: quick("ceph", "-s").returncode == 0)
        run("ceph", "osd", "new", store, "0")
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store, "--keyring", keys)
        up("ceph-osd", ["ceph-osd", "-i", "0", "-f"], lambda: "1 up" in quick("ceph", "osd", "stat").stdout)
        run("radosgw-admin", "user", "create", "--uid", "interop", "--display-name", "interop",
            "--access-key", access_key, "--secret-key", secret)
        anyone = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/interop"]}, "Action": ["sts:AssumeRole"]}
        run("radosgw-admin", "role", "create", "--role-name", "interop", "--path", "/",
            "--assume-role-policy-doc", policy(anyone))
        all_of_s3 = {"Effect": "Allow", "Action": ["s3:*"], "Resource": "arn:aws:s3:::*"}
        run("radosgw-admin", "role-policy", "put", "--role-name", "interop", "--policy-name", "all",
            "--policy-doc", policy(all_of_s3))
        command = ["radosgw", "-n", "client.admin", "-f", "--rgw-frontends", f"beast endpoint=127.0.0.1:{gateway}"]
        up("radosgw", command, lambda: answers(url))
        client("s3", url, access_key, secret).create_bucket(Bucket=BUCKET)
        yield {
            "INTEROP_RADOSGW_URL": url,
            "INTEROP_RADOSGW_ACCESS_KEY_ID": access_key,
            "INTEROP_RADOSGW_SECRET_ACCESS_KEY": secret,
            "INTEROP_RADOSGW_ROLE_ARN": "arn:aws:iam:::role/interop",
        }


# Nothing is kept on a disk, and nothing is kept twice.
CEPH = """\
[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
mon data = {at}/mon
osd data = {at}/osd
osd objectstore = memstore
memstore device bytes = 268435456
osd crush initial weight = 1
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
mon allow pool size one = true
run dir = {at}
pid file = {at}/$name.pid
admin socket = {at}/$name.asok
log file = {at}/$name.log
keyring = {at}/keyring
rgw s3 auth use sts = true
rgw sts key = countersign12345
"""

# What moto reads of an assertion. It checks no signature.
ASSERTION = """\
<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">
<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><saml:AttributeStatement>
<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/Role">
<saml:AttributeValue>{role},arn:aws:iam::123456789012:saml-provider/directory</saml:AttributeValue></saml:Attribute>
<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/RoleSessionName">
<saml:AttributeValue>countersign</saml:AttributeValue></saml:Attribute>
<saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/SessionDuration">
<saml:AttributeValue>900</saml:AttributeValue></saml:Attribute>
</saml:AttributeStatement></saml:Assertion></samlp:Response>
"""


def check_signatures_after(moto_url: str, requests: str) -> None:
    """moto checks signatures after this many more requests; `inf` switches the check off."""
    # Without a media type urllib claims a form, and moto then sees an empty body.
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(moto_url + "/moto-api/reset-auth", requests.encode(), headers)
    urllib.request.urlopen(request, timeout=10).close()


def client(service: str, url: str, access_key: str, secret: str):
    import boto3  # only here: whoever imports this module for the names above need not have it
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        # As it would call the address of a server, by which Swift knows the bucket.
        config=Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def policy(statement: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(name: str, command: list, probe, environment: dict | None = None):
    """The process of `command`, from the moment that it answers HTTP at the URL `probe`, or that the function
    `probe` says so."""
    is_up = probe if callable(probe) else lambda: answers(probe)
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        except OSError as why:
            raise NotStarted(f"FAIL start {name}: {why}") from None
        try:
            deadline = time.monotonic() + START_SECONDS
            while not is_up():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    tail = log.read()[-2000:].decode(errors="replace")
                    raise NotStarted(f"FAIL start {name}: no answer (exit code {process.poll()})\n{tail}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        pass  # a refusal is an answer
    except OSError:
        return False
    return True


SERVERS = {"s3s-fs": s3s_fs, "moto": moto, "swift": swift, "radosgw": radosgw}


def main() -> int:
    names = sys.argv[1].split(",") if len(sys.argv) > 2 else []
    if not names or not SERVERS.keys() >= set(names):
        raise SystemExit(__doc__)
    # The proxy of whoever calls is not for loopback; a termination is to stop the servers too.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="countersign-interop-")))
        # boto3 is not to find the configuration of whoever calls.
        os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(root / "none")
        environment = dict(os.environ)
        for name in names:
            environment |= stack.enter_context(SERVERS[name](root / name))
        return subprocess.run(sys.argv[2:], env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
