# SPDX-License-Identifier: Apache-2.0
"""What an application in a container sees: errno and microseconds of ordinary socket calls.

Runs inside the container as an agent: one JSON request a line on stdin ({"op": name, ...arguments}), one JSON answer a line on
stdout. Knows nothing of Penstock. Every op is a function below; its keyword arguments are the request's fields.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dns  # noqa: E402
from background import Background  # noqa: E402
from clock import Clock, name_of  # noqa: E402
from held import Held  # noqa: E402
from inside import Inside  # noqa: E402
from spend import OPERATIONS as SPEND  # noqa: E402
from streams import Streams  # noqa: E402
from ways_out import WaysOut  # noqa: E402


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def resolve(name: str, family: int = 0) -> dict:
    """getaddrinfo: what every program does. error is the EAI_ name."""
    clock = Clock()
    try:
        found = socket.getaddrinfo(name, None, {0: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}[family],
                                   socket.SOCK_STREAM)
        return {"error": None, "us": clock.us(), "addresses": sorted({entry[4][0] for entry in found})}
    except socket.gaierror as error:
        names = {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}
        return {"error": names.get(error.errno, str(error.errno)), "us": clock.us(), "addresses": []}


def exchange(server: str, message: str, port: int = 53, local_port: int = 0, timeout: float = 2, wait: bool = True,
             connect: bool = False, answers: int = 1, options: list = ()) -> dict:
    """One UDP datagram (hex) out and, if `wait`, up to `answers` back. error is the send's errno or None."""
    with socket.socket(family_of(server), socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        for level, option, value in options:
            sock.setsockopt(level, option, value)
        if local_port:
            sock.bind(("", local_port))
        clock = Clock()
        try:
            if connect:
                sock.connect((server, port))
                sock.send(bytes.fromhex(message))
            else:
                sock.sendto(bytes.fromhex(message), (server, port))
        except OSError as error:
            return {"error": name_of(error), "us": clock.us(), "replies": []}
        sent_us, replies = clock.us(), []
        while wait and len(replies) < answers:
            try:
                data, peer = sock.recvfrom(65535)
                replies.append({"from": peer[0], "port": peer[1], "hex": data.hex()})
            except OSError:
                break
        return {"error": None, "us": sent_us, "replies": replies, "local_port": sock.getsockname()[1]}


def query(server: str, name: str, type: int = dns.A, id: int = 0x1234, edns: bool = False, **rest) -> dict:
    """A well-formed query and its read answer."""
    seen = exchange(server, dns.query(id, name, type, edns=edns).hex(), **rest)
    for reply in seen["replies"]:
        reply.update(dns.read_answer(bytes.fromhex(reply["hex"])))
    seen["addresses"] = [a for reply in seen["replies"] for a in reply["addresses"]]
    return seen


def query_tcp(server: str, segments: list, port: int = 53, timeout: float = 2) -> dict:
    """Writes each hex string as a segment of its own over one connection; reads one message."""
    with socket.socket(family_of(server), socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clock, stage = Clock(), "connect"
        try:
            sock.connect((server, port))
            stage = "send"
            for segment in segments:
                sock.sendall(bytes.fromhex(segment))
            stage = "receive"
            data = sock.recv(2)
            while data and (len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]):
                more = sock.recv(65535)
                if not more:
                    break
                data += more
            found = dns.read_answer(data[2:]) if len(data) > 14 else {"addresses": []}
            return {"error": None, "us": clock.us(), "octets": len(data), **found}
        except OSError as error:
            # Aborted: what was refused is not sent again, to be refused and counted a second time when another test looks.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return {"error": name_of(error), "stage": stage, "us": clock.us(), "addresses": []}


def connect(address: str, port: int, timeout: float = 3) -> dict:
    with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        clock = Clock()
        try:
            sock.connect((address, port))
            return {"error": None, "us": clock.us()}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}


