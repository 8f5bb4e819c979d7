"""One run: a fresh cluster, the load, the fault, its end, and what is left of what was acknowledged."""

from __future__ import annotations

import asyncio
import faulthandler
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from memraft import AsyncMemory
from memraft.errors import MemraftError
from memraft_server.cli.errors import CliError
from tests.acceptance.campaign.cluster import Cluster, ClusterError
from tests.acceptance.campaign.faults import Fault, Stage, Steps
from tests.acceptance.campaign.load import Load, namespaces
from tests.acceptance.campaign.network import Network
from tests.acceptance.campaign.sandbox import SandboxError
from tests.acceptance.campaign.verdict import Tally, clock_problems, judge, longest_gap_s, read_back
from tests.linearizability import save

WARM_UP_S = 0.7
TAIL_S = 0.7
READ_BACK_TIMEOUT_S = 15.0
EQUAL_TIMEOUT_S = 20.0
POLL_S = 0.05
RUN_TIMEOUT_S = 240.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How runs are run.

    Args:
        shards: of the cluster.
        clients: that load it.
        pace_s: what each waits between calls, on average.
        keep: directory that receives history and logs of a run that found something.
    """

    shards: int = 2
    clients: int = 6
    pace_s: float = 0.010
    keep: Path = Path("build/campaign")


@dataclass(slots=True)
class Result:
    """What came of one run.

    Args:
        fault, nodes, seed: which run.
        tally: what was acknowledged, and what became of it.
        gap_s: the longest time in which a shard acknowledged no write.
        recovery_s: from the end of the fault until every shard had acknowledged a write and every node was
            ready.
        violations: everything that must not be; empty: the run is good.
        errors: what calls ended in, and how often.
        kept: where history and logs are, after a violation.
    """

    fault: str
    nodes: int
    seed: int
    tally: Tally = field(default_factory=Tally)
    gap_s: float = 0.0
    recovery_s: float = 0.0
    took_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    kept: str = ""


def perform(fault: Fault, nodes: int, seed: int, directory: Path, options: Options, report: Report) -> Result:
    """Runs a fault once, in an empty directory."""
    began = time.monotonic()
    # Everything in here is bounded; should something hang all the same, say where, and end the sandbox.
    faulthandler.dump_traceback_later(RUN_TIMEOUT_S, exit=True)
    result = Result(fault.name, nodes, seed)
    names = [f"n{number}" for number in range(1, nodes + fault.spares + 1)]
    network = Network(names)
    network.up()
    try:
        cluster = Cluster(directory, network, names[:nodes], options.shards)
        try:
            run = Run(fault, Stage(cluster, network, random.Random(seed)), options, result, report)
            try:
                run.prepare()
                asyncio.run(run.body())
            except (ClusterError, CliError, SandboxError, MemraftError) as error:
                result.violations.append(f"{type(error).__name__}: {error}")
        finally:
            cluster.close()
    finally:
        network.down()
    if result.violations:
        result.kept = str(_keep(run, directory, options.keep / f"{fault.name}-{nodes}-{seed}"))
    result.took_s = time.monotonic() - began
    faulthandler.cancel_dump_traceback_later()
    return result


def _keep(run: Run, directory: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for node in sorted((directory / "nodes").glob("*")):
        for file in ("node.log", "node.toml"):
            if (node / file).exists():
                shutil.copy(node / file, target / f"{node.name}-{file}")
    if run.load is not None:
        save(target / "history.jsonl", run.load.recorder.history())
    (target / "violations.txt").write_text("\n".join(run.result.violations) + "\n", encoding="utf-8")
    return target


class Run:
    """The phases of a run."""

    def __init__(self, fault: Fault, stage: Stage, options: Options, result: Result, report: Report) -> None:
        self.fault, self.stage, self.options, self.result = fault, stage, options, result
        self.load: Load | None = None
        self._cluster = stage.cluster
        self._report = report

    def prepare(self) -> None:
        """Starts the cluster."""
        self._report("starting")
        if self.fault.prepare is not None:
            self.fault.prepare(self.stage)
        self._cluster.start()

    async def body(self) -> None:
        """Load, fault, recovery, judgement."""
        view = await asyncio.to_thread(self._cluster.look)
        places = namespaces(view)
        load = self.load = Load(
            self._cluster.endpoints, self._cluster.agent_certs, places, self.options.clients,
            self.options.pace_s, self.result.seed,
        )  # fmt: skip
        self.stage.load = load
        load.start()
        try:
            await self._until_all_write(load, time.monotonic(), 20.0, "at the beginning")
            await asyncio.sleep(WARM_UP_S)
            load.began_at = time.monotonic()
            await self._fault(load)
            await asyncio.sleep(TAIL_S)
        finally:
            await load.stop()
            self.result.errors = dict(load.errors)
            self.result.violations += [*self.stage.violations, *load.violations]
            self.result.notes += self.stage.notes
        await self._judge(load, places)

    async def _fault(self, load: Load) -> None:
        steps: Steps = self.fault.steps(self.stage)
        self._report("injecting")
        await asyncio.to_thread(next, steps)
        self._report("holding")
        await asyncio.sleep(self.fault.hold_s)
        self._report("healing")
        await asyncio.to_thread(next, steps, None)
        healed_at = time.monotonic()
        self._report("recovering")
        bound_s = self.fault.recovery_s_max
        await self._until_all_write(load, healed_at, bound_s, "after the fault")
        left_s = max(1.0, healed_at + bound_s - time.monotonic())
        await asyncio.to_thread(self._cluster.wait_ready, self._cluster.names, left_s)
        self.result.recovery_s = time.monotonic() - healed_at

    async def _until_all_write(self, load: Load, since: float, bound_s: float, when: str) -> None:
        while True:
            silent = [
                place for place, times in load.acknowledged.items() if not times or max(times[-20:]) < since
            ]
            if not silent:
                return
            if time.monotonic() > since + bound_s:
                raise ClusterError(
                    f"{when} no write was acknowledged for {bound_s:.0f} s in {', '.join(silent)}"
                )
            await asyncio.sleep(POLL_S)

    async def _judge(self, load: Load, places: list[str]) -> None:
        self._report("checking")
        async with AsyncMemory(
            load.endpoints, certs=load.certs, namespace=places[0], timeout_s=READ_BACK_TIMEOUT_S
        ) as memory:
            finals = await read_back(memory, places, load.recorder, self.result.seed)
        result = self.result
        await asyncio.to_thread(self._compare_replicas)
        result.tally = await asyncio.to_thread(judge, load.recorder.history(), finals)
        result.violations += result.tally.problems
        result.violations += clock_problems(load.commit_times)
        result.gap_s = longest_gap_s(load.acknowledged, load.began_at, load.ended_at)
        bound_s = self.fault.gap_s_max
        if bound_s is not None and result.gap_s > bound_s:
            result.violations.append(
                f"no write was acknowledged for {result.gap_s:.1f} s, over {bound_s:.0f} s"
            )

    def _compare_replicas(self) -> None:
        """All replicas come to the same applied index, and have the same hash there."""
        deadline = time.monotonic() + EQUAL_TIMEOUT_S
        while True:
            differing = []
            view = self._cluster.look()
            for shard in view.shards:
                states = {(each.applied_index, each.applied_hash) for each in shard.replicas}
                hashes_at = {each.applied_index for each in shard.replicas}
                if len(states) != len(hashes_at):
                    self.result.violations.append(f"replicas differ: {shard}")
                    return
                if len(states) != 1:
                    differing.append(f"shard {shard.shard}: {sorted(states)}")
            silent = [f"{node.name}: {node.error}" for node in view.nodes if node.error]
            if not differing and not silent:
                return
            if time.monotonic() > deadline:
                self.result.violations.append(
                    f"replicas not at one index after {EQUAL_TIMEOUT_S:.0f} s: "
                    + "; ".join(differing + silent)
                )
                return
            time.sleep(POLL_S)
