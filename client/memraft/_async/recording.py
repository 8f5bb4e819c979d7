"""A run that is recorded, and one that is replayed."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _recording as recording
from .._moments import datetime_of, time_us_of, utc_now
from ..errors import ConflictError
from .io import call_agent
from .traces import AsyncRunTraces

if TYPE_CHECKING:
    from .memory import AsyncMemory

R = TypeVar("R")


class AsyncAgentRun:
    """A run, as an agent sees it: `async with m.run("r1", inputs=...) as run:`, or what `m.replay` gives.

    Its memory writes in the run. What the agent does with tools, models, the clock and chance it does through
    the run, so that a replay can give it the same again; calls are recorded one after the other.
    """

    def __init__(self, memory: "AsyncMemory", run_id: str, inputs: Any, began_at_us: int) -> None:
        self.id = run_id
        self.inputs = inputs
        """What the run was given."""
        self.memory = memory
        """The memory, whose writes belong to the run."""
        self.outputs: Any = None
        """What the run gives; to be set before it ends."""
        self.trace = AsyncRunTraces(memory)
        """Records what the agent decides, cites and assumes; calls of tools and models are by themselves."""
        self._generator = recording.generator_of(run_id, began_at_us)

    def tool(self, name: str, function: Callable[..., Awaitable[R] | R]) -> Callable[..., Awaitable[R]]:
        """Returns the tool as one whose calls are recorded: input, and output or error.

        Args:
            name: what the tool is known as.
            function: what does it. Input and output have to be what msgspec writes as JSON.
        """
        return self._recorded("tool", name, function)

    def model(self, name: str, function: Callable[..., Awaitable[R] | R]) -> Callable[..., Awaitable[R]]:
        """Returns the model as one whose calls are recorded: as `tool`."""
        return self._recorded("model", name, function)

    def _recorded(
        self, kind: str, name: str, function: Callable[..., Awaitable[R] | R]
    ) -> Callable[..., Awaitable[R]]:
        async def call(*args: Any, **kwargs: Any) -> R:
            asked = {"name": name, "input": recording.asked(name, args, kwargs)}
            done: R = await self._call(kind, asked, function, args, kwargs)
            return done

        return call

    async def now(self) -> datetime:
        """Returns the time, aware, in UTC; recorded."""
        time_us: int = await self._call("clock", {}, _now_us, (), {})
        return datetime_of(time_us)

    def new_id(self) -> str:
        """Returns a new id of 32 characters: the same in a replay."""
        return f"{self._generator.getrandbits(128):032x}"

    def random(self) -> float:
        """Returns a number from 0 to below 1 by chance: the same in a replay."""
        return self._generator.random()

    async def _call(
        self, kind: str, asked: dict[str, Any], function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        started_at = utc_now()
        try:
            output = await call_agent(function, *args, **kwargs)
        except Exception as error:
            await self._note(kind, {**asked, "error": recording.failure_of(error)}, started_at)
            raise
        await self._note(kind, recording.answered(asked, output), started_at)
        return output

    async def _note(self, kind: str, payload: dict[str, Any], started_at: datetime) -> None:
        """Records one call: its event and, in the same entry, its traces."""
        traces = recording.traces_of(kind, payload, self.trace.parent, started_at, utc_now())
        if not traces:
            await self.memory.append(f"run/{self.id}", payload, type=recording.CALLS[kind])
            return
        async with self.memory.batch(errors="return") as b:
            b.append(f"run/{self.id}", payload, type=recording.CALLS[kind])
            b.record_traces(traces)
        for result in b.results:
            if isinstance(result, Exception):
                raise result


def _now_us() -> int:
    return time_us_of(utc_now())


class AsyncReplayedRun(AsyncAgentRun):
    """A run whose calls have the recorded outputs."""

    def __init__(
        self,
        memory: "AsyncMemory",
        run_id: str,
        inputs: Any,
        began_at_us: int,
        script: recording.Script,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(memory, run_id, inputs, began_at_us)
        self._script = script
        self._check = check

    async def _call(
        self, kind: str, asked: dict[str, Any], function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        await self._check()
        recorded, difference = self._script.take(kind, asked)
        recorded = {**recorded, **asked}
        await self._note(kind, recorded, utc_now())
        if difference is not None:
            try:
                await self._check()
            except recording.Diverged:
                raise recording.Diverged(difference) from None
        if "error" in recorded:
            recording.raise_recorded(recorded["error"])
        return recorded["output"]


class AsyncRunBlock:
    """What `m.run` returns: begins the run with its `with` block, and ends it with it."""

    def __init__(self, memory: "AsyncMemory", run_id: str, inputs: Any) -> None:
        self._memory = memory
        self._run_id = run_id
        self._inputs = inputs
        self._run: AsyncAgentRun | None = None

    async def __aenter__(self) -> AsyncAgentRun:
        began = await self._memory.begin_run(self._run_id, inputs=self._inputs, record=True)
        view = self._memory.scoped(run=began.id)
        self._run = AsyncAgentRun(view, began.id, self._inputs, began.time_us)
        return self._run

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        run = self._run
        if run is None:
            return
        if error is None:
            await run.memory.end_run(run.id, outputs=run.outputs)
        else:
            with suppress(ConflictError):  # ended by another: what is raised is what happened in the block
                await run.memory.end_run(run.id, "failed", outputs={"error": recording.failure_of(error)})
