# SPDX-License-Identifier: Apache-2.0
"""The coverage check finds what it is for: a hook, a reason or a pair without cases, a marker that names no pair, a test that never runs."""
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import case_coverage  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
ONE = ("egress", "allow-cidr", "v4", "tcp")


@pytest.fixture
def tree(tmp_path):
    shutil.copytree(ROOT / "bpf", tmp_path / "bpf")
    return tmp_path


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def faults(tree: Path) -> list[str]:
    return case_coverage.check_design(tree, case_coverage.all_pairs())


def test_the_design_is_what_the_kernel_side_has(tree):
    assert faults(tree) == []


def test_a_new_hook_without_cases_is_found(tree):
    append(tree / "bpf/sock.bpf.c", '\nSEC("cgroup/dev")\nint ps_dev(struct bpf_cgroup_dev_ctx *ctx) {\n    return 1;\n}\n')
    found = faults(tree)
    assert len(found) == 1 and 'sock.bpf.c: SEC("cgroup/dev") is in no row' in found[0], found


def test_a_hook_that_is_gone_is_found(tree):
    (tree / "bpf/lsm.bpf.c").unlink()
    assert faults(tree) == ['tests/check/case_coverage.py: there is no program SEC("lsm_cgroup/socket_create")']


def test_a_new_reason_without_a_rule_kind_is_found(tree):
    header = tree / "bpf/reason.h"
    header.write_text(header.read_text().replace("    PS_R_SCRATCH = 80,", "    PS_R_NOVELTY = 79,\n    PS_R_SCRATCH = 80,"))
    assert faults(tree) == ["bpf/reason.h: reason NOVELTY is of no rule kind in tests/check/case_coverage.py"]


def test_a_program_whose_family_has_no_pair_is_found(tree):
    pairs = {pair for pair in case_coverage.all_pairs() if (pair[0], pair[2]) != ("sendmsg", "v6")}
    assert case_coverage.check_design(tree, pairs) == ['bpf/sockaddr.bpf.c: SEC("cgroup/sendmsg6") has no pair of hook sendmsg and family v6']


def test_a_pair_without_a_case_is_named():
    pairs = case_coverage.all_pairs()
    cases = {pair: ["some test"] for pair in pairs - {ONE}}
    assert case_coverage.check_cases(pairs, cases) == ["no test covers (hook egress, rule allow-cidr, family v4, protocol tcp)"]


def test_a_marker_that_names_no_pair_is_named():
    pairs = case_coverage.all_pairs()
    cases = {pair: ["some test"] for pair in pairs} | {("egress", "allow-cidr", "v4", "sctp"): ["a test"]}
    assert case_coverage.check_cases(pairs, cases) == ["a test: covers (hook egress, rule allow-cidr, family v4, protocol sctp), which is no pair"]


def test_what_never_runs_covers_nothing(tmp_path):
    covers = '@pytest.mark.covers(hook="egress", rule="allow-cidr", family="{}", protocol="tcp")\n'
    (tmp_path / "conftest.py").write_text('def pytest_configure(config):\n    config.addinivalue_line("markers", "covers(**pair)")\n')
    runs, skipped = "def test_one():\n    pass\n", "@pytest.mark.skip\ndef test_two():\n    pass\n"
    (tmp_path / "test_some.py").write_text("import pytest\n" + covers.format("v4") + runs + covers.format("v6") + skipped)
    assert set(case_coverage.collect(tmp_path)) == {ONE}
