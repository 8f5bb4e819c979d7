"""Named records with compare-and-swap, and runs."""

import pytest

from memraft_proto.v1 import run_pb2, state_pb2
from memraft_server.machine import Refused
from tests.unit.machine.harness import NAMESPACE, Shard, session


def swap(expected: int, value: bytes = b"1", remove: bool = False) -> state_pb2.CompareAndSwapRequest:
    return state_pb2.CompareAndSwapRequest(
        namespace=NAMESPACE, name="leader", expected_version=expected, value=value, remove=remove
    )


def get() -> state_pb2.GetStateRequest:
    return state_pb2.GetStateRequest(namespace=NAMESPACE, name="leader")


def begin(run_id: str = "", inputs: bytes = b"") -> run_pb2.BeginRunRequest:
    return run_pb2.BeginRunRequest(namespace=NAMESPACE, run_id=run_id, inputs=inputs)


def end(
    run_id: str, status: run_pb2.RunStatus = run_pb2.RUN_STATUS_SUCCEEDED, outputs: bytes = b""
) -> run_pb2.EndRunRequest:
    return run_pb2.EndRunRequest(namespace=NAMESPACE, run_id=run_id, status=status, outputs=outputs)


def get_run(run_id: str) -> run_pb2.GetRunRequest:
    return run_pb2.GetRunRequest(namespace=NAMESPACE, run_id=run_id)


def test_one_of_two_swaps_wins_and_the_other_sees_what_stands() -> None:
    shard = Shard()
    won, lost = shard.entry(swap(0, b'"a"'), swap(0, b'"b"'))
    assert won.swapped and not won.current_value
    assert (lost.swapped, lost.version, lost.current_value) == (False, won.version, b'"a"')
    then = shard.write(swap(lost.version, b'"b"'))
    assert then.swapped and then.version > won.version
    answer = shard.read(get())
    assert (answer.found, answer.value, answer.provenance.version) == (True, b'"b"', then.version)
    assert shard.read(get(), at_index=1).value == b'"a"'


def test_a_record_is_removed_by_a_swap_too() -> None:
    shard = Shard()
    version = shard.write(swap(0)).version
    refused = shard.write(swap(0, remove=True))
    assert (refused.swapped, refused.version) == (False, version)
    removed = shard.write(swap(version, remove=True))
    assert (removed.swapped, removed.version) == (True, 0)
    assert not shard.read(get()).found
    gone = shard.write(swap(version))
    assert (gone.swapped, gone.version, gone.current_value) == (False, 0, b"")
    assert shard.read(get(), at_index=1).found
    assert shard.write(swap(0)).swapped


def test_a_run_begins_once_and_ends_once() -> None:
    shard = Shard()
    begun = shard.write(begin("r1", b'{"goal": 1}'))
    assert not begun.conflict
    again = shard.write(begin("r1"))
    assert (again.conflict, again.version) == (True, begun.version)
    began_us = shard.time_us - 1_000_000
    ended = shard.write(end("r1", run_pb2.RUN_STATUS_FAILED, b'"no"'))
    assert not ended.conflict and ended.version > begun.version
    late = shard.write(end("r1"))
    assert (late.conflict, late.version) == (True, ended.version)
    run = shard.read(get_run("r1")).run
    assert (run.status, run.inputs, run.outputs) == (run_pb2.RUN_STATUS_FAILED, b'{"goal": 1}', b'"no"')
    assert (run.agent, run.began_at_us, run.version) == ("alice", began_us, ended.version)
    then = shard.read(get_run("r1"), at_index=2).run
    assert (then.status, then.ended_at_us, then.outputs) == (run_pb2.RUN_STATUS_RUNNING, 0, b"")
    assert then.version == begun.version
    assert not shard.read(get_run("r1"), at_index=0).HasField("run")


def test_a_run_without_an_id_gets_one() -> None:
    shard = Shard()
    one, two = shard.entry(begin(), begin())
    assert len(one.run_id) == 26 and one.run_id < two.run_id
    assert shard.read(get_run(one.run_id)).run.version == one.version


def test_an_unknown_run_cannot_end() -> None:
    shard = Shard()
    with pytest.raises(Refused, match="no run 'r9' in 'acme/support'") as refused:
        shard.write(end("r9"))
    assert refused.value.reason == "NO_SUCH_RUN"


def test_runs_are_listed_newest_first_in_pages() -> None:
    shard = Shard()
    for number in range(5):
        shard.write(begin(f"r{number}"))
    shard.write(end("r0"))
    listing = run_pb2.ListRunsRequest(namespace=NAMESPACE, limit=2)
    found: list[str] = []
    while True:
        page = shard.read(listing)
        found += [run.run_id for run in page.runs]
        listing.cursor = page.next_cursor
        if not page.next_cursor:
            break
    assert found == ["r4", "r3", "r2", "r1", "r0"]
    past = shard.read(run_pb2.ListRunsRequest(namespace=NAMESPACE), at_index=2)
    assert [run.run_id for run in past.runs] == ["r1", "r0"]


def test_a_refusal_is_kept_for_a_retry_like_any_reply() -> None:
    shard = Shard()
    request = end("r1")
    request.context.CopyFrom(session(1))
    for _ in range(2):
        with pytest.raises(Refused, match="NO_SUCH_RUN"):
            shard.write(request)
        shard.write(begin("r1"))
