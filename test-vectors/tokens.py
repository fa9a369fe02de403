"""Tokens that are signatures in disguise: the cases of tokens.json, which generate.py writes.

As there, the reference decides. botocore is asked by its own function where it has one (RDS, DSQL), in the
way of the AWS CLI where that has one (EKS, CodeCommit), and by its signers for all others; awscrt by its
signer, but for CodeCommit's dialect.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
from unittest import mock
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.session

RULE = (
    "A token is a presigned URL of a request that nobody means to send, or that somebody else sends:"
    " less its scheme, in base64, with a prefix, or as it is. What is added behind the signature is not"
    " signed. The password of git is a dialect: no payload line, and no Z in the string to sign."
)
KEY = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
SESSION = KEY | {"session_token": "session/token+EXAMPLE=="}
TIME = "20150830T123600Z"
BODY = "Action=GetCallerIdentity&Version=2011-06-15"
IDENTITY = "/?" + BODY


def cases():
    host = "db.abc.eu-west-1.rds.amazonaws.com"
    cluster = "abc.dsql.us-east-1.on.aws"
    git = "git-codecommit.us-east-1.amazonaws.com"
    iot = "abcdef-ats.iot.us-east-1.amazonaws.com"
    sts = "sts.eu-west-1.amazonaws.com"
    nonce = bytes(range(64)).hex()
    for session in (False, True):
        def case(name, about, kind, region="us-east-1", **fields):
            return {
                "name": name + ("-session" if session else ""),
                "about": about + (", with a session token" if session else ""),
                "in": {"kind": kind, "region": region, "time": TIME,
                       "credentials": SESSION if session else KEY, **fields},
            }

        yield case("rds", "a database's password", "rds", "eu-west-1",
                   host=host, port=5432, user="app")
        yield case("rds-user", "a user with all that is encoded", "rds", "eu-west-1",
                   host=host, port=3306, user="a b+c@d/e%f=g&h~ü")
        yield case("dsql", "any user of a cluster", "dsql", host=cluster, admin=False, expires=900)
        yield case("dsql-admin", "the user admin, for a week", "dsql", host=cluster, admin=True,
                   expires=604800)
        yield case("elasticache", "a cache with nodes", "elasticache", cache="my-cache",
                   user="iam-user-01", serverless=False)
        yield case("elasticache-serverless", "a cache without", "elasticache", cache="my-cache",
                   user="iam-user-01", serverless=True)
        yield case("memorydb", "a cluster of MemoryDB", "memorydb", cache="my-cluster",
                   user="iam-user-01")
        yield case("eks", "a Kubernetes cluster", "eks", "us-west-2", cluster="my-cluster_1")
        yield case("eks-china", "the same in China", "eks", "cn-north-1", cluster="my-cluster_1")
        yield case("msk", "a broker; the user agent is not signed", "msk", "eu-west-1",
                   user_agent="billing/2.1 (x)")
        yield case("codecommit", "a repository", "codecommit", host=git, path="/v1/repos/my-repo.1")
        yield case("iot", "MQTT; the session token stands behind the signature", "iot", host=iot,
                   expires=900)
        yield case("transcribe", "streaming transcription", "transcribe", "us-west-2",
                   parameters=[["language-code", "en-US"], ["media-encoding", "pcm"],
                               ["sample-rate", "16000"], ["vocabulary-name", "a b&c"]])
        yield case("bedrock", "an API key for twelve hours", "bedrock", "us-west-2", expires=43200)
        yield case("identity-url", "a proof of identity to be fetched", "identity-url", "eu-west-1",
                   expires=300)
        yield case("identity", "a proof of identity to be posted, for one server", "identity",
                   "eu-west-1", host=sts, headers=[["x-vault-aws-iam-server-id", "vault.example.com"]])
        yield case("mongodb", "an answer to MongoDB's challenge", "mongodb", "eu-west-1", host=sts,
                   nonce=nonce)


def component(text):
    return quote(text, safe="-._~")


def request_of(given):
    """The request behind a token, as the files' `in` has it; what stands before and behind the URL."""
    kind, region = given["kind"], given["region"]
    service, method, headers, expires, before, behind = kind, "GET", [], 900, "https://", ""
    if kind == "rds":
        service, before = "rds-db", ""
        url = f"{given['host']}:{given['port']}/?Action=connect&DBUser={component(given['user'])}"
    elif kind == "dsql":
        before, expires = "", given["expires"]
        url = f"{given['host']}/?Action=DbConnect{'Admin' if given['admin'] else ''}"
    elif kind in ("elasticache", "memorydb"):
        before = ""
        url = f"{given['cache']}/?Action=connect&User={component(given['user'])}"
        url += "&ResourceType=ServerlessCache" if given.get("serverless") else ""
    elif kind == "eks":
        service, expires, headers = "sts", 60, [["x-k8s-aws-id", given["cluster"]]]
        url = f"sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}{IDENTITY}"
    elif kind == "msk":
        service, behind = "kafka-cluster", f"&User-Agent={component(given['user_agent'])}"
        url = f"kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect"
    elif kind == "iot":
        service, before, expires = "iotdevicegateway", "wss://", given["expires"]
        url = f"{given['host']}/mqtt"
    elif kind == "transcribe":
        before, expires = "wss://", 300
        query = "&".join(f"{component(n)}={component(v)}" for n, v in given["parameters"])
        url = f"transcribestreaming.{region}.amazonaws.com:8443/stream-transcription-websocket?{query}"
    elif kind == "bedrock":
        method, before, behind, expires = "POST", "", "&Version=1", given["expires"]
        url = "bedrock.amazonaws.com/?Action=CallWithBearerToken"
    elif kind == "identity-url":
        service, url, expires = "sts", f"sts.{region}.amazonaws.com{IDENTITY}", given["expires"]
    else:
        service, method, url = "sts", "POST", f"{given['host']}/"
        headers = [["Content-Type", "application/x-www-form-urlencoded"], ["Content-Length", "43"]]
        if kind == "mongodb":
            nonce = base64.b64encode(bytes.fromhex(given["nonce"])).decode()
            headers += [["X-MongoDB-Server-Nonce", nonce], ["X-MongoDB-GS2-CB-Flag", "n"]]
        headers += given.get("headers", [])
    in_header = kind in ("identity", "mongodb")
    request = {
        "method": method, "url": "https://" + url, "headers": headers, "region": region,
        "service": service, "time": given["time"], "credentials": given["credentials"],
        "as": "headers" if in_header else "query", "payload": "hash", "rules": {},
    }
    request |= {"body": BODY} if in_header else {"expires": expires}
    return request, before, behind


