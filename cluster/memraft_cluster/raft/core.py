"""The consensus core: messages and ticks in, Ready out.

It does no IO and reads no clock, in the manner of etcd's `rawnode`. The driver owns it from one task::

    core.tick()                     every so many milliseconds
    core.step(message)              for each message that arrives
    core.propose(data)              for each entry
    if core.has_ready():
        ready = core.ready()        see `Ready` for what to do with it, and in which order
        ...
        core.advance(ready)

While a Ready is being worked on, ticks, messages and proposals may go on; they show in the next one.
"""

from __future__ import annotations

from memraft_cluster.raft.config import Config
from memraft_cluster.raft.elections import FROM_LEADER, Elections
from memraft_cluster.raft.errors import (
    BadMessage,
    BrokenInvariant,
    EntryTooLarge,
    LeadershipMoving,
    NotLeader,
    Overloaded,
    TransferRefused,
)
from memraft_cluster.raft.log import ENTRY_OVERHEAD_BYTES, LogStorage
from memraft_cluster.raft.messages import (
    HardState,
    Message,
    MessageType,
    PeerStatus,
    Ready,
    Role,
    Status,
)

# Looked up once: an attribute of an enum costs more than a comparison, and so does its hash in a set.
_APPEND = MessageType.APPEND
_APPEND_REPLY = MessageType.APPEND_REPLY
_FIRST_RARE = MessageType.SNAPSHOT
_FOLLOWER = Role.FOLLOWER
_LEADER = Role.LEADER

_NUMBER_BITS = 62
"""Terms and indices have no more: a term that damage made up would be everybody's for ever, and no log could
hold the one after the last of 64 bits."""


