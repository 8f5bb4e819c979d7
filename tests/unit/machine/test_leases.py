"""Leases: one holder at a time, first come first served; writes under a token that is over are refused."""

from typing import Any

import pytest

from memraft_proto.methods import KIND_EXPIRE_LEASES
from memraft_proto.v1 import batch_pb2, kv_pb2, lease_pb2, log_pb2
from memraft_proto.v1.common_pb2 import WriteContext
from memraft_server.machine import Machine, Refused
from memraft_server.machine.journal import Journal
from memraft_server.machine.loader import load
from memraft_server.projections.leases import WAITERS_MAX
from tests.unit.machine.harness import NAMESPACE, SECOND_US, Shard, session
from tests.unit.machine.test_kv import put

SECOND_MS = 1_000


def acquire(
    holder: str, ttl_s: int = 10, wait_s: int = 0, name: str = "reindex"
) -> lease_pb2.AcquireLeaseRequest:
    return lease_pb2.AcquireLeaseRequest(
        namespace=NAMESPACE,
        name=name,
        holder=holder,
        ttl_ms=ttl_s * SECOND_MS,
        wait_ms=wait_s * SECOND_MS,
    )


def renew(token: int, ttl_s: int = 10) -> lease_pb2.RenewLeaseRequest:
    return lease_pb2.RenewLeaseRequest(
        namespace=NAMESPACE, name="reindex", token=token, ttl_ms=ttl_s * SECOND_MS
    )


def release(holder: str) -> lease_pb2.ReleaseLeaseRequest:
    return lease_pb2.ReleaseLeaseRequest(namespace=NAMESPACE, name="reindex", holder=holder)


def get(name: str = "reindex") -> lease_pb2.GetLeaseRequest:
    return lease_pb2.GetLeaseRequest(namespace=NAMESPACE, name=name)


def fenced(key: str, token: int, lease: str = "reindex", **more: Any) -> kv_pb2.PutRequest:
    request = put(key, b"1")
    request.context.CopyFrom(WriteContext(fence_lease=lease, fence_token=token, **more))
    return request


def who(answer: Any) -> tuple[str, list[str]]:
    return answer.current.holder, [each.holder for each in answer.waiting]


def wait_until_due(shard: Shard) -> Any:
    """Applies what the leader proposes once the next lease is over."""
    due_us = shard.machine.next_due_us()
    assert due_us is not None
    shard.time_us = max(shard.time_us, due_us - SECOND_US)
    for command in shard.machine.due(due_us, 1000):
        shard.write(command.request)


def test_a_lease_has_one_holder_until_it_is_released() -> None:
    shard = Shard()
    first = shard.write(acquire("a"), agent="alice")
    assert first.granted and first.current.token == first.version and first.current.agent == "alice"
    assert first.current.expires_at_us == shard.time_us + 10 * SECOND_US
    refused = shard.write(acquire("b"))
    assert (refused.granted, refused.current.holder, refused.position) == (False, "a", 0)
    assert shard.write(release("b")).released is False
    assert shard.write(release("a")).released is True
    assert not shard.read(get()).HasField("current")
    second = shard.write(acquire("b"))
    assert second.granted and second.current.token > first.current.token
    assert who(shard.read(get(), at_index=1)) == ("a", [])


def test_asking_again_renews_and_keeps_the_token() -> None:
    shard = Shard()
    first = shard.write(acquire("a"))
    again = shard.write(acquire("a", ttl_s=60))
    assert again.granted and again.current.token == first.current.token
    assert again.current.expires_at_us == shard.time_us + 60 * SECOND_US
    renewed = shard.write(renew(first.current.token, 5))
    assert renewed.renewed and renewed.expires_at_us == shard.time_us + 5 * SECOND_US
    assert not shard.write(renew(first.current.token + 1)).renewed


