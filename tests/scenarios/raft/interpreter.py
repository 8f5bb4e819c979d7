"""Runs the scenario scripts beside this file against real cores, and says what happened.

A script is a list of blocks: a command, `----`, and the expected trace up to an empty line. Lines with `#`
before a command tell the story. Nothing happens on its own: messages wait until they are delivered, a Ready
until it is processed. Commands, where N and M are node ids::

    cluster N [field=value ...]     N nodes with these Config fields; elections take 10 ticks, no jitter.
                                    Their disks know that they are empty, unless `fresh=1`; all vote, unless
                                    `voters=2`: then 1 and 2 do
    node N [field=value ...]        one more node, with a fresh disk, that waits to be contacted
    campaign N | tick N [times] | propose N word ... | read N request | transfer N M | unreachable N M
    members N 1,2,3 [4,5]           node N proposes these voters and learners
    compact N INDEX                 the log of node N is cut: it begins behind INDEX
    snapshot N M                    node N sends its state to M: what is left is the message that installs it
    report N M INDEX|lost           node N learns how a snapshot to M went
    damage N INDEX                  after a crash: what is behind INDEX cannot be read, term and vote can
    wipe N                          after a crash: another, empty disk
    process N                       take a Ready, sync it, send its messages, apply, advance; print it
    begin N | finish N              the same in two halves: up to the sync, and from there on
    deliver N [from M]              deliver what waits for node N and print it
    drop N [from M]                 lose what waits for node N and print it
    settle [quiet]                  deliver and process everywhere until nothing is left to do
    cut N | join N                  from now on nothing reaches or leaves node N; heal that
    crash N | restart N             lose what is not synced; come back from the disk
    step N TYPE field=value ...     a message as written; entries as 3@1:word,4@1:word, snapshot as 3@1:1,2
    status | log N | progress N | membership N     how the nodes stand
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from memraft_cluster.raft import (
    Config,
    Core,
    Entry,
    HardState,
    Membership,
    Message,
    MessageType,
    RaftError,
    Ready,
    Role,
    SnapshotMeta,
)
from tests.scenarios.raft.trace import describe_entry, describe_message, describe_ready
from tests.simulation.checker import read_log
from tests.simulation.disk import SimDisk

SETTLE_ROUNDS_MAX = 200


class Interpreter:
    """The nodes of one script and the messages between them."""

    def __init__(self) -> None:
        self._configs: dict[int, Config] = {}
        self._disks: dict[int, SimDisk] = {}
        self._cores: dict[int, Core] = {}
        self._begun: dict[int, Ready] = {}
        self._waiting: list[Message] = []
        self._cut: set[int] = set()
        self._trace: list[str] = []
        self._starts = 0

    def run(self, command: str) -> list[str]:
        """Runs one command; the trace it leaves, `ok` if none."""
        name, *words = command.split()
        method: Callable[..., None] = getattr(self, f"do_{name}")
        self._trace = []
        try:
            method(*words)
        except RaftError as error:
            self._trace.append(f"{type(error).__name__}: {error}")
        return self._trace or ["ok"]

    # What happens to nodes.

    def do_cluster(self, count: str, *fields: str) -> None:
        ids = tuple(range(1, int(count) + 1))
        options = _parse_fields(fields)
        preferred = options.pop("preferred", 0)
        voters = ids[: options.pop("voters", len(ids))]
        is_fresh = options.pop("fresh", 0)
        for node in ids:
            self._configs[node] = Config(id=node, voters=voters, preferred=node == preferred, **options)
            self._disks[node] = SimDisk()
            if not is_fresh:
                self._disks[node].hard_state = HardState(0, 0, 0)
            self.do_restart(str(node))

    def do_node(self, node: str, *fields: str) -> None:
        self._configs[int(node)] = Config(id=int(node), voters=(), **_parse_fields(fields))
        self._disks[int(node)] = SimDisk()
        self.do_restart(node)

    def do_restart(self, node: str) -> None:
        disk = self._disks[int(node)]
        base = disk.base()
        self._starts += 1
        config = replace(self._configs[int(node)], start_id=self._starts)
        self._cores[int(node)] = Core(config, disk, disk.hard_state, base.index if base is not None else 0)

    def do_crash(self, node: str) -> None:
        del self._cores[int(node)]
        self._begun.pop(int(node), None)
        self._disks[int(node)].crash(is_pending_kept=False)

    def do_damage(self, node: str, index: str) -> None:
        disk = self._disks[int(node)]
        disk.log = [entry for entry in disk.log if entry.index <= int(index)]
        assert disk.hard_state is not None
        disk.hard_state = msgspec.structs.replace(disk.hard_state, is_whole=False)

    def do_wipe(self, node: str) -> None:
        self._disks[int(node)] = SimDisk()

    def do_compact(self, node: str, index: str) -> None:
        core = self._cores[int(node)]
        assert int(index) <= core.status().applied, "what is not applied cannot go"
        self._disks[int(node)].cut(core.snapshot_label(int(index)))

    def do_snapshot(self, node: str, to: str) -> None:
        core = self._cores[int(node)]
        message = core.snapshot_message(int(to), core.snapshot_label(core.status().applied))
        self._send([message])
        self._trace.append(describe_message(message))

    def do_report(self, node: str, peer: str, outcome: str) -> None:
        index = None if outcome == "lost" else int(outcome)
        self._cores[int(node)].report_snapshot(int(peer), index)

    def do_members(self, node: str, voters: str, learners: str = "") -> None:
        membership = Membership.of(_parse_ids(voters), _parse_ids(learners))
        index = self._cores[int(node)].propose_membership(membership)
        self._trace.append(f"{membership} is entry {index}")

    def do_campaign(self, node: str) -> None:
        self._cores[int(node)].campaign()

    def do_tick(self, node: str, times: str = "1") -> None:
        for _ in range(int(times)):
            self._cores[int(node)].tick()

    def do_propose(self, node: str, *words: str) -> None:
        for word in words:
            index = self._cores[int(node)].propose(word.encode())
            self._trace.append(f"{word} is entry {index}")

    def do_read(self, node: str, request: str) -> None:
        self._cores[int(node)].read_index(int(request))

    def do_transfer(self, node: str, to: str) -> None:
        self._cores[int(node)].transfer_leader(int(to))

    def do_unreachable(self, node: str, peer: str) -> None:
        self._cores[int(node)].report_unreachable(int(peer))

    def do_step(self, node: str, kind: str, *fields: str) -> None:
        values: dict[str, Any] = {"sender": 0, "to": int(node), "term": 0}
        for name, value in (field.split("=") for field in fields):
            if name == "entries":
                values[name] = tuple(_parse_entry(text) for text in value.split(","))
            elif name == "snapshot":
                values[name] = _parse_label(value)
            else:
                values[{"from": "sender"}.get(name, name)] = int(value)
        values["reject"] = bool(values.get("reject"))
        self._cores[int(node)].step(Message(MessageType[kind], **values))

    # Ready.

    def do_begin(self, node: str) -> None:
        core = self._cores[int(node)]
        if not core.has_ready():
            return
        ready = core.ready()
        self._begun[int(node)] = ready
        self._send(ready.messages_before_sync)
        if ready.snapshot is not None:
            self._disks[int(node)].reset(ready.snapshot)
        self._disks[int(node)].write(ready.hard_state, ready.entries)
        self._trace += describe_ready(int(node), ready)

    def do_finish(self, node: str) -> None:
        ready = self._begun.pop(int(node))
        self._disks[int(node)].sync()
        self._send(ready.messages)
        self._cores[int(node)].advance(ready)

    def do_process(self, node: str) -> None:
        self.do_begin(node)
        if int(node) in self._begun:
            self.do_finish(node)

    # The network.

    def _send(self, messages: list[Message]) -> None:
        self._waiting += [each for each in messages if not {each.sender, each.to} & self._cut]

    def _take(self, node: int, sender: int) -> list[Message]:
        taken = [each for each in self._waiting if each.to == node and sender in (0, each.sender)]
        self._waiting = [each for each in self._waiting if each not in taken]
        return taken

    def do_deliver(self, node: str, _from: str = "", sender: str = "0") -> None:
        for message in self._take(int(node), int(sender)):
            self._trace.append(describe_message(message))
            if int(node) in self._cores:
                self._cores[int(node)].step(message)

    def do_drop(self, node: str, _from: str = "", sender: str = "0") -> None:
        self._trace += [f"lost {describe_message(each)}" for each in self._take(int(node), int(sender))]

    def do_cut(self, node: str) -> None:
        self._cut.add(int(node))
        self._waiting = [each for each in self._waiting if int(node) not in (each.sender, each.to)]

    def do_join(self, node: str) -> None:
        self._cut.remove(int(node))

    def do_settle(self, quiet: str = "") -> None:
        for _ in range(SETTLE_ROUNDS_MAX):
            before = len(self._trace)
            for node in list(self._cores):
                self.do_process(str(node))
            for node in self._disks:
                self.do_deliver(str(node))
            if len(self._trace) == before:
                break
        else:
            self._trace = ["does not settle"]
            return
        if quiet:
            self._trace.clear()

    # How things stand.

    def do_status(self) -> None:
        for node, core in sorted(self._cores.items()):
            status = core.status()
            leader = f", follows {status.leader}" if status.leader not in (0, node) else ""
            whole = "" if status.is_whole else ", not whole"
            self._trace.append(
                f"{node}: {Role(status.role).name.lower()} in term {status.term}{leader}, "
                f"last {status.last_index}, durable {status.durable_index}, commit {status.commit}{whole}"
            )

    def do_log(self, node: str) -> None:
        core = self._cores[int(node)]
        base = self._disks[int(node)].base()
        if base is not None:
            self._trace.append(f"behind {base.index}@{base.term} {base.membership}")
        self._trace += map(describe_entry, read_log(core, core.log.first_index))

    def do_membership(self, node: str) -> None:
        status = self._cores[int(node)].status()
        self._trace.append(f"{status.membership} since {status.membership_index}")

    def do_progress(self, node: str) -> None:
        for peer, progress in self._cores[int(node)].status().peers.items():
            self._trace.append(
                f"{peer}: {progress.state}, match {progress.match}, next {progress.next}, "
                f"in flight {progress.inflight_messages} messages, {progress.inflight_bytes} bytes"
                + (", recovering" if progress.is_recovering else "")
            )


def _parse_fields(fields: Sequence[str]) -> dict[str, Any]:
    return {name: int(value) for name, value in (field.split("=") for field in fields)}


def _parse_ids(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def _parse_entry(text: str) -> Entry:
    place, _, data = text.partition(":")
    index, _, term = place.partition("@")
    return Entry(int(term), int(index), data.encode())


def _parse_label(text: str) -> SnapshotMeta:
    place, _, voters = text.partition(":")
    index, _, term = place.partition("@")
    return SnapshotMeta(int(index), int(term), Membership.of(_parse_ids(voters)))
