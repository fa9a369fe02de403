"""Bodies in chunks: the cases of chunked.json, which generate.py writes.

As there, the reference decides, a plain reading of the rules with hashlib and hmac. botocore is asked
for the whole body where the chunks are unsigned (it signs none), and both oracles for the checksums.
"""

import base64
import hashlib
import hmac
import io

import awscrt.checksums
import botocore.httpchecksum

RULE = (
    "A body in chunks is `hex-length;chunk-signature=...` and the data, each with CR LF behind it, for"
    " every chunk; then the same with length 0, without data, then the trailers, one to a line, then"
    " their signature if the chunks are signed, then an empty line. Each signature signs the one"
    " before, the first the head's; by SigV4A a signature has so many `*` behind it as make 144 bytes,"
    " and the next signs it without them. Byte n of a body is (7n + n/251) mod 256, rounded down."
)
KEY = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
TIME = "20150830T123600Z"
EMPTY = hashlib.sha256(b"").hexdigest()

CHECKSUMS = {
    "crc32": (
        botocore.httpchecksum.Crc32Checksum,
        lambda body: awscrt.checksums.crc32(body).to_bytes(4, "big"),
    ),
    "crc32c": (
        botocore.httpchecksum.CrtCrc32cChecksum,
        lambda body: awscrt.checksums.crc32c(body).to_bytes(4, "big"),
    ),
    "crc64nvme": (
        botocore.httpchecksum.CrtCrc64NvmeChecksum,
        lambda body: awscrt.checksums.crc64nvme(body).to_bytes(8, "big"),
    ),
    "sha1": (botocore.httpchecksum.Sha1Checksum, None),
    "sha256": (botocore.httpchecksum.Sha256Checksum, None),
}
REFERENCE = {
    "crc32": lambda body: crc(body, 32, 0xEDB88320),
    "crc32c": lambda body: crc(body, 32, 0x82F63B78),
    "crc64nvme": lambda body: crc(body, 64, 0x9A6C9329AC4BC9B5),
    "sha1": lambda body: hashlib.sha1(body).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}