def test_those_who_wait_are_served_in_the_order_in_which_they_came() -> None:
    shard = Shard()
    shard.write(acquire("a", ttl_s=1000))
    assert [shard.write(acquire(each, 1000, 1000)).position for each in "bcd"] == [1, 2, 3]
    assert shard.write(acquire("b", 1000, 1000)).position == 1
    assert who(shard.read(get())) == ("a", ["b", "c", "d"])
    shard.write(release("c"))
    shard.write(release("a"))
    assert who(shard.read(get())) == ("b", ["d"])
    newcomer = shard.write(acquire("e"))
    assert (newcomer.granted, newcomer.current.holder) == (False, "b")
    shard.write(release("b"))
    token = shard.read(get()).current.token
    assert shard.write(acquire("d")).current.token == token
    assert who(shard.read(get(), at_index=5)) == ("a", ["b", "c", "d"])


def test_what_the_dead_hold_goes_to_the_next_who_is_alive() -> None:
    shard = Shard()
    first = shard.write(acquire("dead", ttl_s=10))
    shard.write(acquire("dead too", ttl_s=10, wait_s=5))
    shard.write(acquire("alive", ttl_s=30, wait_s=100))
    wait_until_due(shard)
    assert who(shard.read(get())) == ("dead", ["alive"])
    wait_until_due(shard)
    now = shard.read(get())
    assert who(now) == ("alive", []) and now.current.token > first.current.token
    assert now.current.expires_at_us == shard.time_us + 30 * SECOND_US
    wait_until_due(shard)
    assert who(shard.read(get())) == ("", [])
    assert shard.machine.next_due_us() is None


def test_a_lease_is_over_by_time_even_where_nobody_has_said_so() -> None:
    shard = Shard()
    first = shard.write(acquire("a", ttl_s=10))
    shard.time_us += 20 * SECOND_US
    assert not shard.write(renew(first.current.token)).renewed
    shard = Shard()
    shard.write(acquire("a", ttl_s=10))
    shard.time_us += 20 * SECOND_US
    assert shard.write(acquire("b")).granted


def test_an_expiry_that_comes_late_leaves_a_renewed_lease_alone() -> None:
    shard = Shard()
    token = shard.write(acquire("a", ttl_s=10)).current.token
    due_us = shard.machine.next_due_us()
    (due,) = shard.machine.due(due_us, 10)  # type: ignore[arg-type]
    assert (due.kind, due.agent) == (KIND_EXPIRE_LEASES, "")
    assert due.request == log_pb2.ExpireLeasesCommand(namespace=NAMESPACE, names=["reindex"])
    shard.write(renew(token))
    shard.write(due.request)
    assert shard.read(get()).current.token == token
    assert shard.machine.next_due_us() == shard.read(get()).current.expires_at_us


def test_a_write_under_a_token_that_is_over_is_refused() -> None:
    shard = Shard()
    old = shard.write(acquire("a", ttl_s=10)).current.token
    shard.write(fenced("x", old))
    with pytest.raises(Refused, match=r"STALE_FENCE.*nobody"):
        shard.write(fenced("x", old, lease="other"))
    shard.time_us += 20 * SECOND_US
    with pytest.raises(Refused, match=r"STALE_FENCE.*nobody"):
        shard.write(fenced("x", old))
    new = shard.write(acquire("b", ttl_s=10)).current.token
    with pytest.raises(Refused, match="STALE_FENCE") as refused:
        shard.write(fenced("x", old))
    assert refused.value.metadata == {"lease": "reindex", "token": str(new)}
    shard.write(fenced("x", new))
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE, operations=[batch_pb2.Operation(put=put("y", b"1"))])
    batch.operations[0].put.ClearField("namespace")
    batch.context.CopyFrom(WriteContext(fence_lease="reindex", fence_token=old))
    with pytest.raises(Refused, match="STALE_FENCE"):
        shard.write(batch)
    assert not shard.read(kv_pb2.GetRequest(namespace=NAMESPACE, key="y")).found


