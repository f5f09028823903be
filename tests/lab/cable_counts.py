# SPDX-License-Identifier: Apache-2.0
"""Packets and IP octets of each kind that came out of a container and went into it, counted by nftables at the internet's end of its cable.
Too many for a sniffer. What nobody is to answer is dropped there.
"""
import json
import shutil
import sys
from pathlib import Path

from container import HERE

DATAGRAMS = "udp dport 9001"  # of these nobody but the counters hears


class CableCounts:
    """`kinds`: by name the nftables match of what comes out. What goes in: the TCP and the DNS."""

    IN = {"stream in": "meta l4proto tcp", "dns in": "udp sport 53"}

    def __init__(self, lab, containers: list, kinds: dict[str, str]):
        self.nft, self.netns, self.kinds = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin"), lab.internet.netns, kinds
        self.containers = containers
        for container in containers:
            # Else a buffer of many packets would pass as one.
            container.netns.run(sys.executable, "-I", str(HERE / "offload.py"), "eth0")
            lab.internet.netns.run(sys.executable, "-I", str(HERE / "offload.py"), self.device(container))
        file = Path(lab.directory) / "cable_counts.nft"
        file.write_text(self.rules())
        self.netns.run(self.nft, "-f", str(file))

    @staticmethod
    def device(container) -> str:
        return f"c{container.v4.split('.')[2]}"

    def rules(self) -> str:
        counters, out, into = [], [], []
        for container in self.containers:
            device = self.device(container)
            for lines, direction, kinds in ((out, "iifname", self.kinds), (into, "oifname", self.IN)):
                for name, match in kinds.items():
                    counter = f"{device}_{name.replace(' ', '_')}"
                    counters.append(f"counter {counter} {{ }}")
                    verdict = "drop" if DATAGRAMS in match else "accept"
                    lines.append(f"{direction} {device} {match} counter name {counter} {verdict}")
        chains = {"leaves": ("prerouting priority -300", out), "enters": ("output priority 0", into)}
        return "table inet cable {\n" + "\n".join(counters) + "\n" + "\n".join(
            f"chain {name} {{\n type filter hook {hook};\n" + "\n".join(lines) + "\n}" for name, (hook, lines) in chains.items()) + "\n}\n"

    def read(self) -> dict[str, dict[str, tuple[int, int]]]:
        """By container: kind to packets and octets."""
        rows = json.loads(self.netns.run(self.nft, "-j", "list", "counters", "table", "inet", "cable"))["nftables"]
        found = {row["counter"]["name"]: (row["counter"]["packets"], row["counter"]["bytes"]) for row in rows if "counter" in row}
        return {container.name: {name: found[f"{self.device(container)}_{name.replace(' ', '_')}"] for name in (*self.kinds, *self.IN)}
                for container in self.containers}

    def dropped(self) -> int:
        """Packets that the cables lost on the way: nobody's fault, but then nothing can be compared."""
        return sum(int(netns.run("cat", f"/sys/class/net/{device}/statistics/tx_dropped")) for container in self.containers
                   for netns, device in ((container.netns, "eth0"), (self.netns, self.device(container))))
