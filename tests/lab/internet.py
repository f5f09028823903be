# SPDX-License-Identifier: Apache-2.0
"""The lab's internet: one namespace with the addresses, the zones and the servers of a small world.

Two real DNS servers hold the same zone on different addresses (dnsmasq and unbound); a third is hand-made and lies on
request (odd_dns.py). Documentation addresses only; nothing leaves the namespace.
"""
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from netns import Netns

HERE = Path(__file__).parent

DNSMASQ, DNSMASQ6 = "203.0.113.53", "2001:db8:53::53"
UNBOUND, UNBOUND6 = "203.0.113.54", "2001:db8:53::54"
ODD, ODD6 = "203.0.113.55", "2001:db8:53::55"
ODD_OTHER = "203.0.113.56"                      # answers that come from elsewhere come from here

# The web server is every address of these.
WEB, WEB6 = "198.51.100.1", "2001:db8:80::1"
WEB_NETS = ("198.51.100.0/24", "101.0.0.0/8", "2001:db8:80::/64")
TCP_PORTS, UDP_PORTS = (80, 443, 8080), (443, 9000)

# name: addresses, or one name it is an alias of
ZONE: dict[str, list[str]] = {
    "api.good.test": ["198.51.100.10", "2001:db8:80::a"],
    "www.good.test": ["edge.cdn.test"],
    "edge.cdn.test": ["198.51.100.11", "2001:db8:80::b"],
    "many.good.test": [f"198.51.100.{n}" for n in range(20, 26)],
    "a.b.c.good.test": ["198.51.100.12"],
    "good.test": ["198.51.100.13"],
    "new.good.test": ["198.51.100.14", "2001:db8:80::e"],
    "later.good.test": ["198.51.100.15"],
    "blocked.good.test": ["198.51.100.16"],
    "notgood.test": ["198.51.100.17"],
    "_under.good.test": ["198.51.100.18"],
    "xn--bcher-kva.good.test": ["198.51.100.19"],
    "other.test": ["198.51.100.30", "2001:db8:80::1e"],
    "shared-a.test": ["198.51.100.31"],
    "shared-b.test": ["198.51.100.31"],
    "evil.test": ["198.51.100.32", "2001:db8:80::20"],
    "private.good.test": ["10.88.0.1"],
    "app.svc.cluster.test": ["198.51.100.33"],
}


def is_alias(values: list[str]) -> bool:
    return len(values) == 1 and not (values[0][0].isdigit() or ":" in values[0])


def dnsmasq_files(directory: Path) -> Path:
    hosts = directory / "dnsmasq.hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, values in ZONE.items() if not is_alias(values)
                             for address in values))
    # Not no-daemon: then a TCP connection on which nothing comes (a denied query) would hold up everybody's look-ups.
    lines = ["keep-in-foreground", "log-facility=-", "no-resolv", "no-hosts", "bind-interfaces", "local=/test/", "local-ttl=60",
             "user=root", f"addn-hosts={hosts}", f"listen-address={DNSMASQ}", f"listen-address={DNSMASQ6}",
             f"pid-file={directory}/dnsmasq.pid", "txt-record=txt.good.test,hello",
             "dns-rr=api.good.test,65,000100000100030268320000"]
    lines += [f"cname={name},{values[0]}" for name, values in ZONE.items() if is_alias(values)]
    configuration = directory / "dnsmasq.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return configuration