def dressed(given, url):
    """A presigned URL, less its scheme, as the token it makes."""
    _, before, behind = request_of(given)
    text = before + url + behind
    urlsafe = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return {
        "eks": "k8s-aws-v1." + urlsafe,
        "msk": urlsafe,
        "bedrock": "bedrock-api-key-" + base64.b64encode(text.encode()).decode(),
    }.get(given["kind"], text)


def git_user(credentials):
    token = credentials.get("session_token")
    return credentials["access_key_id"] + (f"%{token}" if token else "")


def reference(given, sign):
    credentials = given["credentials"]
    if given["kind"] == "codecommit":
        time = given["time"].rstrip("Z")
        scope = [time[:8], given["region"], "codecommit", "aws4_request"]
        canonical = f"GIT\n{given['path']}\n\nhost:{given['host']}\n\nhost\n"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = ("AWS4" + credentials["secret_access_key"]).encode()
        for part in scope:
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join(["AWS4-HMAC-SHA256", time, "/".join(scope), digest])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return {"user": git_user(credentials), "password": f"{time}Z{signature}"}
    expect = sign(request_of(given)[0])
    if "authorization" in expect:
        return {"authorization": expect["authorization"]}
    return {"token": dressed(given, expect["url"].removeprefix("https://"))}


def botocore_says(given, ask, sign):
    credentials = given["credentials"]
    now = datetime.datetime.strptime(given["time"], "%Y%m%dT%H%M%SZ")
    keys = botocore.credentials.Credentials(
        credentials["access_key_id"], credentials["secret_access_key"],
        credentials.get("session_token"),
    )

    def client(service):
        return botocore.session.Session().create_client(
            service, region_name=given["region"], aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key, aws_session_token=keys.token,
        )

    # Where awscrt is installed, its clients sign by that, which is asked on its own.
    own = {"v4-query": botocore.auth.SigV4QueryAuth}
    # Whatever the files of whoever generates say.
    files = dict.fromkeys(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"], os.devnull)
    with (
        mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: now),
        mock.patch.dict(botocore.auth.AUTH_TYPE_MAPS, own),
        mock.patch.dict(os.environ, files),
    ):
        if given["kind"] == "rds":
            return {"token": client("rds").generate_db_auth_token(
                given["host"], given["port"], given["user"])}
        if given["kind"] == "dsql":
            dsql = client("dsql")
            make = (dsql.generate_db_connect_admin_auth_token if given["admin"]
                    else dsql.generate_db_connect_auth_token)
            return {"token": make(given["host"], given["region"], given["expires"])}
        if given["kind"] == "eks":
            sts = client("sts")
            sts.meta.events.register(
                "before-sign.sts.GetCallerIdentity",
                lambda request, **_: request.headers.add_header("x-k8s-aws-id", given["cluster"]))
            url = sts.generate_presigned_url(
                "get_caller_identity", ExpiresIn=60, HttpMethod="GET")
            return {"token": dressed(given, url.removeprefix("https://"))}
        if given["kind"] == "codecommit":
            signer = botocore.auth.SigV4Auth(keys, "codecommit", given["region"])
            request = botocore.awsrequest.AWSRequest("GIT", f"https://{given['host']}{given['path']}")
            request.context["timestamp"] = given["time"].rstrip("Z")
            canonical = f"GIT\n{given['path']}\n\nhost:{given['host']}\n\nhost\n"
            signature = signer.signature(signer.string_to_sign(request, canonical), request)
            return {"user": git_user(credentials), "password": given["time"] + signature}
    request, *_ = request_of(given)
    return ask(request, sign(request))


def settle(case, sign, answer_of, oracles):
    given = case["in"]
    expect = reference(given, sign)
    agree, problems = {}, []
    for oracle, ask in oracles.items():
        request = None if given["kind"] == "codecommit" else request_of(given)[0]
        if oracle == "botocore":
            answer = botocore_says(given, ask, sign)
        else:
            answer = request and ask(request, sign(request))
        if answer is None:
            agree[oracle] = None
        elif isinstance(answer, dict):
            agree[oracle] = answer == expect
        else:
            agree[oracle] = answer == answer_of(sign(request))
        if agree[oracle] is False:
            problems.append(f"{oracle} says {json.dumps(answer)}, not {json.dumps(expect)}")
    return {**case, "expect": expect, "agree": agree}, problems


def family(sign, answer_of, oracles):
    """The family as it is written, and what is wrong with it."""
    settled, problems = [], []
    for case in cases():
        written, wrong = settle(case, sign, answer_of, oracles)
        settled.append(written)
        problems += [f"tokens/{case['name']}: {problem}" for problem in wrong]
    return {"family": "tokens", "rule": RULE, "cases": settled}, problems
