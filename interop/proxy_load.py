"""Programs that load a proxy, each a process of its own, for check_load.py.

    proxy_load.py sink [CERTIFICATE KEY]             a service: stores nothing, and says the MD5 of what it got
    proxy_load.py upload PORT PATH COUNT LENGTH      so many uploads at once, in pieces of 64 KiB
    proxy_load.py slow PORT COUNT ADDRESS            so many clients that send a byte now and then

`sink` prints its port and serves until it is ended. The others print a line when half of it is sent, or all are
connected; go on when a line comes, or standard input ends; and print a line of JSON that says how it went.
"""

import hashlib
import http.client
import json
import re
import select
import socket
import socketserver
import ssl
import sys
import threading

PIECE = 64 << 10
PAUSE = 2  # seconds between two bytes of a slow client


class Sink(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, tls: list):
        super().__init__(("127.0.0.1", 0), SinkHandler)
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)

    def handle_error(self, request, client_address):
        pass  # a proxy that leaves early shows up as a client without an answer


class SinkHandler(socketserver.BaseRequestHandler):
    server: Sink

    def handle(self):
        connection = self.request
        if self.server.context:
            connection = self.server.context.wrap_socket(connection, server_side=True)
        raw = b""
        while True:
            while b"\r\n\r\n" not in raw:
                piece = connection.recv(PIECE)
                if not piece:
                    return
                raw += piece
            head, _, raw = raw.partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
            left, digest = int(length[1]) if length else 0, hashlib.md5()
            while left:
                piece, raw = raw or connection.recv(min(left, PIECE)), b""
                if not piece:
                    return
                digest.update(piece)
                left -= len(piece)
            etag = digest.hexdigest().encode()
            connection.sendall(b'HTTP/1.1 200 OK\r\netag: "%s"\r\ncontent-length: 0\r\n\r\n' % etag)


def sink(*tls: str) -> None:
    server = Sink(list(tls))
    print(server.server_address[1], flush=True)
    server.serve_forever()


def upload(port: str, path: str, count: str, length: str) -> None:
    pieces, threads, wrong = int(length) // PIECE, int(count), []
    half, go_on = threading.Barrier(threads + 1), threading.Event()

    def one(number: int) -> None:
        content = f"{path}-{number};".encode() * PIECE
        digest, connection = hashlib.md5(), http.client.HTTPConnection("127.0.0.1", int(port), timeout=120)
        try:
            connection.putrequest("PUT", f"{path}-{number}")
            connection.putheader("Content-Length", length)
            connection.endheaders()
            for piece in range(pieces):
                if piece == pieces // 2:
                    half.wait()
                    go_on.wait()
                # No two pieces of an upload are the same.
                data = content[piece : piece + PIECE]
                digest.update(data)
                connection.send(data)
            answer = connection.getresponse()
            said = answer.read()
            etag = (answer.headers["etag"] or "").strip('"')
            if (answer.status, etag) != (200, digest.hexdigest()):
                wrong.append(f"{number}: {answer.status} {etag} {said[:300]!r}")
        except Exception as why:  # of whatever kind: it is told
            wrong.append(f"{number}: {type(why).__name__} {why}")
            half.abort()
            raise
        finally:
            connection.close()

    running = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    try:
        half.wait()
    except threading.BrokenBarrierError:
        pass  # told below
    print("half", flush=True)
    sys.stdin.readline()
    go_on.set()
    for thread in running:
        thread.join()
    print(json.dumps({"uploads": threads, "wrong": wrong}), flush=True)


def slow(port: str, count: str, address: str) -> None:
    heads = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
    ]
    clients = []
    for number in range(int(count)):
        # From an address of its own: one alone has no ports for all.
        client = socket.create_connection(("127.0.0.1", int(port)), 30, (address, 0))
        client.sendall(heads[number % 2])
        clients.append(client)
    print("connected", flush=True)
    lost, at = 0, 0
    # A share of the clients every tenth of a pause.
    while not select.select([sys.stdin], [], [], PAUSE / 10)[0]:
        for client in clients[at::10]:
            lost += not is_kept(client)
        at = (at + 1) % 10
    for client in clients:
        lost += not is_kept(client)
    print(json.dumps({"clients": len(clients), "lost": lost}), flush=True)


def is_kept(client: socket.socket) -> bool:
    """Whether the proxy takes one more byte, and has neither answered nor left."""
    client.setblocking(False)
    try:
        client.send(b"a")
        client.recv(1)
    except BlockingIOError:
        return True
    except OSError:
        pass  # it has left
    return False


if __name__ == "__main__":
    {"sink": sink, "upload": upload, "slow": slow}[sys.argv[1]](*sys.argv[2:])