def crc(body, bits, polynomial):
    """A reflected CRC, begun and ended with all ones, as in the catalogues."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    state = ones = (1 << bits) - 1
    for byte in body:
        state = state >> 8 ^ table[(state ^ byte) & 255]
    return (state ^ ones).to_bytes(bits // 8, "big")


def body_of(length):
    return bytes((7 * n + n // 251) & 255 for n in range(length))


def case(name, about, length, form="signed", chunk_size=65536, **fields):
    request = {
        "method": "PUT",
        "url": "https://bucket.s3.us-east-1.amazonaws.com/key",
        "headers": [],
        "region": "us-east-1",
        "service": "s3",
        "time": TIME,
        "credentials": KEY,
        "form": form,
        "length": length,
        "chunk_size": chunk_size,
        "checksum": None,
        "trailers": [],
        **fields,
    }
    return {"name": name, "about": about, "in": request}


def cases():
    small = 8192
    yield case("empty", "A body of nothing is its last chunk alone.", 0)
    yield case("one-byte", "A single chunk.", 1)
    yield case("one-chunk-less-a-byte", "Just under a chunk.", small - 1, chunk_size=small)
    yield case("one-chunk", "A chunk to the brim.", small, chunk_size=small)
    yield case("one-chunk-and-a-byte", "Just over a chunk.", small + 1, chunk_size=small)
    yield case("three-chunks", "The length in a chunk's head loses digits.", 20_000, chunk_size=9999)
    yield case("usual-chunks", "Chunks of 64 KiB.", 200_000)
    yield case("other-coding", "Other codings stand behind aws-chunked.", 9,
               headers=[["content-encoding", "gzip"]])
    yield case("session-token", "A session token is signed with the head.", 9,
               credentials={**KEY, "session_token": "token/with+signs="})
    yield case("s3express", "Another signing name.", 9, service="s3express")
    yield case("trailer", "A trailer that is known beforehand.", 9, trailers=[["x-amz-meta-a", "b"]])
    yield case("trailers", "The trailers are signed sorted and sent as they come.", 9000,
               chunk_size=small, trailers=[["x-amz-meta-b", "1"], ["x-amz-meta-a", "2"]])
    yield case("empty-with-trailer", "A trailer behind nothing.", 0, checksum="crc32")
    for name in CHECKSUMS:
        yield case(f"signed-{name}", f"Signed chunks, and {name} behind them.", 20_001,
                   chunk_size=small, checksum=name)
        yield case(f"unsigned-{name}", f"Unsigned chunks, and {name} behind them.", 20_001,
                   form="unsigned", chunk_size=small, checksum=name)
    for name, length, fields in [
        ("empty", 0, {}),
        ("two-chunks", 8193, {}),
        ("trailers", 20_001, {"trailers": [["x-amz-meta-b", "1"], ["x-amz-meta-a", "2"]]}),
        ("checksum", 20_001, {"checksum": "crc64nvme"}),
        ("unsigned", 9000, {"form": "unsigned", "checksum": "crc32"}),
    ]:
        yield case(f"sigv4a-{name}", "The chunks are signed by SigV4A, as the head is.", length,
                   chunk_size=small, algorithm="sigv4a", region_set="us-*", **fields)
    yield case("unsigned-empty", "Nothing, unsigned.", 0, form="unsigned", checksum="crc32")
    yield case("unsigned-one-chunk", "A chunk to the brim, unsigned.", small, form="unsigned",
               chunk_size=small, checksum="crc64nvme")


def settle(case, sign, ecdsa):
    """A case as it is written, and what is wrong with it."""
    request = case["in"]
    body, is_signed = body_of(request["length"]), request["form"] == "signed"
    trailers = [tuple(pair) for pair in request["trailers"]]
    agree, problems = {"botocore": None, "awscrt": None}, []
    if checksum := request["checksum"]:
        name = f"x-amz-checksum-{checksum}"
        value = base64.b64encode(REFERENCE[checksum](body)).decode()
        trailers.insert(0, (name, value))
        ask_botocore, ask_awscrt = CHECKSUMS[checksum]
        asked = ask_botocore()
        asked.update(body)
        agree["botocore"] = asked.b64digest() == value
        if ask_awscrt:
            agree["awscrt"] = base64.b64encode(ask_awscrt(body)).decode() == value

    placeholder, _ = frames(request, body, trailers, "0" if is_signed else None, lambda text: "0" * 64)
    head = head_of(request, len(placeholder), trailers)
    expect = sign(head)
    scope = expect["string_to_sign"].split("\n")[2]
    wire, signatures = frames(
        request, body, trailers, expect["signature"] if is_signed else None,
        signer_of(request, scope, ecdsa), scope,
    )
    if not is_signed:
        wrapper = botocore.httpchecksum.AwsChunkedWrapper(
            io.BytesIO(body), CHECKSUMS[checksum][0], name, request["chunk_size"]
        )
        agree["botocore"] = agree["botocore"] and wrapper.read() == wire
    problems += [f"{oracle} differs" for oracle, answer in agree.items() if answer is False]
    return case | {
        "expect": {
            "headers": head["headers"],
            "authorization": expect["authorization"],
            "trailers": [list(pair) for pair in trailers],
            "signatures": signatures,
            "wire_length": len(wire),
            "wire_sha256": hashlib.sha256(wire).hexdigest(),
        },
        "agree": agree,
    }, problems


def signer_of(request, scope, ecdsa):
    """What signs the chunks."""
    credentials = request["credentials"]
    if is_asymmetric(request):
        return lambda text: ecdsa(credentials, text.encode())
    key = f"AWS4{credentials['secret_access_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return lambda text: hmac.digest(key, text.encode(), "sha256").hex()


def is_asymmetric(request):
    return request.get("algorithm") == "sigv4a"


def head_of(request, encoded_length, trailers):
    """The head, with what goes with such a body, as generate.py signs it."""
    line = "streaming" if request["form"] == "signed" else "unsigned-trailer"
    if line == "streaming" and trailers:
        line = "streaming-trailer"
    codings = ["aws-chunked", *(value for _, value in request["headers"])]
    headers = [
        ["content-encoding", ",".join(codings)],
        ["content-length", str(encoded_length)],
        ["x-amz-decoded-content-length", str(request["length"])],
    ]
    if trailers:
        headers.append(["x-amz-trailer", ",".join(name for name, _ in trailers)])
    same = "method url region service time credentials algorithm region_set".split()
    return {**{key: request[key] for key in same if key in request}, "as": "headers", "payload": line, "headers": headers}


def frames(request, body, trailers, previous, sign, scope=""):
    """What is sent for the body, and the signatures in it."""
    size, signatures, wire = request["chunk_size"], [], b""
    algorithm, digits = ("AWS4-HMAC-SHA256", 64)
    if is_asymmetric(request):
        algorithm, digits = ("AWS4-ECDSA-P256-SHA256", 144)

    def signed(kind, rest):
        before = signatures[-1] if signatures else previous
        signatures.append(sign("\n".join([f"{algorithm}-{kind}", TIME, scope, before, *rest])))
        return signatures[-1].ljust(digits, "*")

    for start in [*range(0, len(body), size), len(body)]:
        chunk = body[start:start + size]
        extension = ""
        if previous:
            digest = hashlib.sha256(chunk).hexdigest()
            extension = f";chunk-signature={signed('PAYLOAD', [EMPTY, digest])}"
        wire += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    for name, value in trailers:
        wire += f"{name}:{value}\r\n".encode()
    if previous and trailers:
        lines = "".join(f"{name}:{value}\n" for name, value in sorted(trailers))
        digest = hashlib.sha256(lines.encode()).hexdigest()
        wire += f"x-amz-trailer-signature:{signed('TRAILER', [digest])}\r\n".encode()
    return wire + b"\r\n", signatures


def family(sign, ecdsa):
    """The family as it is written, and what is wrong with it."""
    settled, problems = [], []
    for case in cases():
        written, wrong = settle(case, sign, ecdsa)
        settled.append(written)
        problems += [f"chunked/{case['name']}: {problem}" for problem in wrong]
    return {"family": "chunked", "rule": RULE, "cases": settled}, problems
