"""How callers wait for each other's calls: in tasks and in threads, in time and out of it."""

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest

from memraft import ClosedError, ConfigurationError, OutcomeUnknown, Unavailable, _gather
from memraft._async.io import Home, Slots, Waiter
from memraft._async.lanes import AsyncLanes
from memraft._coalesce import BatchFlight, Place, Put, Write, lane_of
from memraft._sync.io import Waiter as ThreadWaiter
from memraft._sync.lanes import Lanes
from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import batch_pb2, common_pb2, kv_pb2

WAIT_S = 30.0


def put(key: str, timeout_s: float = WAIT_S) -> Write:
    request = kv_pb2.PutRequest(namespace="acme/x", key=key, value=b"1")
    deadline_s = time.monotonic() + timeout_s
    return Write(METHODS["Put"], request, 0, deadline_s, lane_of(METHODS["Put"], request))


def answer(method: Method, request: Any) -> Any:
    """A response whose version is the number in the key."""
    if method.name == "Put":
        return kv_pb2.PutResponse(version=int(request.key))
    puts = (kv_pb2.PutResponse(version=int(each.put.key)) for each in request.operations)
    return batch_pb2.BatchResponse(results=[batch_pb2.OperationResult(put=each) for each in puts])


class Gate:
    """Carries calls of tasks; they come back when it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.sizes: list[int] = []

    async def __call__(self, method: Method, request: Any, shard: int, deadline_s: float) -> Any:
        self.sizes.append(len(request.operations) if method.name == "Batch" else 1)
        await asyncio.sleep(0)  # No call returns at once.
        await self.open.wait()
        return answer(method, request)


async def settle() -> None:
    """Lets all tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_tasks_that_write_again_and_again_stay_together() -> None:
    async def script() -> None:
        gate = Gate()
        gate.open.set()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)

        async def write(caller: int) -> None:
            for i in range(10):
                response = await lanes.carry(put(str(caller * 100 + i)))
                assert response.version == caller * 100 + i

        await asyncio.gather(*(write(caller) for caller in range(20)))
        assert sum(gate.sizes) == 200
        assert gate.sizes[:3] == [1, 19, 20], "what is written next joins, though the lane was just free"
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_tasks_that_begin_together_again_and_again_need_one_call_each_time() -> None:
    async def script() -> None:
        gate = Gate()
        gate.open.set()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        for _ in range(3):
            await asyncio.gather(*(lanes.carry(put(str(i))) for i in range(20)))
            assert len(lanes._gatherer) == 0
        assert gate.sizes == [1, 19, 20, 20]
        for i in range(_gather.CROWD_CALLS):
            await lanes.carry(put(str(i)))
        assert not lanes._gatherer._crowded, "a caller alone waits for nobody any more"
        assert gate.sizes[4:] == [1] * _gather.CROWD_CALLS

    asyncio.run(script())


def test_a_queued_write_whose_time_is_up_was_not_sent() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first = asyncio.create_task(lanes.carry(put("1", timeout_s=0.01)))
        await settle()
        late = put("2", timeout_s=0.02)
        second = asyncio.create_task(lanes.carry(late))
        while time.monotonic() <= late.deadline_s:
            await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(Unavailable, match="not sent"):
            await second
        assert (await first).version == 1
        assert gate.sizes == [1]
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_a_write_with_less_time_than_the_call_under_way_does_not_wait_for_it() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first = asyncio.create_task(lanes.carry(put("1")))
        await settle()
        hurried = asyncio.create_task(lanes.carry(put("2", timeout_s=WAIT_S / 2)))
        await settle()
        assert gate.sizes == [1, 1]
        gate.open.set()
        assert [(await each).version for each in (first, hurried)] == [1, 2]
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_nobody_waits_forever_for_who_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gather, "GRACE_S", 0.01)

    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first = asyncio.create_task(lanes.carry(put("1", timeout_s=0.1)))
        await settle()
        others = [asyncio.create_task(lanes.carry(put(key, timeout_s=0.2))) for key in "23"]
        await settle()
        first.cancel()  # A call under way ends, and the others' begins and does not.
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert all(isinstance(each, OutcomeUnknown) for each in outcomes[1:])
        assert gate.sizes == [1, 2]
        gate.open.set()
        await settle()
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_all_in_a_call_that_is_torn_down_are_told_that_nobody_knows() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first = asyncio.create_task(lanes.carry(put("1")))
        await settle()
        others = [asyncio.create_task(lanes.carry(put(key))) for key in "23"]
        await settle()
        first.cancel()
        await settle()
        (carrier,) = lanes._carriers._tasks
        carrier.cancel()
        outcomes = await asyncio.gather(*others, return_exceptions=True)
        assert all(isinstance(each, OutcomeUnknown) for each in outcomes)
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_a_waiter_can_be_woken_before_it_waits_and_more_than_once() -> None:
    async def script() -> None:
        early = Waiter()
        early.wake()
        early.wake()
        assert await early.wait(0.0)

    asyncio.run(script())
    thread = ThreadWaiter()
    assert not thread.wait(0.0)
    thread.wake()
    thread.wake()
    assert thread.wait(0.0)


