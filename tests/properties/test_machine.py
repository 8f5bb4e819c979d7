"""The machine against a simple model, against itself on another replica, and against its own past."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import batch_pb2, kv_pb2, log_pb2, run_pb2, state_pb2, stream_pb2
from memraft_server.machine import Command, Machine
from memraft_server.projections.events import BLOCK_EVENTS_MIN
from tests.unit.machine.harness import KINDS, READS, session

NAMESPACES = ("acme/a", "acme/b")
KEYS = ("k1", "k2", "k3", "key/é")
STREAMS = ("s1", "s2")
RUNS = ("r1", "r2")

keys = st.sampled_from(KEYS)
values = st.integers(0, 9).map(lambda number: b"%d" % number)
ages = st.integers(0, 6)
"""Which of the versions seen lately a condition names; the model turns it into a number."""


@dataclass
class Model:
    """What a machine should hold: plain dictionaries, copied whole after every entry."""

    kv: dict[tuple[str, str], tuple[bytes, int]] = field(default_factory=dict)
    state: dict[tuple[str, str], tuple[bytes, int]] = field(default_factory=dict)
    streams: dict[tuple[str, str], list[tuple[str, bytes]]] = field(default_factory=dict)
    runs: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)

    def copy(self) -> Model:
        streams = {name: list(events) for name, events in self.streams.items()}
        return Model(dict(self.kv), dict(self.state), streams, dict(self.runs))

    def apply(self, space: str, version: int, operation: Any) -> tuple[Any, int]:
        """Applies one operation; returns what its reply must show and how many versions it takes."""
        return getattr(self, "_" + type(operation).__name__)(space, version, operation)  # type: ignore[no-any-return]

    def _PutRequest(self, space: str, version: int, request: kv_pb2.PutRequest) -> tuple[Any, int]:
        current = self.kv.get((space, request.key), (b"", 0))[1]
        if request.HasField("if_version") and request.if_version != current:
            return (current, True), 1
        self.kv[space, request.key] = (request.value, version)
        return (version, False), 1

    def _DeleteRequest(self, space: str, version: int, request: kv_pb2.DeleteRequest) -> tuple[Any, int]:
        current = self.kv.get((space, request.key), (b"", 0))[1]
        if request.HasField("if_version") and request.if_version != current:
            return (current, True, current > 0), 1
        self.kv.pop((space, request.key), None)
        return (version, False, current > 0), 1

    def _MultiPutRequest(self, space: str, version: int, request: kv_pb2.MultiPutRequest) -> tuple[Any, int]:
        for place, (key, value) in enumerate(zip(request.keys, request.values, strict=True)):
            if request.kinds and request.kinds[place]:
                self.kv.pop((space, key), None)
            else:
                self.kv[space, key] = (value, version + place)
        return (version, len(request.keys)), len(request.keys)

    def _CompareAndSwapRequest(
        self, space: str, version: int, request: state_pb2.CompareAndSwapRequest
    ) -> tuple[Any, int]:
        value, current = self.state.get((space, request.name), (b"", 0))
        if current != request.expected_version:
            return (False, current, value), 1
        if request.remove:
            self.state.pop((space, request.name), None)
            return (True, 0, b""), 1
        self.state[space, request.name] = (request.value, version)
        return (True, version, b""), 1

    def _AppendManyRequest(
        self, space: str, version: int, request: stream_pb2.AppendManyRequest
    ) -> tuple[Any, int]:
        events = self.streams.setdefault((space, request.stream), [])
        events += [(request.types[0], payload) for payload in request.payloads]
        return len(events), len(request.payloads)

    def _BeginRunRequest(self, space: str, version: int, request: run_pb2.BeginRunRequest) -> tuple[Any, int]:
        conflict = (space, request.run_id) in self.runs
        if not conflict:
            self.runs[space, request.run_id] = (run_pb2.RUN_STATUS_RUNNING, b"")
        return conflict, 1

    def _EndRunRequest(self, space: str, version: int, request: run_pb2.EndRunRequest) -> tuple[Any, int]:
        status = self.runs.get((space, request.run_id), (0, b""))[0]
        if status == run_pb2.RUN_STATUS_RUNNING:
            self.runs[space, request.run_id] = (request.status, request.outputs)
        return {0: "NO_SUCH_RUN", 1: False}.get(status, True), 1


def shown(result: batch_pb2.OperationResult) -> Any:
    """What of an operation's reply the model knows."""
    name = result.WhichOneof("result")
    reply = getattr(result, name or "")
    match name:
        case "put":
            return (reply.version, reply.conflict)
        case "delete":
            return (reply.version, reply.conflict, reply.found)
        case "multi_put":
            return (reply.first_version, reply.count)
        case "compare_and_swap":
            return (reply.swapped, reply.version, reply.current_value)
        case "append_many":
            return reply.first_sequence + reply.count - 1
        case "error":
            return reply.reason
        case _:
            return reply.conflict


