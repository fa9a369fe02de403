"""Many requests that nobody wrote, signed by us and by others: who differs does so for a reason that is named.

    check_differential.py COUNT [PEER…]        peers: botocore awscrt aws-sigv4 aws4 aws4fetch smithy; all by default
    check_differential.py table                prints the table that docs/differences.md has

`countersign sign --jsonl` signs COUNT requests that the generator below makes from one seed, and must come to what
`test-vectors/generate.py` comes to, the rules in Python, without exception. Then each peer signs them. Its signature
is ours, or one of its traits is: a `Trait` says of which requests a peer makes something else, and why. A difference
without a trait fails, and so does a trait without a difference (from a thousand requests on): what a peer mends is
taken out of the table. `docs/differences.md` has that table for people, and must have it as it is here.
"""

import base64
import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checks import BINARY, Checks, clean_environment

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test-vectors"))
import generate as rules

SEED = 20261122
TIME, SECONDS = "20260102T030405Z", 1767323045
HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "differences.md"
CACHE = Path(os.environ.get("COUNTERSIGN_INTEROP_CACHE", HERE.parent / "target" / "interop"))
# From so many on, each trait is there often enough to be seen alone.
ENOUGH = 10_000


# --------------------------------------------------------------------------------------------
# The requests
# --------------------------------------------------------------------------------------------

SERVICES = ["s3"] * 4 + ["execute-api"] * 3 + ["sts", "dynamodb", "es", "sqs", "lambda", "aps", "monitoring", "iam"]
WORDS = ["a", "b", "photos", "2026", "cat.jpg", "A-b_c~d", "0", "report", "x" * 40]
RAW = "!$&'()*,;:@="  # in a path; `+` is a case of its own
LETTERS = ["%E2%82%AC", "%C3%BC", "%F0%9F%90%88"]


def requests(count: int):
    """As `countersign sign --jsonl` takes them; of the same seed the same ones."""
    at = random.Random(SEED)
    for number in range(count):
        yield {"id": number} | one(at)


def one(at: random.Random) -> dict:
    service = at.choice(SERVICES)
    presigned = at.random() < 0.3
    path = [at.choice(WORDS) for _ in range(at.choice([0, 1, 1, 2, 3]))]
    query = [parameter(at) for _ in range(at.choice([0, 0, 1, 2, 3, 6]))]
    headers = [
        [f"X-Amz-Meta-{name}", at.choice(["v", "a b", "1,2", 'q="x"; r', ""])]
        for name in at.sample("ABCD", at.choice([0, 0, 1, 3]))
    ]
    method, body = at.choice(["GET", "GET", "DELETE", "HEAD"]), None
    if at.random() < 0.4:
        # With both headers: some signers add them to a body that lacks them, and sign them.
        method, body = at.choice(["PUT", "POST"]), at.randbytes(at.choice([1, 20, 300]))
        if presigned:
            body = None if service == "s3" else body
        else:
            headers += [["Content-Type", at.choice(["application/json", "text/plain; charset=utf-8"])]]
            headers += [["Content-Length", str(len(body))]]
    made = Made(service, path, query, headers)
    for _ in range(at.choice([0, 0, 1, 1, 1, 2, 3])):
        at.choice(ODDITIES)(at, made)
    target = "/" + "/".join(made.path) + ("?" + "&".join(made.query) if made.query else "")
    credentials = dict(rules.KEY)
    if at.random() < 0.25:
        credentials["session_token"] = at.choice(["token", rules.SESSION["session_token"]])
    request = {
        "method": method,
        "url": f"https://{'bucket.' if service == 's3' else ''}{service}.us-east-1.amazonaws.com{target}",
        "headers": made.headers,
        "as": "query" if presigned else "headers",
        "region": at.choice(["us-east-1", "eu-central-1"]),
        "service": service,
        "time": TIME,
        "credentials": credentials,
    }
    if presigned:
        request["expires"] = at.choice([1, 900, 604800])
    if body is not None:
        request["body_base64"] = base64.b64encode(body).decode()
    return request


def parameter(at: random.Random) -> str:
    name = at.choice(["Action", "Version", "prefix", "list-type", "a", "a-b", "Filter.1", "Filter.10"]) + str(
        at.randrange(100)
    )
    return f"{name}={at.choice(['1', 'ListUsers', 'a%20b', '%2F', 'x.y_z', ''])}"


@dataclass
class Made:
    service: str
    path: list
    query: list
    headers: list


