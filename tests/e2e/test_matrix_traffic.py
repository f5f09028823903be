# SPDX-License-Identifier: Apache-2.0
"""What is decided by more than an address: loopback, what others open, sources, hiding headers, birth. Each hook, family and protocol
that tests/check/case_coverage.py lists; DNS is in test_matrix_dns.py, addresses and ports in test_matrix.py.
"""
import secrets
import socket

import pytest

from internet import ODD
from observe import Counters, events, until
from outside import AT_ONCE_US, FENCE, PING, fence, send_from_outside

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{odd}], search: []}}
  allow: [{{name: open, cidrs: [{cidrs}], ports: [tcp/80, tcp/8000-8099, udp/8000-8099, udp/9000]}}]
  inbound: {inbound}
  loopback: {loopback}
"""
WEB, NEIGHBOURS = '198.51.100.0/26, "2001:db8:80::a:0/112"', '10.88.0.0/16, "fd88::/16"'
LOOPBACK = {"v4": "127.0.0.1", "v6": "::1", "mapped": "::ffff:127.0.0.1"}
ALLOWED = {"v4": "198.51.100.9", "v6": "2001:db8:80::a:9", "mapped": "::ffff:198.51.100.9"}
ANY = {"v4": "0.0.0.0", "v6": "::", "mapped": ""}  # "": both families on a v6 socket
FAMILIES, PLAIN = ("v4", "v6", "mapped"), ("v4", "v6")


def covers(hook: str, rule: str, protocols=("tcp", "udp"), families=FAMILIES):
    """Parameters family, protocol; each with the markers of all the hooks."""
    return [pytest.param(family, protocol, id=f"{protocol}-{family}",
                         marks=pytest.mark.covers(hook=hook, rule=rule, family=family, protocol=protocol))
            for protocol in protocols for family in families]


SETTINGS = {"server": (WEB, "allow", "allow"), "closed": (WEB, "deny", "allow"), "shut": (WEB, "allow", "deny"),
            "client": (f"{NEIGHBOURS}, {WEB}", "allow", "allow")}


def policies(lab, **changed: tuple) -> dict[str, str]:
    """name: (cidrs, inbound, loopback)"""
    return {f"{name}.yaml": POLICY.format(name=name, path=lab.containers[name].path, odd=ODD, cidrs=cidrs, inbound=inbound, loopback=loopback)
            for name, (cidrs, inbound, loopback) in (SETTINGS | changed).items()}


@pytest.fixture(scope="module")
def world(lab):
    """`server` answers what others open, `closed` is asked in vain, `client` may open to both."""
    made = {name: lab.container(name) for name in SETTINGS}
    lab.cgroups.make("gate", "strict")
    lab.daemon.start(policies(lab), "--strict-root", lab.path("strict"))
    for container in made.values():
        container.netns.sysctl("net.ipv4.ping_group_range", PING)
        container.watch_cable()
    port = 8000
    for name in ("server", "closed"):
        for family in FAMILIES:
            port += 1
            made[name].probe("serve", address=ANY[family], port=port)
            PORTS[name, family] = port
    return made


PORTS: dict[tuple, int] = {}


def address_of(container, family: str) -> str:
    return container.v6 if family == "v6" else container.v4


# ---- loopback ----

@pytest.mark.parametrize("family, protocol", [
    pytest.param(family, protocol, id=f"{protocol}-{family}", marks=[
        pytest.mark.covers(hook=f"egress {'connect' if protocol == 'tcp' else 'sendmsg'}", rule="loopback", family=family, protocol=protocol)])
    for protocol in ("tcp", "udp") for family in FAMILIES])
def test_loopback_is_a_setting(lab, world, watch, family, protocol):
    """Allowed, it needs no rule; denied, each hook refuses it."""
    server, shut, port = world["server"], world["shut"], PORTS["server", family]
    with watch(server) as seen:
        assert_answered(server, protocol, LOOPBACK[family], port)
    assert seen.grown(direction="egress", verdict="allow", reason="loopback") >= 2 and seen.grown(verdict="deny") == 0
    hook, way = ("connect", "tcp") if protocol == "tcp" else ("sendmsg", "udp_sendto")
    with watch(shut) as seen:
        got = shut.probe("way", name=way, address=LOOPBACK[family], port=port, mark="55")
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
        seen.counted(direction="egress", verdict="deny", reason="loopback-denied")
        event = seen.reported(kind="denied", hook=hook, reason="loopback-denied")
    assert event["remote"] == LOOPBACK[family].removeprefix("::ffff:"), event
    with watch(shut) as seen:
        error, us = send_from_outside(shut, lab.directory, family, protocol, LOOPBACK[family], port, "55")
        assert error == ("EINPROGRESS" if protocol == "tcp" else "EPERM") and us < AT_ONCE_US, (error, us)
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="loopback-denied") >= 1, 5, "counted by the packet hook")
        seen.reported(kind="denied", hook="egress", reason="loopback-denied")


def assert_answered(container, protocol: str, address: str, port: int) -> None:
    got = container.probe("http" if protocol == "tcp" else "udp", address=address, port=port)
    assert got["error"] is None and (got.get("status") == 200 or got.get("answered")), got


@pytest.mark.parametrize("family, protocol", covers("ingress", "loopback", families=PLAIN))
def test_inbound_deny_leaves_loopback_alone(world, watch, family, protocol):
    """A container that nobody may open to still talks to itself, where loopback is allowed."""
    closed = world["closed"]
    with watch(closed) as seen:
        assert_answered(closed, protocol, LOOPBACK[family], PORTS["closed", family])
    assert seen.grown(direction="ingress", verdict="allow", reason="inbound") >= 2 and seen.grown(verdict="deny") == 0


@pytest.mark.parametrize("family, protocol", covers("egress", "loopback", ("icmp",), PLAIN))
def test_loopback_icmp(lab, world, watch, family, protocol):
    for name, verdict, reason in (("server", "allow", "loopback"), ("shut", "deny", "loopback-denied")):
        with watch(world[name]) as seen:
            send_from_outside(world[name], lab.directory, family, protocol, LOOPBACK[family], 0, "55" * 8)
            seen.counted(direction="egress", verdict=verdict, reason=reason)


# ---- what others open ----

@pytest.mark.parametrize("family, protocol", [
    pytest.param(family, protocol, id=f"{protocol}-{family}", marks=[
        pytest.mark.covers(hook="ingress", rule="inbound", family=family, protocol=protocol),
        pytest.mark.covers(hook=f"egress {'sockops' if protocol == 'tcp' else 'sendmsg'}", rule="reply", family=family, protocol=protocol)])
    for protocol in ("tcp", "udp") for family in FAMILIES])
def test_what_others_open_is_answered_or_refused(world, watch, family, protocol):
    """`mapped`: an IPv4 client of a server on a v6 socket. The answer needs no rule, and is no right to open anything."""
    client, server, closed = world["client"], world["server"], world["closed"]
    with watch(server) as seen:
        assert_answered(client, protocol, address_of(server, family), PORTS["server", family])
    assert seen.grown(direction="ingress", verdict="allow", reason="inbound") >= 1
    assert seen.grown(direction="egress", verdict="allow", reason="reply") >= 1 and seen.grown(verdict="deny") == 0
    with watch(server) as seen:
        got = server.probe("way", name="tcp" if protocol == "tcp" else "udp_sendto", address=address_of(client, family), port=8000, mark="55")
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
    with watch(closed) as seen:
        target = dict(address=address_of(closed, family), port=PORTS["closed", family], timeout=0.2)
        got = client.probe("connect" if protocol == "tcp" else "udp", **target)
        assert got["error"] == "timeout" if protocol == "tcp" else not got["answered"], got
    until(lambda: seen.grown(direction="ingress", verdict="deny", reason="inbound-denied") >= 1, 5, "refused")
    seen.reported(kind="denied", hook="ingress", reason="inbound-denied", remote=address_of(client, family))
    assert seen.grown(direction="egress") == 0, "no answer, not even a refusal"


# ---- sources ----

@pytest.mark.parametrize("family, protocol", covers("egress", "source", ("udp",)))
def test_nothing_leaves_from_port_53(lab, world, watch, family, protocol):
    """Not even where a rule leads."""
    mark = secrets.token_hex(16)
    with watch(world["server"]) as seen:
        error, us = send_from_outside(world["server"], lab.directory, family, protocol, ALLOWED[family], 9000, mark,
                                      bound_to=("", 53))
        assert error == "EPERM" and us < AT_ONCE_US
    seen.counted(direction="egress", verdict="deny", reason="source-port")
    fence(world["server"])
    assert not world["server"].arrived(contains=mark)


@pytest.mark.parametrize("family, protocol", covers("egress", "source", ("tcp",), PLAIN))
def test_over_loopback_no_stream_comes_from_port_53(lab, world, watch, family, protocol):
    with watch(world["server"]) as seen:
        error, us = send_from_outside(world["server"], lab.directory, family, protocol, LOOPBACK[family], PORTS["server", family], "55",
                                      bound_to=(LOOPBACK[family], 53))
        assert error == "EINPROGRESS" and us < AT_ONCE_US
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="source-port") >= 1, 5, "denied")


# ---- headers that hide ----

# address family: option that makes them; where the segments really lead is denied
HIDING = {"v4": ((0, 4, "830704" + socket.inet_aton("198.51.100.200").hex() + "00"), "ip-options"),
          "v6": ((41, 57, "0002040000000000" + socket.inet_pton(socket.AF_INET6, "2001:db8:80::d:9").hex()), "extension-header")}


@pytest.mark.parametrize("family, protocol", covers("egress", "hidden", families=PLAIN))
def test_headers_that_hide_the_destination(lab, world, watch, family, protocol):
    option, reason = HIDING[family]
    mark = secrets.token_hex(16)
    with watch(world["server"]) as seen:
        error, us = send_from_outside(world["server"], lab.directory, family, protocol, ALLOWED[family], 80 if protocol == "tcp" else 9000, mark,
                                      options=(option,))
        assert error == ("EINPROGRESS" if protocol == "tcp" else "EPERM") and us < AT_ONCE_US, (error, us)
        until(lambda: seen.grown(direction="egress", verdict="deny", reason=reason) >= 1, 5, "denied")
        seen.reported(kind="denied", hook="egress", reason=reason)
    fence(world["server"])
    assert not world["server"].arrived(contains=mark)
    assert not world["server"].arrived(destination="198.51.100.200") and not world["server"].arrived(destination="2001:db8:80::d:9")


# ---- birth ----

@pytest.mark.parametrize("family, protocol", covers("birth", "birth", families=PLAIN))
def test_born_under_a_strict_root_it_reaches_nothing(lab, world, watch, family, protocol):
    born = lab.container(f"born-{family}-{protocol}", "strict")
    born.watch_cable()
    mark = secrets.token_hex(16)
    way, port = ("tcp", 80) if protocol == "tcp" else ("udp_sendto", 9000)
    got = born.probe("way", name=way, address=ALLOWED[family], port=port, mark=mark)
    assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    until(lambda: Counters(lab.daemon, born.path).of(direction="egress", verdict="deny", reason="birth") == 1, 5, "counted as birth")
    until(lambda: events(lab.daemon, born.path, hook="connect" if protocol == "tcp" else "sendmsg", reason="birth"), 5, "reported")
    control = world["client"].probe("udp", address=FENCE, port=9000)
    assert control["answered"] and not born.arrived(contains=mark) and not born.arrived(destination=ALLOWED[family])


# ---- last: the policy of `server` changes ----

@pytest.mark.parametrize("family", FAMILIES)
def test_who_may_no_longer_be_answered_is_not(lab, world, watch, family):
    """A connection that others opened while they might."""
    client, server = world["client"], world["server"]
    lab.daemon.write(policies(lab))
    lab.daemon.reload()
    client.probe("hold", key="open", family=10 if family == "v6" else 2, type=1)
    assert client.probe("held_connect", key="open", address=address_of(server, family), port=PORTS["server", family])["error"] is None
    lab.daemon.write(policies(lab, server=(WEB, "deny", "allow")))
    lab.daemon.reload()
    answers = len(server.arrived(contains=b"inside".hex()))
    with watch(server) as seen:
        assert client.probe("held_send", key="open", payload="55")["error"] is None
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="reply-denied") >= 1, 5, "its answer is denied")
        seen.reported(kind="denied", hook="egress", reason="reply-denied", remote=address_of(client, family))
    fence(client)
    client.probe("held_close", key="open")
    assert len(server.arrived(contains=b"inside".hex())) == answers
