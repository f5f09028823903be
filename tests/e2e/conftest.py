# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: a lab a file (building one takes seconds), and helpers to say what must be seen."""
import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("lab", "check")]
import case_coverage  # noqa: E402
from daemon import build_directory  # noqa: E402
from lab import Lab  # noqa: E402
from observe import Counters, events, until  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "covers(hook, rule, family, protocol): the cases of tests/check/case_coverage.py that a test is one of")


@pytest.fixture(scope="module")
def lab():
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests make cgroups and network namespaces: run them as root", 1)
    if not (build_directory() / "userspace/daemon/penstockd").exists():
        pytest.exit(f"penstockd is not built in {build_directory()} (./dev build, or set PENSTOCK_BUILD)", 1)
    with Lab() as made:
        yield made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the daemon's log."""
    report = (yield).get_result()
    made = item.funcargs.get("lab")
    if report.failed and made is not None:
        report.sections.append(("penstockd", made.daemon.log_tail(2000)))


class Watch:
    """What the product counted and reported for one container while a block ran."""

    def __init__(self, lab, container):
        self.daemon, self.path, self.reasons = lab.daemon, container.path, set()

    def __enter__(self) -> "Watch":
        self.before = Counters(self.daemon, self.path)
        self.seen_events = len(events(self.daemon, self.path))
        return self

    def __exit__(self, *_) -> None:
        pass

    def grown(self, **fields) -> int:
        now = Counters(self.daemon, self.path)
        self.reasons |= {(direction, reason) for _, direction, _, reason in now.since(self.before)}
        return now.of(**fields) - self.before.of(**fields)

    def counted(self, packets: int = 1, **fields) -> None:
        """Exactly so many packets were counted with these fields."""
        until(lambda: self.grown(**fields) >= packets, 5,
              f"{packets} counted as {fields}; grown: {Counters(self.daemon, self.path).since(self.before)}")
        assert self.grown(**fields) == packets, Counters(self.daemon, self.path).since(self.before)

    def reported(self, **fields) -> dict:
        """An event with these fields came."""
        return until(lambda: events(self.daemon, self.path, **fields)[-1:], 5, f"event {fields}")[0]


# Rule kinds that a test may cover without a packet: the kernel may lack the protocol, or the LSM.
MAYBE_NOT_THERE = {"protocol", "socket-family"}


def claims(item) -> set[tuple[str, str]]:
    """(direction, rule kind) of the pairs that the test's markers say it covers, as far as a packet shows them."""
    return {("ingress" if hook == "ingress" else "egress", rule) for marker in item.iter_markers("covers")
            for hook in marker.kwargs["hook"].split() for rule in marker.kwargs["rule"].split()
            if hook not in ("birth", "death") and rule not in MAYBE_NOT_THERE}


@pytest.fixture
def watch(lab, request):
    """Makes watches. A test that says it covers a rule kind at a hook must have seen the kernel count one of its reasons there, or its
    marker is worth nothing."""
    made: list[Watch] = []

    def make(container) -> Watch:
        made.append(Watch(lab, container))
        return made[-1]
    yield make
    seen = set().union(*(one.reasons for one in made))
    texts = case_coverage.texts_of(Path(__file__).parent.parent.parent)
    rules = {"egress": case_coverage.RULES, "ingress": case_coverage.INGRESS_RULES}
    missing = {(direction, rule) for direction, rule in claims(request.node)
               if not any((direction, texts[name]) in seen for name in rules[direction][rule].split())}
    assert not missing, f"the test covers {missing}, but its watches saw only {seen} counted"