def test_slots_are_handed_on_in_turn_and_none_is_lost() -> None:
    async def script() -> None:
        slots = Slots(1)
        assert slots.enter()
        assert not slots.enter()
        assert not await slots.wait(0.0), "nobody leaves"
        going, first, second = [asyncio.create_task(slots.wait(WAIT_S)) for _ in range(3)]
        await settle()
        going.cancel()
        slots.leave()
        assert await first
        assert not second.done()
        slots.leave()
        second.cancel()  # It has been handed the slot, and does not know yet.
        outcomes = await asyncio.gather(going, second, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)
        assert slots.enter()

    asyncio.run(script())


class ThreadGate:
    """Carries calls of threads; they come back when it is open. A batch's call may be interrupted."""

    def __init__(self, interrupts: bool = False) -> None:
        self.open = threading.Event()
        self.sizes: list[int] = []
        self._interrupts = interrupts

    def __call__(self, method: Method, request: Any, shard: int, deadline_s: float) -> Any:
        self.sizes.append(len(request.operations) if method.name == "Batch" else 1)
        assert self.open.wait(WAIT_S)
        if self._interrupts and method.name == "Batch":
            raise KeyboardInterrupt
        return answer(method, request)


def write_in_threads(gate: ThreadGate) -> dict[str, Any]:
    """Has a first write under way while four others queue; returns the outcome of each."""
    lanes = Lanes(BatchFlight, gate, WAIT_S)
    outcomes: dict[str, Any] = {}

    def work(key: str) -> None:
        try:
            outcomes[key] = lanes.carry(put(key)).version
        except BaseException as error:
            outcomes[key] = error

    threads = [threading.Thread(target=work, args=(key,)) for key in "12345"]
    deadline_s = time.monotonic() + WAIT_S
    for i, thread in enumerate(threads):
        thread.start()
        while len(gate.sizes) + sum(len(each.queue) for each in lanes._gatherer._lanes.values()) <= i:
            assert time.monotonic() < deadline_s
    gate.open.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(lanes._gatherer) == 0
    return outcomes


