"""The state of one member of one group, and what all rules about it share.

The core is built in layers, each knowing only those below it::

    Core         core.py          what the driver calls: tick, step, propose, ready, advance
    Elections    elections.py     terms, votes, leases, transfer of leadership
    Replication  replication.py   appends, heartbeats, commit, reads
    State        state.py         fields, sending

Learners come as members of `peers` that `quorum` does not count; membership changes replace both.
"""

from __future__ import annotations

from memraft_cluster.raft.config import Config
from memraft_cluster.raft.jitter import Jitter
from memraft_cluster.raft.log import Log, LogStorage
from memraft_cluster.raft.messages import HardState, Membership, Message, MessageType, ReadState, Role
from memraft_cluster.raft.progress import Progress
from memraft_cluster.raft.read_only import ReadRounds


class State:
    """Fields of a member. Persistent ones are `term`, `vote`, `log`; all others die with the process."""

    def __init__(
        self, config: Config, storage: LogStorage, hard_state: HardState | None, applied: int
    ) -> None:
        saved = hard_state or HardState(0, 0, 0)
        self.config = config
        self.id = config.id
        self.membership = Membership.of(config.voters, config.learners)
        self.others = tuple(peer for peer in config.voters if peer != config.id)
        self.quorum = self.membership.quorum
        self.term = saved.term
        self.vote = saved.vote
        self.log = Log(storage, saved.commit, applied, config.cache_bytes_max)
        self.role = Role.FOLLOWER
        self.leader = 0

        # Candidates: who granted or refused. Leaders: the followers, the first index of the own term, who
        # is to become leader, the reads that wait.
        self._votes: dict[int, bool] = {}
        self._peers: dict[int, Progress] = {}
        self._term_start = 0
        self._transfer_to = 0
        self._reads = ReadRounds()

        self._election_elapsed = 0
        self._heartbeat_elapsed = 0
        self._jitter = Jitter(config.seed, config.id)
        self._election_timeout = 0
        self._reset_election_timer()

        # What the next Ready will carry. A leader's messages are made only there, so that everything that
        # was proposed, acknowledged or asked since the last one shares them.
        self._must_replicate = False
        self._must_heartbeat = False
        self._early: list[Message] = []
        self._late: list[Message] = []
        self._read_states: list[ReadState] = []
        self._dropped_reads: list[int] = []

    def _reset_election_timer(self) -> None:
        """Randomised, so that candidates seldom collide (thesis §3.4)."""
        ticks = self.config.election_ticks
        self._election_elapsed = 0
        if not self.others:
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
        self._late.append(Message(kind, self.id, to, self.term, index=index, reject=reject))
