"""Runs clusters one after the other (those of the records at the same time) and plays the loads on them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.scale import points, wire
from benchmarks.scale.client import ScaleWorker
from benchmarks.scale.points import Load, Place
from benchmarks.scale.results import CLIENTS, PEERS, Idle, Measured, Options, Seen, Size, summed_up
from benchmarks.service.driver import ANSWER_TIMEOUT_S, WARM_UP_S, Client, say
from benchmarks.service.figures import Round, usage
from benchmarks.service.peers import Memraft
from benchmarks.service.products import Unavailable
from memraft_server.cli.errors import CliError
from memraft_server.cli.figures import resident_bytes, spread

LOAD_TIMEOUT_S = 600.0
"""Of loading a million records on a busy machine."""
SETTLE_S = 1.0
"""Before a cluster that was just started counts as idle."""
BACKUP_TIMEOUT_S = 300.0
RAFT_LOOP = Path(__file__).resolve().parent.parent / "raft_loop.py"


class Cluster:
    """A cluster and its client."""

    def __init__(self, directory: Path, nodes: int, shards: int, engine: str) -> None:
        self.memraft = Memraft(directory, nodes, shards, engine)
        self.directory = directory
        self.client = Client(self.memraft.target, ScaleWorker)
        plan = self.memraft.plan
        self._ends = {
            CLIENTS: [each.client_port for each in plan.nodes],
            PEERS: [each.peer_port for each in plan.nodes],
        }

    def stop(self) -> None:
        """Ends both."""
        self.client.stop()
        self.memraft.stop()

    def carried(self) -> dict[str, int] | None:
        """Bytes on its connections so far."""
        return wire.carried(self._ends)

    def load(self, load: Load) -> None:
        """Writes what a load reads."""
        self.client.ask("load", load, timeout_s=LOAD_TIMEOUT_S)

    def play(self, load: Load, seconds: float, seen: Seen) -> None:
        """Plays a load for a round and notes what came of it."""
        before = self.carried()
        try:
            played = self.client.ask(
                "play_load", load, seconds, self.memraft.pids, timeout_s=seconds + ANSWER_TIMEOUT_S
            )
        except Unavailable as error:
            seen.refused = seen.refused or str(error)
            return
        assert isinstance(played, Round)
        seen.rounds.append(played)
        after = self.carried()
        if before is not None and after is not None:
            seen.wire_bytes.append({name: after[name] - before[name] for name in after})

    def warm_up(self, load: Load, seen: Seen) -> None:
        """Plays a load for a moment; only its errors are noted."""
        moment = Seen()
        self.play(load, WARM_UP_S, moment)
        failed = next((each.first_error for each in moment.rounds if each.errors), "")
        seen.refused = (
            seen.refused or moment.refused or (f"warming up failed with {failed}" if failed else "")
        )


@contextmanager
def _cluster(directory: Path, place: Place, engine: str) -> Iterator[Cluster]:
    cluster = Cluster(directory, place.nodes, place.shards, engine)
    try:
        yield cluster
    finally:
        cluster.stop()


class _Rest:
    """What idle clusters took: of all nodes, of the busiest, and between them."""

    def __init__(self) -> None:
        self._cpu: list[float] = []
        self._busiest: list[float] = []
        self._wire: list[float] = []

    def look(self, cluster: Cluster, seconds: float) -> None:
        """Watches a cluster that nobody calls."""
        time.sleep(SETTLE_S)
        pids = cluster.memraft.pids.values()
        before, carried, began = [usage(pid).cpu_s for pid in pids], cluster.carried(), time.monotonic()
        time.sleep(seconds)
        after, carried_after, took_s = (
            [usage(pid).cpu_s for pid in pids],
            cluster.carried(),
            time.monotonic() - began,
        )
        shares = [(now - then) / took_s for now, then in zip(after, before, strict=True)]
        self._cpu.append(sum(shares))
        self._busiest.append(max(shares))
        if carried is not None and carried_after is not None:
            self._wire.append((carried_after[PEERS] - carried[PEERS]) / took_s)

    def sum_up(self, place: Place) -> Idle | None:
        """Medians of all looks; None where there was none."""
        if not self._cpu:
            return None
        between = spread(self._wire) if self._wire else None
        cpu, busiest = spread_fine(self._cpu), spread_fine(self._busiest)
        return Idle(place.axis, place.at, place.nodes, place.shards, cpu, busiest, between)


def spread_fine(shares: Sequence[float]) -> Any:
    """A spread of what is far below 1, to six places."""
    found = spread([each * 1_000 for each in shares])
    return type(found)(found.median / 1_000, found.least / 1_000, found.greatest / 1_000)


class Run:
    """A run: what it has found so far."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.measured: list[Measured] = []
        self.idle: list[Idle] = []
        self.sizes: list[Size] = []
        self.absent: dict[str, str] = {}
        self.version = ""

    def clusters(self, places: Sequence[Place]) -> None:
        """An axis whose places are clusters: in each visit one after the other is started, watched at rest,
        filled, loaded and stopped, so that what slows the machine down for a while meets more than one."""
        seen = {(place, load): Seen() for place in places for load in place.loads}
        rests = {place: _Rest() for place in places}
        for visit in range(self.options.visits):
            for place in places:
                say(f"{place.axis} {place.at}, visit {visit + 1} …")
                try:
                    self._visit(place, {load: seen[place, load] for load in place.loads}, rests[place])
                except (Unavailable, CliError, OSError) as error:
                    for load in place.loads:
                        seen[place, load].refused = str(error)
        for place in places:
            self._sum_up(place, seen, rests[place])

    def _sum_up(self, place: Place, seen: dict[tuple[Place, Load], Seen], rest: _Rest) -> None:
        idle = rest.sum_up(place)
        if idle is not None:
            self.idle.append(idle)
        at_rest = 0.0 if idle is None else idle.cpu.median
        self.measured += [summed_up(place, load, seen[place, load], at_rest) for load in place.loads]

    def _visit(self, place: Place, seen: dict[Load, Seen], rest: _Rest) -> None:
        options = self.options
        with (
            tempfile.TemporaryDirectory(prefix="memraft-scale-") as name,
            _cluster(Path(name) / "c", place, options.engine) as cluster,
        ):
            self.version = cluster.memraft.version
            rest.look(cluster, options.idle_s)
            cluster.load(place.loads[0])
            for load in place.loads:
                cluster.warm_up(load, seen[load])
            for _, load in itertools.product(range(options.rounds), place.loads):
                if not seen[load].refused:
                    cluster.play(load, options.seconds, seen[load])

    def values(self, places: Sequence[Place]) -> None:
        """The axis of value sizes: one cluster for each visit; sizes take turns."""
        options, seen = self.options, {(place, load): Seen() for place in places for load in place.loads}
        rest = _Rest()
        for visit in range(options.visits):
            say(f"values, visit {visit + 1} …")
            with (
                tempfile.TemporaryDirectory(prefix="memraft-scale-") as name,
                _cluster(Path(name) / "c", places[0], options.engine) as cluster,
            ):
                rest.look(cluster, options.idle_s)
                for number, place in itertools.product(range(-1, options.rounds), places):
                    if number < 0:
                        cluster.load(place.loads[0])
                    for load in place.loads:
                        if number < 0:
                            cluster.warm_up(load, seen[place, load])
                        elif not seen[place, load].refused:
                            cluster.play(load, options.seconds, seen[place, load])
        for place in places:
            self._sum_up(place, seen, rest)

    def records(self, places: Sequence[Place]) -> None:
        """The axis of records: a node for each place, all at the same time; they take turns."""
        options, seen = self.options, {(place, load): Seen() for place in places for load in place.loads}
        rests = {place: _Rest() for place in places}
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memraft-scale-")))
            clusters = {
                place: stack.enter_context(_cluster(folder / str(place.at), place, options.engine))
                for place in places
            }
            for place, cluster in clusters.items():
                rests[place].look(cluster, options.idle_s)
            weights = {place: _fill(cluster, place) for place, cluster in clusters.items()}
            for number in range(-1, options.visits * options.rounds):
                say(f"records, round {number + 1} …")
                for place, load in seen:
                    if number < 0:
                        clusters[place].warm_up(load, seen[place, load])
                    elif not seen[place, load].refused:
                        clusters[place].play(load, options.seconds, seen[place, load])
            for place, cluster in clusters.items():
                say(f"starting again with {place.at:,} records …")
                cluster.client.stop()
                self.sizes.append(self._size(cluster, place, *weights[place]))
        for place in places:
            self._sum_up(place, seen, rests[place])

    def _size(self, cluster: Cluster, place: Place, memory_bytes: float, load_us: float) -> Size:
        start_s, start_cpu_s, backup_s, backup_cpu_s, backup_bytes = [], [], [], [], 0
        for number in range(self.options.visits):
            start_s.append(cluster.memraft.restart())
            (pid,) = cluster.memraft.pids.values()
            start_cpu_s.append(usage(pid).cpu_s)
            out = cluster.directory.parent / f"backup-{place.at}-{number}"
            before, began = usage(pid).cpu_s, time.monotonic()
            _back_up(cluster, out)
            backup_s.append(time.monotonic() - began)
            backup_cpu_s.append(usage(pid).cpu_s - before)
            backup_bytes = bytes_of(out)
        return Size(
            records=place.at,
            memory_bytes=memory_bytes,
            disk_bytes=bytes_of(cluster.directory / "nodes"),
            load_us=load_us,
            start_s=spread(start_s),
            start_cpu_s=spread(start_cpu_s),
            backup_s=spread(backup_s),
            backup_cpu_s=spread(backup_cpu_s),
            backup_bytes=backup_bytes,
        )


