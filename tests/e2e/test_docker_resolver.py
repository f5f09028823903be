# SPDX-License-Identifier: Apache-2.0
"""Docker's embedded resolver, 127.0.0.11:53 translated to a random port: asked as usual, by its real port, and forged."""
import errno
import sys
from pathlib import Path

import pytest

import dns
from docker_resolver import ADDRESS, DockerResolver
from internet import DNSMASQ, ODD
from observe import learned

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{{resolvers}search: []}}
  inbound: {open}
  loopback: {open}
  allow:
    - {{name: good, domains: [api.good.test, many.good.test, "*.odd.test"], ports: [tcp/80]}}
"""
# name: what the policy says of resolvers (None: there is no policy), whom Docker's resolver asks
CONTAINERS = {
    "named": (f"resolvers: [{ADDRESS}], ", DNSMASQ),
    "unsaid": ("", DNSMASQ),
    "closed": (f"resolvers: [{ADDRESS}], ", DNSMASQ),
    "odd": (f"resolvers: [{ADDRESS}], ", ODD),
    "free": (None, ODD),
    "other": (f"resolvers: [{DNSMASQ}], ", DNSMASQ),
}
AT_ONCE_US = 200_000


class Asker:
    """A container with its resolver."""

    def __init__(self, lab, name: str):
        self.container = lab.container(name)
        self.resolver = DockerResolver(lab, self.container, CONTAINERS[name][1])

    def real(self, protocol: str) -> int:
        return {"udp": self.resolver.udp, "tcp": self.resolver.tcp}[protocol]

    def ask(self, protocol: str, name: str, port: int, timeout: float = 2) -> dict:
        if protocol == "udp":
            return self.container.probe("query", server=ADDRESS, name=name, port=port, timeout=timeout)
        message = dns.query(0x1234, name)
        return self.container.probe("query_tcp", server=ADDRESS, port=port, timeout=timeout,
                                    segments=[(len(message).to_bytes(2, "big") + message).hex()])


@pytest.fixture(scope="module")
def world(lab):
    made = {name: Asker(lab, name) for name in CONTAINERS}
    lab.daemon.start({f"{name}.yaml": POLICY.format(name=name, path=asker.container.path, resolvers=CONTAINERS[name][0],
                                                    open="deny" if name == "closed" else "allow")
                      for name, asker in made.items() if CONTAINERS[name][0] is not None})
    return made


def refused(container, watch, address: str) -> None:
    """Nothing was learned that opens the address."""
    with watch(container) as seen:
        got = container.probe("connect", address=address, port=80)
    assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")


@pytest.mark.parametrize("who", ["named", "unsaid", "closed"])
def test_an_allowed_name_is_answered_and_its_addresses_open(lab, world, watch, who):
    container = world[who].container
    refused(container, watch, "198.51.100.10")
    with watch(container) as seen:
        got = container.probe("resolve", name="api.good.test", family=4)
        assert got["error"] is None and got["addresses"] == ["198.51.100.10"], got
        assert container.probe("connect", address="198.51.100.10", port=80)["error"] is None
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    seen.counted(direction="ingress", verdict="allow", reason="dns-answer")
    assert seen.grown(direction="egress", verdict="allow", reason="learned", rule="good") >= 1
    assert seen.grown(verdict="deny") == 0
    assert learned(lab.daemon, container.path)["198.51.100.10"] == ["api.good.test"]
    shown = lab.daemon.cli("learned", "--container", container.path)
    assert shown.returncode == 0 and "198.51.100.10" in shown.stdout and "api.good.test" in shown.stdout, shown


@pytest.mark.parametrize("who", ["named", "unsaid", "closed"])
def test_both_families_at_once_as_programs_ask(lab, world, watch, who):
    with watch(world[who].container) as seen:
        got = world[who].container.probe("resolve", name="api.good.test")
    assert got["error"] is None and got["addresses"] == ["198.51.100.10", "2001:db8:80::a"], got
    seen.counted(2, direction="egress", verdict="allow", reason="dns-query")
    assert world[who].container.probe("connect", address="2001:db8:80::a", port=80)["error"] is None


@pytest.mark.parametrize("who", ["named", "unsaid", "closed"])
def test_a_denied_name_fails_at_once(lab, world, watch, who):
    container = world[who].container
    with watch(container) as seen:
        got = container.probe("resolve", name="evil.test", family=4)
    assert got["error"] == "EAI_AGAIN" and got["us"] < AT_ONCE_US, got
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") >= 1
    assert seen.grown(direction="egress", verdict="allow") == 0
    seen.reported(kind="denied", hook="egress", reason="name-not-allowed", name="evil.test", remote=ADDRESS,
                  remote_port=world[who].resolver.udp)  # the packet hook sees the port behind the translation
    refused(container, watch, "198.51.100.32")


@pytest.mark.parametrize("port", ["53", "real"])
def test_over_udp_a_denied_name_is_refused_to_sendto(world, watch, port):
    asker = world["odd"]
    with watch(asker.container) as seen:
        got = asker.ask("udp", "a.evil.test", 53 if port == "53" else asker.real("udp"))
    assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="name-not-allowed")
    assert seen.grown(direction="egress", verdict="allow") == 0 and seen.grown(direction="ingress") == 0
    seen.reported(kind="denied", reason="name-not-allowed", name="a.evil.test", remote=ADDRESS, remote_port=asker.real("udp"))


@pytest.mark.parametrize("port", ["53", "real"])
def test_over_tcp_a_denied_name_never_leaves(world, watch, port):
    asker = world["odd"]
    with watch(asker.container) as seen:
        got = asker.ask("tcp", "a.evil.test", 53 if port == "53" else asker.real("tcp"), timeout=0.5)
    assert got["error"] in ("timeout", "EPERM") and got["stage"] in ("send", "receive") and not got["addresses"], got
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") >= 1
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") == 0
    seen.reported(kind="denied", reason="name-not-allowed", name="a.evil.test", protocol="tcp", remote_port=asker.real("tcp"))


@pytest.mark.parametrize("protocol, address", [("udp", "198.51.100.60"), ("tcp", "198.51.100.61")])
def test_an_answer_from_port_53_teaches(lab, world, watch, protocol, address):
    asker = world["odd"]
    refused(asker.container, watch, address)
    with watch(asker.container) as seen:
        assert asker.ask(protocol, f"plain.{address.replace('.', '-')}.odd.test", 53)["addresses"] == [address]
        assert asker.container.probe("connect", address=address, port=80)["error"] is None
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    seen.counted(direction="ingress", verdict="allow", reason="dns-answer")
    assert seen.grown(verdict="deny") == 0
    assert address in learned(lab.daemon, asker.container.path)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_it_is_asked_where_loopback_and_inbound_are_denied(world, watch, protocol):
    asker = world["closed"]
    with watch(asker.container) as seen:
        assert asker.ask(protocol, "many.good.test", 53)["error"] is None
        assert asker.container.probe("connect", address="198.51.100.22", port=80)["error"] is None
    seen.counted(direction="ingress", verdict="allow", reason="dns-answer")
    assert seen.grown(verdict="deny") == 0
    with watch(asker.container) as seen:
        assert asker.container.probe("connect", address="127.0.0.1", port=asker.real("tcp"))["error"] == "EPERM"
    seen.counted(direction="egress", verdict="deny", reason="loopback-denied")


@pytest.mark.parametrize("protocol, address", [("udp", "198.51.100.62"), ("tcp", "198.51.100.63")])
def test_an_answer_from_the_real_port_teaches_nothing(lab, world, watch, protocol, address):
    """The question is one the policy allows, so it is answered; but nothing that comes from another port than 53 is believed."""
    asker = world["odd"]
    with watch(asker.container) as seen:
        got = asker.ask(protocol, f"plain.{address.replace('.', '-')}.odd.test", asker.real(protocol))
    assert got["error"] is None and got["addresses"] == [address], got
    assert protocol == "tcp" or got["replies"][0]["port"] == asker.real("udp")
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    assert seen.grown(direction="ingress", reason="dns-answer") == 0
    assert address not in learned(lab.daemon, asker.container.path)
    refused(asker.container, watch, address)


@pytest.mark.parametrize("connect", [False, True])
@pytest.mark.parametrize("port", ["53", "real"])
def test_a_mapped_or_connected_socket_is_judged_alike(world, watch, port, connect):
    asker = world["odd"]
    with watch(asker.container) as seen:
        got = asker.container.probe("exchange", server=f"::ffff:{ADDRESS}", port=53 if port == "53" else asker.real("udp"),
                                    message=dns.query(1, "b.evil.test").hex(), connect=connect)
    assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="name-not-allowed")
    assert seen.grown(direction="egress", verdict="allow") == 0


def test_what_is_no_dns_does_not_reach_the_real_port(world, watch):
    asker = world["odd"]
    with watch(asker.container) as seen:
        got = asker.container.probe("udp", address=ADDRESS, port=asker.real("udp"), octets=5)
    assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="dns-short")


# As the resolver itself, while a query waits: the source address is the resolver's (IP_PKTINFO), the source port its
# real one (free on another address), and the address translation makes that port 53.
FORGER = """
import socket, struct, sys
sys.path.insert(0, sys.argv[1]); import dns
address, port, name, forged = sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); asker.settimeout(0.3); asker.bind(("127.0.0.1", 0))
asker.sendto(dns.query(7, name), (address, 53))
forger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); forger.bind(("127.0.0.99", port))
answer = (dns.header(7, dns.QR | dns.RD | dns.RA, 1, 1) + dns.question(name) + dns.address_record(b"\\xc0\\x0c", forged))
control = [(socket.IPPROTO_IP, 8, struct.pack("=I4s4s", 0, socket.inet_aton(address), b"\\0" * 4))]  # IP_PKTINFO
try:
    forger.sendmsg([answer], control, 0, asker.getsockname()); print("sent")