def in_path(*texts):
    def oddity(at, made):
        made.path.insert(at.randint(0, len(made.path)), at.choice(texts))

    return oddity


def in_query(*texts):
    def oddity(at, made):
        made.query.insert(at.randint(0, len(made.query)), at.choice(texts))

    return oddity


def in_headers(*pairs):
    def oddity(at, made):
        pair = list(at.choice(pairs))
        # Who keeps headers in a map by their names as written cannot be given a name twice.
        if pair[0].lower() not in {name.lower() for name, _ in made.headers}:
            made.headers.insert(at.randint(0, len(made.headers)), pair)

    return oddity


def ends_in_slash(_, made):
    if made.path and made.path[-1]:
        made.path.append("")


def ends_in_dots(at, made):
    made.path.append(at.choice([".", ".."]))


def repeats_a_name(at, made):
    made.query += [f"q={value}" for value in at.sample(["2", "1", "10", ""], 2)]


def repeats_a_header(at, made):
    if not any(name == "X-Amz-Meta-R" for name, _ in made.headers):
        made.headers += [["X-Amz-Meta-R", "b"], ["X-Amz-Meta-R", "a"]]


ODDITIES = [
    in_path("a%20b", *LETTERS, "100%25", "%7Bx%7D"),
    in_path(*(f"a{mark}b" for mark in RAW)),
    in_path("a%3Db", "%28x%29", "%40"),
    in_path("a+b"),
    in_path("a%2Bb"),
    in_path("a%2Fb"),
    in_path("%c3%bc", "a%3db", "%7e"),
    in_path(""),
    in_path("."),
    in_path(".."),
    in_path("%41", "%2E", "%7E"),
    in_path("%FF", "a%E4b"),
    ends_in_slash,
    ends_in_dots,
    in_query(*(f"q=a{mark}b" for mark in "!$'()*,;:@/?"), "a(b=1", "x:y"),
    in_query("q=a=b=="),
    in_query("q=a+b", "a+b=1"),
    in_query("q=%2B", "q=a%26b", "q=%3D"),
    in_query("q=%c3%bc", "q=%3d"),
    in_query(*(f"q={letter}" for letter in LETTERS)),
    in_query("q=%FF", "%E4=1"),
    in_query("q=%41", "q=%7E", "%2D=1"),
    in_query("acl", "uploads"),
    in_query("=nameless"),
    in_query(""),
    repeats_a_name,
    repeats_a_header,
    in_query("q=%", "q=%G1", "100%=1"),
    in_path("100%", "%zz", "%2"),
    in_headers(("X-Amz-Meta-E", "a   b    c"), ("X-Amz-Meta-E", "  a\t b ")),
    in_headers(("X-Amz-Meta-F", '"a   b"')),
    in_headers(("X-Amz-Meta-G", "a\u00a0 \u00a0b"), ("X-Amz-Meta-G", "\u00a0a")),
    in_headers(("X-Amz-Meta-H", "Grüße"), ("X-Amz-Meta-H", "日本")),
    in_headers(("Cache-Control", "no-cache"), ("Pragma", "no-cache"), ("Referer", "https://a/"), ("From", "a@b")),
    in_headers(("Range", "bytes=0-1")),
    in_headers(("User-Agent", "me"), ("Expect", "100-continue"), ("X-Amzn-Trace-Id", "Root=1")),
    in_headers(
        ("Accept-Encoding", "gzip"), ("Via", "1.1 x"), ("X-Forwarded-For", "1.2.3.4"), ("Traceparent", "00-1-2-03")
    ),
    in_headers(("Sec-Fetch-Site", "none"), ("Proxy-Foo", "x"), ("Te", "trailers"), ("Max-Forwards", "3")),
    in_headers(("If-None-Match", '"x"'), ("Accept", "*/*"), ("X-Custom", "1")),
]


# --------------------------------------------------------------------------------------------
# What others make of them
# --------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A request, and what we make of it."""

    request: dict
    expect: dict

    def __post_init__(self):
        _, _, self.path, query, _ = rules.parse_url(self.request["url"])
        self.query = query or b""
        self.is_s3 = self.request["service"] == "s3"
        self.is_presigned = self.request["as"] == "query"

    def pieces(self) -> list:
        return [piece.partition(b"=")[::2] for piece in self.query.split(b"&")] if self.query else []

    def names(self) -> list:
        return [rules.decode(name.replace(b"+", b" "), strict=False) for name, _ in self.pieces()]

    def sent(self) -> set:
        return {name.lower() for name, _ in self.request["headers"]}

    def values(self) -> list:
        return [value for _, value in self.request["headers"]]


