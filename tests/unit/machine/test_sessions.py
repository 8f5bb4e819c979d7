"""Sessions: a write that is sent twice is applied once, for as long as its session lives."""

import pytest

from memraft_proto.v1 import batch_pb2, kv_pb2, memory_pb2, run_pb2
from memraft_server.machine import Machine, Refused, sessions
from memraft_server.machine.facts import Encoder, StateLabel
from memraft_server.machine.journal import Journal
from memraft_server.machine.loader import load
from tests.unit.machine.harness import NAMESPACE, SECOND_US, Shard, command, session


def put(number: int, first_unanswered: int = 1, client: str = "c", key: str = "k") -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(
        namespace=NAMESPACE,
        key=key,
        value=b"%d" % number,
        context=session(number, first_unanswered, client),
    )


def refusal(shard: Shard, request: kv_pb2.PutRequest) -> str:
    with pytest.raises(Refused) as refused:
        shard.write(request)
    return refused.value.reason


def let_pass(shard: Shard, seconds: int) -> None:
    """Time goes by, with an entry every minute at least."""
    for start in range(0, seconds, 60):
        shard.time_us += (min(60, seconds - start) - 1) * SECOND_US
        shard.entry()


def test_a_retry_gets_the_reply_of_the_first_attempt() -> None:
    shard = Shard()
    first = shard.write(put(1))
    shard.write(put(2))
    assert shard.write(put(1)) == first
    head = shard.machine.kv_head(NAMESPACE, "k")
    assert head is not None and head.value == b"2", "the retry did not write again"


def test_two_attempts_in_one_entry_are_one_write() -> None:
    first, second = Shard().entry(put(1), put(1))
    assert first == second


def test_writes_without_a_client_id_are_not_protected() -> None:
    shard = Shard()
    request = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")
    assert shard.write(request).version != shard.write(request).version


def test_replies_below_the_lowest_unanswered_are_dropped_and_their_retries_refused() -> None:
    shard = Shard()
    shard.write(put(1))
    shard.write(put(2))
    shard.write(put(3, first_unanswered=3))
    assert refusal(shard, put(2)) == "SESSION_EXPIRED"
    assert shard.write(put(3, first_unanswered=3)).version >> 20 == 3


def test_numbers_may_arrive_out_of_order() -> None:
    shard = Shard()
    for number in (3, 1, 2):
        shard.write(put(number))
    head = shard.machine.kv_head(NAMESPACE, "k")
    assert head is not None and head.value == b"2"


def test_a_client_whose_session_is_gone_is_refused_not_applied() -> None:
    shard = Shard()
    assert refusal(shard, put(7, first_unanswered=5)) == "SESSION_EXPIRED"
    assert shard.machine.kv_head(NAMESPACE, "k") is None


def test_an_idle_session_ends_after_an_hour_of_commit_time() -> None:
    shard = Shard()
    shard.write(put(1))
    let_pass(shard, 3_598)
    shard.write(put(2, first_unanswered=2))
    let_pass(shard, 3_601)
    assert refusal(shard, put(3, first_unanswered=3)) == "SESSION_EXPIRED"
    assert shard.write(put(1, client="d")).version


def test_a_clock_that_jumps_ends_no_session() -> None:
    """A leader whose clock is a day ahead follows one that has answered nothing yet: a retry is still one."""
    shard = Shard()
    first, other = shard.write(put(1)), shard.write(put(1, client="d", key="other"))
    shard.time_us += 86_400 * SECOND_US
    shard.write(put(2, first_unanswered=2, client="d", key="other"))
    assert shard.write(put(1)) == first != other
    assert shard.write(put(2, first_unanswered=2)).version


def test_the_clock_of_sessions_goes_on_in_a_stored_machine() -> None:
    journal = Journal()
    machine = Machine(0, journal=journal)
    machine.apply(1, 10**15, 1, [command(put(1))])
    machine.apply(2, 2 * 10**15, 1, [])
    sealed = machine.seal()
    restored, _ = load(sorted(sealed.all(Encoder())), sealed.label)  # type: ignore[type-var,arg-type]
    assert restored.session_us == machine.session_us < machine.last_time_us
    before_that = StateLabel(2, bytes(16), 7, 0)
    assert load([], before_that)[0].session_us == 7, "a state of a version without it"


def test_sessions_are_bounded_and_only_idle_ones_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 3)
    shard = Shard()
    for client in "abc":
        shard.write(put(1, client=client))
    assert refusal(shard, put(1, client="d")) == "TOO_MANY_SESSIONS"
    shard.write(put(2, client="a"))
    let_pass(shard, 299)
    shard.write(put(1, client="d"))
    assert refusal(shard, put(2, 2, client="b")) == "SESSION_EXPIRED", "the longest idle gave way"
    assert shard.write(put(3, 2, client="a"))


def test_the_sessions_of_one_tenant_leave_those_of_another_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 1)
    shard = Shard()
    mine = shard.write(put(1))
    request = put(1)
    request.namespace = "other/x"
    theirs = shard.write(request)
    assert mine.version != theirs.version, "a client id means nothing in another tenant"


