# SPDX-License-Identifier: Apache-2.0
"""A row of the benchmark's table, the table, and its JSON. Knows no measurement."""
import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    what: str
    measured: float | None                       # None: could not be measured, the note says why
    unit: str
    baseline: float | None = None
    net: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None    # of the ratio, first to third quartile
    least_ratio: float | None = None             # budgets: one of these at most
    most_ratio: float | None = None
    most_net: float | None = None
    most: float | None = None                    # of what was measured itself
    note: str = ""
    more: dict = field(default_factory=dict)     # for the JSON only

    @property
    def budget(self) -> str:
        for text, value in ((">= {}", self.least_ratio), ("ratio <= {}", self.most_ratio), ("net <= {}", self.most_net),
                            ("<= {}", self.most)):
            if value is not None:
                return text.format(f"{value:g}")
        return "-"

    @property
    def over(self) -> bool | None:
        """None: there is no budget, or nothing to judge."""
        for value, limit, sign in ((self.ratio, self.least_ratio, -1), (self.ratio, self.most_ratio, 1), (self.net, self.most_net, 1),
                                   (self.measured, self.most, 1)):
            if limit is not None and value is not None:
                return sign * value > sign * limit
        return None

    def compared(self) -> str:
        parts = []
        if self.net is not None:
            parts.append(f"{amount(self.net)} net,")
        if self.ratio is not None:
            parts.append(f"{self.ratio:.3f}" if self.least_ratio or self.spread else f"{self.ratio:.2f}x")
        if self.spread:
            parts.append(f"({self.spread[0]:.2f}..{self.spread[1]:.2f})")
        return " ".join(parts)

    def as_json(self) -> dict:
        plain = {name: getattr(self, name) for name in ("what", "measured", "unit", "baseline", "net", "ratio", "spread", "note")}
        return {**plain, "budget": self.budget, "over": self.over, **self.more}


def amount(value: float | None) -> str:
    if value is None:
        return "-"
    for least, size, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / size:.1f}{letter}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def table(rows: list[Row]) -> str:
    lines = [("what", "measured", "baseline", "ratio or net", "budget", "")]
    for row in rows:
        judged = {None: "", True: "OVER", False: "ok"}[row.over]
        lines.append((row.what, f"{amount(row.measured)} {row.unit}".strip(), amount(row.baseline), row.compared(), row.budget, judged))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    text = ["  ".join(cell.ljust(width) if column in (0, 4, 5) else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines]
    return "\n".join(text + [f"  {row.what}: {row.note}" for row in rows if row.note])


def write_json(path: Path, rows: list[Row], about: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "rows": [row.as_json() for row in rows]}, indent=1) + "\n")
