"""The state of one member of one group, and what all rules about it share.

The core is built in layers, each knowing only those below it::

    Core         core.py          what the driver calls: tick, step, propose, ready, advance
    Elections    elections.py     terms, votes, leases, transfer of leadership
    Replication  replication.py   appends, heartbeats, reads
    Snapshots    snapshots.py     followers that need what is no longer in the log
    Members      membership.py    who belongs to the group, who counts, commit
    Recovery     recovery.py      members that may have lost what they acknowledged
    State        state.py         fields, sending
"""

from __future__ import annotations

from memraft_cluster.raft.config import Config
from memraft_cluster.raft.jitter import Jitter
from memraft_cluster.raft.log import Log, LogStorage
from memraft_cluster.raft.messages import (
    HardState,
    Membership,
    Message,
    MessageType,
    ReadState,
    Role,
    SnapshotMeta,
)
from memraft_cluster.raft.progress import Progress
from memraft_cluster.raft.read_only import ReadRounds

NONCE_STREAM = 1 << 32
"""Keeps the numbers of questions apart from those of election timeouts."""


class Confirmation:
    """What a leader gathers for a member that may have lost entries: proof that it still leads."""

    __slots__ = ("acknowledged", "heard", "index", "is_final", "nonce", "round_min", "wants_all")

    def __init__(self, nonce: int, round_min: int, wants_all: bool) -> None:
        """Only answers to heartbeats of round `round_min` and later count."""
        self.nonce = nonce
        self.round_min = round_min
        self.wants_all = wants_all
        self.acknowledged: set[int] = set()
        self.heard: set[int] = set()
        self.index = 0
        self.is_final = False

    def restart(self, round_min: int) -> None:
        """Other nodes make a quorum now."""
        self.round_min = round_min
        self.acknowledged.clear()
        self.heard.clear()


class State:
    """Fields of a member. Persistent ones are `term`, `vote`, `log`; all others die with the process."""

    def __init__(
        self, config: Config, storage: LogStorage, hard_state: HardState | None, applied: int
    ) -> None:
        saved = hard_state or HardState(0, 0, 0, is_whole=False)
        self.config = config
        self.id = config.id
        self.term = saved.term
        self.vote = saved.vote
        bootstrap = Membership.of(config.voters, config.learners)
        self.log = Log(storage, saved.commit, applied, config.cache_bytes_max, bootstrap, saved.is_whole)
        self._note_membership()
        self.role = Role.FOLLOWER
        self.leader = 0

        # What this member knows of its own past; see `recovery`.
        self.is_whole = saved.is_whole
        self._is_vote_known = saved.is_whole or (hard_state is not None and saved.vote != config.id)
        self._is_fresh = not self._is_vote_known and self.log.last_index == 0
        self._nonces = Jitter(config.seed ^ config.start_id, config.id + NONCE_STREAM)
        self._fresh_number = self._nonces.below(1 << 62) + 1
        self._is_confirmed = False
        self._recovery_index = 0
        self._matched = 0
        self._nonce = 0

        # Candidates: who granted or refused, which of these are fresh, and the numbers of those when everyone
        # has said yes. Leaders: the followers, those of them that vote, those that
        # recover, the first index of the own term, who is to become leader, the reads that wait.
        self._votes: dict[int, bool] = {}
        self._fresh_voters: dict[int, int] = {}
        self._founders: dict[int, int] | None = None
        self._peers: dict[int, Progress] = {}
        self._voting: list[Progress] = []
        self._recoveries: dict[int, Confirmation] = {}
        self._term_start = 0
        self._transfer_to = 0
        self._reads = ReadRounds()

        self._election_elapsed = 0
        self._heartbeat_elapsed = 0
        self._transfer_elapsed = 0
        self._jitter = Jitter(config.seed, config.id)
        self._election_timeout = 0
        self._reset_election_timer()

        # What the next Ready will carry. A leader's messages are made only there, so that everything that
        # was proposed, acknowledged or asked since the last one shares them.
        self._must_replicate = False
        self._must_heartbeat = False
        self._early: list[Message] = []
        self._late: list[Message] = []
        self._snapshot: SnapshotMeta | None = None
        self._snapshots_wanted: list[int] = []
        self._read_states: list[ReadState] = []
        self._dropped_reads: list[int] = []

    def _note_membership(self) -> None:
        """The newest membership in the log is in force."""
        self.membership = membership = self.log.membership
        self.others = tuple(member for member in membership.members if member != self.id)
        self.quorum = membership.quorum
        self.is_voter = self.id in membership.voters

    def _reset_election_timer(self) -> None:
        """Randomised, so that candidates seldom collide (thesis §3.4)."""
        ticks = self.config.election_ticks
        self._election_elapsed = 0
        if self.membership.voters == (self.id,):
            self._election_timeout = 1
        elif self.config.preferred and self.term == 0:
            self._election_timeout = min(2, ticks)
        else:
            self._election_timeout = ticks + self._jitter.below(ticks)

    def _send_early(self, message: Message) -> None:
        """For messages that reveal nothing but the term, the commit index and entries of a leader."""
        self._early.append(message)

    def _reply(self, kind: MessageType, to: int, index: int, reject: bool = False) -> None:
        """Queues a reply in the current term, to leave when everything up to now is durable."""
        applied = self.log.applied
        self._late.append(Message(kind, self.id, to, self.term, index=index, reject=reject, applied=applied))
