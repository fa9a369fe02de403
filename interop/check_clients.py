"""Real clients against `countersign listen`: who signs rightly is let in, whatever is altered is not.

    check_clients.py [CLIENT…]

Each client sends what `clients/cases.py` says, through a relay that keeps the bytes. What the listener
must answer is what `clients/judge.py` computes, and must be an acceptance but for the cases in
`clients/deviations.py`. Then every accepted request is sent again with one thing changed at a time.
All of them, as recorded, also go through `countersign verify --jsonl`, which must say the same.
"""

import base64
import hashlib
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "clients"))

from cases import AWS_CLI, BOTO3, EXTRA, GENERIC, line
from checks import BINARY, Checks, Credentials, clean_environment, run, text
from deviations import CANNOT, DEVIATIONS, PRESIGN
from judge import judge
from reference import Request
from servers import CACHE, REGION, NotStarted
from wire import Listener, Parts, Relay, flips, listening, tamperings

CLIENTS = Path(__file__).resolve().parent / "clients"
# Services that speak JSON have names of their own.
IN_JSON = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "IncompleteSignatureException": "IncompleteSignature",
}
FLIPS = 6  # random ones for each request, besides those chosen

# What a refusal is called, by what was altered.
CODES = {
    "credential's access key id": {"InvalidAccessKeyId", "InvalidClientTokenId"},
    "another known key": {"InvalidToken", "InvalidClientTokenId"},
    "body byte": {"XAmzContentSHA256Mismatch", "SignatureDoesNotMatch"},
    "first body byte": {"XAmzContentSHA256Mismatch", "SignatureDoesNotMatch"},
    "body added": {"XAmzContentSHA256Mismatch", "SignatureDoesNotMatch"},
    "unsigned x-amz header": {"AccessDenied", "SignatureDoesNotMatch"},
    "signature, first digit": {"SignatureDoesNotMatch"},
    "signature, last digit": {"SignatureDoesNotMatch"},
    "signature in upper case": {"SignatureDoesNotMatch"},
    "method": {"SignatureDoesNotMatch"},
    "path byte": {"SignatureDoesNotMatch"},
    "longer path": {"SignatureDoesNotMatch"},
    "query piece added": {"SignatureDoesNotMatch"},
}


class Coprocess:
    """A client that is asked a line at a time."""

    def __init__(self, command: list, environment: dict):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, request: dict) -> dict:
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        answer = self.process.stdout.readline()
        watchdog.cancel()
        assert answer, "the client has exited"
        return json.loads(answer)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()


class Curl:
    """`curl --aws-sigv4`, a process for each request; its key comes on standard input."""

    def __init__(self, environment: dict):
        self.environment = environment

    def __call__(self, request: dict) -> dict:
        key = request["credentials"]
        service = request["service"]
        command = ["curl", "-q", "-sS", "-g", "--path-as-is", "-o", os.devnull, "-w", "%{http_code}", "-K", "-"]
        command += ["--aws-sigv4", f"aws:amz:{REGION}:{service}", "-X", request["method"]]
        headers = list(request["headers"])
        if key["session_token"]:
            headers.append(("x-amz-security-token", key["session_token"]))
        body = base64.b64decode(request["body_base64"])
        if service == "s3" and "without x-amz-content-sha256" not in request["name"]:
            # It does not send it by itself.
            headers.append(("x-amz-content-sha256", hashlib.sha256(body).hexdigest()))
        for name, value in headers:
            command += ["-H", f"{name}: {value}"]
        with tempfile.NamedTemporaryFile(dir=self.environment["HOME"]) as file:
            file.write(body)
            file.flush()
            if body:
                command += ["--data-binary", f"@{file.name}"]
            user = f'user = "{key["access_key_id"]}:{key["secret_access_key"]}"\n'
            url = request["endpoint"] + request["target"]
            done = run([*command, url], self.environment, user.encode())
        return {"status": int(done.stdout)} if done.returncode == 0 else {"error": text(done.stderr)}

    def close(self) -> None:
        pass


def cases_of(client: str) -> list:
    if client == "boto3":
        return BOTO3
    if client == "aws-cli":
        return AWS_CLI
    missing = CANNOT.get(client, set())
    cases = [case for case in GENERIC if case.name not in missing and not (case.presign and PRESIGN in missing)]
    return cases + EXTRA.get(client, [])


