"""How old a replica's state may be: what counts is what it has applied, not whom it has heard."""

from __future__ import annotations

from memraft_cluster.freshness import Freshness


def follower() -> Freshness:
    return Freshness(3, (1, 2, 3), now_s=100.0)


def test_hearing_the_leader_does_not_make_a_lagging_replica_fresh() -> None:
    freshness = follower()
    for tick in range(10):
        freshness.told(commit=50 + tick, applied=10, now_s=101.0 + tick)
    assert freshness.age_s(111.0) == 11.0
    assert not freshness.has_caught_up
    freshness.applied(50)  # what the first heartbeat told of
    assert freshness.age_s(111.0) == 10.0
    assert freshness.has_caught_up


def test_a_follower_that_has_applied_all_is_as_old_as_the_last_heartbeat() -> None:
    freshness = follower()
    for now_s in (101.0, 102.0, 103.0):
        freshness.told(commit=7, applied=7, now_s=now_s)
    assert freshness.age_s(103.5) == 0.5


def test_a_leader_is_as_old_as_its_last_contact_with_a_quorum() -> None:
    freshness = Freshness(1, (1, 2, 3, 4, 5), now_s=100.0)
    freshness.lead(101.0)
    freshness.heard(2, 105.0)
    assert freshness.age_s(106.0) == 5.0  # it and one more are no quorum of five
    freshness.heard(5, 104.0)
    assert freshness.age_s(106.0) == 2.0
    freshness.follow(106.0)
    assert freshness.age_s(107.0) == 3.0  # losing the lead makes nothing younger


def test_a_node_alone_is_never_behind() -> None:
    freshness = Freshness(1, (1,), now_s=100.0)
    assert freshness.age_s(101.0) == 1.0
    freshness.lead(101.0)
    assert freshness.age_s(999.0) == 0.0


def test_a_leader_whose_voters_change_counts_those_it_has_now() -> None:
    freshness = Freshness(1, (1,), now_s=100.0)
    freshness.lead(101.0)
    freshness.set_voters((1, 2, 3), 110.0)
    freshness.heard(4, 119.0)  # a learner
    assert freshness.age_s(120.0) == 10.0
    freshness.heard(2, 118.0)
    assert freshness.age_s(120.0) == 2.0
    freshness.set_voters((2, 3), 120.0)  # this node removes itself and leads until that is committed
    assert freshness.age_s(120.0) == 10.0
