"""Runs groups of lines against systems that it starts and stops: in each round one line after the other."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.service.figures import Figure, Outcome, Refused, Round, sum_up
from benchmarks.service.lines import Group, Line
from benchmarks.service.peers import Etcd, Memraft, Peer, Redis
from benchmarks.service.products import Unavailable
from benchmarks.service.profiles import Raw, recording
from benchmarks.service.stores import Target
from benchmarks.service.worker import Failed, Worker, describe, serve
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import resident_bytes

ANSWER_TIMEOUT_S = 120.0
"""Beyond what a round takes. What takes longer is ended, and refused."""
WARM_UP_S = 0.25
QUICK_YCSB = tuple(f"ycsb-{letter}-64" for letter in "abcdef")
"""Of YCSB's groups, which take half the time, those that a quick run has."""


class Options(msgspec.Struct, frozen=True):
    """How to measure. `seconds`: of a round of a major line; `records`: of YCSB; `vectors`: to search in."""

    rounds: int
    seconds: float
    records: int
    vectors: int
    shards: int
    engine: str
    quick: bool
    only: tuple[str, ...]

    def wants(self, name: str) -> bool:
        """Whether something of that name is to be measured."""
        if self.only:
            return any(name.startswith(each) for each in self.only)
        return not self.quick or name.startswith(QUICK_YCSB) or not name.startswith("ycsb-")


class Found(msgspec.Struct):
    """What was measured so far. `memory`: bytes a record of YCSB, by system and process."""

    outcomes: dict[Line, Outcome] = msgspec.field(default_factory=dict)
    groups: list[Group] = msgspec.field(default_factory=list)
    memory: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    recall: dict[str, float] = msgspec.field(default_factory=dict)
    absent: dict[str, str] = msgspec.field(default_factory=dict)


def say(*words: object) -> None:
    """Progress, which is no result."""
    print(*words, file=sys.stderr, flush=True)