def test_the_first_of_the_waiting_threads_carries_for_all() -> None:
    gate = ThreadGate()
    assert write_in_threads(gate) == {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
    assert gate.sizes == [1, 4]


def test_an_interrupted_thread_tells_those_that_it_carried() -> None:
    outcomes = write_in_threads(ThreadGate(interrupts=True))
    assert outcomes.pop("1") == 1
    assert isinstance(outcomes.pop("2"), KeyboardInterrupt)
    assert len(outcomes) == 3
    assert all(isinstance(each, OutcomeUnknown) for each in outcomes.values())


# -- parties of tasks ----------------------------------------------------------------------------------------

PLACE = Place("acme/x", common_pb2.WriteContext())


async def arrive(lanes: AsyncLanes, key: str, timeout_s: float = WAIT_S) -> Any:
    """Puts a document as the remote link does, where a call of the lane is under way."""
    deadline_s = time.monotonic() + timeout_s
    coming = lanes.joined(PLACE.key, (key, b"1"), 64, deadline_s)
    if coming is None:
        coming = lanes.join(Put(PLACE, 0, deadline_s), (key, b"1"), 64)
    return await coming


async def crowd(gate: Gate, lanes: AsyncLanes, keys: str) -> list[asyncio.Task[Any]]:
    """Has a first call under way, and tasks that put meanwhile."""
    tasks = [asyncio.create_task(lanes.carry(put("0")))]
    await settle()
    tasks += [asyncio.create_task(arrive(lanes, key)) for key in keys]
    await settle()
    assert gate.sizes == [1]
    return tasks


def test_callers_that_come_one_after_the_other_are_one_item() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        tasks = await crowd(gate, lanes, "123")
        (lane,) = lanes._gatherer._lanes.values()
        assert [item.count for item in lane.queue] == [3]
        gate.open.set()
        assert [(await each).version for each in tasks] == [0, 1, 2, 3]
        await settle()
        assert gate.sizes == [1, 3]
        assert len(lanes._gatherer) == 0 and not lanes._gatherer._open

    asyncio.run(script())


def test_who_is_cancelled_while_its_party_waits_is_not_sent() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first, gone, stays, too = await crowd(gate, lanes, "123")
        gone.cancel()
        await settle()
        gate.open.set()
        assert [(await each).version for each in (first, stays, too)] == [0, 2, 3]
        assert gate.sizes == [1, 2]

    asyncio.run(script())


def test_a_party_that_all_have_left_is_no_call() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first, *others = await crowd(gate, lanes, "12")
        for each in others:
            each.cancel()
        await settle()
        gate.open.set()
        assert (await first).version == 0
        await settle()
        assert gate.sizes == [1]
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_who_is_cancelled_while_its_party_is_under_way_takes_nothing_with_it() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first, gone, stays = await crowd(gate, lanes, "12")
        first.cancel()  # The next call begins, and does not end yet.
        await settle()
        assert gate.sizes == [1, 2]
        gone.cancel()
        await settle()
        gate.open.set()
        assert (await stays).version == 2
        assert gone.cancelled()

    asyncio.run(script())


def test_a_party_is_bounded_in_callers_bytes_and_time() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        await crowd(gate, lanes, "1")
        joined, now_s = lanes._gatherer.joined, time.monotonic()
        assert joined(PLACE.key, ("2", b"1"), BatchFlight.SIZE_BYTES_MAX, now_s) is None
        assert joined(PLACE.key, ("2", b"1"), 1, now_s + WAIT_S * 2) is None
        for _ in range(BatchFlight.ITEMS_MAX - 1):
            assert joined(PLACE.key, ("2", b"1"), 1, now_s + WAIT_S) is not None
        assert joined(PLACE.key, ("2", b"1"), 1, now_s + WAIT_S) is None
        lanes.close()
        gate.open.set()

    asyncio.run(script())


def test_nobody_of_a_party_waits_forever_for_who_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gather, "GRACE_S", 0.01)

    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first = asyncio.create_task(lanes.carry(put("0", timeout_s=0.1)))
        await settle()
        others = [asyncio.create_task(arrive(lanes, key, timeout_s=0.2)) for key in "12"]
        await settle()
        first.cancel()  # A call under way ends, and the others' begins and does not.
        told = await asyncio.gather(*others)
        assert all(isinstance(each, OutcomeUnknown) for each in told)
        assert gate.sizes == [1, 2]
        gate.open.set()
        await settle()
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_each_of_a_party_is_told_of_a_failure_with_an_exception_of_its_own() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first, *others = await crowd(gate, lanes, "12")
        lanes.close()
        told = [await each for each in others]
        assert all(isinstance(each, ClosedError) for each in told)
        assert told[0] is not told[1]
        gate.open.set()
        assert (await first).version == 0

    asyncio.run(script())


def test_a_party_and_other_writes_of_its_lane_go_together_and_each_hears_its_own() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        tasks = await crowd(gate, lanes, "12")
        tasks.append(asyncio.create_task(lanes.carry(put("3"))))
        await settle()
        gate.open.set()
        assert [(await each).version for each in tasks] == [0, 1, 2, 3]
        assert gate.sizes == [1, 3]

    asyncio.run(script())