def test_unanswered_writes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "REPLIES_MAX", 3)
    shard = Shard()
    for number in (1, 2, 3):
        shard.write(put(number))
    with pytest.raises(Refused, match="3 writes of this client are unanswered, at most 3"):
        shard.write(put(4))
    assert shard.write(put(2)).version >> 20 == 2, "retries are still answered"
    assert shard.write(put(4, first_unanswered=2))


def test_numbers_that_make_no_sense_are_refused() -> None:
    shard = Shard()
    for bad in (put(0, 0), put(1, 0), put(1, 2)):
        assert refusal(shard, bad) == "INVALID_ARGUMENT"
    shard.check = False
    assert refusal(shard, put(0, 0)) == "INVALID_ARGUMENT"
    assert refusal(shard, put(1, 2)) == "INVALID_ARGUMENT"


def test_kept_replies_count_and_stop_counting() -> None:
    shard = Shard()
    bare = kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1")
    shard.write(bare)
    usage = shard.machine.usage("acme")

    def cost_of(request: kv_pb2.PutRequest) -> int:
        before = usage.bytes
        shard.write(request)
        return usage.bytes - before

    plain = cost_of(bare)
    assert cost_of(put(1)) > plain + sessions.SESSION_BYTES
    assert cost_of(put(2)) > plain
    assert cost_of(put(3, first_unanswered=3)) < plain, "two replies went, one came"
    let_pass(shard, 2 * 3_600)
    assert cost_of(put(1, client="d")) == plain, "the idle session went with its reply, a like one came"


def test_a_number_that_comes_with_another_call_is_refused_and_the_first_reply_stays() -> None:
    """Other kinds, namespaces and agents have other replies: none may be taken for a retry of the first."""
    shard = Shard()
    first = shard.write(put(1))
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE, context=session(1))
    batch.operations.add().put.MergeFrom(kv_pb2.PutRequest(key="k", value=b"2"))
    elsewhere = put(1)
    elsewhere.namespace = f"{NAMESPACE}/b"
    delete = kv_pb2.DeleteRequest(namespace=NAMESPACE, key="k", context=session(1))
    remember = memory_pb2.RememberRequest(namespace=NAMESPACE, text="hi", id="zzz", context=session(1))
    for other, agent in ((batch, "alice"), (elsewhere, "alice"), (delete, "alice"), (put(1), "bob")):
        with pytest.raises(Refused, match="request_number: 1 was used for another call") as refused:
            shard.write(other, agent=agent)
        assert refused.value.reason == "INVALID_ARGUMENT"
    with pytest.raises(Refused, match="request_number: 1 was used for another call"):
        shard.write(remember)
    assert shard.write(put(1)) == first


def test_one_client_may_write_for_many_agents() -> None:
    shard = Shard()
    shard.write(put(1), agent="support/a")
    assert shard.write(put(2, first_unanswered=2), agent="support/b").version


def test_a_refusal_that_is_kept_answers_its_own_call_only() -> None:
    shard = Shard()
    end = run_pb2.EndRunRequest(namespace=NAMESPACE, run_id="r", status=2, context=session(1))
    for _ in range(2):
        with pytest.raises(Refused, match="no run 'r'"):
            shard.write(end)
    with pytest.raises(Refused, match="was used for another call"):
        shard.write(put(1))


def test_the_bytes_of_unanswered_replies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "KEPT_BYTES_MAX", 1_000)
    shard = Shard()
    number = 1
    while shard.machine.usage("acme").bytes < 10_000:
        try:
            shard.write(put(number))
        except Refused as refused:
            assert refused.reason == "OVERLOADED" and "at most 1000" in refused.message
            break
        number += 1
    assert 2 < number < 10
    assert shard.write(put(1)).version >> 20 == 1, "retries are still answered"
    assert shard.write(put(number, first_unanswered=number))


def test_sessions_that_all_grew_old_end_a_few_at_a_time_and_none_is_answered_from() -> None:
    """One write must not have to forget tens of thousands: their rows go in one batch with the next save."""

    def numbered(client: int, number: int = 1) -> kv_pb2.PutRequest:
        request = put(number, first_unanswered=number)
        request.context.client_id = client.to_bytes(16, "big")
        return request

    shard = Shard()
    shard.machine = Machine(0, journal=Journal())
    for client in range(300):
        shard.write(numbered(client))
    shard.machine.seal()
    let_pass(shard, 3_601)
    held = shard.machine.spaces.tenant(NAMESPACE.partition("/")[0]).sessions
    assert refusal(shard, numbered(299, 2)) == "SESSION_EXPIRED", "not forgotten yet, and as good as gone"
    shard.machine.seal()
    for new in range(300, 310):
        shard.write(numbered(new))
        rows = [key for key, value in shard.machine.seal().changes if value is None]
        assert len(rows) == 2 * sessions.ENDED_A_WRITE_MAX, "of each the session and its reply"
    for number in range(300):
        shard.write(numbered(1_000, number + 1))
    assert len(held) == 11