def unbound_files(directory: Path) -> Path:
    zone = ["$ORIGIN test.", "$TTL 60", "@ IN SOA ns.test. root.test. 1 3600 900 86400 60", "@ IN NS ns.test.",
            f"ns.test. IN A {UNBOUND}", 'txt.good.test. IN TXT "hello"']
    for name, values in ZONE.items():
        for value in values:
            kind = "CNAME" if is_alias(values) else "AAAA" if ":" in value else "A"
            zone.append(f"{name}. IN {kind} {value}{'.' if kind == 'CNAME' else ''}")
    (directory / "test.zone").write_text("\n".join(zone) + "\n")
    configuration = directory / "unbound.conf"
    configuration.write_text(f"""server:
  interface: {UNBOUND}
  interface: {UNBOUND6}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  directory: "{directory}"
  pidfile: "{directory}/unbound.pid"
  num-threads: 1
  module-config: "iterator"
  domain-insecure: "test."
  local-zone: "test." nodefault
remote-control:
  control-enable: no
auth-zone:
  name: "test."
  zonefile: "{directory}/test.zone"
  for-downstream: yes
  for-upstream: no
  fallback-enabled: no
""")
    return configuration


class Internet:
    def __init__(self, name: str, directory: Path, cgroup: Path):
        self.directory, self.cgroup = directory, cgroup
        directory.mkdir()
        self.netns = Netns(name)
        self.processes: list[subprocess.Popen] = []
        try:
            self.addresses()
            self.servers()
        except BaseException:
            self.close()
            raise

    def addresses(self) -> None:
        self.netns.sysctl("net.ipv4.ip_forward", "1")
        self.netns.sysctl("net.ipv6.conf.all.forwarding", "1")
        for address in (DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6, ODD, ODD6, ODD_OTHER, "169.254.169.254"):
            self.netns.add_address(f"{address}/{128 if ':' in address else 32}", "lo")
        for net in WEB_NETS:
            self.netns.ip("route", "add", "local", net, "dev", "lo")

    def servers(self) -> None:
        # The binaries run as copies: a distribution's AppArmor profile holds their usual paths to configuration in /etc.
        dnsmasq, unbound = (self.copy(name) for name in ("dnsmasq", "unbound"))
        self.start("dnsmasq", dnsmasq, "-C", str(dnsmasq_files(self.directory)))
        self.start("unbound", unbound, "-d", "-c", str(unbound_files(self.directory)))
        self.start("odd_dns", sys.executable, "-I", str(HERE / "odd_dns.py"), ODD, ODD6, ODD_OTHER)
        self.start("web", sys.executable, "-I", str(HERE / "web.py"), ",".join(map(str, TCP_PORTS)),
                   ",".join(map(str, UDP_PORTS)))
        for name, check in (("dnsmasq", f"{DNSMASQ}:53"), ("unbound", f"{UNBOUND}:53"), ("odd_dns", f"{ODD}:53"),
                            ("web", f"{WEB}:{TCP_PORTS[-1]}")):
            self.wait_for(name, check)

    def copy(self, name: str) -> str:
        found = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if found is None:
            raise RuntimeError(f"{name} is not installed (./dev setup)")
        return shutil.copy(found, self.directory / name)

    def start(self, name: str, *command: str) -> None:
        log = open(self.directory / f"{name}.log", "w")
        self.processes.append(subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "enter.py"), str(self.cgroup), self.netns.name, "-", *command],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        log.close()

    def start_sink(self, port: int) -> None:
        """Takes what TCP sends to this port of any address here, and throws it away; listens when this returns."""
        self.start("sink", sys.executable, "-I", str(HERE / "sink.py"), str(port))
        self.wait_for("sink", f"{WEB}:{port}")

    def wait_for(self, name: str, address: str, deadline_s: float = 30) -> None:
        """Until something listens there (TCP; each of our servers has TCP and UDP)."""
        end = time.monotonic() + deadline_s
        host, port = address.rsplit(":", 1)
        packed = "%08X:%04X" % (int.from_bytes(socket.inet_aton(host), "little"), int(port))
        any_host = "%032X:%04X" % (0, int(port))
        while time.monotonic() < end:
            listening = self.netns.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
            if packed + " 00000000:0000 0A" in listening or f"{any_host} " in listening:
                return
            time.sleep(0.02)
        raise RuntimeError(f"{name} does not listen: {(self.directory / f'{name}.log').read_text()[-2000:]}")

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(5)
        self.netns.remove()
