# SPDX-License-Identifier: Apache-2.0
"""Real servers and real clients: an allowed name works, a denied one fails and how fast, search lists with ndots:5 work.

The slow ones (musl and dig wait although they are refused) look up denied names in containers of their own from the start, beside
the other tests. What was measured is written to reports/clients.txt of the build directory.
"""
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

import pytest

from client_places import DENIED_UNDER, SERVERS, SUFFIXES, Places, best_and_median_ms, fresh_names, report, works
from observe import events

PLACES = list(SERVERS)
READERS = ("glibc", "musl", "go", "python", "curl")  # those that read resolv.conf
# What each says of a denied name.
AT_ONCE = {"glibc": "EAI_AGAIN", "python": "EAI_AGAIN", "go": "write: operation not permitted", "curl": "Could not resolve host"}
WAITING = {"musl": "EAI_AGAIN", "dig": "timed out", "dig +tcp": "timed out"}
AT_ONCE_MS = {"glibc": 100, "python": 100, "go": 100, "curl": 500}  # curl: a whole process


def denied_name(client: str, place: tuple) -> str:
    return "-".join([client.replace(" +", "-"), *place]) + f".{DENIED_UNDER}"


def in_time(container, client, words: list[str]) -> list:
    start = perf_counter()
    run = container.run(*words, timeout=60)
    return client.read(run.returncode, run.stdout + run.stderr, (perf_counter() - start) * 1e6)


class World:
    def __init__(self, lab):
        self.daemon, self.measured = lab.daemon, {}
        self.places = Places(lab)
        self.at = {place: self.places.make("-".join(place), SERVERS[place]) for place in PLACES}
        self.slow_at = {place: self.places.make("-".join(("slow", *place)), SERVERS[place]) for place in PLACES}
        self.places.enforce()
        self.pool = ThreadPoolExecutor(len(PLACES) * len(WAITING))
        self.waiting: dict[tuple, Future] = {(name, place): self.start_waiting(name, place) for name in WAITING for place in PLACES}

    def client(self, name: str):
        return self.places.clients[name.partition(" ")[0]]

    def start_waiting(self, name: str, place: tuple) -> Future:
        at, client = self.slow_at[place], self.client(name)
        words = client.words(denied_name(name, place), 1, at.server, tcp="+tcp" in name)
        return self.pool.submit(in_time, at.container, client, words)

    def table(self) -> list[str]:
        """A row a client, a column a server and transport."""
        head = ["How long a denied name takes, best / median in ms (dig: one try of 1 s; by itself 3 of 5 s, +tcp of 10 s)",
                f"{'client':<10}" + "".join(f"{' '.join(place):>17}" for place in PLACES) + "   it says"]
        rows = []
        for name, said in {**AT_ONCE, **WAITING}.items():
            cells = [self.measured.get((name, place)) for place in PLACES]
            rows.append(f"{name:<10}" + "".join(f"{self.cell(cell):>17}" for cell in cells) + f"   {said}")
        return head + rows

    @staticmethod
    def cell(measured: tuple | None) -> str:
        best, median = measured or (None, None)
        return "-" if best is None else f"{best:.0f}" if best == median else f"{best:.2f} / {median:.2f}"


@pytest.fixture(scope="module")
def world(lab):
    made = World(lab)
    yield made
    made.pool.shutdown()
    report("clients", made.table())


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("name", [*READERS, "dig", "dig +tcp"])
def test_an_allowed_name_works_and_its_address_is_open_at_once(world, watch, name, place):
    at = world.at[place]
    with watch(at.container) as seen:
        works(at, world.client(name), next(fresh_names), tcp="+tcp" in name)
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query", rule="good") >= 1
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") == 0


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("name", AT_ONCE)
def test_a_denied_name_fails_at_once(world, watch, name, place):
    at, asked, times = world.at[place], denied_name(name, place), 3 if name == "curl" else 5
    with watch(at.container) as seen:
        found = at.look_up(world.client(name), asked, times)
    assert len(found) == times and all(one.error and AT_ONCE[name] in one.error and not one.addresses for one in found), found
    world.measured[name, place] = best_and_median_ms(found)
    assert world.measured[name, place][0] < AT_ONCE_MS[name], found
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") >= times
    assert seen.grown(direction="egress", verdict="allow") == 0
    seen.reported(kind="denied", reason="name-not-allowed", name=asked, remote=at.server, remote_port=53)
    assert at.arrived(asked) == []


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("name", READERS)
def test_a_search_list_with_ndots_5_works(world, watch, name, place):
    """Suffixed questions first, which the server denies to know; then the name."""
    at, asked = world.at[place], next(fresh_names)
    world.places.resolv_conf(at.container, at.server, search=" ".join(SUFFIXES), options="ndots:5")
    try:
        with watch(at.container) as seen:
            found = works(at, world.client(name), asked)
    finally:
        world.places.resolv_conf(at.container, at.server)
    assert found.us < 2_000_000, found  # no question waited for its time-out
    for suffix in SUFFIXES:
        at.asked(f"{asked}.{suffix}")
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query", rule="good") >= 2 * (len(SUFFIXES) + 1)
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") == 0


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_denied_name_with_a_search_list_fails_at_once(world, watch, name):
    place = ("bind", "v4")
    at, asked = world.at[place], "searched-" + denied_name(name, place)
    world.places.resolv_conf(at.container, at.server, search=" ".join(SUFFIXES), options="ndots:5")
    try:
        with watch(at.container) as seen:
            found = at.look_up(world.client(name), asked, 3)
    finally:
        world.places.resolv_conf(at.container, at.server)
    assert all(one.error and AT_ONCE[name] in one.error for one in found), found
    assert best_and_median_ms(found)[0] < AT_ONCE_MS[name], found
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") >= 3
    assert at.arrived(asked.partition(".")[0] + "." + DENIED_UNDER) == []


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
@pytest.mark.parametrize("name", WAITING)
def test_a_denied_name_fails_also_where_the_client_ignores_that_it_is_refused(world, name, place):
    """They wait: musl 5 s, dig its time-out. What they asked never left."""
    at, asked = world.slow_at[place], denied_name(name, place)
    found = world.waiting[name, place].result(timeout=60)
    assert len(found) == 1 and found[0].error and WAITING[name] in found[0].error and not found[0].addresses, found
    world.measured[name, place] = best_and_median_ms(found)
    denied = events(world.daemon, at.container.path, kind="denied", reason="name-not-allowed", name=asked)
    assert denied and {event["protocol"] for event in denied} == {"tcp" if "+tcp" in name else "udp"}, denied
    assert at.arrived(asked) == []