@st.composite
def operations(draw: st.DrawFn) -> tuple[Any, int | None]:
    """One operation, and the age of the version that its condition names, if it has one."""
    age = draw(st.none() | ages)
    match draw(st.sampled_from(["put", "put", "delete", "multi", "swap", "append", "begin", "end"])):
        case "put":
            return kv_pb2.PutRequest(key=draw(keys), value=draw(values)), age
        case "delete":
            return kv_pb2.DeleteRequest(key=draw(keys)), age
        case "multi":
            columns = draw(
                st.lists(st.tuples(keys, values, st.sampled_from([0, 0, 1])), min_size=1, max_size=5)
            )
            kinds = bytes(kind for _, _, kind in columns)
            return kv_pb2.MultiPutRequest(
                keys=[key for key, _, _ in columns],
                values=[b"" if kind else value for _, value, kind in columns],
                kinds=kinds if any(kinds) else b"",
            ), None
        case "swap":
            remove = draw(st.booleans())
            return state_pb2.CompareAndSwapRequest(
                name=draw(keys), value=draw(values), remove=remove
            ), age or 0
        case "append":
            payloads = draw(st.lists(values, min_size=1, max_size=4))
            payloads *= draw(st.sampled_from([1, 1, BLOCK_EVENTS_MIN]))  # many are kept otherwise
            return stream_pb2.AppendManyRequest(
                stream=draw(st.sampled_from(STREAMS)), types=[draw(keys)], payloads=payloads
            ), None
        case "begin":
            return run_pb2.BeginRunRequest(run_id=draw(st.sampled_from(RUNS))), None
        case _:
            status = draw(st.sampled_from([run_pb2.RUN_STATUS_SUCCEEDED, run_pb2.RUN_STATUS_FAILED]))
            run_id = draw(st.sampled_from(RUNS))
            return run_pb2.EndRunRequest(run_id=run_id, status=status, outputs=draw(values)), None


Entry = list[tuple[str, list[tuple[Any, int | None]]]]
entries = st.lists(  # Entries of batches of operations.
    st.lists(
        st.tuples(st.sampled_from(NAMESPACES), st.lists(operations(), min_size=1, max_size=4)),
        max_size=3,
    ),
    max_size=12,
)
FIELD_OF = {
    kv_pb2.PutRequest: "put",
    kv_pb2.DeleteRequest: "delete",
    kv_pb2.MultiPutRequest: "multi_put",
    state_pb2.CompareAndSwapRequest: "compare_and_swap",
    stream_pb2.AppendManyRequest: "append_many",
    run_pb2.BeginRunRequest: "begin_run",
    run_pb2.EndRunRequest: "end_run",
}


