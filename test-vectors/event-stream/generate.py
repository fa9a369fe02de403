#!/usr/bin/env python3
"""Writes the event stream vectors of this folder.

    pip install -r ../requirements.txt
    python generate.py            write the files
    python generate.py --check    write nothing; exit 1 if a file differs from what would be written

The reference, in the first part of this file, is a plain reading of the format and of its signatures
with struct, zlib, hashlib and hmac; it decides. botocore is asked to read each message, and awscrt to
write and to read it, with the headers added that its protocol insists on: it speaks on loopback with
a server of this file. Where one of them disagrees the case must say so and why (`differs`).
"""

import argparse
import hashlib
import hmac
import json
import socket
import struct
import sys
import threading
import time
import uuid
import zlib
from pathlib import Path

from awscrt.eventstream import Header
from awscrt.eventstream.rpc import ClientConnection, ClientConnectionHandler, MessageType
from botocore.eventstream import EventStreamBuffer, ParserError

HERE = Path(__file__).resolve().parent


# --------------------------------------------------------------------------------------------
# The reference
# --------------------------------------------------------------------------------------------


def value_bytes(kind, value):
    """A header's type and value."""
    match kind:
        case "bool":
            return b"\x00" if value else b"\x01"
        case "byte":
            return b"\x02" + struct.pack(">b", value)
        case "short":
            return b"\x03" + struct.pack(">h", value)
        case "int":
            return b"\x04" + struct.pack(">i", value)
        case "long":
            return b"\x05" + struct.pack(">q", value)
        case "bytes":
            data = bytes.fromhex(value)
            return b"\x06" + struct.pack(">H", len(data)) + data
        case "string":
            data = value.encode()
            return b"\x07" + struct.pack(">H", len(data)) + data
        case "timestamp":
            return b"\x08" + struct.pack(">q", value)
        case "uuid":
            return b"\x09" + bytes.fromhex(value)


def header_bytes(headers):
    named = [(name.encode(), value_bytes(kind, value)) for name, kind, value in headers]
    return b"".join(bytes([len(name)]) + name + value for name, value in named)


def frame(headers, payload, total=None, headers_len=None, prelude_crc=None, crc=None):
    """A message with these encoded headers. The other arguments put wrong values in it."""
    total = 16 + len(headers) + len(payload) if total is None else total
    headers_len = len(headers) if headers_len is None else headers_len
    prelude = struct.pack(">II", total, headers_len)
    prelude += struct.pack(">I", zlib.crc32(prelude) if prelude_crc is None else prelude_crc)
    message = prelude + headers + payload
    return message + struct.pack(">I", zlib.crc32(message) if crc is None else crc)


def encode(headers, payload):
    return frame(header_bytes(headers), payload)