def has_header(*names) -> Callable:
    return lambda case: bool(case.sent() & set(names))


def is_not_text(data: bytes) -> bool:
    try:
        rules.decode(data, strict=False).decode()
    except UnicodeDecodeError:
        return True
    return False


def path_is_otherwise(case: Case) -> bool:
    return case.is_s3 and rules.encode(rules.decode(case.path, strict=False), keep=b"/") != case.path.decode()


def query_is_otherwise(case: Case) -> bool:
    raw = b"&".join(name + b"=" + value for name, value in sorted(case.pieces()))
    return not case.is_presigned and raw.decode() != rules.canonical_query(case.query)


def ends_in_dot_segment(case: Case) -> bool:
    return not case.is_s3 and case.path.rsplit(b"/", 1)[-1] in (b".", b"..")


def has_dot_segment(case: Case) -> bool:
    return any(segment in (b".", b"..") for segment in case.path.split(b"/"))


def has_coded_dots(case: Case) -> bool:
    return any(re.fullmatch(rb"(\.|%2[Ee]){1,2}", segment) for segment in case.path.split(b"/"))


def repeats_a_parameter(case: Case) -> bool:
    names = [name for name in case.names() if name]
    return len(set(names)) < len(names)


def has_unicode_blank(case: Case) -> bool:
    return any("\u00a0" in value for value in case.values())


def has_tab(case: Case) -> bool:
    return any("\t" in value for value in case.values())


def has_value_beyond_latin(case: Case) -> bool:
    return any(ord(char) > 0xFF for value in case.values() for char in value)


def has_repeated_header(case: Case) -> bool:
    return has_header("x-amz-meta-r")(case)


@dataclass(frozen=True)
class Trait:
    name: str
    why: str
    of: Callable


def plus_in_query(case):
    return b"+" in case.query


def empty_pieces(case):
    return bool(case.query) and any(not name for name, _ in case.pieces())


def query_not_text(case):
    return is_not_text(case.query)


def of_s3(trait: Callable) -> Callable:
    return lambda case: case.is_s3 and trait(case)


def presigned(trait: Callable) -> Callable:
    return lambda case: case.is_presigned and trait(case)


HOPS = ("accept-encoding", "via", "x-forwarded-for", "traceparent")
MORE_HOPS = (*HOPS, "sec-fetch-site", "proxy-foo", "te", "max-forwards")

S3_PATH = Trait(
    "S3 path as on the wire", "signs the path as it was written, neither decoded nor encoded", path_is_otherwise
)
S3_PLUS = Trait("plus in an S3 path", "takes it for a space", of_s3(lambda case: b"+" in case.path))
S3_FIRST = Trait("one value for S3", "signs the first value only of a repeated parameter", of_s3(repeats_a_parameter))
S3_NO_TEXT = Trait("S3 path that is no text", "fails", of_s3(lambda case: is_not_text(case.path)))
DOTS = Trait("trailing dots", "drops the final slash behind `/.` and `/..`", ends_in_dot_segment)
PLUS = Trait("plus in a query", "takes it for a plus sign", plus_in_query)
NAMELESS = Trait("empty pieces", "keeps the pieces of a query that have no name, or refuses them", empty_pieces)
NO_TEXT = Trait("query that is no text", "turns it into U+FFFD", query_not_text)
BLANKS = Trait("spaces of Unicode", "trims and folds no-break spaces", has_unicode_blank)
REPEATS = Trait("repeated headers", "joins them by `, `", has_repeated_header)


def signs(*names):
    return Trait("headers of hops", "signs headers that a hop may change", has_header(*names))


def leaves(*names):
    return Trait("headers left out", f"does not sign {', '.join(f'`{name}`' for name in names)}", has_header(*names))


