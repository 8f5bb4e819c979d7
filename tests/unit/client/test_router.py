"""The client's picture of a cluster, and one call's way through it. Nothing here touches a network."""

import time

import pytest

from memraft import errors
from memraft._course import DISK_FULL_S, Course
from memraft._router import BACKOFF_MAX_S, MAP_AGE_MAX_S, SUSPECT_S, WINDOW, Router, Session
from memraft._status import ATTEMPT_TIMEOUT, CONNECT_FAILED, CONNECTION_LOST
from memraft_proto.sharding import SLOT_COUNT, slot_of
from memraft_proto.v1 import cluster_pb2, common_pb2, kv_pb2

A, B, C = "a:1", "b:1", "c:1"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def shard_map(leaders: tuple[int, int] = (1, 2), epoch: int = 1) -> cluster_pb2.GetShardMapResponse:
    """Two shards, each half of the slots, on three nodes."""
    half = SLOT_COUNT // 2
    return cluster_pb2.GetShardMapResponse(
        epoch=epoch,
        slot_count=SLOT_COUNT,
        nodes=[cluster_pb2.NodeAddress(node_id=i + 1, address=each) for i, each in enumerate((A, B, C))],
        shards=[
            cluster_pb2.ShardRoute(
                shard=i,
                slot_first=i * half,
                slot_last=(i + 1) * half - 1,
                leader_node_id=leaders[i],
                replica_node_ids=[1, 2, 3],
            )
            for i in range(2)
        ],
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(clock: Clock) -> Router:
    made = Router([A], clock_s=clock, fraction=lambda: 1.0)
    made.learn(shard_map())
    return made


def test_an_old_map_is_asked_for_by_one_caller_at_a_time(router: Router, clock: Clock) -> None:
    assert not router.is_map_due()
    clock.now_s += MAP_AGE_MAX_S
    assert router.is_map_due()
    assert not router.is_map_due()  # somebody is at it
    router.learn(shard_map(epoch=2))
    clock.now_s += MAP_AGE_MAX_S
    assert router.is_map_due()


def test_a_leader_that_no_map_names_makes_the_map_due(router: Router) -> None:
    assert router.note_leader(0, B)
    assert not router.is_map_due()
    assert router.note_leader(0, "d:1")
    assert router.leader(0) == "d:1"
    assert router.is_map_due()


def test_nodes_of_a_newer_map_replace_those_of_an_older_one(router: Router) -> None:
    newer = shard_map(epoch=5)
    newer.nodes[0].address = "d:1"
    router.learn(newer)
    assert set(router.replicas(0)) == {"d:1", B, C}
    router.learn(shard_map(epoch=4))
    assert set(router.replicas(0)) == {"d:1", B, C}
    assert set(router.known_addresses()) == {A, B, C, "d:1"}  # A was given by the user


def course(
    router: Router, *, is_write: bool = True, needs_leader: bool = True, timeout_s: float = 60.0
) -> Course:
    return Course(router, 0, time.monotonic() + timeout_s, is_write=is_write, needs_leader=needs_leader)


def not_leader(hint: str) -> errors.MemraftError:
    return errors.from_reason("NOT_LEADER", "not here", {"leader": hint})


def test_where_schemas_have_changed_the_same_leader_is_asked_again(router: Router) -> None:
    way = course(router)
    changed = errors.from_reason("SCHEMA_CHANGED", "checked by others")
    assert way.failed(A, changed) > 0
    assert way.address() == A
    late = course(router, timeout_s=0.0)
    with pytest.raises(errors.Unavailable, match="checked by others") as caught:
        late.failed(A, changed)
    assert caught.value.retryable


def lost(reason: str = CONNECTION_LOST) -> errors.MemraftError:
    return errors.ConnectionFailed("gone", reason=reason)


class TestSessions:
    def test_the_floor_rises_over_everything_that_is_answered(self) -> None:
        session = Session()
        assert [session.begin() for _ in range(4)] == [1, 2, 3, 4]
        session.end(2)
        session.end(3)
        assert session.floor == 1
        session.end(1)
        assert session.floor == 4
        session.end(4)
        assert session.floor == session.next == 5

    def test_one_call_that_waits_long_does_not_hold_up_the_others(self, router: Router) -> None:
        stuck, number = router.begin(0, "acme")
        for _ in range(WINDOW - 1):
            session, other = router.begin(0, "acme")
            assert session is stuck
            router.end(session, other)
        fresh, first = router.begin(0, "acme")
        assert fresh is not stuck
        assert (first, fresh.floor) == (1, 1)
        assert fresh.client_id != stuck.client_id
        router.end(stuck, number)
        assert stuck.floor == stuck.next

    def test_shards_and_tenants_have_sessions_of_their_own(self, router: Router) -> None:
        sessions = [router.begin(*each)[0] for each in ((0, "acme"), (1, "acme"), (0, "umbrella"))]
        assert len({session.client_id for session in sessions}) == 3

    def test_an_expired_session_is_replaced_once(self, router: Router) -> None:
        old, _ = router.begin(0, "acme")
        router.renew(0, "acme", old)
        new, _ = router.begin(0, "acme")
        router.renew(0, "acme", old)
        assert router.begin(0, "acme")[0] is new is not old


class TestMap:
    def test_namespaces_go_to_the_shard_of_their_slot(self, router: Router) -> None:
        for namespace in ("acme/a", "acme/b", "acme/support/agents/alice", "umbrella/x"):
            assert router.shard_of(namespace) == (0 if slot_of(namespace) < SLOT_COUNT // 2 else 1)

    def test_without_a_map_no_shard_is_known(self) -> None:
        assert Router([A]).shard_of("acme/x") is None
        assert Router([A, B]).known_addresses() != []

    def test_an_older_map_moves_nothing_but_may_name_a_leader(self, router: Router) -> None:
        router.learn(shard_map(epoch=5))
        older = shard_map(leaders=(3, 3), epoch=4)
        older.shards[0].replica_node_ids[:] = [3]
        router.learn(older)
        assert sorted(router.replicas(0)) == [A, B, C]
        assert router.leader(0) == C

    def test_who_is_gone_leads_nothing_until_it_answers_or_time_passes(
        self, router: Router, clock: Clock
    ) -> None:
        router.suspect(A, is_gone=True)
        assert router.leader(0) is None
        router.learn(shard_map())
        assert not router.note_leader(0, A)
        assert router.leader(0) is None
        assert router.replicas(0)[-1] == A
        clock.now_s += SUSPECT_S + 0.1
        router.learn(shard_map())
        assert router.leader(0) == A

    def test_who_was_only_late_may_still_be_named_leader(self, router: Router) -> None:
        router.suspect(A, is_gone=False)
        assert router.leader(0) is None
        assert router.replicas(0)[-1] == A
        router.learn(shard_map())
        assert router.leader(0) == A

    def test_what_was_seen_only_rises(self, router: Router) -> None:
        router.note_seen(0, 7)
        router.note_seen(0, 5)
        assert (router.seen(0), router.seen(1)) == (7, 0)

    def test_waiting_doubles_up_to_a_bound(self, router: Router) -> None:
        waits = [router.backoff_s(tries) for tries in range(8)]
        assert waits[:3] == pytest.approx([0.02, 0.04, 0.08])
        assert waits[-1] == BACKOFF_MAX_S


class TestWrites:
    def test_a_hint_is_followed_once_and_then_the_map_is_asked(self, router: Router) -> None:
        way = course(router)
        assert way.address() == A
        assert way.failed(A, not_leader(B)) == 0
        assert way.address() == B
        assert way.failed(B, not_leader(A)) > 0
        assert way.address() is None
        assert way.is_lost()
        router.learn(shard_map(leaders=(3, 2)))
        assert way.address() == C

    def test_a_hint_at_a_node_that_is_gone_is_not_followed(self, router: Router) -> None:
        way = course(router)
        assert way.failed(A, lost()) == 0
        router.note_leader(0, B)
        assert way.failed(B, not_leader(A)) > 0
        assert way.address() is None

    def test_the_outcome_is_unknown_only_if_the_write_may_have_arrived(self, router: Router) -> None:
        unsent = course(router)
        unsent.failed(A, lost(CONNECT_FAILED))
        assert isinstance(unsent.give_up(), errors.ConnectionFailed)
        for reason in (CONNECTION_LOST, ATTEMPT_TIMEOUT):
            sent = course(router)
            sent.failed(A, lost(reason))
            assert isinstance(sent.give_up(), errors.OutcomeUnknown)
        undecided = course(router)
        undecided.failed(A, errors.from_reason("OUTCOME_UNKNOWN", "leader changed"))
        assert isinstance(undecided.give_up(), errors.OutcomeUnknown)
        elsewhere = course(router)
        elsewhere.failed(A, errors.from_reason("NO_LEADER", "none"))
        given_up = elsewhere.give_up()
        assert type(given_up) is errors.Unavailable
        assert given_up.reason == "NO_LEADER"

    def test_a_quota_is_told_at_once_unless_an_earlier_try_may_be_applied(self, router: Router) -> None:
        quota = errors.from_reason("RATE_LIMITED", "too fast", {"limit": "operations_per_s"}, 0.5)
        with pytest.raises(errors.QuotaExceeded) as raised:
            course(router).failed(A, quota)
        assert (raised.value.limit, raised.value.retry_after_s, raised.value.retryable) == (
            "operations_per_s",
            0.5,
            True,
        )
        way = course(router)
        way.failed(A, lost())
        assert way.failed(A, quota) == 0.5

    def test_overload_is_waited_out_as_long_as_the_shard_says(self, router: Router) -> None:
        overload = errors.from_reason("OVERLOADED", "full", {}, 0.3)
        way = course(router)
        assert way.failed(A, overload) == 0.3
        assert way.address() == A
        with pytest.raises(errors.Overloaded):
            course(router, timeout_s=0.1).failed(A, overload)

    def test_a_session_that_is_gone_is_replaced_unless_the_write_may_be_applied(self, router: Router) -> None:
        expired = errors.from_reason("SESSION_EXPIRED", "gone")
        way = course(router)
        assert way.is_new_session_needed(expired)
        way.failed(A, lost())
        assert not way.is_new_session_needed(expired)
        with pytest.raises(errors.OutcomeUnknown):
            way.failed(A, expired)

    def test_a_refusal_is_final(self, router: Router) -> None:
        with pytest.raises(errors.PermissionDenied):
            course(router).failed(A, errors.from_reason("WRONG_TENANT", "no"))

    def test_nothing_that_a_node_refuses_settles_a_write_that_may_be_applied(self, router: Router) -> None:
        """A later try that does not get through to the shard knows nothing of the earlier one."""
        refusals = (
            errors.from_reason("WRONG_TENANT", "no"),
            errors.Unauthenticated("who?"),
            errors.TlsError("expired", "client_certificate_expired"),
        )
        for refusal in refusals:
            way = course(router)
            way.failed(A, lost())
            with pytest.raises(errors.OutcomeUnknown, match=refusal.message):
                way.failed(B, refusal)
            searching = course(router)
            searching.failed(A, lost())
            with pytest.raises(errors.OutcomeUnknown, match=refusal.message):
                searching.note_unreachable([lost(CONNECT_FAILED), refusal])
            with pytest.raises(type(refusal)):
                course(router).note_unreachable([refusal])

    def test_every_try_carries_the_lowest_unanswered_number(self, router: Router) -> None:
        first, number = router.begin(0, "acme")
        session, _ = router.begin(0, "acme")
        way = course(router)
        way.begin_session(session)
        request = kv_pb2.PutRequest()
        way.stamp(request)
        assert request.context.first_unanswered == 1
        router.end(first, number)
        way.stamp(request)
        assert request.context.first_unanswered == 2

    def test_a_try_without_an_answer_doubles_the_next_ones_time(self, router: Router) -> None:
        way = course(router)
        before_s = way.attempt_timeout_s()
        way.failed(A, lost(ATTEMPT_TIMEOUT))
        assert way.attempt_timeout_s() == 2 * before_s
        assert course(router, timeout_s=0.1).attempt_timeout_s() <= 0.1


class TestFullDisks:
    full = errors.from_reason("DISK_FULL", "the disk that holds /data is full")

    def fail_for_long(self, way: Course, address: str) -> None:
        assert way.failed(address, self.full) > 0
        way._full_at_s -= DISK_FULL_S

    def test_where_all_nodes_say_so_for_a_while_the_caller_is_told(self, router: Router) -> None:
        way = course(router)
        for address in (A, B):
            self.fail_for_long(way, address)
            way.failed(address, not_leader(""))
        with pytest.raises(errors.DiskFull, match="/data is full") as caught:
            way.failed(C, self.full)
        assert caught.value.retryable

    def test_as_long_as_another_node_may_lead_it_is_waited_for(self, router: Router) -> None:
        way = course(router)
        self.fail_for_long(way, A)
        self.fail_for_long(way, B)
        assert way.failed(A, self.full) > 0
        late = course(router, timeout_s=0.0)
        with pytest.raises(errors.DiskFull, match="in time; last: the disk that holds /data is full"):
            late.failed(A, self.full)

    def test_what_else_is_heard_begins_it_anew_and_what_may_be_applied_is_waited_for(
        self, router: Router
    ) -> None:
        way = course(router)
        for address in (A, B):
            self.fail_for_long(way, address)
        way.failed(A, lost(CONNECT_FAILED))
        assert way.failed(C, self.full) > 0
        sent = course(router)
        sent.failed(A, lost(ATTEMPT_TIMEOUT))
        for address in (A, B, C, A):
            self.fail_for_long(sent, address)
        assert isinstance(sent.give_up(), errors.OutcomeUnknown)


class TestReads:
    def test_no_answer_over_a_connection_is_told_as_time_that_is_up(self, router: Router) -> None:
        late = errors.Unavailable("n1: no answer in time", reason=ATTEMPT_TIMEOUT)
        way = course(router, is_write=False)
        way.failed(A, late)
        assert type(way.give_up()) is errors.Unavailable
        assert str(way.give_up()) == "shard 0 did not answer in time; last: n1: no answer in time"
        for failures, kind in (
            ((late,), errors.Unavailable),
            ((lost(CONNECT_FAILED), late), errors.Unavailable),
            ((lost(CONNECT_FAILED), lost()), errors.ConnectionFailed),
        ):
            way.note_unreachable(failures)
            assert type(way.give_up()) is kind

    def test_a_session_read_goes_to_the_leader_and_then_to_the_other_replicas(self, router: Router) -> None:
        router.note_seen(0, 42)
        way = course(router, is_write=False, needs_leader=False)
        request = kv_pb2.GetRequest()
        way.stamp(request)
        assert request.context.min_index == 42
        asked = []
        while (address := way.address()) is not None:
            asked.append(address)
            assert way.failed(address, lost()) == 0
        assert asked[0] == A
        assert sorted(asked) == [A, B, C]
        assert way.is_lost()
        assert way.pause_s() > 0
        assert way.address() is not None

    def test_a_replica_that_lags_is_passed_over(self, router: Router) -> None:
        way = course(router, is_write=False, needs_leader=False)
        assert way.failed(A, errors.from_reason("LAGGING", "behind")) == 0
        assert way.address() in (B, C)

    def test_stale_reads_are_spread_over_the_replicas(self, router: Router) -> None:
        context = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_STALE)
        deadline_s = time.monotonic() + 60
        asked = {Course.of_read(router, 0, deadline_s, context).address() for _ in range(3)}
        assert asked == {A, B, C}

    def test_a_linearizable_read_is_the_leaders(self, router: Router) -> None:
        context = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_LINEARIZABLE)
        way = Course.of_read(router, 0, time.monotonic() + 60, context)
        assert way.failed(A, lost()) == 0
        assert way.address() is None
        assert isinstance(way.give_up(), errors.ConnectionFailed)