def test_a_fenced_write_that_was_applied_keeps_its_reply_when_it_is_sent_again() -> None:
    shard = Shard()
    token = shard.write(acquire("a", ttl_s=10)).current.token
    context = session(1)
    request = fenced("x", token, **{f.name: v for f, v in context.ListFields()})
    first = shard.write(request)
    shard.write(release("a"))
    assert shard.write(request) == first
    later = fenced("x", token, **{f.name: v for f, v in session(2).ListFields()})
    for _ in range(2):
        with pytest.raises(Refused, match="STALE_FENCE"):
            shard.write(later)


def test_a_queue_is_bounded_and_places_are_used_again() -> None:
    shard = Shard()
    shard.write(acquire("a", ttl_s=80_000))
    for number in range(WAITERS_MAX):
        shard.write(acquire(f"w{number}", 80_000, 80_000))
    with pytest.raises(Refused, match=f"TOO_MANY_WAITERS.*at most {WAITERS_MAX}"):
        shard.write(acquire("late", 80_000, 80_000))
    assert not shard.write(acquire("late")).granted
    shard.write(release("w5"))
    assert shard.write(acquire("late", 80_000, 80_000)).position == WAITERS_MAX
    names = list(shard.machine._spaces[NAMESPACE].projection(_leases()).records.heads)
    assert len(names) == WAITERS_MAX + 1


def _leases() -> Any:
    from memraft_server.projections.leases import LeasesProjection

    return LeasesProjection


def test_leases_are_listed_in_pages() -> None:
    shard = Shard()
    for name in ("b", "a:2", "a:1"):
        shard.write(acquire("x", name=name))
        shard.write(acquire("y", wait_s=5, name=name))
    listing = lease_pb2.ListLeasesRequest(namespace=NAMESPACE)
    assert list(shard.read(listing).names) == ["a:1", "a:2", "b"]
    page = shard.read(lease_pb2.ListLeasesRequest(namespace=NAMESPACE, prefix="a:", limit=1))
    assert list(page.names) == ["a:1"] and page.holders[0].holder == "x"
    rest = shard.read(lease_pb2.ListLeasesRequest(namespace=NAMESPACE, prefix="a:", cursor=page.next_cursor))
    assert list(rest.names) == ["a:2"] and not rest.next_cursor
    assert list(shard.read(listing, at_index=1).names) == ["b"]


def test_leases_and_their_ends_are_read_back_from_what_was_written() -> None:
    from memraft_server.machine.facts import Encoder

    shard = Shard()
    shard.machine = Machine(0, journal=Journal())
    shard.write(acquire("a", ttl_s=10))
    shard.write(acquire("b", ttl_s=20, wait_s=60))
    sealed = shard.machine.seal()
    rows = sorted((key, value) for key, value in sealed.all(Encoder()) if value is not None)
    loaded, _ = load(rows, sealed.label)
    assert loaded.next_due_us() == shard.machine.next_due_us() is not None
    shard.machine = loaded
    assert who(shard.read(get())) == ("a", ["b"])
    wait_until_due(shard)
    assert who(shard.read(get())) == ("b", [])


@pytest.mark.parametrize(
    ("request_", "thing"),
    [
        (acquire("", 10), "holder"),
        (acquire("a", 0), "ttl_ms: 0, from 1"),
        (acquire("a", 86_401), "ttl_ms: 86401000, from 1 to 86400000"),
        (acquire("a", 1, 86_401), "wait_ms"),
        (acquire("a", name="x\1y"), "name.*control"),
        (renew(1, 0), "ttl_ms"),
        (release(""), "holder"),
        (fenced("x", 0), "fence_token: missing"),
        (fenced("x", 1, ""), "fence_lease: missing"),
    ],
)
def test_what_is_malformed_is_refused_by_name(request_: Any, thing: str) -> None:
    with pytest.raises(Refused, match=thing):
        Shard().write(request_)
