# SPDX-License-Identifier: Apache-2.0
"""Each house rule finds the fault it is for, and is silent on a clean tree."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import house  # noqa: E402
import include_directions  # noqa: E402

APACHE = "// SPDX-License-Identifier: Apache-2.0\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CLEAN = {
    "bpf/abi.h": '#include "limit.h"\n',
    "bpf/limit.h": "#include <linux/types.h>\n",
    "bpf/egress.bpf.c": '#include "lib/maps.h"\n#include <bpf/bpf_helpers.h>\n',
    "bpf/lib/maps.h": '#include "abi.h"\n',
    "policy/model.h": '#include "bpf/abi.h"\n',
    "userspace/base/fd.h": "#include <unistd.h>\n",
    "userspace/kernel/maps.h": '#include "userspace/base/fd.h"\n#include <bpf/libbpf.h>\n#include "penstock.skel.h"\n',
    "userspace/sync/diff.h": '#include "policy/model.h"\n#include "userspace/kernel/maps.h"\n',
    "userspace/daemon/main.cpp": '#include "userspace/sync/diff.h"\n',
    "userspace/cli/main.cpp": '#include "userspace/base/fd.h"\n',
}


def test_the_clean_tree_has_no_fault(tmp_path):
    assert include_directions.check(tree(tmp_path, CLEAN)) == []


@pytest.mark.parametrize("file, line", [
    ("policy/parse.cpp", '#include "userspace/base/fd.h"'),
    ("policy/parse.cpp", "#include <bpf/bpf.h>"),
    ("policy/parse.cpp", "#include <boost/asio/io_context.hpp>"),
    ("policy/parse.cpp", "#include <chrono>"),
    ("policy/parse.cpp", "#include <fcntl.h>"),
    ("policy/parse.cpp", "#include <sys/stat.h>"),
    ("policy/parse.cpp", '#include "bpf/lib/maps.h"'),
    ("policy/parse.cpp", '#include "bpf/limit.h"'),
    ("userspace/kernel/budgets.cpp", '#include "bpf/limit.h"'),
    ("userspace/daemon/main.cpp", '#include "../../bpf/limit.h"'),
    ("userspace/cli/ps.cpp", '#include "limit.h"'),
    ("userspace/base/log.cpp", '#include "userspace/kernel/maps.h"'),
    ("userspace/kernel/pins.cpp", '#include "policy/model.h"'),
    ("userspace/kernel/pins.cpp", '#include "userspace/sync/diff.h"'),
    ("userspace/container/tree.cpp", '#include "userspace/sync/diff.h"'),
    ("userspace/sync/writer.cpp", "#include <bpf/libbpf.h>"),
    ("userspace/telemetry/sink.cpp", '#include "userspace/sync/diff.h"'),
    ("userspace/cli/ps.cpp", '#include "userspace/kernel/maps.h"'),
    ("userspace/cli/ps.cpp", '#include "userspace/sync/diff.h"'),
    ("userspace/cli/ps.cpp", '#include "penstock.skel.h"'),
    ("bpf/sock.bpf.c", '#include "policy/model.h"'),
    ("bpf/sock.bpf.c", '#include "../policy/model.h"'),
    ("cp_client/link.cpp", '#include "policy/model.h"'),
])
def test_a_forbidden_include_is_found_with_its_line(tmp_path, file, line):
    faults = include_directions.check(tree(tmp_path, {**CLEAN, file: "\n" + line + "\n"}))
    assert len(faults) == 1 and faults[0].startswith(f"{file}:2: "), faults


def test_an_include_loop_is_found(tmp_path):
    faults = include_directions.check(tree(tmp_path, {**CLEAN, "userspace/base/a.h": '#include "userspace/base/b.h"\n',
                                                      "userspace/base/b.h": '#include "userspace/base/a.h"\n'}))
    assert len(faults) == 1 and "include loop" in faults[0], faults


@pytest.mark.parametrize("path, text, part", [
    ("policy/x.cpp", "int x;\n", "SPDX"),
    ("bpf/x.bpf.c", "/* SPDX-License-Identifier: Apache-2.0 */\n", "SPDX"),
    ("bench/x.bpf.c", "/* SPDX-License-Identifier: Apache-2.0 */\n", "SPDX"),
    ("policy/x.cpp", APACHE + "\n" * 300, "301 lines"),
    ("policy/x.cpp", APACHE + "// TO" "DO later\n", "finish it"),
])
def test_a_broken_rule_is_found(tmp_path, path, text, part):
    faults = house.check(tree(tmp_path, {path: text, f"{Path(path).parts[0]}/README.md": "x\n"}))
    assert len(faults) == 1 and part in faults[0], faults


def test_a_folder_without_a_readme_is_found(tmp_path):
    faults = house.check(tree(tmp_path, {"policy/x.cpp": APACHE, "tests/unit/deep/x.cpp": APACHE,
                                         "tests/unit/seeds/of/x": "data", "tests/README.md": "x\n"}))
    assert [fault.split(":")[0] for fault in faults] == ["policy/README.md", "tests/unit/README.md", "tests/unit/deep/README.md"]


def test_a_listed_exception_may_be_longer(tmp_path):
    files = {"policy/x.cpp": APACHE + "\n" * 350, "policy/README.md": "x\n", "tests/README.md": "x\n",
             "tests/check/README.md": "x\n", "tests/check/size_exceptions.txt": "policy/x.cpp 400 a table\n"}
    assert house.check(tree(tmp_path, files)) == []