def set_condition(operation: Any, age: int | None, model: Model, space: str) -> None:
    """Turns an age into the version that stands (0), none (1), or one that does not stand."""
    if age is None:
        return
    if isinstance(operation, state_pb2.CompareAndSwapRequest):
        current = model.state.get((space, operation.name), (b"", 0))[1]
        operation.expected_version = {0: current, 1: 0}.get(age, current + age if age < 4 else current)
    else:
        current = model.kv.get((space, operation.key), (b"", 0))[1]
        operation.if_version = {0: current, 1: 0}.get(age, current + age if age < 4 else current)


def read_everything(machine: Machine, at_index: int | None) -> list[Any]:
    """Every read of the machine, without its stamp."""
    answers = []
    for space in NAMESPACES:
        requests: list[Any] = [kv_pb2.ListRequest(), kv_pb2.ListRequest(prefix="k", limit=2)]
        requests += [run_pb2.ListRunsRequest(), stream_pb2.ListStreamsRequest()]
        requests += [kv_pb2.MultiGetRequest(keys=KEYS)]
        for key in KEYS:
            requests += [kv_pb2.GetRequest(key=key), kv_pb2.HistoryRequest(key=key)]
            requests += [state_pb2.GetStateRequest(name=key)]
        requests += [run_pb2.GetRunRequest(run_id=run_id) for run_id in RUNS]
        for stream in STREAMS:
            requests += [stream_pb2.ReadStreamRequest(stream=stream)]
            requests += [stream_pb2.VerifyStreamRequest(stream=stream)]
        for request in requests:
            request.namespace = space
            if at_index is not None:
                request.context.at_index = at_index
            answer: Any = machine.query(READS[type(request)], request)
            answer.ClearField("stamp")
            answers.append(answer)
    return answers


def check_reads(machine: Machine, model: Model) -> None:
    """The machine holds what the model holds, and nothing else."""
    for space in NAMESPACES:
        listed: Any = machine.query("List", kv_pb2.ListRequest(namespace=space))
        expected = sorted((key, *held) for (owner, key), held in model.kv.items() if owner == space)
        assert list(zip(listed.keys, listed.values, listed.versions, strict=True)) == expected
        for name in KEYS:
            answer: Any = machine.query("GetState", state_pb2.GetStateRequest(namespace=space, name=name))
            value, version = model.state.get((space, name), (b"", 0))
            assert (answer.value, answer.provenance.version) == (value, version)
        for stream in STREAMS:
            events = model.streams.get((space, stream), [])
            answer = machine.query("ReadStream", stream_pb2.ReadStreamRequest(namespace=space, stream=stream))
            assert [(event.type, event.payload) for event in answer.events] == events
            answer = machine.query(
                "VerifyStream", stream_pb2.VerifyStreamRequest(namespace=space, stream=stream)
            )
            assert answer.intact and answer.count == len(events)
        for run_id in RUNS:
            answer = machine.query("GetRun", run_pb2.GetRunRequest(namespace=space, run_id=run_id))
            assert (answer.run.status, answer.run.outputs) == model.runs.get((space, run_id), (0, b""))


@given(entries)
def test_machine_and_model_agree_now_and_in_every_past(log: list[Entry]) -> None:
    machine, replica, model = Machine(0), Machine(0), Model()
    seen: list[list[Any]] = []
    for index, entry in enumerate(log, 1):
        commands, expected, version = [], [], index << 20
        for space, ops in entry:
            batch = batch_pb2.BatchRequest(namespace=space)
            outcomes = []
            for operation, age in ops:
                set_condition(operation, age, model, space)
                outcome, items = model.apply(space, version, operation)
                outcomes.append(outcome)
                version += items
                batch.operations.add(**{FIELD_OF[type(operation)]: operation})
            expected.append(outcomes)
            commands.append(Command(KINDS[batch_pb2.BatchRequest], "alice", batch))
        replies: list[Any] = machine.apply(index, 1_000 * index, index, commands)
        assert [[shown(result) for result in reply.results] for reply in replies] == expected
        assert replica.apply(index, 1_000 * index, index, commands) == replies
        assert replica.applied_hash == machine.applied_hash
        check_reads(machine, model)
        seen.append(read_everything(machine, None))
    for index, answers in enumerate(seen, 1):
        assert read_everything(machine, index) == answers, f"as of index {index}"
        assert read_everything(replica, index) == answers, f"as of index {index} on the replica"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6), st.integers(1, 6)), max_size=40))