def http(address: str, port: int, path: str = "/", host: str = "-", timeout: float = 3) -> dict:
    with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        clock = Clock()
        try:
            sock.connect((address, port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while chunk := sock.recv(65536):
                data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            return {"error": None, "us": clock.us(), "status": int(head.split()[1]), "octets": len(body),
                    "body": body[:200].decode("latin-1")}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}


def udp(address: str, port: int, octets: int = 16, timeout: float = 2) -> dict:
    seen = exchange(address, "55" * octets, port=port, timeout=timeout)
    return {"error": seen["error"], "us": seen["us"], "answered": bool(seen["replies"])}


def make_socket(family: int, type: int, protocol: int = 0) -> dict:
    clock = Clock()
    try:
        socket.socket(family, type, protocol).close()
        return {"error": None, "us": clock.us()}
    except OSError as error:
        return {"error": name_of(error), "us": clock.us()}


def send_on(type: int, protocol: int, address: str, port: int, payload: str = "55", flags: int = 0) -> dict:
    """One sendto on a socket of any type and protocol."""
    clock = Clock()
    try:
        with socket.socket(family_of(address), type, protocol) as sock:
            sock.settimeout(2)
            sock.sendto(bytes.fromhex(payload), flags, (address, port))
        return {"error": None, "us": clock.us()}
    except OSError as error:
        return {"error": name_of(error), "us": clock.us()}


def listen(port: int) -> dict:
    """An HTTP-less server: accepts, sends one line, closes. v4 and v6."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def serve() -> None:
        while True:
            peer, _ = server.accept()
            with peer:
                try:
                    peer.recv(65536)
                    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\ninside\n")
                except OSError:
                    continue
    threading.Thread(target=serve, daemon=True).start()
    return {"error": None}


def unasked(server: str, address: str, local_port: int, suffix: str = "odd.test") -> dict:
    """Lets the server answer to a port from which nothing was asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.bind(("", local_port))
        query(server, f"toport-{local_port}.{address.replace('.', '-')}.{suffix}", wait=False)
        try:
            return {"error": None, "octets": len(sock.recv(65535))}
        except OSError as error:
            return {"error": name_of(error)}


def race(server: str, count: int, first: int = 0, suffix: str = "odd.test", port: int = 80, step: int = 1) -> dict:
    """Asks for a name never asked before and connects to its address at once, `count` times: errors by kind."""
    errors: dict[str, int] = {}
    for n in range(first, first + count * step, step):
        seen = query(server, f"run-{n}.{suffix}", id=n & 0xFFFF)
        outcome = seen["error"] or ("unanswered" if not seen["addresses"] else None)
        if outcome is None and port:
            outcome = connect(seen["addresses"][0], port)["error"]
        errors[str(outcome)] = errors.get(str(outcome), 0) + 1
    return {"error": None, "outcomes": errors}


def program(words: list, timeout: float = 20) -> dict:
    """Another program, run to its end in here: its exit code, output and whole time."""
    clock = Clock()
    try:
        run = subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return {"error": "timeout", "us": clock.us(), "code": None, "output": ""}
    return {"error": None, "us": clock.us(), "code": run.returncode, "output": run.stdout + run.stderr}


def batch(ops: list) -> dict:
    return {"error": None, "results": [call(dict(op)) for op in ops]}


OPS = {f.__name__: f for f in (resolve, exchange, query, query_tcp, connect, http, udp, make_socket, send_on, listen,
                               unasked, race, program, batch)}


def call(request: dict) -> dict:
    op = request.pop("op")
    try:
        return OPS[op](**request)
    except OSError as error:
        return {"error": name_of(error), "stage": "setup"}


def main() -> None:
    OPS.update(SPEND)
    OPS.update(Background(call).operations())
    held = Held()
    OPS.update(held.operations())
    OPS.update(WaysOut(held.sockets).operations())
    OPS.update(Inside(held.sockets).operations())
    OPS.update(Streams().operations())
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        print(json.dumps(call(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
