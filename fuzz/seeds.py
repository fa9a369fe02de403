#!/usr/bin/env python3
"""Writes what fuzzing begins with: for targets that read bytes a corpus, for all a dictionary.

    fuzz/seeds.py             into fuzz/corpus/ and fuzz/words.dict, from test-vectors/, the docs and the tests

What earlier runs found stays: a seed is named after its text.
"""

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
TREE = HERE.parent


def cases(name: str) -> list:
    return json.loads((TREE / "test-vectors" / name).read_text())["cases"]


def signing() -> list:
    """The requests of the vectors, before and after they are signed."""
    names = "path-general path-s3 query headers host payload presign resign rules scope-and-key errors published"
    return [case for name in names.split() for case in cases(f"{name}.json")]


def headers_of(case: dict, signed: bool) -> list:
    expect = case.get("expect", {})
    headers = [tuple(pair) for pair in case["in"]["headers"]]
    if signed and "authorization" in expect:
        headers += [*expect.get("writes", {}).items(), ("authorization", expect["authorization"])]
    if not any(name.lower() == "host" for name, _ in headers):
        headers.append(("host", urlsplit(case["in"]["url"]).netloc))
    return headers


def url_of(case: dict, signed: bool) -> str:
    return case.get("expect", {}).get("url", case["in"]["url"]) if signed else case["in"]["url"]


def target_of(url: str) -> str:
    return re.sub(r"^[^:/?#]+://[^/?#]*", "", url) or "/"


def claims():
    for case in signing():
        url = url_of(case, True)
        lines = [f"{name}:{value}" for name, value in headers_of(case, True)]
        for target in (target_of(url), url):
            yield b"\0" + "\n".join([f"{case['in']['method']} {target}", *lines]).encode()


def http_texts():
    for case in signing():
        lines = [f"{name}: {value}" for name, value in headers_of(case, False)]
        head = "\r\n".join([f"{case['in']['method']} {target_of(url_of(case, False))} HTTP/1.1", *lines])
        yield f"{head}\r\n\r\n{case['in'].get('body', '')}".encode()


def curl_commands():
    for case in signing():
        lines = [f"-X\n{case['in']['method']}"] if case["in"]["method"] != "GET" else []
        lines += [f"-H\n{name}: {value}" for name, value in case["in"]["headers"]]
        if "body" in case["in"]:
            lines.append(f"--data-binary\n{case['in']['body']}")
        yield "\n".join([*lines, url_of(case, False)]).encode()
    table = (TREE / "crates" / "cli" / "src" / "curl" / "table.rs").read_text()
    for names in re.findall(r'"(-[^"\n]+)"', table):
        for name in names.split(" "):
            yield f"{name}\nvalue=1\nhttps://example.com/".encode()
            yield f"{name}\nhttps://example.com/".encode()


def endpoints():
    hosts = {urlsplit(case["in"]["url"]).netloc for case in signing()}
    text = (TREE / "tests" / "endpoint.rs").read_text()
    hosts |= set(re.findall(r'"([a-z0-9.-]+\.(?:amazonaws|aws|api)[a-z0-9.-]*)"', text))
    for host in hosts:
        yield b"\0" + host.encode()


def proxy_configs():
    for path in (TREE / "docs" / "proxy.md", *sorted((TREE / "deploy").rglob("*.yaml"))):
        text = path.read_text()
        for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
            yield block.encode()
    for path in sorted((TREE / "crates" / "proxy" / "src").rglob("*.rs")):
        for block in re.findall(r'toml::from_str(?:::<Config>)?\(\s*r#"(.*?)"#', path.read_text(), re.DOTALL):
            yield block.encode()


def profiles():
    for path in sorted((TREE / "tests" / "providers").rglob("*.rs")):
        for block in re.findall(
            r'"((?:[^"\\]|\\.)*\[(?:profile|default|sso-session)(?:[^"\\]|\\.)*)"', path.read_text()
        ):
            text = re.sub(r"\\\n\s*", "", block).replace("\\n", "\n").replace('\\"', '"')
            yield text.encode() + b"\0"
            yield b"\0" + text.encode()
    for path in sorted((TREE / "docs" / "credentials").glob("*.md")):
        for block in re.findall(r"```ini\n(.*?)```|(?:^    .*\n)+", path.read_text(), re.MULTILINE):
            yield block.encode() + b"\0"


def documents():
    """What metadata services and agents answer, as their tests have it."""
    for path in sorted((TREE / "tests" / "providers").rglob("*.rs")):
        for block in re.findall(r'r#"(\{.*?\})"#', path.read_text(), re.DOTALL):
            yield b"\0" + block.encode()


def answers_of_sts():
    """Answers in the forms of AWS and of servers that are like it."""
    credentials = (
        "<Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>hush</SecretAccessKey>"
        "<SessionToken>whisper</SessionToken><Expiration>2015-08-30T13:36:00Z</Expiration></Credentials>"
    )
    space = ' xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
    arn = "arn:aws:sts::123456789012:assumed-role/cat/session"
    user = f"<AssumedRoleUser><Arn>{arn}</Arn><AssumedRoleId>AROAX:s</AssumedRoleId></AssumedRoleUser>"
    fault = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>"
    for number, operation in enumerate(["AssumeRole", "GetSessionToken", "GetFederationToken"]):
        result = f"<{operation}Result>{credentials}{user if number == 0 else ''}</{operation}Result>"
        meta = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>"
        yield bytes([number]) + f"<{operation}Response{space}>{result}{meta}</{operation}Response>".encode()
        for document in (
            f"<ErrorResponse{space}>{fault}</ErrorResponse>",
            f"<Response><Errors>{fault}</Errors></Response>",
            fault,
        ):
            yield bytes([number | 2 << 2]) + document.encode()


CORPORA = {
    "claim": claims,
    "curl_command": curl_commands,
    "endpoint": endpoints,
    "http_text": http_texts,
    "metadata_json": documents,
    "profile": profiles,
    "proxy_config": proxy_configs,
    "sts_xml": answers_of_sts,
}


def words():
    """Names, values and pieces of URLs that mean something."""
    for case in signing():
        request = case["in"]
        for name, value in request["headers"]:
            yield from (name, value)
        target = target_of(request["url"])
        path, _, query = target.partition("?")
        yield from path.split("/")
        yield from query.split("&")
        yield from re.split(r"[;,=&? \n]+", case.get("expect", {}).get("authorization", ""))


def main() -> None:
    for target, seeds in CORPORA.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        texts = {text for text in seeds() if text}
        for text in texts:
            (folder / hashlib.sha1(text).hexdigest()).write_bytes(text)
        print(f"{target}: {len(texts)} seeds")
        assert texts, f"no seeds for {target}: has what they are taken from moved?"
    listed = sorted({word for word in words() if 2 <= len(word.encode()) <= 60})
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in listed)
    (HERE / "words.dict").write_text("".join(f'"{word}"\n' for word in escaped))
    print(f"{len(listed)} words")


if __name__ == "__main__":
    main()
