"""Which writes travel together, and what each of their callers is told."""

from typing import Any

import pytest

from memraft import ConflictError, InvalidArgument, OutcomeUnknown, QuotaExceeded, Unavailable, errors
from memraft._coalesce import BatchFlight, Write, lane_of
from memraft._gather import ALONE, Gatherer
from memraft._sync.io import Waiter
from memraft_proto.methods import METHODS
from memraft_proto.v1 import batch_pb2, common_pb2, kv_pb2, memory_pb2, run_pb2, state_pb2, vector_pb2
from memraft_server.machine import Command, Machine

TIMEOUT_S = 10.0
DEADLINE_S = 1_000.0


class Clock:
    """Tells the time that it is set to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def coalescer(clock: Clock | None = None) -> Gatherer[Write, BatchFlight]:
    return Gatherer(BatchFlight, Waiter, TIMEOUT_S, clock or Clock())


def write(method_name: str, /, deadline_s: float = DEADLINE_S, run: str = "", **fields: Any) -> Write:
    """A write of agent `alice` in the namespace `acme/x`."""
    method = METHODS[method_name]
    context = common_pb2.WriteContext(agent="alice", run=run)
    fields = {"namespace": "acme/x", "context": context, **fields}
    request = method.request(**fields)
    return Write(method, request, 0, deadline_s, lane_of(method, request))


def put(key: str, **fields: Any) -> Write:
    return write("Put", key=key, value=b"1", **fields)


def enter(lanes: Gatherer[Write, BatchFlight], *writes: Write) -> Write:
    """Has a first write under way, whose time ends first, and `writes` wait for it; returns the first."""
    first = put("first", deadline_s=0.0)
    assert lanes.enter(first)
    for each in writes:
        assert not lanes.enter(each)
    return first


def gathered(*writes: Write) -> BatchFlight:
    """The flight in which all of these go."""
    lanes = coalescer()
    flight = lanes.leave(enter(lanes, *writes).lane)
    assert flight is not None and flight.items == list(writes)
    return flight


def apply(flight: BatchFlight) -> Any:
    """What a shard answers."""
    method, request = flight.call()
    machine = Machine(0)
    (reply,) = machine.apply(1, 1, 1, [Command(method.kind, "alice", request)])
    return reply


# -- what travels together -----------------------------------------------------------------------------------


def test_a_lone_write_goes_at_once_and_leaves_nothing_behind() -> None:
    lanes = coalescer()
    lone = put("k")
    assert lanes.enter(lone)
    assert len(lanes) == 1
    assert lanes.leave(lone.lane) is None
    assert len(lanes) == 0
    assert lanes.enter(put("k"))


def test_what_gathers_while_a_call_is_under_way_goes_as_one_batch_in_order() -> None:
    lanes = coalescer()
    writes = [put("a"), write("Append", stream="s", payload=b"1"), put("b")]
    first = enter(lanes, *writes)
    flight = lanes.leave(first.lane)
    assert flight is not None
    method, request = flight.call()
    assert method.name == "Batch"
    assert request.namespace == "acme/x"
    assert request.context == common_pb2.WriteContext(agent="alice")
    assert [each.WhichOneof("operation") for each in request.operations] == ["put", "append", "put"]
    assert request.operations[0].put == kv_pb2.PutRequest(key="a", value=b"1")
    assert all(each.request.namespace == "acme/x" for each in writes), "own calls may still be made of them"
    assert not lanes.enter(put("c")), "the lane is taken until this flight is back"


def test_a_single_one_that_waited_goes_as_its_own_call() -> None:
    waited = put("a")
    assert gathered(waited).call() == (METHODS["Put"], waited.request)


def test_another_namespace_agent_run_or_tool_is_another_lane() -> None:
    lanes = coalescer()
    contexts = [
        common_pb2.WriteContext(agent="alice"),
        common_pb2.WriteContext(agent="bob"),
        common_pb2.WriteContext(agent="alice", run="r"),
        common_pb2.WriteContext(agent="alice", tool="t"),
    ]
    writes = [put("k", context=each) for each in contexts]
    writes.append(put("k", namespace="acme/y"))
    assert all(lanes.enter(each) for each in writes)
    assert len(lanes) == 5
    for each in writes:
        assert lanes.leave(each.lane) is None
    assert len(lanes) == 0


def test_a_batch_is_bounded_in_operations_and_the_rest_goes_next() -> None:
    lanes = coalescer()
    writes = [put(str(i)) for i in range(BatchFlight.ITEMS_MAX + 1)]
    first = enter(lanes, *writes)
    flight = lanes.leave(first.lane)
    assert flight is not None and flight.items == writes[: BatchFlight.ITEMS_MAX]
    flight = lanes.leave(first.lane)
    assert flight is not None and flight.items == writes[BatchFlight.ITEMS_MAX :]
    assert lanes.leave(first.lane) is None


def test_a_batch_is_bounded_in_bytes() -> None:
    lanes = coalescer()
    writes = [write("Put", key=str(i), value=bytes(60_000)) for i in range(20)]
    first = enter(lanes, *writes)
    flight = lanes.leave(first.lane)
    assert flight is not None and 1 < len(flight.items) < 20
    assert flight.call()[1].ByteSize() <= BatchFlight.SIZE_BYTES_MAX


def test_those_with_much_more_time_do_not_end_with_the_time_of_the_first() -> None:
    lanes = coalescer()
    soon, later = put("soon", deadline_s=10.0), put("later", deadline_s=10.0 + TIMEOUT_S / 2)
    first = enter(lanes, soon, put("too", deadline_s=10.0 + TIMEOUT_S / 20), later)
    flight = lanes.leave(first.lane)
    assert flight is not None and len(flight.items) == 2
    assert flight.deadline_s == 10.0
    flight = lanes.leave(first.lane)
    assert flight is not None and flight.items == [later]


def test_whose_time_is_up_is_told_that_nothing_was_sent() -> None:
    clock = Clock()
    lanes = coalescer(clock)
    late, other = put("late", deadline_s=1.0), put("other")
    first = enter(lanes, late, other)
    clock.now_s = 1.0
    flight = lanes.leave(first.lane)
    assert flight is not None and flight.items == [other]
    assert isinstance(late.outcome, Unavailable)
    assert late.waiter.wait(0.0)


def test_a_caller_that_nobody_is_before_needs_no_item() -> None:
    lanes = coalescer()
    key = put("k").key
    lane = lanes.alone(key, DEADLINE_S)
    assert lane is not None
    assert lanes.alone(key, DEADLINE_S) is None, "the lane is taken"
    queued = put("queued")
    assert not lanes.enter(queued)
    flight = lanes.leave(lane)
    assert flight is not None and flight.items == [queued]
    assert lanes.alone(key, DEADLINE_S) is None
    assert lanes.leave(flight.lane) is None
    assert len(lanes) == 0


def test_whose_time_ends_before_that_of_the_call_under_way_does_not_wait_for_it() -> None:
    lanes = coalescer()
    slow, hurried, other = put("slow"), put("hurried", deadline_s=DEADLINE_S / 2), put("other")
    assert lanes.enter(slow)
    assert lanes.enter(hurried)
    assert not lanes.enter(other)
    assert lanes.leave(hurried.lane) is None
    assert len(lanes) == 1, "the lane is still taken"
    flight = lanes.leave(slow.lane)
    assert flight is not None and flight.items == [other]
    assert lanes.leave(flight.lane) is None
    assert len(lanes) == 0


def test_whose_time_ends_before_that_of_the_call_that_goes_first_does_not_wait_for_it_either() -> None:
    lanes = coalescer()
    slow, hurried, other = put("slow"), put("hurried", deadline_s=DEADLINE_S / 2), put("other")
    first = enter(lanes, slow, hurried, other)
    flight = lanes.leave(first.lane)
    assert flight is not None and flight.items == [slow]
    assert hurried.outcome is ALONE and hurried.waiter.wait(0.0)
    flight = lanes.leave(flight.lane)
    assert flight is not None and flight.items == [other]
    assert other.outcome is None


def test_an_answer_that_is_none_leaves_nobody_waiting() -> None:
    writes = [put("a"), put("b"), put("c")]
    response = batch_pb2.BatchResponse(results=[{"put": {"version": 5}}])
    with pytest.raises(ValueError, match="1 results in answer to 3 operations"):
        gathered(*writes).land(response)
    assert all(isinstance(each.outcome, OutcomeUnknown) and each.waiter.wait(0.0) for each in writes)


@pytest.mark.parametrize(
    "name", ["Batch", "MultiPut", "AppendMany", "UpsertMany", "SetSchema", "SetNamespaceSettings"]
)
def test_calls_that_carry_many_or_are_in_no_batch_go_by_themselves(name: str) -> None:
    assert write(name).key is None


def test_a_large_write_goes_by_itself() -> None:
    assert put("k").key is not None
    assert write("Put", key="k", value=bytes(65_536)).key is None


# -- what callers are told -----------------------------------------------------------------------------------


def test_each_gets_the_response_that_its_own_call_would_get() -> None:
    writes = [
        put("a"),
        write("Put", key="a", value=b"2", if_version=0),
        write("Delete", key="absent"),
        write("CompareAndSwap", name="leader", expected_version=7, value=b"1"),
        write("Remember", text="likes tea"),
        write("BeginRun", run_id="r"),
    ]
    flight = gathered(*writes)
    flight.land(apply(flight))
    stored, conflict, absent, swap, remembered, begun = [each.outcome for each in writes]
    assert isinstance(stored, kv_pb2.PutResponse) and stored.version == 1 << 20 and not stored.conflict
    assert conflict.conflict and conflict.version == stored.version
    assert isinstance(absent, kv_pb2.DeleteResponse) and not absent.found
    assert isinstance(swap, state_pb2.CompareAndSwapResponse) and not swap.swapped
    assert isinstance(remembered, memory_pb2.RememberResponse) and remembered.id
    assert isinstance(begun, run_pb2.BeginRunResponse) and begun.run_id == "r"


def test_a_refused_operation_asks_by_itself_for_all_details() -> None:
    refused, done = write("UpsertVector", collection="none", id="a", vector=bytes(4)), put("k")
    flight = gathered(refused, done)
    flight.land(apply(flight))
    assert refused.outcome is ALONE
    assert isinstance(done.outcome, kv_pb2.PutResponse)


def test_a_swap_whose_current_value_had_no_room_asks_by_itself() -> None:
    flight = gathered(*[write("CompareAndSwap", name="n", expected_version=9, value=b"1") for _ in range(2)])
    response = apply(flight)
    response.results[1].compare_and_swap.current_value_omitted = True
    flight.land(response)
    assert isinstance(flight.items[0].outcome, state_pb2.CompareAndSwapResponse)
    assert flight.items[1].outcome is ALONE


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("key: too long"),
        QuotaExceeded("over operations_per_s"),
        errors.SchemaViolation("operations[1].put.value: $: no", metadata={"path": "$"}),
    ],
)
def test_a_refusal_that_may_be_the_fault_of_one_has_each_ask_by_itself(error: errors.MemraftError) -> None:
    flight = gathered(put("a"), put("b"))
    flight.fail(error)
    assert [each.outcome for each in flight.items] == [ALONE, ALONE]


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("time is up", reason="OUTCOME_UNKNOWN"),
        errors.ClosedError("closed"),
        errors.Overloaded("queue is full", retry_after_s=0.5, metadata={"shard": "1"}),
        errors.TlsError("expired", "client_certificate_expired"),
        errors.ServerError("internal", reason="INTERNAL"),
        ConflictError("has its own arguments", 7),
    ],
)
def test_any_other_failure_is_the_answer_to_each_as_an_exception_of_its_own(
    error: errors.MemraftError,
) -> None:
    flight = gathered(put("a"), put("b"))
    flight.fail(error)
    told = [each.outcome for each in flight.items]
    assert told[0] is not told[1]
    for each in told:
        assert type(each) is type(error)
        assert str(each) == str(error)
        assert vars(each) == vars(error)


def test_a_single_write_gets_the_very_failure_of_its_call() -> None:
    alone = put("a")
    error = InvalidArgument("key: too long")
    gathered(alone).fail(error)
    assert alone.outcome is error


# -- callers that go away ------------------------------------------------------------------------------------


def test_who_goes_while_queued_is_not_sent() -> None:
    lanes = coalescer()
    going, staying = put("going"), put("staying")
    first = enter(lanes, going, staying)
    assert lanes.abandon(going) is None
    flight = lanes.leave(first.lane)
    assert flight is not None and flight.items == [staying]


def test_who_goes_while_its_batch_is_under_way_takes_nothing_with_it() -> None:
    lanes = coalescer()
    going, staying = put("going"), put("staying")
    flight = lanes.leave(enter(lanes, going, staying).lane)
    assert flight is not None
    flight.is_begun = True
    assert lanes.abandon(going) is None
    assert staying.outcome is None
    flight.land(apply(flight))
    assert isinstance(staying.outcome, kv_pb2.PutResponse)


def test_who_goes_instead_of_carrying_has_the_others_ask_by_themselves() -> None:
    lanes = coalescer()
    carrier, other = put("carrier"), put("other")
    flight = lanes.leave(enter(lanes, carrier, other).lane)
    assert flight is not None and not flight.is_begun
    lane = lanes.abandon(carrier)
    assert lane is flight.lane, "the lane is to be handed on"
    assert other.outcome is ALONE
    assert lanes.leave(lane) is None
    assert len(lanes) == 0


def test_closing_fails_what_is_queued() -> None:
    lanes = coalescer()
    queued = put("k")
    first = enter(lanes, queued)
    lanes.close()
    assert isinstance(queued.outcome, errors.ClosedError)
    assert lanes.leave(first.lane) is None


def test_every_kind_of_single_write_has_a_place_in_a_batch() -> None:
    singles = [put("k"), write("UpsertVector", vector=b""), write("CreateCollection"), write("EndRun")]
    assert all(each.key is not None for each in singles)
    _, request = gathered(*singles).call()
    assert request.operations[1].upsert_vector == vector_pb2.UpsertVectorRequest()
