"""The campaign's table, and the same as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.acceptance.campaign.faults import Fault
from tests.acceptance.campaign.run import Result

COLUMNS = (
    "fault", "nodes", "runs", "acknowledged", "failed", "unknown", "lost", "doubled", "gap s", "recovery s",
    "verdict",
)  # fmt: skip
SHOWN_MAX = 6
CHARS_MAX = 1_500


def render(results: Sequence[Result], skipped: Mapping[str, str], faults: Mapping[str, Fault]) -> str:
    """The table: a row for each fault and number of nodes, then what was skipped and what was wrong."""
    rows: dict[tuple[str, int], list[Result]] = defaultdict(list)
    for result in results:
        rows[result.fault, result.nodes].append(result)
    table = [list(COLUMNS)]
    for (fault, nodes), runs in rows.items():
        tallies = [run.tally for run in runs]
        bad = sum(bool(run.violations) for run in runs)
        table.append([
            fault, str(nodes), str(len(runs)),
            *(str(sum(getattr(tally, name) for tally in tallies))
              for name in ("acknowledged", "failed", "unknown", "lost", "doubled")),
            f"{max(run.gap_s for run in runs):.1f}", f"{max(run.recovery_s for run in runs):.1f}",
            f"VIOLATED in {bad}" if bad else "ok",
        ])  # fmt: skip
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(_cell(row, column, widths) for column in range(len(COLUMNS))).rstrip() for row in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    width = widths[0]
    lines += [f"{name:<{width}}  SKIPPED: {reason}" for name, reason in skipped.items()]
    for run in results:
        lines += _wrong(run, faults)
    return "\n".join(lines)


def _cell(row: Sequence[str], column: int, widths: Sequence[int]) -> str:
    text = row[column]
    return text.ljust(widths[column]) if column in (0, len(COLUMNS) - 1) else text.rjust(widths[column])


def _wrong(run: Result, faults: Mapping[str, Fault]) -> list[str]:
    if not run.violations:
        return []
    lines = [f"\n{run.fault} ({faults[run.fault].about}), {run.nodes} nodes, seed {run.seed}:"]
    lines += [f"  {text[:CHARS_MAX]}" for text in run.violations[:SHOWN_MAX]]
    if len(run.violations) > SHOWN_MAX:
        lines.append(f"  … and {len(run.violations) - SHOWN_MAX} more")
    lines.append(f"  history and logs: {run.kept}")
    return lines


def write_json(
    path: Path, results: Sequence[Result], skipped: Mapping[str, str], settings: Mapping[str, object]
) -> None:
    """Writes everything down: one object, each run with its seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"settings": dict(settings), "runs": [asdict(run) for run in results], "skipped": dict(skipped)}
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
