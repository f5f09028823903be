# SPDX-License-Identifier: Apache-2.0
"""The same traffic in every place, round by round, each figure as a ratio to the round's own figure without programs."""
import statistics

from figures import Row

# word of load, connections, what it is called, unit
KINDS = (("tcp_rr", 1, "TCP request/response, 1 connection", "/s"), ("tcp_rr", 16, "TCP request/response, 16 connections", "/s"),
         ("udp_rr", 1, "UDP request/response", "/s"), ("connect", 1, "TCP connect, one exchange, close", "/s"),
         ("stream", 1, "TCP stream", "octets/s"), ("dns", 1, "DNS queries", "/s"))
BASE = "none"
# (place, kind): ratio to no programs; budgets are of the whole daemon and all features
LEAST = {("penstock", "tcp_rr", 1): 0.97, ("penstock", "tcp_rr", 16): 0.97, ("penstock", "stream", 1): 0.97}
LEAST_UNMANAGED = 0.99
NAMES = {"empty": "empty programs", "penstock": "Penstock", "nftables": "nftables, cgroup match, set of 1000",
         "proxies": "haproxy and dnsdist", "unmanaged": "unmanaged, below the gate root"}


def can(place: str, kind: str) -> bool:
    return not (place == "proxies" and kind == "udp_rr")  # neither proxy forwards UDP as such


def measured(places, rounds: int, seconds: float) -> dict:
    """(place, kind, connections) -> a figure a round. Places take turns, and who comes first changes."""
    found = {}
    names = list(places.places)
    for number in range(rounds):
        turn = number % len(names)
        for kind, connections, _, _ in KINDS:
            for place in names[turn:] + names[:turn]:
                if can(place, kind):
                    figure = places.measure(place, kind, seconds, connections)
                    found.setdefault((place, kind, connections), []).append(figure)
    return found


def ratios(found: dict, place: str, kind: str, connections: int, base: str = BASE) -> list[float]:
    return [ours / theirs for ours, theirs in zip(found[place, kind, connections], found[base, kind, connections])]


def rows(found: dict) -> list[Row]:
    made = []
    for kind, connections, called, unit in KINDS:
        for place in NAMES:
            if not can(place, kind):
                continue
            each = ratios(found, place, kind, connections)
            least = LEAST_UNMANAGED if place == "unmanaged" else LEAST.get((place, kind, connections))
            made.append(Row(f"{called}: {NAMES[place]}", statistics.median(found[place, kind, connections]), unit,
                            baseline=statistics.median(found[BASE, kind, connections]), ratio=statistics.median(each),
                            spread=spread(each), least_ratio=least))
        made += rivals(found, kind, connections, called)
    return made


def rivals(found: dict, kind: str, connections: int, called: str) -> list[Row]:
    """Penstock over those it is to beat."""
    made = []
    for place, least in (("nftables", 1.0), ("proxies", 2.0)):
        # nftables does not look into DNS, so it is no rival there.
        if not can(place, kind) or (place == "nftables" and kind == "dns"):
            continue
        each = ratios(found, "penstock", kind, connections, place)
        unfiltered = statistics.median(ratios(found, BASE, kind, connections, place))
        made.append(Row(f"{called}: Penstock over {NAMES[place]}", statistics.median(found["penstock", kind, connections]), "",
                        baseline=statistics.median(found[place, kind, connections]), ratio=statistics.median(each),
                        spread=spread(each), least_ratio=least, note=f"no programs at all would be {unfiltered:.2f}"))
    return made


def spread(values: list[float]) -> tuple[float, float]:
    """From the first to the third quartile; all of them when there are few."""
    if len(values) < 4:
        return min(values), max(values)
    quarters = statistics.quantiles(values, n=4)
    return quarters[0], quarters[2]