def test_no_request_is_applied_twice(sent: list[tuple[str, int, int]]) -> None:
    """Whatever is sent again, in any order and with any acknowledgement, each number writes at most once."""
    machine = Machine(0)
    first_replies: dict[tuple[str, int], Any] = {}
    writes = 0
    for index, (client, number, first_unanswered) in enumerate(sent, 1):
        request = kv_pb2.PutRequest(
            namespace="acme/a",
            key=f"{client}{number}",
            value=b"1",
            context=session(number, first_unanswered, client),
        )
        (reply,) = machine.apply(index, index, 0, [Command(KINDS[kv_pb2.PutRequest], "alice", request)])
        if isinstance(reply, kv_pb2.PutResponse):
            assert first_replies.setdefault((client, number), reply) == reply
    for client, number in first_replies:
        history = kv_pb2.HistoryRequest(namespace="acme/a", key=f"{client}{number}")
        answer: Any = machine.query("History", history)
        assert len(answer.versions) == 1
        writes += 1
    assert machine.usage("acme").records == writes


@given(
    st.lists(
        st.tuples(keys, st.integers(0, 5), st.integers(1, 4)) | st.integers(1, 8),
        min_size=1,
        max_size=30,
    )
)
def test_documents_expire_when_due_and_only_then(steps: list[Any]) -> None:
    """Puts with a time to live, and ticks of a clock at which what is due is proposed."""
    machine = Machine(0)
    expires: dict[str, int] = {}
    now_us = 0
    for index, step in enumerate(steps, 1):
        if isinstance(step, int):
            now_us += step * 1_000
            commands = machine.due(now_us, 2)
            wanted = sorted(key for key, at_us in expires.items() if at_us <= now_us)
            found = [key for command in commands for key in command.request.keys]  # type: ignore[attr-defined]
            assert len(found) == min(2, len(wanted)) and set(found) <= set(wanted)
            machine.apply(index, now_us, 0, commands)
            for key in found:
                del expires[key]
        else:
            key, ttl_ms, _ = step
            request = kv_pb2.PutRequest(namespace="acme/a", key=key, value=b"1", ttl_ms=ttl_ms)
            machine.apply(index, now_us, 0, [Command(KINDS[kv_pb2.PutRequest], "alice", request)])
            expires.pop(key, None)
            if ttl_ms:
                expires[key] = machine.last_time_us + ttl_ms * 1_000
        now_us = max(now_us, machine.last_time_us)
        assert machine.next_due_us() == min(expires.values(), default=None)
        for key, at_us in expires.items():
            head = machine.kv_head("acme/a", key)
            assert head is not None and head.expires_at_us == at_us


@given(st.lists(st.tuples(keys, st.integers(0, 3)), max_size=8))
def test_expiry_never_touches_what_changed_since(due: list[tuple[str, int]]) -> None:
    """An ExpireCommand names keys with versions; any but the ones that stand are left alone."""
    machine = Machine(0)
    current = {}
    for index, key in enumerate(KEYS, 1):
        request = kv_pb2.PutRequest(namespace="acme/a", key=key, value=b"1", ttl_ms=1)
        machine.apply(index, index, 0, [Command(KINDS[kv_pb2.PutRequest], "alice", request)])
        current[key] = index << 20
    command = log_pb2.ExpireCommand(
        namespace="acme/a", keys=[key for key, _ in due], versions=[current[key] + off for key, off in due]
    )
    machine.apply(9, 9, 0, [Command(KINDS[log_pb2.ExpireCommand], "", command)])
    gone = {key for key, off in due if off == 0}
    assert {key for key in KEYS if machine.kv_head("acme/a", key) is None} == gone
