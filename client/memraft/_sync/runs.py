# Generated from _async/runs.py by scripts/generate_sync.py: edit that one.

"""Runs of agents."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import uuid4

from memraft_proto.v1 import run_pb2

from .. import _compare as compare
from .. import _operations as operations
from .. import _wire
from .._recording import Diverged, Script, failure_of
from ..errors import NotFound, NotRecorded
from ..types import At, Consistency, Event, Replay, Results, Run, RunDiff, StepDifference, Written
from .base import METHOD, Calls
from .io import call_agent
from .recording import AgentRun, ReplayedRun, RunBlock

if TYPE_CHECKING:
    from .memory import Memory

_BEGIN, _END = METHOD["BeginRun"], METHOD["EndRun"]
_GET, _LIST = METHOD["GetRun"], METHOD["ListRuns"]
_REPLAY, _DIFF = METHOD["ReplayRun"], METHOD["DiffRuns"]
_PAGE_EVENTS = 1_000


class RunCalls(Calls):
    """Runs of agents. Writes belong to one through `scoped(run=...)`."""

    def run(self, run_id: str = "", *, inputs: Any = None) -> RunBlock:
        """Begins a recorded run and ends it with its block: `with m.run("r1", inputs=...) as run:`.

        Whatever is written through `run.memory` is recorded, as are calls of tools and models made through
        `run.tool` and `run.model`, so that `replay` can do it again. An exception ends the run as failed.

        Args:
            run_id: its id; empty: a new one, `run.id`.
            inputs: what it is given: anything that msgspec writes as JSON.

        Raises:
            ConflictError: a run of this id exists already.
        """
        return RunBlock(cast("Memory", self), run_id, inputs)

    def begin_run(self, run_id: str = "", *, inputs: Any = None, record: bool = False) -> Written:
        """Begins a run.

        Args:
            run_id: its id; empty: a new one, which the result's `.id` tells.
            inputs: what it is given: anything that msgspec writes as JSON.
            record: whether to keep all that is written in it, until it ends, so that it can be replayed. It
                takes as much room again.

        Raises:
            ConflictError: a run of this id exists already.
        """
        request = operations.begin_run(self._where, run_id, inputs, record)
        return operations.begin_run_done(request, self._link.write(_BEGIN, request))

    def end_run(
        self, run_id: str, status: Literal["succeeded", "failed"] = "succeeded", *, outputs: Any = None
    ) -> Written:
        """Ends a run.

        Args:
            run_id: which one.
            status: how it ended.
            outputs: what it gave: anything that msgspec writes as JSON.

        Raises:
            NotFound: there is no such run.
            ConflictError: it had ended already.
        """
        request = operations.end_run(self._where, run_id, status, outputs)
        return operations.end_run_done(request, self._link.write(_END, request))

    def run_info(self, run_id: str, *, at: At = None, consistency: Consistency | None = None) -> Run | None:
        """Reads one run; None where there is none.

        Args:
            run_id: which one.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(run_pb2.GetRunRequest, **self._from(at, consistency), run_id=run_id)
        response: run_pb2.GetRunResponse = self._link.read(_GET, request)
        return _wire.run(response.run) if response.HasField("run") else None

    def runs(
        self,
        *,
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Run]:
        """Lists runs, newest first.

        Args:
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            run_pb2.ListRunsRequest,
            **self._from(at, consistency),
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        response: run_pb2.ListRunsResponse = self._link.read(_LIST, request)
        return _wire.results(response, tuple(map(_wire.run, response.runs)))

    def replay(self, run_id: str, *, agent: Callable[[AgentRun], Any | Any] | None = None) -> Replay:
        """Does a recorded run again and says whether it comes to the same.

        Without an agent, the recorded commands are applied again to an empty fork of the moment at which the
        run began, and the hash of the state is compared after each: up to 10,000 of them.

        With one, `agent(run)` runs in a fork of that moment, which is dropped afterwards. `run.inputs`, the
        outputs of tools and models, the clock, ids and random numbers are the recorded ones; no tool is
        called. It stops at the first call or write that is not the recorded one.

        Args:
            run_id: which one.
            agent: the agent's code: takes a run, and returns what it gives.

        Raises:
            NotFound: there is no such run.
            NotRecorded: it was not recorded, or lacks an output that the agent asks for.
        """
        if agent is not None:
            return self._replay_agent(run_id, agent)
        request = _wire.build(run_pb2.ReplayRunRequest, **self._from(None, None), run_id=run_id)
        return compare.replay(run_id, self._link.read(_REPLAY, request))

    def diff_runs(
        self, run_id: str, other_run_id: str, *, other_namespace: str = "", limit: int = 1000
    ) -> RunDiff:
        """Compares what two recorded runs did, step by step, and what each left behind.

        Versions, times and ids that the machine made are not compared; what one run was told stands for what
        the other was. Neither are commands on locks, which do not count as steps here.

        Args:
            run_id: the first run.
            other_run_id: the other.
            other_namespace: of the other; a fork of this one, its parent, or a fork of that; empty: here.
            limit: at most this many changed records, 1 to 10,000.

        Raises:
            NotFound: there is no such run, or fork.
            NotRecorded: one was not recorded.
            Unrelated: the namespaces have nothing in common.
        """
        request = _wire.build(
            run_pb2.DiffRunsRequest,
            **self._from(None, None),
            run_id=run_id,
            other_run_id=other_run_id,
            other_namespace=other_namespace,
            limit=_wire.at_least_one(limit, "limit"),
        )
        return compare.run_diff(self._link.read(_DIFF, request))

    def _replay_agent(self, run_id: str, agent: Callable[[AgentRun], Any | Any]) -> Replay:
        memory = cast("Memory", self)
        run = self.run_info(run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id!r} in {self._namespace!r}", reason="NO_SUCH_RUN")
        if not run.recorded:
            raise NotRecorded(
                f"run {run_id!r} was not recorded: begin it with `m.run`", reason="NOT_RECORDED"
            )
        script = Script(run_id, self._events_of(run_id), run.ended_at_us != 0)
        name = f"replay-{uuid4().hex[:16]}"
        beginning = Written(id=run_id, version=run.began_version, time_us=run.began_at_us)
        view = (memory.fork(name, at=beginning)).scoped(run=run_id)

        def compared() -> RunDiff:
            request = _wire.build(
                run_pb2.DiffRunsRequest,
                **self._from(None, None),
                run_id=run_id,
                other_run_id=run_id,
                other_namespace=view.namespace,
                steps_only=True,
            )
            return compare.run_diff(self._link.read(_DIFF, request))

        def check() -> None:
            found = compared()
            difference = found.first_difference
            if difference is not None and difference.step <= found.other_steps:
                raise Diverged(difference)

        try:
            replayed = ReplayedRun(view, run_id, run.inputs, run.began_at_us, script, check)
            try:
                _end_as_recorded(replayed, agent)
            except Diverged as diverged:
                return _agent_replay(run, compared(), diverged.difference)
            found = compared()
            # Of a run that had not ended, the end is all that the replay may have beside it.
            is_cut_short = run.ended_at_us == 0 and found.common_steps == found.steps
            return _agent_replay(run, found, None if is_cut_short else found.first_difference)
        finally:
            memory.drop_fork(name)

    def _events_of(self, run_id: str) -> list[Event]:
        """All events that a run wrote to its stream."""
        memory = cast("Memory", self)
        found: list[Event] = []
        while True:
            page = memory.events(f"run/{run_id}", from_sequence=len(found) + 1, limit=_PAGE_EVENTS)
            found += page
            if not page:
                return [each for each in found if each.run == run_id]


def _end_as_recorded(run: ReplayedRun, agent: Callable[[AgentRun], Any | Any]) -> None:
    """Runs an agent and ends its run, as a block of `m.run` does."""
    try:
        returned = call_agent(agent, run)
    except NotRecorded:
        raise
    except Exception as error:
        run.memory.end_run(run.id, "failed", outputs={"error": failure_of(error)})
        return
    run.memory.end_run(run.id, outputs=run.outputs if returned is None else returned)


def _agent_replay(run: Run, found: RunDiff, difference: StepDifference | None) -> Replay:
    return Replay(
        run_id=run.id,
        verdict="same" if difference is None else "differs",
        steps=found.common_steps,
        recorded_steps=found.steps,
        first_difference=difference,
    )
