# SPDX-License-Identifier: Apache-2.0
"""A DNS server that answers as the first label of the name says: the hand-made answers of the tests.

usage: odd_dns.py ADDRESS ADDRESS6 OTHER_ADDRESS
`<how>.198-51-100-9.<anything>` is answered with that address (AAAA: 2001:db8:80::9) unless <how> says otherwise; see ANSWERS.
"""
import socket
import sys
import threading
import time
from os.path import abspath, dirname

sys.path.insert(0, dirname(abspath(__file__)))
import dns  # noqa: E402

V4, SECOND = "198.51.100.35", "198.51.100.36"
POINTER = b"\xc0\x0c"


class Asked:
    def __init__(self, message: bytes):
        self.message = message
        self.id = int.from_bytes(message[:2], "big")
        self.name, self.type, end = dns.read_question(message)
        self.question = message[12:end]
        labels = self.name.split(".")
        v4 = labels[1].replace("-", ".") if len(labels) > 1 and labels[1].count("-") == 3 else V4
        self.plain = f"2001:db8:80::{int(v4.split('.')[3]):x}" if self.type == dns.AAAA else v4

    def answer(self, *records: bytes, ident: int | None = None, flags: int = 0, question: bytes | None = None,
               count: int | None = None) -> bytes:
        return (dns.header(self.id if ident is None else ident, dns.QR | dns.RD | dns.RA | flags, 1,
                           len(records) if count is None else count)
                + (self.question if question is None else question) + b"".join(records))

    def addresses(self, *addresses: str, ttl: int = 60, **rest) -> bytes:
        return self.answer(*(dns.address_record(POINTER, a, ttl) for a in addresses), **rest)


def chain(asked: Asked, length: int) -> bytes:
    records, owner = [], POINTER
    for n in range(length):
        target = dns.wire_name(f"hop{n}.elsewhere.test")
        records.append(dns.record(owner, dns.CNAME, 60, target))
        owner = target
    return asked.answer(*records, dns.address_record(owner, asked.plain))


def pointer_loop(asked: Asked) -> bytes:
    """The record's owner is a pointer to itself."""
    here = 12 + len(asked.question)
    return asked.answer(dns.address_record((0xC000 | here).to_bytes(2, "big"), asked.plain))


# how: list of (where from, message); where: "" as asked, "other" the other address, "port" another port
ANSWERS = {
    "wrongid": lambda q: [("", q.addresses(q.plain, ident=q.id ^ 1))],
    "wrongport": lambda q: [("port", q.addresses(q.plain))],
    "wrongserver": lambda q: [("other", q.addresses(q.plain))],
    "wrongname": lambda q: [("", q.addresses(q.plain, question=dns.question("wrongname.evil.test", q.type)))],
    "wrongtype": lambda q: [("", q.addresses(q.plain, question=dns.question(q.name, dns.TXT)))],
    "twice": lambda q: [("", q.addresses(q.plain)), ("", q.addresses(SECOND))],
    "chain3": lambda q: [("", chain(q, 3))],
    "chain10": lambda q: [("", chain(q, 10))],
    "hundred": lambda q: [("", q.addresses(*(f"100.20.30.{n}" for n in range(1, 101))))],
    "ttl0": lambda q: [("", q.addresses(q.plain, ttl=0))],
    "ttl1": lambda q: [("", q.addresses(q.plain, ttl=1))],
    "truncated": lambda q: [("", q.addresses(q.plain, flags=dns.TC))],
    "cut": lambda q: [("", q.addresses(q.plain, SECOND)[:-6])],
    "counts": lambda q: [("", q.addresses(q.plain, count=9))],
    "loop": lambda q: [("", pointer_loop(q))],
    "loopback": lambda q: [("", q.addresses("127.0.0.1"))],
    "metadata": lambda q: [("", q.addresses("169.254.169.254"))],
    "private": lambda q: [("", q.addresses("10.88.0.1"))],
    "nxdomain": lambda q: [("", q.addresses(q.plain, flags=3))],
    "asquery": lambda q: [("", q.message[:2] + b"\x01\x80" + q.addresses(q.plain)[4:])],
    "silent": lambda q: [],
    "servfail": lambda q: [("", q.answer(flags=2))],
}


def answers(message: bytes) -> list[tuple[str | int, bytes]]:
    asked = Asked(message)
    how = asked.name.split(".")[0].lower()
    if how.startswith("toport-"):               # toport-4000: the answer goes to that port of the client
        return [(int(how[7:]), asked.addresses(asked.plain))]
    if how.startswith("run-"):                  # run-1000: an address made from the number, for filling maps
        n = int(how[4:])
        return [("", asked.addresses(f"101.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"))]
    if how in ANSWERS:
        return ANSWERS[how](asked)
    return [("", asked.addresses(asked.plain))]


def serve_udp(address: str, other: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    port = socket.socket(family, socket.SOCK_DGRAM)
    port.bind((address, 5353))
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind((other, 53 if family == socket.AF_INET else 54))
    sockets = {"": sock, "port": port, "other": elsewhere}
    while True:
        message, peer = sock.recvfrom(65535)
        try:
            for where, answer in answers(message):
                if isinstance(where, int):
                    sock.sendto(answer, (peer[0], where))
                else:
                    sockets[where].sendto(answer, peer)
        except Exception as error:  # a malformed query must not end the server
            print("odd_dns:", repr(error), flush=True)


def serve_tcp(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.create_server((address, 53), family=family)
    while True:
        peer, _ = server.accept()
        threading.Thread(target=serve_connection, args=(peer,), daemon=True).start()


def serve_connection(peer: socket.socket) -> None:
    with peer:
        peer.settimeout(10)
        data = b""
        try:
            while chunk := peer.recv(65535):
                data += chunk
                while len(data) > 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
                    length = int.from_bytes(data[:2], "big")
                    message, data = data[2:2 + length], data[2 + length:]
                    for _, answer in answers(message):
                        peer.sendall(len(answer).to_bytes(2, "big") + answer)
        except OSError:
            return


def main() -> None:
    address, address6, other = sys.argv[1:4]
    for target, arguments in ((serve_udp, (address, other)), (serve_udp, (address6, other)), (serve_tcp, (address,)),
                              (serve_tcp, (address6,))):
        threading.Thread(target=target, args=arguments, daemon=True).start()
    while True:
        time.sleep(3600)


main()
