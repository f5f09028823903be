# SPDX-License-Identifier: Apache-2.0
"""DNS messages by hand: well-formed ones shortly, malformed ones freely. Pure; no sockets."""
import ipaddress
import struct

A, NS, CNAME, PTR, TXT, AAAA, HTTPS, ANY = 1, 2, 5, 12, 16, 28, 65, 255
QR, TC, RD, RA = 0x8000, 0x0200, 0x0100, 0x0080
EDNS = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)


def wire_name(name: str | bytes) -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    raw = raw.rstrip(b".")
    if not raw:
        return b"\0"
    return b"".join(bytes([len(label)]) + label for label in raw.split(b".")) + b"\0"


def question(name: str | bytes, qtype: int = A, qclass: int = 1) -> bytes:
    return wire_name(name) + struct.pack(">HH", qtype, qclass)


def header(ident: int, flags: int, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0) -> bytes:
    return struct.pack(">HHHHHH", ident, flags, qd, an, ns, ar)


def query(ident: int, name: str | bytes, qtype: int = A, flags: int = RD, edns: bool = False, **counts) -> bytes:
    counts.setdefault("ar", 1 if edns else 0)
    return header(ident, flags, **counts) + question(name, qtype) + (EDNS if edns else b"")


def record(owner: bytes, rtype: int, ttl: int, data: bytes) -> bytes:
    """`owner` is wire form; b"\\xc0\\x0c" points to the question."""
    return owner + struct.pack(">HHIH", rtype, 1, ttl, len(data)) + data


def address_record(owner: bytes, address: str, ttl: int = 60) -> bytes:
    packed = ipaddress.ip_address(address).packed
    return record(owner, A if len(packed) == 4 else AAAA, ttl, packed)


def read_name(message: bytes, at: int) -> tuple[str, int]:
    labels, end, hops = [], None, 0
    while True:
        length = message[at]
        if length >= 0xC0:
            end = end or at + 2
            at = ((length & 0x3F) << 8) | message[at + 1]
            hops += 1
            if hops > 64:
                raise ValueError("pointer loop")
        elif length == 0:
            return ".".join(labels), end or at + 1
        else:
            labels.append(message[at + 1:at + 1 + length].decode("latin-1"))
            at += 1 + length


def read_question(message: bytes) -> tuple[str, int, int]:
    """(name, type, offset past the question)"""
    name, at = read_name(message, 12)
    return name, struct.unpack_from(">H", message, at)[0], at + 4


def read_answer(message: bytes) -> dict:
    """id, rcode, flags and the addresses of the answer section; what can't be read is left out."""
    ident, flags, qd, an, _, _ = struct.unpack_from(">HHHHHH", message)
    found = {"id": ident, "flags": flags, "rcode": flags & 15, "addresses": [], "answers": an}
    try:
        at = 12
        for _ in range(qd):
            _, at = read_name(message, at)
            at += 4
        for _ in range(an):
            _, at = read_name(message, at)
            rtype, _, _, length = struct.unpack_from(">HHIH", message, at)
            if rtype in (A, AAAA):
                found["addresses"].append(str(ipaddress.ip_address(message[at + 10:at + 10 + length])))
            at += 10 + length
    except (ValueError, IndexError, struct.error) as error:
        found["error"] = str(error)
    return found