class Core(Elections):
    """One member of one Raft group."""

    def __init__(
        self, config: Config, storage: LogStorage, hard_state: HardState | None, applied: int = 0
    ) -> None:
        """Starts as a follower.

        `storage` is the durable log, `hard_state` the last one written (None at the first start), `applied`
        the index up to which the machine's own durable state already reaches; entries after it are handed
        out again. Raises `BrokenInvariant` when the log is shorter than what was committed or applied, or
        begins behind what was applied; a machine that is ahead of its log (a crash while a snapshot was
        installed) needs the log reset to its label first.
        """
        super().__init__(config, storage, hard_state, applied)
        self._saved = hard_state or HardState(0, 0, 0, is_whole=False)
        self._told = (Role.FOLLOWER, 0, self.term)
        self._outstanding: Ready | None = None

    # In.

    def tick(self) -> None:
        """One unit of time passes."""
        if self.role is Role.LEADER:
            self._tick_leader()
        else:
            self._tick_follower()

    def step(self, message: Message) -> None:
        """Takes a message from a peer. Raises `BadMessage`, having changed nothing, for what no correct peer
        sends, and `BrokenInvariant` when going on could lose writes."""
        self._check(message)
        if message.term != self.term and not self._accepts_term(message):
            return
        kind = message.type
        if kind is _APPEND_REPLY:
            if self.role is _LEADER:
                self._on_append_reply(message)
        elif kind is _APPEND or kind in FROM_LEADER:
            if self.role is not _FOLLOWER:
                self._follow_sender(message)
            if kind is _APPEND:
                self._on_append(message)
            else:
                self._step_follower(message)
        elif kind is MessageType.HEARTBEAT_REPLY:
            if self.role is _LEADER:
                self._on_heartbeat_reply(message)
        elif kind is MessageType.RECOVER:
            if self.role is _LEADER:
                self._on_recover(message)
        else:
            self._step_election(message)

    def _step_follower(self, message: Message) -> None:
        kind = message.type
        if kind is MessageType.HEARTBEAT:
            self._on_heartbeat(message)
        elif kind is MessageType.COMMIT:
            self._on_commit(message)
        elif kind is MessageType.SNAPSHOT:
            self._on_snapshot(message)
        elif kind is MessageType.RECOVER_REPLY:
            self._on_recover_reply(message)
        else:
            self._on_timeout_now()

    def _step_election(self, message: Message) -> None:
        kind = message.type
        if kind is MessageType.PRE_VOTE:
            self._on_pre_vote(message)
        elif kind is MessageType.PRE_VOTE_REPLY:
            self._on_pre_vote_reply(message)
        elif kind is MessageType.VOTE:
            self._on_vote(message)
        else:
            self._on_vote_reply(message, Role.CANDIDATE)

    def _check(self, message: Message) -> None:
        if message.to != self.id:
            raise BadMessage(f"a message for node {message.to} came to node {self.id}")
        if message.sender == self.id or message.sender < 1:
            raise BadMessage(f"a message to node {self.id} from node {message.sender}")
        if (message.term | message.index | message.commit) >> _NUMBER_BITS:
            raise BadMessage(
                f"node {message.sender} sent term {message.term}, index {message.index}, commit "
                f"{message.commit}: none can be below 0 or over 2**{_NUMBER_BITS} - 1"
            )
        if message.type >= _FIRST_RARE:
            self._check_rare(message)
        entries = message.entries
        if entries and not _are_in_order(message):
            raise BadMessage(
                f"node {message.sender} sent {len(entries)} entries {entries[0].index}..{entries[-1].index} "
                f"to follow entry {message.index}: they do not"
            )

    def _check_rare(self, message: Message) -> None:
        if message.type in (MessageType.SNAPSHOT_CHUNK, MessageType.SNAPSHOT_REPLY):
            raise BadMessage(f"a {message.type.name} came to the core, which takes none")
        label = message.snapshot
        if message.type is MessageType.SNAPSHOT and (
            label is None or label.term > message.term or label.index >> _NUMBER_BITS
        ):
            what = f"a snapshot of entry {label.index}@{label.term}" if label else "a snapshot of nothing"
            raise BadMessage(f"node {message.sender} sent {what} in term {message.term}")

    def propose(self, data: bytes) -> int:
        """Appends an entry to the leader's log and returns its index; it is committed when it comes back in
        `Ready.committed` with the same term, and lost when another entry comes back at its index.

        Raises `NotLeader`, `LeadershipMoving`, `EntryTooLarge`, `Overloaded`; the log is unchanged then.
        """
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if self._transfer_to:
            raise LeadershipMoving(self._transfer_to)
        size_bytes = len(data)
        if size_bytes > self.config.entry_bytes_max:
            raise EntryTooLarge(size_bytes, self.config.entry_bytes_max)
        log = self.log
        if log.last_index > log.committed:
            limit_bytes = self.config.proposals_bytes_max
            waiting_bytes = log.bytes_between(log.committed + 1, log.last_index + 1)
            if waiting_bytes + size_bytes + ENTRY_OVERHEAD_BYTES > limit_bytes:
                raise Overloaded(
                    "proposals_bytes_max", limit_bytes, f"{waiting_bytes} bytes wait to be committed"
                )
        self._must_replicate = True
        return log.append_own(self.term, data)

    def read_index(self, request_id: int) -> None:
        """Asks for an index at which a read is linearizable (thesis §6.4).

        `request_id` comes back in `Ready.read_states` with the index, or in `Ready.dropped_reads` when
        leadership is lost before. A leader that has not committed in its term yet lets the read wait.
        Raises `NotLeader`, `Overloaded`.
        """
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if len(self._reads) >= self.config.reads_waiting_max:
            raise Overloaded(
                "reads_waiting_max", self.config.reads_waiting_max, f"{len(self._reads)} reads wait"
            )
        self._reads.add(request_id)
        if not self._reads.is_under_way:
            self._must_replicate = True

    def campaign(self) -> None:
        """Asks for an election now, as if the election timeout had passed. A leader does nothing, nor
        does a node that does not vote or is not whole."""
        if self.role is not Role.LEADER and self._may_campaign:
            self._start_election(Role.PRE_CANDIDATE)

    def transfer_leader(self, to: int) -> None:
        """Hands leadership to node `to` as soon as it has the whole log; proposals are refused meanwhile.

        After an election timeout without success this node goes on leading (thesis §3.10). A second call
        with another node replaces the first. Raises `NotLeader`, and `TransferRefused` when `to` does not
        vote or may have lost entries.
        """
        if self.role is not Role.LEADER:
            raise NotLeader(self.leader)
        if to == self.id or to == self._transfer_to:
            return
        if to not in self.membership.voters:
            raise TransferRefused(to, f"it is none of the {self.membership}", retryable=False)
        if self._peers[to].is_recovering:
            raise TransferRefused(to, "it has not recovered what it may have lost", retryable=True)
        self._transfer_to = to
        self._transfer_elapsed = 0
        self._must_replicate = True

    def report_unreachable(self, peer: int) -> None:
        """The connection to `peer` broke: what was under way to it may be lost."""
        progress = self._peers.get(peer)
        if progress is not None:
            progress.lost_connection()

    # Out.

    def has_ready(self) -> bool:
        """Whether `ready()` has something to say; never while a Ready is outstanding. Costs no scan."""
        if self._outstanding is not None:
            return False
        log = self.log
        return bool(
            self._must_replicate
            or self._early
            or self._late
            or self._snapshot is not None
            or self._snapshots_wanted
            or log.durable != log.last_index
            or log.handed != log.committed
            or self._read_states
            or self._dropped_reads
            or self._saved.term != self.term
            or self._saved.vote != self.vote
            or self._saved.commit != log.committed
            or self._saved.is_whole != self.is_whole
            or self._told != (self.role, self.leader, self.term)
        )

    def ready(self) -> Ready:
        """Takes what there is to do. Raises `BrokenInvariant` when the last one was not advanced."""
        if self._outstanding is not None:
            raise BrokenInvariant("ready() was called again before advance()")
        if self._must_replicate:
            self._replicate()
        if not self.is_voter and self.role is Role.LEADER and self._is_removed:
            self._ask_heir()
            self._become_follower(self.term, 0)
        log = self.log
        saved = self._saved
        is_vote_new = (
            saved.term != self.term or saved.vote != self.vote or saved.is_whole is not self.is_whole
        )
        hard_state = None
        if is_vote_new or saved.commit != log.committed:
            hard_state = HardState(self.term, self.vote, log.committed, self.is_whole)
        early, late = self._early, self._late
        if is_vote_new and early:
            # Every message reveals the term it was sent in, so none may leave before it is durable.
            early, late = [], early + late
        entries = log.unstable()
        ready = Ready(
            hard_state=hard_state,
            entries=entries,
            messages_before_sync=early,
            messages=late,
            committed=log.take_committed(self.config.committed_bytes_max),
            read_states=self._read_states,
            dropped_reads=self._dropped_reads,
            role=self.role,
            leader=self.leader,
            term=self.term,
            must_sync=is_vote_new or bool(entries) or self._snapshot is not None,
            membership=self.membership,
            snapshot=self._snapshot,
            snapshots_wanted=self._snapshots_wanted,
        )
        self._early, self._late, self._read_states, self._dropped_reads = [], [], [], []
        self._snapshot, self._snapshots_wanted = None, []
        self._told = (self.role, self.leader, self.term)
        self._outstanding = ready
        return ready

    def advance(self, ready: Ready) -> None:
        """`ready` was worked off: its snapshot, hard state and entries are durable, its committed entries
        applied."""
        if ready is not self._outstanding:
            raise BrokenInvariant("advance() was called with a Ready that is not outstanding")
        self._outstanding = None
        if ready.hard_state is not None:
            self._saved = ready.hard_state
        if ready.snapshot is not None:
            self.log.installed(ready.snapshot)
        if ready.entries:
            self.log.synced(ready.entries[-1])
            if self.role is Role.LEADER:
                self._update_commit()
        if not self.is_whole:
            self._become_whole_if_complete()
        if ready.committed:
            self.log.applied_to(ready.committed[-1].index)

    # Information.

    def status(self) -> Status:
        """How this member stands."""
        log = self.log
        return Status(
            id=self.id,
            role=self.role,
            term=self.term,
            vote=self.vote,
            leader=self.leader,
            commit=log.committed,
            applied=log.applied,
            first_index=log.first_index,
            last_index=log.last_index,
            durable_index=log.durable,
            uncommitted_bytes=log.bytes_between(log.committed + 1, log.last_index + 1),
            transfer_to=self._transfer_to,
            membership=self.membership,
            membership_index=log.membership_index,
            is_whole=self.is_whole,
            peers={
                peer: PeerStatus(
                    match=progress.match,
                    next=progress.next,
                    state=progress.state.value,
                    active=progress.active or progress.was_active,
                    inflight_messages=progress.inflight_messages,
                    inflight_bytes=progress.inflight_bytes,
                    is_recovering=progress.is_recovering,
                    applied=progress.applied,
                )
                for peer, progress in self._peers.items()
            },
        )


def _are_in_order(message: Message) -> bool:
    """Whether the entries follow what the message says they do, and one another, in a log of this term."""
    index, term = message.index, message.log_term
    for entry in message.entries:
        index += 1
        if entry.index != index or entry.term < term:
            return False
        term = entry.term
    return term <= message.term
