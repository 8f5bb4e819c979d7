"""What the leader concludes from a follower's answers, and how much it lets be under way."""

from __future__ import annotations

from memraft_cluster.raft.progress import Progress, ProgressState


def replicating(messages_max: int = 2, bytes_max: int = 100) -> Progress:
    progress = Progress(5, messages_max, bytes_max)
    progress.acknowledged(4)
    return progress


def test_it_asks_first_and_replicates_after_an_answer() -> None:
    progress = Progress(5, 2, 100)
    assert progress.state is ProgressState.PROBE
    assert progress.acknowledged(4)
    assert (progress.state, progress.match, progress.next) == (ProgressState.REPLICATE, 4, 5)


def test_the_window_is_full_by_messages_or_by_bytes() -> None:
    progress = replicating()
    progress.sent(5, 10)
    assert not progress.is_full
    progress.sent(6, 10)
    assert progress.is_full
    progress = replicating()
    progress.sent(5, 100)
    assert progress.is_full


def test_an_answer_frees_all_that_it_covers() -> None:
    progress = replicating()
    progress.sent(5, 10)
    progress.sent(6, 20)
    assert progress.acknowledged(6)
    assert (progress.inflight_messages, progress.inflight_bytes) == (0, 0)
    assert not progress.acknowledged(5), "an older answer is no news"
    assert progress.match == 6


def test_a_refusal_while_replicating_goes_back_to_what_is_known() -> None:
    progress = replicating()
    progress.sent(5, 10)
    assert progress.rejected(5, 3)
    assert (progress.state, progress.next, progress.inflight_bytes) == (ProgressState.PROBE, 5, 0)


def test_stale_refusals_change_nothing() -> None:
    progress = replicating()
    assert not progress.rejected(4, 0), "what is known to match cannot be refused"
    progress.probe(5)
    assert not progress.rejected(9, 3), "not what was asked last"


def test_a_probe_steps_back_to_the_hint_but_not_behind_what_matches() -> None:
    progress = Progress(100, 2, 100)
    assert progress.rejected(99, 42)
    assert progress.next == 43
    assert progress.rejected(42, 42)
    assert progress.next == 42, "each refusal steps back at least one"
    progress = replicating()
    progress.probe(6)
    progress.rejected(5, 0)
    assert progress.next == 5


def test_a_lost_connection_waits_for_a_sign_of_life() -> None:
    progress = replicating()
    progress.sent(5, 10)
    progress.lost_connection()
    assert (progress.state, progress.next, progress.probe_sent) == (ProgressState.PROBE, 5, True)
    assert progress.heard_heartbeat()
    assert not progress.probe_sent
    fresh = Progress(50, 2, 100)
    fresh.lost_connection()
    assert fresh.next == 50, "a follower that never answered is not asked from the beginning of the log"


def test_a_window_that_stands_still_between_heartbeats_is_suspect() -> None:
    progress = replicating(messages_max=9)
    assert not progress.heard_heartbeat(), "nothing is under way"
    progress.sent(5, 10)
    assert progress.heard_heartbeat()
    progress.acknowledged(5)
    progress.sent(6, 10)
    assert not progress.heard_heartbeat(), "it moved"
    assert progress.heard_heartbeat()


def test_a_follower_that_waits_for_a_snapshot_is_sent_nothing_until_its_report() -> None:
    progress = replicating()
    progress.sent(5, 10)
    progress.await_snapshot()
    assert (progress.state, progress.inflight_messages) == (ProgressState.SNAPSHOT, 0)
    assert not progress.heard_heartbeat()
    assert not progress.rejected(5, 0)
    assert not progress.acknowledged(5), "a late answer to what was under way"
    assert (progress.state, progress.match) == (ProgressState.SNAPSHOT, 5)
    progress.lost_connection()
    assert progress.state is ProgressState.SNAPSHOT, "the driver says when it failed"
    progress.lost_snapshot()
    assert progress.heard_heartbeat()
    assert (progress.state, progress.next) == (ProgressState.PROBE, 6)


def test_a_follower_that_lost_entries_is_believed_when_it_refuses_what_it_had() -> None:
    progress = replicating()
    progress.begin_recovery(3)
    assert (progress.match, progress.next, progress.state) == (0, 3, ProgressState.PROBE)
    assert progress.acknowledged(4), "an acknowledgement from before the loss, late"
    assert progress.match == 4
    assert progress.rejected(4, 2)
    assert (progress.match, progress.next) == (0, 3)


def test_refusals_out_of_order_set_a_recovering_follower_back_once_a_heartbeat() -> None:
    progress = Progress(10, messages_max=64, bytes_max=1 << 20)
    progress.begin_recovery(1)
    assert progress.acknowledged(20)  # from before the loss
    assert progress.rejected(15, 3) and progress.match == 0
    assert progress.acknowledged(4)
    for stale in (4, 3, 2):
        assert not progress.rejected(stale, 1)
    assert progress.match == 4
    progress.heard_heartbeat()
    assert progress.rejected(4, 2) and progress.match == 0