def _fill(cluster: Cluster, place: Place) -> tuple[float, float]:
    """Loads a place's records: bytes of memory that they took, microseconds of the node's CPU for each."""
    say(f"loading {place.at:,} records …")
    (pid,) = cluster.memraft.pids.values()
    before, cpu_s = resident_bytes(pid), usage(pid).cpu_s
    cluster.load(place.loads[0])
    return resident_bytes(pid) - before, (usage(pid).cpu_s - cpu_s) / place.at * 1e6


def _back_up(cluster: Cluster, out: Path) -> None:
    memraft = cluster.memraft
    command = [sys.executable, "-m", "memraft_server.cli", "backup", "--out", str(out)]
    where = ["--endpoints", memraft.target.endpoints, "--certs", str(memraft.operator_certs)]
    done = subprocess.run(
        [*command, *where], capture_output=True, text=True, check=False, timeout=BACKUP_TIMEOUT_S
    )
    if done.returncode != 0:
        raise Unavailable(f"the backup failed: {done.stderr.strip()[-200:]}")


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def consensus_idle(shards: int, idle_s: float) -> float:
    """The share of one core that three idle nodes take, of the consensus alone."""
    command = [sys.executable, str(RAFT_LOOP), "--seconds", "0.2", "--inflight", "1", "--shards", str(shards)]
    done = subprocess.run(
        [*command, "--idle-seconds", str(idle_s)], capture_output=True, text=True, check=True, timeout=120
    )
    return float(json.loads(done.stdout)["idle_cpu_percent_all_nodes"]) / 100


def places_of(options: Options) -> dict[str, list[Place]]:
    """The axes that are asked for."""
    axes = {
        "shards": list(points.shard_places(options.shards_most)),
        "nodes": list(points.node_places(options.nodes_most)),
        "value": list(points.value_places(options.value_bytes_most)),
        "records": list(points.record_places(options.records_most)),
    }
    return {name: places for name, places in axes.items() if not options.only or name in options.only}
