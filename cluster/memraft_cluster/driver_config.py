"""The settings of the driver, and what it reports about itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from .group_state import GroupLimits


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """How the groups of one node are driven; every field says why.

    Raises:
        ValueError: a value out of range.
    """

    node_id: int
    """This node, as the groups' members call it."""
    tick_ms: int = 50
    """Length of the core's tick: heartbeats and timeouts count in it."""
    election_ticks: int = 10
    """A follower campaigns after 1 to 2 times this many ticks without a leader: 0.5 to 1 s."""
    heartbeat_ticks: int = 1
    """A leader is heard at least this often."""
    entry_bytes_target: int = 20 << 10
    """Commands are gathered into entries of about this size; larger ones gained nothing when measured."""
    entry_commands_max: int = 4096
    """Commands in one entry: bounds the time that applying it holds the loop. Under 2**20, the width of a
    command's position in a version."""
    entries_inflight_target: int = 4
    """While this many entries of a group are not committed, only a full one is added: commands gather into
    fewer entries, so fewer syncs and messages, exactly when there is no hurry."""
    command_bytes_max: int = 8 << 20
    """Largest single command."""
    queued_commands_max: int = 20_000
    """Commands of one group that wait to become an entry; further ones are refused as overload."""
    queued_bytes_max: int = 32 << 20
    """The same in bytes."""
    waiters_max: int = 20_000
    """Reads of one group that wait for a round or an index; further ones are refused as overload."""
    mailbox_bytes_max: int = 64 << 20
    """Messages from other nodes that wait for a turn; further ones are dropped: raft tolerates loss."""
    committed_bytes_max: int = 512 << 10
    """Committed entries applied in one turn: bounds how long a follower that catches up holds the loop.
    Callers who are answered in one turn share the next frame and sync: with half of this, entries of 20 KB,
    64 under way, cost 15 % more processor time."""
    proposals_bytes_max: int = 32 << 20
    """Proposed and not committed, of one group; beyond it commands wait in the queue, then are refused."""
    outcome_wait_ms: int = 1_000
    """After leadership is lost, how long callers wait to learn from the new leader what became of entries
    proposed before, until they are told that the outcome is unknown."""
    sync_in_thread: bool = False
    """Sync in a thread of its own instead of on the event loop, also what is small, on a quick disk. See the
    driver's docstring for figures."""
    commit_notices: bool = True
    """Tell followers of commits at once rather than with the next append or heartbeat, so that session reads
    on followers wait less."""
    rebalance: bool = True
    """Give leadership back to preferred leaders once they are fit again."""
    rebalance_after_ms: int = 3_000
    """How long they must be fit for that."""
    stop_transfer_ms: int = 1_500
    """How long a graceful stop waits for other nodes to take over leadership."""
    save_interval_ms: int = 100
    """How often what was applied is handed to the state store: what a restart replays is at most this much,
    and what the store has not written to its files yet."""
    save_facts_max: int = 2_000
    """As many facts are handed to the state store without waiting for the interval, so that one save stays
    short."""
    log_keep_bytes: int = 64 << 20
    """A group's log that holds more is cut, behind what the state store has durably."""
    log_keep_entries: int = 1_000
    """So many of the newest entries stay when it is cut (within half of ``log_keep_bytes``), so that a
    follower that was away for a moment needs no snapshot."""
    log_cache_bytes_max: int = 8 << 20
    """The newest entries of a group that stay in memory, up to twice this much: followers are not served from
    disk, and need no snapshot while these reach."""
    snapshots_max: int = 2
    """Snapshots that are sent, and that are received, at one time by this node: bounds memory and disk."""
    snapshot_window_chunks: int = 4
    """Chunks of a snapshot, of at most 1 MiB, that are on their way to one receiver."""
    snapshot_resend_ms: int = 2_000
    """After so long without progress the chunks that were not acknowledged are sent again."""
    snapshot_idle_ms: int = 30_000
    """After so long without a word from the other side a transfer is given up."""
    seed: int = 0
    """Seeds the jitter of election timeouts; 0 draws one from the operating system."""

    def __post_init__(self) -> None:
        if self.entry_commands_max >= 1 << 20:
            raise ValueError(f"entry_commands_max = {self.entry_commands_max} is not under {1 << 20}")
        for name in ("node_id", "tick_ms", "entry_bytes_target", "entry_commands_max",
                     "entries_inflight_target", "command_bytes_max", "queued_commands_max",
                     "queued_bytes_max", "waiters_max", "mailbox_bytes_max", "save_interval_ms",
                     "save_facts_max", "log_keep_bytes",
                     "snapshots_max", "snapshot_window_chunks", "snapshot_resend_ms",
                     "snapshot_idle_ms"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} is not at least 1")

    def group_limits(self) -> GroupLimits:
        return GroupLimits(
            entry_bytes_target=self.entry_bytes_target,
            entry_commands_max=self.entry_commands_max,
            entries_inflight_target=self.entries_inflight_target,
            command_bytes_max=self.command_bytes_max,
            queued_commands_max=self.queued_commands_max,
            queued_bytes_max=self.queued_bytes_max,
            waiters_max=self.waiters_max,
            outcome_wait_ms=self.outcome_wait_ms,
        )


@dataclass(slots=True)
class Counters:
    """What the driver has done since it started; all only grow, but ``sync_seconds_max``."""

    turns_total: int = 0
    syncs_total: int = 0
    sync_seconds_total: float = 0.0
    sync_seconds_max: float = field(default=0.0)
    messages_received_total: int = 0
    messages_dropped_total: int = 0
    messages_bad_total: int = 0
    messages_unknown_total: int = 0
    """Messages for groups that are not on this node."""
    saves_total: int = 0
    log_cuts_total: int = 0
    snapshots_sent_total: int = 0
    snapshots_received_total: int = 0
    snapshots_failed_total: int = 0
    entries_applied_total: int = 0
    leader_changes_total: int = 0
    transfers_total: int = 0