except OSError as error:
    print(error.errno)
try:
    print(asker.recvfrom(512)[1])
except OSError:
    print("nothing")
"""


def forge(asker: Asker, forged: str) -> list[str]:
    got = asker.container.run(sys.executable, "-I", "-c", FORGER, str(Path(dns.__file__).parent), ADDRESS, str(asker.real("udp")),
                              "silent.198-51-100-65.odd.test", forged)
    assert got.returncode == 0, got
    return got.stdout.splitlines()


def test_without_a_policy_the_forgery_succeeds(world):
    """So that the next test shows the product at work and not a mistake in the forgery."""
    assert forge(world["free"], "198.51.100.64") == ["sent", str((ADDRESS, 53))]


def test_the_container_can_not_answer_in_the_resolvers_place(lab, world, watch):
    asker, forged = world["odd"], "198.51.100.64"
    with watch(asker.container) as seen:
        assert forge(asker, forged) == [str(errno.EPERM), "nothing"]
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    seen.counted(direction="egress", verdict="deny", reason="source-port")
    assert forged not in learned(lab.daemon, asker.container.path)
    refused(asker.container, watch, forged)


@pytest.mark.parametrize("port", ["53", "real"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_policy_without_it_denies_it(world, watch, protocol, port):
    asker = world["other"]
    with watch(asker.container) as seen:
        got = asker.ask(protocol, "api.good.test", 53 if port == "53" else asker.real(protocol))
    assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US and not got["addresses"], got
    seen.counted(direction="egress", verdict="deny", reason="resolver")
    assert seen.grown(direction="egress", verdict="allow") == 0
    seen.reported(kind="denied", reason="resolver", remote=ADDRESS)


def test_a_policy_without_it_fails_the_look_up_at_once(lab, world, watch):
    container = world["other"].container
    with watch(container) as seen:
        got = container.probe("resolve", name="api.good.test", family=4)
    assert got["error"] == "EAI_AGAIN" and got["us"] < AT_ONCE_US, got
    assert seen.grown(direction="egress", verdict="deny", reason="resolver") >= 1
    assert container.probe("query", server=DNSMASQ, name="api.good.test")["addresses"] == ["198.51.100.10"]
    assert "198.51.100.10" in learned(lab.daemon, container.path)
