"""The results as Markdown. Pure: the same results give the same text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.scale.results import ROLES, Measured, Result
from benchmarks.scale.slopes import Verdict
from benchmarks.service.products import engine_text
from benchmarks.service.report import DASH, number, spread_text, table
from memraft_server.cli.figures import Spread

AXES = {
    "shards": "Shards: three nodes, 256 callers in 64 namespaces, values of 100 bytes",
    "nodes": "Nodes of 6 replicas each, 32 callers and 8 namespaces for each shard, values of 100 bytes",
    "value": "Value size: three nodes, one shard, 16 callers",
    "records": "Records of 100 bytes: one node, one shard, 64 callers; puts are to records that are there",
}
HEADERS = (
    "", "at", "operations/s", "p50 µs", "p99 µs",
    "client CPU µs/op", "nodes CPU µs/op", "clients B/op", "between nodes B/op",
)  # fmt: skip


QUICK = "**Rounds were too short for the figures to mean much (`--quick`).**"


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """What grows how, a line each, and what of it grows too fast."""
    lines = [
        f"{each.axis:8} {each.name:40} slope {each.overall:+.2f}, upper end {each.upper:+.2f}, "
        f"should be {each.expected:.0f}{'   <-- TOO STEEP' if each.is_too_steep else ''}"
        for each in verdicts
    ]
    steep = [f"{each.axis}: {each.name}" for each in verdicts if each.is_too_steep]
    return [*lines, "grows faster than it should: " + ("; ".join(steep) or "nothing")]


def _verdict_rows(verdicts: Iterable[Verdict]) -> Iterable[list[str]]:
    for each in verdicts:
        costs = " → ".join(number(cost) for cost in each.places.values())
        said = "**too steep**" if each.is_too_steep else ""
        yield [
            each.axis,
            each.name,
            costs,
            f"{each.expected:.0f}",
            f"{each.overall:.2f}",
            f"{each.upper:.2f}",
            said,
        ]


def measured_rows(measured: Iterable[Measured]) -> Iterable[list[str]]:
    """Rows of an axis' table: figures, and what was refused with the reason."""
    for each in measured:
        if each.figure is None:
            yield [each.load.title, f"{each.at:,}", f"no figure: {each.reason}", *[""] * (len(HEADERS) - 3)]
            continue
        figure = each.figure
        nodes = [each.cpu_us(role) for role in ROLES if role in figure.cpu_us]
        several = f" = {number(each.nodes_cpu_us)}" if len(nodes) > 1 else ""
        wire = [number(each.wire_bytes[name].median) if name in each.wire_bytes else DASH
                for name in ("clients", "peers")]  # fmt: skip
        yield [
            each.load.title,
            f"{each.at:,}",
            spread_text(figure.rate),
            spread_text(figure.p50_us),
            spread_text(figure.p99_us),
            number(figure.cpu_us["client"].median),
            " + ".join(number(cost) for cost in nodes) + several,
            *wire,
        ]


def _idle(result: Result) -> list[str]:
    if not result.idle:
        return []
    rows = [
        [
            str(each.nodes),
            str(each.shards),
            spread_text(percent(each.cpu)),
            spread_text(percent(each.busiest_cpu)),
            DASH if each.wire_bytes_s is None else spread_text(each.wire_bytes_s),
        ]
        for each in result.idle
        if each.axis in ("shards", "nodes")
    ]
    headers = ["nodes", "shards", "CPU of all, % of a core", "of the busiest", "bytes/s between nodes"]
    lines = ["", "## At rest", *table(headers, rows)]
    if result.consensus_idle:
        alone = "; ".join(
            f"{share:.1%} with {shards} group{'s' * (shards > 1)}"
            for shards, share in result.consensus_idle.items()
        )
        lines += [
            "",
            f"The consensus alone (`benchmarks/raft_loop.py`), three nodes, of one core in all: {alone}.",
        ]
    return lines


def percent(share: Spread) -> Spread:
    """A spread of shares as percent."""
    return Spread(share.median * 100, share.least * 100, share.greatest * 100)


def _sizes(result: Result) -> list[str]:
    rows = [
        [
            f"{each.records:,}",
            number(each.memory_bytes / each.records),
            number(each.disk_bytes / each.records),
            number(each.load_us),
            spread_text(each.start_s),
            spread_text(each.start_cpu_s),
            spread_text(each.backup_s),
            spread_text(each.backup_cpu_s),
            number(each.backup_bytes / each.records),
        ]
        for each in result.sizes
    ]
    if not rows:
        return []
    headers = [
        "records", "memory B each", "directory B each", "load: node's CPU µs each",
        "start s", "start CPU s", "backup s", "backup: node's CPU s", "backup B each",
    ]  # fmt: skip
    return ["", "## Memory, start-up and backup", *table(headers, rows)]


def render(result: Result, verdicts: Sequence[Verdict], plots: Sequence[str]) -> str:
    """The whole report.

    Args:
        result: of a run.
        verdicts: of its curves.
        plots: names of SVG files beside it.
    """
    facts, options = result.machine, result.options
    rounds, engine = options.visits * options.rounds, engine_text(options.engine)
    lines = [
        "# Scaling",
        "",
        f"Made by `make bench-scale`. Medians of {rounds} rounds in {options.visits} visits, in parentheses "
        "the least and the greatest; nodes by the CPU they took, the busiest first.",
        *(["", QUICK] if options.quick else []),
        "",
        f"{result.made_at}, {facts.cores} cores, {facts.cpu}, {facts.memory_bytes / 2**30:.0f} GiB, "
        f"{facts.system}, Python {facts.python}, {result.version}. Serving engine: {engine}.",
        *(line for name, reason in result.absent.items() for line in ("", f"Without {name}: {reason}.")),
        "",
        "## What grows how",
        "",
        "Slopes on log-log paper: 0 is the same everywhere, 1 in proportion. A cost is too steep where its "
        "slope, or that of the upper end, is above what it should be by more than rounds scatter. What nodes "
        "take at rest is taken off their CPU. A node alone does not replicate: nodes count from three on.",
        *table(
            ["axis", "cost", "at each place", "should be", "slope", "upper end", ""],
            _verdict_rows(verdicts),
            3,
        ),
        *(line for name in plots for line in ("", f"![{name}]({name})")),
    ]
    for axis, title in AXES.items():
        rows = list(measured_rows(each for each in result.measured if each.axis == axis))
        if rows:
            lines += ["", f"## {title}", *table(HEADERS, rows)]
    return "\n".join([*lines, *_idle(result), *_sizes(result)]) + "\n"
