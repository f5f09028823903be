# SPDX-License-Identifier: Apache-2.0
"""A container that makes network namespaces of its own, where it has NET_ADMIN, and is there whoever it likes.

usage: own_namespaces.py answer RESOLVER NAME ADDRESS LAB    a server under the resolver's address answers NAME by ADDRESS, over TCP
       own_namespaces.py nat RESOLVER NAME ADDRESS LAB       the same over UDP, by a server elsewhere behind address translation
       own_namespaces.py peer RESOLVER NAME ADDRESS LAB      a mangling rule turns the query into a datagram from ADDRESS:9000 to :5000

Prints one JSON line: what the process in there saw. What it gains by that the test tries out itself, in the container's own namespace.
"""
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

mode, resolver, name, address, lab = sys.argv[1:6]
sys.path.insert(0, lab)
import dns  # noqa: E402
from clock import name_of  # noqa: E402

NEWUSER, NEWNET = 0x10000000, 0x40000000
NEAR, FAR = "10.99.0.1", "10.99.0.2"
MANGLE = f"""table ip mangled {{ chain turned {{
  type filter hook prerouting priority -300;
  udp dport 53 ip saddr set {address} ip daddr set {NEAR} udp sport set 9000 udp dport set 5000
}}
}}
"""


BEHIND_NEAR, BEHIND = "10.98.0.1", "10.98.0.2"
TRANSLATE = f"""table ip translated {{
  chain before {{
    type nat hook prerouting priority -100;
    udp dport 53 dnat to {BEHIND}:5353
  }}
  chain after {{ type nat hook postrouting priority 100; }}
}}
"""


def unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def run(text: str, **rest) -> None:
    subprocess.run(text.split(), check=True, capture_output=True, text=True, **rest)


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def answer_to(question: bytes) -> bytes:
    records = dns.address_record(b"\xc0\x0c", address, 60)
    return question[:2] + dns.header(0, dns.QR | dns.RD | dns.RA, 1, 1)[2:] + question[12:] + records


def answer_as_the_resolver(ready: int) -> None:
    run(f"ip addr add {resolver}/32 dev far")
    run("ip link set far up")
    run(f"ip route add {NEAR}/32 dev far")
    server = socket.create_server((resolver, 53))
    os.write(ready, b"y")
    peer, _ = server.accept()
    message = answer_to(peer.recv(4096)[2:])
    peer.sendall(struct.pack(">H", len(message)) + message)
    time.sleep(2)  # until the other end has read


def forward(rules: str) -> None:
    """What comes from near goes on by the rules; nobody here has a socket for it."""
    run(f"ip addr add {FAR}/24 dev far")
    run("ip link set far up")
    run("nft -f -", input=rules)
    write("/proc/sys/net/ipv4/ip_forward", "1")
    for device in ("all", "far"):
        write(f"/proc/sys/net/ipv4/conf/{device}/rp_filter", "0")
        write(f"/proc/sys/net/ipv4/conf/{device}/send_redirects", "0")


def turn_it_round(ready: int) -> None:
    forward(MANGLE)
    os.write(ready, b"y")
    time.sleep(4)


def serve_behind(made: int, cabled: int) -> None:
    unshare(NEWNET)
    os.write(made, b"x")
    os.read(cabled, 1)
    run(f"ip addr add {BEHIND}/24 dev out")
    run("ip link set out up")
    run(f"ip route add default via {BEHIND_NEAR}")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((BEHIND, 5353))
    os.write(made, b"y")
    question, peer = sock.recvfrom(4096)
    sock.sendto(answer_to(question), peer)


def translate(ready: int) -> None:
    made, says_made = os.pipe()
    cabled, cable = os.pipe()
    child = os.fork()
    if child == 0:
        serve_behind(says_made, cabled)
        os._exit(0)
    os.close(says_made)
    os.read(made, 1)
    run(f"ip link add in type veth peer name out netns {child}")
    run(f"ip addr add {BEHIND_NEAR}/24 dev in")
    run("ip link set in up")
    forward(TRANSLATE)
    os.write(cable, b"x")
    assert os.read(made, 1), "the server is not ready"
    os.write(ready, b"y")
    os.waitpid(child, 0)


def ask_over_tcp() -> dict:
    with socket.create_connection((resolver, 53), 5) as sock:
        message = dns.query(7, name)
        sock.sendall(struct.pack(">H", len(message)) + message)
        return {"error": None, "addresses": dns.read_answer(sock.recv(4096)[2:])["addresses"]}


def ask_over_udp() -> dict:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.bind((NEAR, 5000))
        sock.sendto(dns.query(7, name), (resolver, 53))
        message, peer = sock.recvfrom(4096)
        return {"error": None, "from": peer, "addresses": dns.read_answer(message)["addresses"], "in there": connect_in_there()}


def connect_in_there() -> str | None:
    """What connect() says in this namespace, where nobody listens."""
    with socket.socket() as sock:
        sock.settimeout(0.5)
        try:
            sock.connect((address, 80))
            return None
        except OSError as error:
            return name_of(error)


def main() -> None:
    unshare(NEWUSER | NEWNET)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", "0 0 1")
    write("/proc/self/gid_map", "0 0 1")
    made, ready = os.pipe()
    cabled, cable = os.pipe()
    child = os.fork()
    if child == 0:
        unshare(NEWNET)
        os.write(ready, b"x")
        os.read(cabled, 1)
        run("ip link set lo up")
        {"answer": answer_as_the_resolver, "nat": translate, "peer": turn_it_round}[mode](ready)
        os._exit(0)
    os.close(ready)
    os.read(made, 1)
    run(f"ip link add near type veth peer name far netns {child}")
    run(f"ip addr add {NEAR}/24 dev near")
    run("ip link set near up")
    run(f"ip route add {resolver}/32 dev near" if mode == "answer" else f"ip route add default via {FAR}")
    for device in ("all", "near"):
        write(f"/proc/sys/net/ipv4/conf/{device}/rp_filter", "0")
    os.write(cable, b"x")
    assert os.read(made, 1), "the other namespace is not ready"
    try:
        print(json.dumps(ask_over_tcp() if mode == "answer" else ask_over_udp()), flush=True)
    except OSError as error:
        print(json.dumps({"error": type(error).__name__ if error.errno is None else os.strerror(error.errno)}), flush=True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


main()