def start(client: str, home: Path):
    environment = clean_environment(home) | {
        "AWS_CONFIG_FILE": str(home / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
        "NO_PROXY": "127.0.0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "INTEROP_NODE_MODULES": str(CACHE / "node"),
    }
    if client == "curl":
        return Curl(environment)
    if client in ("aws4", "aws4fetch"):
        return Coprocess(["node", CLIENTS / "node" / "client.mjs", client], environment)
    if client == "aws-sigv4":
        return Coprocess([CACHE / "client" / "debug" / "aws-sigv4-client"], environment)
    return Coprocess([CACHE / "clients" / "bin" / "python", CLIENTS / "python.py", client], environment)


ALL = (
    "boto3", "botocore", "aws-cli", "awscurl", "curl", "aws4", "aws4fetch",
    "requests-aws4auth", "aws-sigv4", "awscrt",
)  # fmt: skip


def main() -> None:
    clients = sys.argv[1:] or ALL
    checks = Checks("check_clients")
    long_lived = Credentials("AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20))
    # Characters that a token has and a query must escape.
    session = Credentials("ASIA" + secrets.token_hex(8).upper(), secrets.token_hex(20), f"{secrets.token_hex(40)}/+==")
    keys = [long_lived, session]
    with tempfile.TemporaryDirectory(prefix="countersign-interop-") as name:
        home = Path(name)
        with listening(keys, home) as listener, Relay(listener).serving() as relay:
            for client in clients:
                check_client(checks, client, keys, listener, relay, home)
    checks.finish()


def check_client(checks: Checks, client: str, keys: list, listener: Listener, relay: Relay, home: Path) -> None:
    deviations = dict(DEVIATIONS.get(client, {}))
    counts = Counter()
    program = start(client, home)
    passed, seen = [], []
    try:
        for case in cases_of(client):
            deviation = deviations.pop(case.name, None)
            what = "is refused: " + deviation.why if deviation else "is accepted"
            with checks.check(f"{client}: {case.name} {what}"):
                exchange, answer = ask(program, case, keys, relay)
                passed.append(exchange)
                seen.append((case.name, exchange.raw))
                counts["accepted" if exchange.verdict["ok"] else "refused"] += 1
                check_verdict(exchange, judge(exchange.raw, keys), deviation)
                check_answer(exchange, answer)
                if exchange.verdict["ok"]:
                    altered = alterations(exchange, case.name, keys)
                    seen += [(f"{case.name}, {what} altered", raw) for what, raw in altered]
                    counts["altered"] += check_altered(exchange, altered, keys, listener)
    finally:
        program.close()
    with checks.check(f"{client}: every case that is said to be signed wrongly was sent"):
        assert not deviations, f"no such case: {list(deviations)}"
        assert len(passed) >= 20, f"only {len(passed)} requests"
    with checks.check(f"{client}: countersign verify --jsonl says the same of all of them"):
        counts["offline"] = check_offline(seen, keys, home)
    print(
        f"{client}: {len(passed)} requests, {counts['accepted']} accepted, {counts['refused']} refused; "
        f"{counts['altered']} altered ones refused; {counts['offline']} verified as recorded",
        flush=True,
    )


def ask(program, case, keys: list, relay: Relay) -> tuple:
    """What passed between client and server, and what the client made of it."""
    key = keys[1] if case.token else keys[0]
    match getattr(case, "unknown", ""):
        case "secret":
            key = replace(key, secret_access_key=key.secret_access_key[::-1])
        case "access key id":
            key = replace(key, access_key_id="AKIAUNKNOWN")
    answer = program(
        line(case)
        | {
            "endpoint": f"http://127.0.0.1:{relay.port}",
            "credentials": {
                "access_key_id": key.access_key_id,
                "secret_access_key": key.secret_access_key,
                "session_token": key.session_token,
            },
        }
    )
    try:
        return relay.take(), answer
    except AssertionError as why:
        raise AssertionError(f"{why}; the client says {answer}") from None


def check_verdict(exchange, wrong: str, deviation) -> None:
    verdict, seen = exchange.verdict, f"{exchange.verdict}, the request: {text(exchange.raw[:2000])}"
    assert verdict["ok"] == (not wrong), f"the reference says {wrong or 'that it is rightly signed'}; {seen}"
    if not deviation:
        assert verdict["ok"], f"wrongly signed: {wrong}; {seen}"
        return
    assert not verdict["ok"], "it is accepted, the table of deviations says otherwise"
    assert IN_JSON.get(verdict["code"], verdict["code"]) == deviation.code, f"{deviation.code} expected; {seen}"
    causes = verdict.get("cause_codes") or []
    if causes and deviation.causes:
        assert set(causes) & set(deviation.causes), f"one of {deviation.causes} is the cause; {seen}"


def check_answer(exchange, answer: dict) -> None:
    """The answer has the verdict's status, and the client can read it."""
    verdict, status = exchange.verdict, int(exchange.answer.split(b" ", 2)[1])
    assert status == verdict.get("status", 200), f"answered {exchange.answer[:300]!r} for {verdict}"
    if answer.get("code"):
        assert answer["code"] == verdict.get("code"), f"the client reads {answer} for {verdict}"


def alterations(exchange, name: str, keys: list) -> list:
    """Pairs of what was altered and the altered request."""
    other = next(key for key in keys if key.access_key_id.encode() not in exchange.raw)
    chosen = [(what, parts.raw()) for what, parts in tamperings(exchange.raw, other.access_key_id)]
    return chosen + list(flips(exchange.raw, random.Random(name), FLIPS))


def check_altered(exchange, altered: list, keys: list, listener: Listener) -> int:
    """Refused if and only if the reference refuses it; how many were refused."""
    refused, problems = 0, []
    for what, raw in altered:
        wrong = judge(raw, keys)
        verdict = listener.exchange(raw).verdict
        if verdict["ok"] == bool(wrong):
            problems.append(f"{what}: the reference says {wrong or 'accepted'}, {verdict}: {text(raw[:1500])}")
        elif wrong:
            refused += 1
            code = IN_JSON.get(verdict["code"], verdict["code"])
            if what in CODES and code not in CODES[what]:
                problems.append(f"{what}: {verdict['code']}, expected one of {sorted(CODES[what])}")
    # Otherwise all of these might be refused for the time, or for nothing.
    assert listener.exchange(exchange.raw).verdict["ok"], "unaltered it is refused the second time"
    assert not problems, "; ".join(problems)
    return refused


def check_offline(seen: list, keys: list, home: Path) -> int:
    """The recorded requests through `verify --jsonl`; how many were verified."""
    credentials = {
        key.access_key_id: {"secret_access_key": key.secret_access_key}
        | ({"session_token": key.session_token} if key.session_token else {})
        for key in keys
    }
    asked, lines = [], []
    for name, raw in seen:
        request = Request.parse(raw)
        host = request.values("host")
        if len(host) != 1:
            continue  # the URL would supply it
        parts = Parts.of(raw)
        target = parts.path + (b"" if parts.query is None else b"?" + parts.query)
        try:
            fields = {
                "url": f"http://{host[0].decode()}{target.decode()}",
                "headers": [[header, value.decode()] for header, value in request.headers],
            }
        except UnicodeDecodeError:
            continue  # not to be written in JSON
        asked.append((name, raw))
        lines.append(
            {"id": len(lines), "method": request.method, "credentials": credentials}
            | {"body_base64": base64.b64encode(request.body).decode()}
            | fields
        )
    text_in = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    done = run([BINARY, "verify", "--jsonl"], clean_environment(home), text_in)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines), f"{len(answers)} answers to {len(lines)} lines: {text(done.stderr)}"
    problems = []
    for (name, raw), answer in zip(asked, answers):
        wrong = judge(raw, keys)
        if answer.get("ok") != (not wrong):
            problems.append(f"{name}: the reference says {wrong or 'accepted'}, {answer}: {text(raw[:1500])}")
    assert not problems, f"{len(problems)} differ: " + "; ".join(problems)
    return len(lines)


if __name__ == "__main__":
    try:
        main()
    except NotStarted as why:
        print(why, flush=True)
        sys.exit(1)