TRAITS = {
    "botocore": [
        S3_PATH,
        Trait("query as on the wire", "signs the pieces of a query as they were written", query_is_otherwise),
        DOTS,
        Trait("one value", "keeps one value of a repeated parameter when it presigns", presigned(repeats_a_parameter)),
        Trait(NO_TEXT.name, "turns it into U+FFFD when it presigns", presigned(query_not_text)),
        Trait(NAMELESS.name, "keeps them when it presigns", presigned(empty_pieces)),
        BLANKS,
        signs(*MORE_HOPS),
    ],
    "awscrt": [S3_PATH, PLUS, DOTS, NAMELESS],
    "aws-sigv4": [
        S3_PATH,
        NO_TEXT,
        Trait(NAMELESS.name, "keeps parameters without a name", empty_pieces),
        Trait("tabs", "neither trims nor folds tabs in a header", has_tab),
        signs(*MORE_HOPS, "expect"),
    ],
    "aws4": [S3_PLUS, S3_FIRST, S3_NO_TEXT, DOTS, NO_TEXT, BLANKS, signs(*MORE_HOPS), leaves("range")],
    "aws4fetch": [
        S3_PLUS,
        S3_FIRST,
        Trait(S3_NO_TEXT.name, "signs it as it was written", S3_NO_TEXT.of),
        Trait("dots", "removes dot segments as browsers do, of S3 too, and coded ones", has_coded_dots),
        NO_TEXT,
        BLANKS,
        REPEATS,
        Trait("header that is no Latin text", "takes no such value", has_value_beyond_latin),
        signs(*MORE_HOPS, "user-agent", "expect", "x-amzn-trace-id"),
    ],
    "smithy": [
        S3_PATH,
        DOTS,
        PLUS,
        NAMELESS,
        Trait(NO_TEXT.name, "is given decoded text alone", NO_TEXT.of),
        Trait(REPEATS.name, "is given one value of a name", REPEATS.of),
        signs(*HOPS),
        leaves("cache-control", "from", "pragma", "referer"),
    ],
}


# What we do about it, and why.
OURS = {
    S3_PATH.name: "decoded once and encoded once: all spellings of a key are one, as they are to servers; what is signed"
    " as it was written is let through, too",
    "query as on the wire": "decoded and encoded, as servers do; no SDK writes a query in which that shows",
    DOTS.name: "the slash stays (RFC 3986, 5.2.4; AWS's own vectors); what is signed without it is let through, too",
    PLUS.name: "a space, as forms have it: servers refuse `%2B` for it",
    S3_PLUS.name: "a plus sign: it stands for a space in queries alone",
    NAMELESS.name: "dropped, as by what parses queries behind a server",
    NO_TEXT.name: "bytes are bytes, and signed as they are",
    S3_NO_TEXT.name: "bytes are bytes: keys of old uploads have them",
    "one value": "all values are signed",
    S3_FIRST.name: "all values are signed: what is not can be changed",
    "dots": "`.` and `..` are keys to S3, and `%2e` is no dot",
    BLANKS.name: "no blanks: HTTP knows the space and the tab",
    "tabs": "trimmed and folded as spaces are (AWS's own vectors)",
    REPEATS.name: "joined by `,` in the order of arrival",
    "header that is no Latin text": "the bytes of the value are signed, UTF-8 here",
    "headers of hops": "not signed: the signature would be wrong behind a hop that changes one",
    "headers left out": "signed: what nothing changes on its way",
}


def table() -> list:
    """The rows by what the requests have, with who differs."""
    rows = {}
    for peer, traits in TRAITS.items():
        for trait in traits:
            rows.setdefault(trait.name, []).append((peer, trait.why))
    lines = ["| requests with | we | others |", "|---|---|---|"]
    for name, others in rows.items():
        by_why = {}
        for peer, why in others:
            by_why.setdefault(why, []).append(peer)
        said = "; ".join(f"{', '.join(peers)}: {why}" for why, peers in by_why.items())
        lines.append(f"| {name} | {OURS[name]} | {said} |")
    return lines


class Vectors:
    """The peers that the generator of the vectors asks, in this process."""

    def __init__(self, ask: Callable):
        self.ask = ask

    def __call__(self, cases: list):
        for case in cases:
            answer = self.ask(case.request, case.expect)
            if answer is None:
                yield None
            elif isinstance(answer, tuple):
                yield answer[1]
            else:
                yield answer.rpartition("Signature=")[2] or answer


class Lines:
    """A program that is given a request a line and answers with a signature a line."""

    def __init__(self, *command, **environment):
        self.command, self.environment = command, environment

    def __call__(self, cases: list):
        with tempfile.TemporaryDirectory() as home:
            lines = "".join(json.dumps(self.line(case)) + "\n" for case in cases)
            for answer in answers(self.command, lines, clean_environment(Path(home)) | self.environment):
                yield answer.get("signature") or f"refused: {answer.get('error')}"

    @staticmethod
    def line(case: Case) -> dict:
        url, request = rules.parse_url(case.request["url"]), case.request
        return request | {
            "endpoint": f"https://{url[1].decode()}",
            "target": (url[2] + (b"" if url[3] is None else b"?" + url[3])).decode(),
            "presign": case.is_presigned,
            "seconds": SECONDS,
            "body_base64": request.get("body_base64", ""),
        }