def wrap(stream, previous, milliseconds, signed_seconds, inner):
    """A message in its signed wrapping, and its signature."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(signed_seconds))
    scope = f"{moment[:8]}/{stream['region']}/{stream['service']}/aws4_request"
    date = header_bytes([(":date", "timestamp", milliseconds)])
    hashes = [hashlib.sha256(part).hexdigest() for part in (date, inner)]
    text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", moment, scope, previous, *hashes])
    key = b"AWS4" + stream["credentials"]["secret_access_key"].encode()
    for part in [*scope.split("/"), text]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers = [(":date", "timestamp", milliseconds), (":chunk-signature", "bytes", key.hex())]
    return encode(headers, inner), key.hex()


# --------------------------------------------------------------------------------------------
# The oracles
# --------------------------------------------------------------------------------------------


def plain(kind, value):
    """A value as botocore gives it."""
    return bytes.fromhex(value) if kind in ("bytes", "uuid") else value


def read_by_botocore(data):
    """The messages in `data`, or why there are none."""
    buffer = EventStreamBuffer()
    try:
        buffer.add_data(data)
        return [(message.headers, message.payload) for message in buffer]
    except (ParserError, KeyError, struct.error, UnicodeDecodeError) as error:
        return f"{type(error).__name__}"


MAKERS = {
    "bool": Header.from_bool,
    "byte": Header.from_byte,
    "short": Header.from_int16,
    "int": Header.from_int32,
    "long": Header.from_int64,
    "bytes": lambda name, value: Header.from_byte_buf(name, bytes.fromhex(value)),
    "string": Header.from_string,
    "timestamp": Header.from_timestamp,
    "uuid": lambda name, value: Header.from_uuid(name, uuid.UUID(value)),
}


class Handler(ClientConnectionHandler):
    """Sends one message once it is connected, and keeps what comes back."""

    def __init__(self, headers, payload):
        self.headers, self.payload = headers, payload
        self.received, self.done = None, threading.Event()

    def on_connection_setup(self, connection, error, **_):
        self.connection = connection
        made = [MAKERS[kind](name, value) for name, kind, value in self.headers]
        connection.send_protocol_message(
            headers=made, payload=self.payload, message_type=MessageType.CONNECT
        )

    def on_protocol_message(self, headers, payload, message_type, flags, **_):
        self.received = ([(h.name, h.value) for h in headers], payload)
        self.done.set()

    def on_connection_shutdown(self, **_):
        self.done.set()


def agrees_with_awscrt(headers, payload):
    """Whether awscrt writes and reads such a message as the reference does."""
    protocol = lambda kind, flags: [
        (":message-type", "int", kind),
        (":message-flags", "int", flags),
        (":stream-id", "int", 0),
    ]
    with socket.create_server(("127.0.0.1", 0)) as server:
        handler = Handler(headers, payload)
        future = ClientConnection.connect(
            handler=handler, host_name="127.0.0.1", port=server.getsockname()[1]
        )
        peer, _ = server.accept()
        future.result(10)
        with peer:
            peer.settimeout(10)
            written = b""
            while len(written) < 4 or len(written) < struct.unpack(">I", written[:4])[0]:
                written += peer.recv(65536)
            accepted = 1
            # In full view of both: the acknowledgement carries the same headers and payload.
            peer.sendall(encode([*headers, *protocol(5, accepted)], payload))
            handler.done.wait(10)
        handler.connection.close()
    orders = ([*headers, *protocol(4, 0)], [*protocol(4, 0), *headers])
    wrote = written in [encode(order, payload) for order in orders]
    expected = [(name, awscrt_value(kind, value)) for name, kind, value in headers]
    own = {":message-type", ":message-flags", ":stream-id"}
    read = handler.received and [pair for pair in handler.received[0] if pair[0] not in own]
    return wrote and (read, handler.received[1]) == (expected, payload)


def awscrt_value(kind, value):
    return uuid.UUID(value) if kind == "uuid" else plain(kind, value)


# --------------------------------------------------------------------------------------------
# The cases
# --------------------------------------------------------------------------------------------

TEXT = "string"
DUPLICATE = "botocore: a name may not repeat; the format's reference implementation lets it"

MESSAGES = [
    ("empty", "neither headers nor a payload", [], b"", {}),
    ("payload-alone", "a payload without headers", [], b'{"foo":"bar"}', {}),
    (
        "audio-event",
        "what a client sends to Transcribe",
        [
            (":message-type", TEXT, "event"),
            (":event-type", TEXT, "AudioEvent"),
            (":content-type", TEXT, "application/octet-stream"),
        ],
        bytes(range(256)),
        {"awscrt": "awscrt's protocol has a `:message-type` of its own, of another type"},
    ),
    (
        "every-type",
        "one header of each type",
        [
            ("yes", "bool", True),
            ("no", "bool", False),
            ("byte", "byte", -49),
            ("short", "short", -20345),
            ("int", "int", 40972),
            ("long", "long", 42424242424242),
            ("bytes", "bytes", "00ff10"),
            ("string", TEXT, "I'm a little teapot"),
            ("timestamp", "timestamp", 1440938160000),
            ("uuid", "uuid", "0102030405060708090a0b0c0d0e0f10"),
        ],
        b"{}",
        {},
    ),
    (
        "least-and-greatest",
        "numbers at the ends of their ranges",
        [
            ("byte-least", "byte", -128),
            ("byte-greatest", "byte", 127),
            ("short-least", "short", -(1 << 15)),
            ("short-greatest", "short", (1 << 15) - 1),
            ("int-least", "int", -(1 << 31)),
            ("int-greatest", "int", (1 << 31) - 1),
            ("long-least", "long", -(1 << 63)),
            ("long-greatest", "long", (1 << 63) - 1),
        ],
        b"",
        {},
    ),
    (
        "before-1970",
        "a timestamp may be negative",
        [("at", "timestamp", -1)],
        b"",
        {"awscrt": "awscrt's binding for Python takes no time before 1970"},
    ),
    ("empty-values", "no text and no bytes", [("s", TEXT, ""), ("b", "bytes", "")], b"", {}),
    ("not-ascii", "names and text are UTF-8", [("grüße", TEXT, "日本語 🦀")], b"\x00", {}),
    ("long-name", "a name of 127 bytes", [("n" * 127, "bool", True)], b"", {}),
    (
        "repeated-name",
        "a name may repeat",
        [("a", "int", 1), ("a", "int", 2)],
        b"",
        {"botocore": DUPLICATE},
    ),
]

GOOD = encode([("a", "int", 1)], b"payload")

REFUSED = [
    ("prelude-checksum", "the checksum of the lengths differs", frame(b"", b"", prelude_crc=1)),
    ("message-checksum", "the checksum of the message differs", frame(b"", b"x", crc=1)),
    (
        "payload-changed",
        "one byte of the payload is another",
        GOOD.replace(b"payload", b"paYload"),
    ),
    ("total-of-15", "a message has 16 bytes at least", frame(b"", b"", total=15)),
    (
        "headers-behind-the-end",
        "the headers are longer than the message",
        frame(b"", b"", headers_len=1),
    ),
    (
        "headers-too-long",
        "128 KiB is the most for headers",
        frame(b"", b"", total=16 + (128 << 10) + 1, headers_len=(128 << 10) + 1),
    ),
    ("message-too-long", "and 24 MiB for a message", frame(b"", b"", total=(24 << 20) + 17)),
    ("header-cut-short", "a name goes on behind the headers", frame(b"\x05abc", b"")),
    ("value-cut-short", "a value goes on behind the headers", frame(b"\x01a\x07\x00\x05abc", b"")),
    ("unknown-type", "there is no type 10", frame(b"\x01a\x0a", b"")),
    ("name-not-utf-8", "a name is text", frame(b"\x01\xff\x00", b"")),
    ("text-not-utf-8", "so is a string", frame(b"\x01a\x07\x00\x01\xff", b"")),
    ("name-empty", "a name has one byte at least", frame(b"\x00\x00", b"")),
]
# What botocore reads all the same, and why it need not be read.
TAKEN_BY_BOTOCORE = {
    "name-empty": "botocore: takes any length",
    "value-cut-short": "botocore: takes what is there",
}

CREDENTIALS = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
SEED = hashlib.sha256(b"the signature of a request").hexdigest()
INNER = [encode([(":message-type", TEXT, "event")], text) for text in (b"one", b"two", b"three")]


def stream(name, about, moments, inner=INNER, **how):
    case = {
        "name": name,
        "about": about,
        "credentials": CREDENTIALS,
        "region": "us-east-1",
        "service": "transcribe",
        "seed": SEED,
        **how,
    }
    previous, messages = SEED, []
    for milliseconds, content in zip(moments, [*inner, b""], strict=True):
        wire, previous = wrap(case, previous, milliseconds, milliseconds // 1000, content)
        messages.append({"milliseconds": milliseconds, "inner": content.hex(), "wire": wire.hex()})
    case["messages"] = messages
    return case


AT = 1440938160000
MIDNIGHT = 1440979200000
STREAMS = [
    stream(
        "three-messages", "three messages and the end, a second apart", range(AT, AT + 4000, 1000)
    ),
    stream(
        "over-midnight",
        "the key changes with the day of a message",
        range(MIDNIGHT - 2000, MIDNIGHT + 2000, 1000),
    ),
    stream(
        "back-in-time",
        "a clock is set back, over midnight",
        range(MIDNIGHT + 1000, MIDNIGHT - 3000, -1000),
    ),
    stream("nothing-but-the-end", "no message at all", [AT], []),
    stream(
        "other-names",
        "a region and a service that nobody has",
        [AT, AT],
        [b"no event stream message at all"],
        region="mars-north-1",
        service="rover",
    ),
]
FRACTIONS = [
    stream(
        "milliseconds",
        "dates with a fraction of a second, which some clients write: the string to sign drops it",
        [AT + 1, AT + 500, AT + 999, AT + 1999],
    ),
]


# --------------------------------------------------------------------------------------------
# The writing
# --------------------------------------------------------------------------------------------


def generate():
    problems, messages, refused = [], [], []
    for name, about, headers, payload, differs in MESSAGES:
        wire = encode(headers, payload)
        expected = {header: plain(kind, value) for header, kind, value in headers}
        agree = {
            "botocore": read_by_botocore(wire) == [(expected, payload)],
            "awscrt": None if "awscrt" in differs else agrees_with_awscrt(headers, payload),
        }
        case = {
            "name": name,
            "about": about,
            "headers": headers,
            "payload": payload.hex(),
            "wire": wire.hex(),
            "agree": agree,
        }
        if differs:
            case["because"] = "; ".join(differs.values())
        messages.append(case)
        for oracle, yes in agree.items():
            if yes is not (
                True if oracle not in differs else None if oracle == "awscrt" else False
            ):
                problems.append(f"{name}: {oracle} says {yes}, and {wire.hex()[:200]}")
    for name, about, wire in REFUSED:
        answer = read_by_botocore(wire)
        case = {
            "name": name,
            "about": about,
            "wire": wire.hex(),
            "agree": {"botocore": not isinstance(answer, list) or not answer},
        }
        if name in TAKEN_BY_BOTOCORE:
            case["because"] = TAKEN_BY_BOTOCORE[name]
        if case["agree"]["botocore"] == (name in TAKEN_BY_BOTOCORE):
            problems.append(f"{name}: botocore answers {answer}")
        refused.append(case)
    for case in [*STREAMS, *FRACTIONS]:
        wire = b"".join(bytes.fromhex(message["wire"]) for message in case["messages"])
        inner = [payload.hex() for _, payload in read_by_botocore(wire)]
        if inner != [message["inner"] for message in case["messages"]]:
            problems.append(f"{case['name']}: botocore reads {inner}")
    files = {
        "messages.json": ("one message and its bytes, in both directions", messages),
        "refused.json": ("bytes that are no message", refused),
        "streams.json": (
            "signed messages: each `wire` wraps its `inner`, the last is the end; read and written",
            STREAMS,
        ),
        "streams-read.json": ("signed messages that are read and not written so", FRACTIONS),
    }
    texts = {
        name: json.dumps({"rule": rule, "cases": cases}, indent=1) + "\n"
        for name, (rule, cases) in files.items()
    }
    print(", ".join(f"{len(cases)} in {name}" for name, (_, cases) in files.items()))
    return texts, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; compare only")
    check_only = parser.parse_args().check
    texts, problems = generate()
    if problems:
        return "\n".join(problems)
    stale = {file.name for file in HERE.glob("*.json")} - texts.keys()
    if stale:
        return "nothing writes " + ", ".join(sorted(stale))
    for name, text in texts.items():
        file = HERE / name
        if not file.exists() or file.read_text() != text:
            stale.add(name)
            if not check_only:
                file.write_text(text)
    if check_only and stale:
        return "differs from what generate.py writes: " + ", ".join(sorted(stale))
    return 0


if __name__ == "__main__":
    sys.exit(main())