class Client:
    """A worker process: see `benchmarks.service.worker`. Started when it is first asked for something.

    Args:
        target: the system that it calls; None: none.
        kind: what answers there.
    """

    def __init__(self, target: Target | None, kind: type[Worker] = Worker) -> None:
        self._target = target
        self._kind = kind
        self._process: Any = None
        self._pipe: Any = None

    def ask(self, what: str, *arguments: Any, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """Sends a request and waits for its answer. Raises Unavailable where it fails or takes too long."""
        if self._process is None:
            self._start()
        try:
            self._pipe.send((what, *arguments))
            if not self._pipe.poll(timeout_s):
                raise Unavailable(f"no answer after {timeout_s:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self.stop()
            raise Unavailable("the client's process ended") from None
        except Unavailable:
            self.stop()
            raise
        if isinstance(answer, Failed):
            raise Unavailable(answer.reason)
        return answer

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(self._target, theirs, self._kind), daemon=True)
        self._process.start()
        theirs.close()
        self.ask("open")

    @property
    def pid(self) -> int:
        """Of its process, which was asked for something before."""
        pid: int = self._process.pid
        return pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, and so what was loaded is known to it."""
        return self._process is not None

    def stop(self) -> None:
        """Ends it."""
        if self._process is None:
            return
        with suppress(OSError):
            self._pipe.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = None


class System:
    """A system under load: its processes, which others may share, and its client."""

    def __init__(self, peer: Peer | None, target: Target | None) -> None:
        self.pids = {} if peer is None else peer.pids
        self.client = Client(target)

    def fill(self, records: int, is_first: bool) -> dict[str, float]:
        """Loads records; bytes of memory that each took, by process."""
        before = {name: resident_bytes(pid) for name, pid in self.pids.items()}
        self.client.ask("fill", records, is_first)
        return {name: (resident_bytes(pid) - before[name]) / records for name, pid in self.pids.items()}


class Stage:
    """Systems that run at the same time, and what is measured of them. A context manager: leaving ends them.

    Args:
        options: how to measure.
        found: where figures go.
        names: of systems, as in `lines.NAMES`.
    """

    def __init__(self, options: Options, found: Found, names: Sequence[str]) -> None:
        self._options = options
        self._found = found
        self._systems: dict[str, System] = {}
        self._peers: dict[str, Peer] = {}
        self._names = names
        self._stack = ExitStack()

    def __enter__(self) -> Stage:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memraft-bench-")))
            self._stack = stack.pop_all()
        try:
            for name in self._names:
                self._open(name)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _open(self, name: str) -> None:
        say(f"starting {name} …")
        try:
            peer, target = self._start(name)
        except (Unavailable, CliError, OSError) as error:
            self._leave_out(name, str(error))
            return
        self._systems[name] = system = System(peer, target)
        self._stack.callback(system.client.stop)

    def _leave_out(self, name: str, reason: str) -> None:
        """Goes on without a system."""
        say(f"  without {name}: {reason}")
        self._found.absent[name] = reason
        self._systems.pop(name, None)

    def _start(self, name: str) -> tuple[Peer | None, Target | None]:
        directory, options = self._directory / name.replace(" ", "-"), self._options
        if name == "etcd x3 lean":
            return self._start_lean()
        peer: Peer
        match name:
            case "index" | "hnswlib":
                return None, None
            case "redis always" | "redis everysec":
                peer = Redis(directory, name.partition(" ")[2])
            case "etcd x3":
                peer = Etcd(directory, 3)
            case _:
                nodes = 3 if name == "memraft x3" else 1
                peer = Memraft(directory, nodes, options.shards, options.engine)
        self._stack.callback(peer.stop)
        self._found.versions[name.partition(" ")[0]] = peer.version
        self._peers[name] = peer
        return peer, peer.target

    def _start_lean(self) -> tuple[Peer, Target]:
        """Another client of the same cluster of etcd."""
        if "etcd x3" not in self._peers:
            raise Unavailable("etcd does not run")
        peer = self._peers["etcd x3"]
        return peer, msgspec.structs.replace(peer.target, engine="lean")

    def fill(self) -> None:
        """Loads the records of YCSB into every system, and weighs them."""
        for name in list(self._systems):
            say(f"loading {name} …")
            try:
                weight = self._systems[name].fill(self._options.records, is_first=name != "etcd x3 lean")
            except Unavailable as error:
                self._leave_out(name, f"loading failed: {error}")
                continue
            if name != "etcd x3 lean":
                self._found.memory[name] = weight

    def load_vectors(self) -> None:
        """Loads the vectors into every system, and asks how much each finds."""
        for name in list(self._systems):
            say(f"loading vectors into {name} …")
            index = name if name in ("index", "hnswlib") else ""
            try:
                self._found.recall[name] = self._systems[name].client.ask(
                    "vectors", self._options.vectors, index
                )
            except Unavailable as error:
                self._leave_out(name, str(error))

    def measure(self, groups: Iterable[Group]) -> None:
        """Measures groups one after the other."""
        for group in groups:
            self._found.groups.append(group)
            say(f"{group.title} …")
            self._found.outcomes.update(self._group(group))

    def has(self, line: Line) -> bool:
        """Whether the line was measured here."""
        return line.system in self._systems and isinstance(self._found.outcomes.get(line), Figure)

    def profile(self, line: Line, seconds: float) -> Raw:
        """Plays a line once more, and records its client, its busiest node and another meanwhile.

        Raises:
            Unavailable: it cannot be recorded.
        """
        system = self._systems[line.system]
        with recording({"client": system.client.pid, **system.pids}, seconds) as found:
            played = self._play(line, seconds)
        busiest = sorted(system.pids, key=lambda name: -played.node_cpu_s[name])
        titles = {"client": "client", **dict(zip(busiest, ("busiest node", "another node"), strict=False))}
        return {title: found[name] for name, title in titles.items()}

    def _group(self, group: Group) -> dict[Line, Outcome]:
        seconds = self._options.seconds * group.share
        refused: dict[Line, str] = {}
        rounds: dict[Line, list[Round]] = {line: [] for line in group.lines}
        for number in range(1 if self._options.quick else 0, self._options.rounds + 1):
            for line in group.lines:
                if line in refused:
                    continue
                try:
                    played = self._play(line, min(WARM_UP_S, seconds) if number == 0 else seconds)
                except Unavailable as error:
                    refused[line] = str(error)
                    continue
                if number > 0 or played.errors:
                    rounds[line].append(played)
        return {
            line: Refused(line, refused[line]) if line in refused else sum_up(line, rounds[line])
            for line in group.lines
        }

    def _play(self, line: Line, seconds: float) -> Round:
        system = self._systems.get(line.system)
        if system is None:
            raise Unavailable("it did not run: see above")
        if not system.client.is_running and system.pids:  # it was ended in a line before
            system.client.ask("fill", self._options.records, False)
        try:
            played = system.client.ask(
                "play", line, seconds, system.pids, timeout_s=seconds + ANSWER_TIMEOUT_S
            )
        except OSError as error:
            raise Unavailable(describe(error)) from None
        assert isinstance(played, Round)
        return played
