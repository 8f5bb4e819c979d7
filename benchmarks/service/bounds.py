"""What bounds a goal that was missed, reckoned from figures of the same run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.service.figures import Figure, node_cpu_us
from benchmarks.service.limits import HASHES
from benchmarks.service.lines import Line
from benchmarks.service.targets import Goal
from memraft_server.cli.bench.result import Report

CPU_AN_EVENT = "CPU an event, at best"
"""What `memraft bench stream` tells beside a rate."""


def bound(
    goal: Goal,
    figures: Mapping[Line, Figure],
    limits: Mapping[str, float],
    embedded: Mapping[str, Report | str],
    cores: int,
) -> str:
    """Says what a goal that was missed is bounded by, in a few sentences; empty: nothing is known.

    Args:
        goal: with a figure.
        figures: of its lines.
        limits: the p50 of each limit of the machine, microseconds.
        embedded: what each command of `memraft bench` reported.
        cores: of the machine.
    """
    if goal.command:
        return _events(goal, limits, embedded) if goal.command == "stream" else ""
    of_goal = [figures[line] for line in goal.lines]
    if not of_goal:
        return ""
    if of_goal[0].line.work == "search":
        return _search(of_goal)
    if goal.sense == "at least":
        return _rate(goal, of_goal[0], of_goal[1], cores)
    return _alone(of_goal[0], of_goal[1], limits) if of_goal[0].line.callers == 1 else _cpu(of_goal[0]) + "."


def _us(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _all_us(figure: Figure) -> float:
    return figure.cpu_us["client"].median + node_cpu_us(figure)


def _cpu(figure: Figure) -> str:
    nodes = " + ".join(_us(each.median) for name, each in figure.cpu_us.items() if name != "client")
    client = _us(figure.cpu_us["client"].median)
    return f"An operation takes {client} µs of the client's processor and {nodes} of the nodes'"


def _rate(goal: Goal, ours: Figure, theirs: Figure, cores: int) -> str:
    peer, client_us, all_us = theirs.rate.median, ours.cpu_us["client"].median, _all_us(ours)
    most, alone = cores * 1e6 / all_us, 1e6 / client_us
    assert goal.wanted is not None
    wanted = goal.wanted * peer
    return (
        f"{_cpu(ours)}, {_us(all_us)} µs in all. {cores} cores that do nothing else carry at most "
        f"{most:,.0f} such operations a second, {most / peer:.3g} times the peer's rate; the client, one "
        f"thread, at most {alone:,.0f}, {alone / peer:.3g} times. {goal.wanted:g} times, {wanted:,.0f} a "
        f"second, would leave {_us(cores * 1e6 / wanted)} µs of processor for all of an operation, and "
        f"{_us(1e6 / wanted)} for the client's part."
    )


def _alone(ours: Figure, theirs: Figure, limits: Mapping[str, float]) -> str:
    text = f"{_cpu(ours)}: {_us(_all_us(ours))} µs in all; the peer's {_us(_all_us(theirs))}."
    if "tls" not in limits or "sync" not in limits:
        return text
    least = 2 * limits["tls"] + limits["sync"]
    return (
        f"{text} The shortest way of a write is a round trip to the leader, one to a follower, and a sync: "
        f"{_us(least)} µs by the limits below, with nothing to do in between."
    )


def _search(of_goal: Sequence[Figure]) -> str:
    search, empty, index = of_goal
    rest = search.p50_us.median - empty.p50_us.median - index.p50_us.median
    node = node_cpu_us(search) - node_cpu_us(empty)
    client = search.cpu_us["client"].median - empty.cpu_us["client"].median
    return (
        f"Beyond the empty RPC and the index in a loop of its own, a search takes {_us(rest)} µs. Against "
        f"the empty RPC the node's processor is busy for {_us(node)} µs more, the client's for "
        f"{_us(client)}: what exceeds the index's {_us(index.p50_us.median)} µs on the node is the request, "
        "the answer, and the index itself in caches that a message, TLS and a sleep have used since."
    )


def _events(goal: Goal, limits: Mapping[str, float], embedded: Mapping[str, Report | str]) -> str:
    report = embedded.get(goal.command)
    if not isinstance(report, Report) or "hashes" not in limits:
        return ""
    cpu_us = [
        each.detail[CPU_AN_EVENT]
        for each in report.figures
        if each.value.median == goal.measured and CPU_AN_EVENT in each.detail
    ]
    if not cpu_us:
        return ""
    hash_us = limits["hashes"] / HASHES
    return (
        f"An event takes {cpu_us[0]:.2f} µs of processor. {hash_us:.2f} of them are its hash in the chain, "
        "which begins with the hash of the event before, so that they are made one after the other: hashes "
        f"alone would be {1e6 / hash_us:,.0f} events a second."
    )
