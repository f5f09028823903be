# SPDX-License-Identifier: Apache-2.0
"""An answer forged by a packet socket on the loopback device, while the query it answers is live."""
import json

import pytest

from internet import ODD
from observe import learned

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: forger}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow:
    - {{name: odd, domains: ["*.odd.test"], ports: [tcp/80]}}
"""
FORGED = "198.51.100.32"
# Asks a server that never answers, then answers itself with the server's address as source. Prints what happened.
SCRIPT = """
import json, socket, struct, sys
server, own, forged = sys.argv[1:]
name = b"".join(bytes([len(l)]) + l for l in (b"silent", b"odd", b"test")) + b"\\0" + struct.pack("!HH", 1, 1)
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.bind((own, 0))
asker.settimeout(0.5)
asker.sendto(struct.pack("!6H", 0x1234, 0x100, 1, 0, 0, 0) + name, (server, 53))
answer = struct.pack("!6H", 0x1234, 0x8180, 1, 1, 0, 0) + name + b"\\xc0\\x0c" + struct.pack("!HHIH", 1, 1, 300, 4)
answer += socket.inet_aton(forged)
udp = struct.pack("!4H", 53, asker.getsockname()[1], 8 + len(answer), 0) + answer
ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(server),
                           socket.inet_aton(own)))
total = sum(struct.unpack("!10H", ip))
total = (total & 0xffff) + (total >> 16)
struct.pack_into("!H", ip, 10, ~((total & 0xffff) + (total >> 16)) & 0xffff)
try:
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    packet.bind(("lo", 0x0800))
    packet.send(bytes(12) + b"\\x08\\x00" + bytes(ip) + udp)
    sent = "sent"
except PermissionError:
    sent = "EPERM"
try:
    asker.recv(512)
    got = "delivered"
except TimeoutError:
    got = "nothing"
print(json.dumps({"sent": sent, "got": got}))
"""


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("forger")
    lab.daemon.start({"forger.yaml": POLICY.format(path=made.path, resolver=ODD)})
    return made


def test_an_answer_forged_by_a_packet_socket_on_lo_teaches_nothing(lab, container, watch):
    container.run("ip", "link", "set", "lo", "up")
    with watch(container) as seen:
        ran = container.run("/usr/bin/python3", "-I", "-c", SCRIPT, ODD, container.v4, FORGED)
        assert ran.returncode == 0, ran.stderr
        said = json.loads(ran.stdout)
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    if said["sent"] == "sent":
        seen.counted(direction="ingress", verdict="none", reason="answer-loopback")  # it came to where answers teach
        assert said["got"] == "delivered", said
    else:
        assert said == {"sent": "EPERM", "got": "nothing"}, said  # the kernel runs the BPF LSM
    assert FORGED not in learned(lab.daemon, container.path)
    with watch(container) as seen:
        got = container.probe("connect", address=FORGED, port=80)
    assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