def test_all_of_a_party_are_told_where_an_answer_breaks_off_in_the_middle_of_it() -> None:
    async def script() -> None:
        gate = Gate()
        carriers: list[asyncio.Task[Any] | None] = []

        async def send(method: Method, request: Any, shard: int, deadline_s: float) -> Any:
            response = await gate(method, request, shard, deadline_s)
            if method.name == "Batch":
                carriers.append(asyncio.current_task())
                response.results[1].Clear()  # it says nothing
            return response

        lanes = AsyncLanes(BatchFlight, send, WAIT_S)
        _, *others = await crowd(gate, lanes, "123")
        gate.open.set()
        await settle()
        (carrier,) = carriers
        assert carrier is not None
        with pytest.raises(ValueError, match="says nothing"):
            await carrier
        assert all(each.done() for each in others), "nobody waits any more"
        known, *lost = [each.result() for each in others]
        assert known.version == 1
        assert all(isinstance(each, OutcomeUnknown) for each in lost)
        assert len(lanes._gatherer) == 0

    asyncio.run(script())


def test_who_was_cancelled_is_not_kept_until_the_call_under_way_is_back() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        first, stays = await crowd(gate, lanes, "1")
        deadline_s = time.monotonic() + WAIT_S
        for _ in range(20 * BatchFlight.ITEMS_MAX):
            coming = lanes.joined(PLACE.key, ("2", b"1"), 64, deadline_s)
            if coming is None:
                coming = lanes.join(Put(PLACE, 0, deadline_s), ("2", b"1"), 64)
            coming.cancel()
        (lane,) = lanes._gatherer._lanes.values()
        assert sum(item.count for item in lane.queue) <= BatchFlight.ITEMS_MAX + 1
        gate.open.set()
        assert [(await each).version for each in (first, stays)] == [0, 1]

    asyncio.run(script())


def test_what_has_landed_is_not_left_to_the_garbage_collector() -> None:
    async def script() -> None:
        gate = Gate()
        lanes = AsyncLanes(BatchFlight, gate, WAIT_S)
        tasks = await crowd(gate, lanes, "12")
        tasks.append(asyncio.create_task(lanes.carry(put("3"))))
        await settle()
        (lane,) = lanes._gatherer._lanes.values()
        kept = [weakref.ref(future) for item in lane.queue for future in getattr(item, "futures", ())]
        assert len(kept) == 2
        gate.open.set()
        await asyncio.gather(*tasks)
        await settle()
        del lane
        assert all(each() is None for each in kept)

    gc.disable()
    try:
        asyncio.run(script())
    finally:
        gc.enable()


def test_a_put_goes_after_another_write_that_came_before_it() -> None:
    async def script() -> None:
        sent: list[str] = []
        gate = Gate()

        async def send(method: Method, request: Any, shard: int, deadline_s: float) -> Any:
            if method.name == "Batch":
                sent.extend(each.put.key for each in request.operations)
            return await gate(method, request, shard, deadline_s)

        lanes = AsyncLanes(BatchFlight, send, WAIT_S)
        tasks = await crowd(gate, lanes, "1")
        for coming in (lanes.carry(put("2")), arrive(lanes, "3"), arrive(lanes, "4")):
            tasks.append(asyncio.create_task(coming))
            await settle()
        gate.open.set()
        assert [(await each).version for each in tasks] == [0, 1, 2, 3, 4]
        assert sent == list("1234")

    asyncio.run(script())


def test_a_client_belongs_to_the_loop_of_its_first_call() -> None:
    home = Home()

    async def call() -> None:
        home.check()
        home.check()

    async def call_beside_another() -> None:
        await call()
        with pytest.raises(ConfigurationError, match="belongs to the event loop of its first call"):
            await asyncio.to_thread(asyncio.run, call())
        await call()

    asyncio.run(call_beside_another())
    with pytest.raises(ConfigurationError, match="belongs to the event loop of its first call"):
        asyncio.run(call())