def answers(command, lines: str, environment: dict):
    """The answers to many lines, while they are still written."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write():
        with process.stdin:
            process.stdin.write(lines.encode())

    threading.Thread(target=write, daemon=True).start()
    for line in process.stdout:
        yield json.loads(line)
    assert process.wait() == 0, f"{command[0]} ended with {process.returncode}"


NODE = ("node", str(HERE / "clients" / "node" / "sign.mjs"))
MODULES = {"INTEROP_NODE_MODULES": str(CACHE / "node" / "node_modules")}
PEERS = {
    "botocore": Vectors(rules.ask_botocore),
    "awscrt": Vectors(rules.ask_awscrt),
    "aws-sigv4": Lines(str(CACHE / "client" / "debug" / "aws-sigv4-client")),
    "aws4": Lines(*NODE, "aws4", **MODULES),
    "aws4fetch": Lines(*NODE, "aws4fetch", **MODULES),
    "smithy": Lines(*NODE, "smithy", **MODULES),
}


# --------------------------------------------------------------------------------------------
# The comparison
# --------------------------------------------------------------------------------------------


def ours(checks: Checks, wanted: list) -> list:
    """The cases that can be signed, after our signatures were compared with those of the reference."""
    cases, refused, wrong = [], 0, []
    with tempfile.TemporaryDirectory() as home:
        lines = "".join(json.dumps(request) + "\n" for request in wanted)
        said = answers([BINARY, "sign", "--jsonl"], lines, clean_environment(Path(home)))
        for request, answer in zip(wanted, said, strict=True):
            try:
                expect = rules.sign(request)
            except rules.Refused as why:
                refused += 1
                if answer.get("error", {}).get("kind") != why.kind:
                    wrong.append((request, answer))
                continue
            if answer.get("signature") != expect["signature"]:
                wrong.append((request, answer))
            cases.append(Case(request, expect))
    with checks.check(f"countersign signs {len(cases)} requests as the reference does, and refuses {refused}"):
        assert not wrong, f"{len(wrong)} differ, the first: {wrong[0]}"
    return cases


def compare(checks: Checks, peer: str, cases: list) -> None:
    traits = TRAITS[peer]
    same, mute, unnamed = 0, 0, []
    seen, alone = collections.Counter(), collections.Counter()
    for case, answer in zip(cases, PEERS[peer](cases), strict=True):
        if answer is None:
            mute += 1
        elif answer == case.expect["signature"]:
            same += 1
        else:
            named = [trait.name for trait in traits if trait.of(case)]
            seen.update(named)
            if len(named) == 1:
                alone[named[0]] += 1
            if not named:
                unnamed.append((case, answer))
    for trait in traits:
        print(f"   {peer}: {seen[trait.name]} differ with {trait.name}, {alone[trait.name]} with nothing else")
    if os.environ.get("DIFFERENTIAL_SHOW"):
        for case, answer in unnamed[: int(os.environ["DIFFERENTIAL_SHOW"])]:
            print(json.dumps(case.request), answer, "\n", case.expect["canonical_request"], "\n")
    differ = len(cases) - same - mute
    with checks.check(f"{peer}: {same} signatures are ours, {differ} differ for named reasons, {mute} it cannot make"):
        assert not unnamed, f"{len(unnamed)} without a reason, the first: {unnamed[0][0].request} {unnamed[0][1]}"
        unused = [trait.name for trait in traits if len(cases) >= ENOUGH and not alone[trait.name]]
        assert not unused, f"no difference comes from {unused} alone: is it mended?"


def main() -> None:
    if sys.argv[1:] == ["table"]:
        return print("\n".join(table()))
    count, peers = int(sys.argv[1]), sys.argv[2:] or list(PEERS)
    checks = Checks("check_differential")
    with checks.check("docs/differences.md has the table that holds"):
        assert "\n".join(table()) in DOCUMENT.read_text(), "run `check_differential.py table` and put it there"
    cases = ours(checks, list(requests(count)))
    for peer in peers:
        compare(checks, peer, cases)
    checks.finish()


if __name__ == "__main__":
    main()
