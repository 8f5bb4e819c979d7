"""What must hold at every step of a run, whatever goes wrong (thesis figure 3.2, §3.6.3, §6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from memraft_cluster.raft import Core, Entry, EntryKind, HardState, Membership, Message, MessageType, Role
from tests.simulation.disk import SimDisk

_BYTES_UNLIMITED = 1 << 40


class Violation(AssertionError):
    """A guarantee did not hold."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Violation(what)


def read_log(core: Core, lo: int = 1) -> list[Entry]:
    """All entries of a core from `lo` on, whether on disk or in memory."""
    found: list[Entry] = []
    while entries := core.log.entries(lo + len(found), _BYTES_UNLIMITED):
        found += entries
    return found


class Checker:
    """Sees all nodes at once, as no node can, and remembers what was ever true."""

    def __init__(self, disks: Mapping[int, SimDisk]) -> None:
        self._disks = disks
        for node, disk in disks.items():
            disk.on_sync = partial(self._synced, node, disk)
        self._leaders: dict[int, int] = {}
        self._votes: dict[tuple[int, int], int] = {}
        self._entries: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._holders: dict[tuple[int, int], set[int]] = {}
        self._hashes: dict[int, bytes] = {}
        self._reached: dict[int, int] = {}
        self.committed: list[Entry] = []
        """Every entry that was ever known to be committed; index i at position i - 1."""
        self._committed_in_term: list[int] = []
        self._memberships: list[tuple[int, Membership]] = []
        """Index and content of the committed changes of membership."""

    def commit_index(self) -> int:
        """The highest commit index that any node has ever known."""
        return len(self.committed)

    def leads(self, node: int, core: Core) -> None:
        """Election safety and leader completeness.

        A leader has what was committed in earlier terms. One that wins an old term late, as votes were
        under way for long, may lack what a later term has committed; it can commit nothing any more.
        """
        term = core.term
        other = self._leaders.setdefault(term, node)
        check(other == node, f"two leaders in term {term}: nodes {other} and {node}")
        check(
            core.log.last_term == term,
            f"node {node} leads in term {term} without an entry of its own, with which those before commit",
        )
        self.knows_members(node, core)
        first = core.log.first_index
        for entry, committed_in_term in zip(self.committed, self._committed_in_term, strict=True):
            if committed_in_term >= term:
                break
            if entry.index < first:
                continue
            if entry.index > core.log.last_index or core.log.term(entry.index) != entry.term:
                raise Violation(f"node {node} leads in term {term} without committed entry {entry.index}")

    def knows_members(self, node: int, core: Core) -> None:
        """What a log says of the membership at its commit index is what was committed, also where the change
        itself came in a snapshot."""
        index = min(core.log.committed, self.commit_index())
        changes = [change for change in self._memberships if change[0] <= index]
        if changes and index >= core.log.first_index - 1:
            known = core.snapshot_label(index).membership
            check(
                known == changes[-1][1],
                f"node {node} takes {known} for the members at {index}, which are {changes[-1][1]}",
            )

    def _synced(self, node: int, disk: SimDisk, entries: Sequence[Entry]) -> None:
        """Log matching: an index and a term name one entry and all that precede it.

        Only durable entries count: what nobody was told before a crash may be said anew.
        """
        previous_term = disk.term(entries[0].index - 1)
        for entry in entries:
            known = self._entries.setdefault((entry.index, entry.term), (entry.data, previous_term))
            if known != (entry.data, previous_term):
                raise Violation(f"two histories of entry {entry.index}@{entry.term}")
            if previous_term > entry.term:
                raise Violation(f"terms fall at entry {entry.index}")
            previous_term = entry.term
            self._holders.setdefault((entry.index, entry.term), set()).add(node)

    def commits(self, node: int, core: Core) -> None:
        """No committed entry is lost or replaced, and none is committed before a quorum has it on disk."""
        lo = self.commit_index() + 1
        if core.log.committed < lo:
            return
        if core.role is Role.LEADER:
            last_term = core.log.term(core.log.committed)
            check(
                last_term == core.term, f"a leader of term {core.term} commits entries of {last_term} alone"
            )
        label = core.log.label(core.log.committed) if core.role is not Role.LEADER else None
        membership = label.membership if label is not None else core.membership
        for entry in read_log(core, lo)[: core.log.committed - lo + 1]:
            holders = [voter for voter in membership.voters if self._has_held(voter, entry)]
            if len(holders) < membership.quorum:
                raise Violation(
                    f"node {node} committed entry {entry.index}@{entry.term}, durable only on {holders} "
                    f"of {membership}"
                )
            self.committed.append(entry)
            if entry.kind is EntryKind.MEMBERSHIP:
                self._memberships.append((entry.index, Membership.decode(entry.data)))
            self._committed_in_term.append(core.term)

    def _has_held(self, node: int, entry: Entry) -> bool:
        """Whether the entry is durable there, or was before the disk was damaged."""
        disk = self._disks[node]
        if disk.has(entry):
            return True
        is_whole = disk.hard_state is not None and disk.hard_state.is_whole
        return not is_whole and node in self._holders.get((entry.index, entry.term), ())

    def applied(self, node: int, index: int, data: bytes | None, applied_hash: bytes) -> None:
        """State machine safety: all machines apply the same entries in the same order, none left out, and are
        equal then, whichever way they came to it. Without `data` a state was loaded that ends at `index`."""
        if data is not None:
            if index > len(self.committed) or data != self.committed[index - 1].data:
                raise Violation(f"node {node} applies another entry at {index} than was committed")
            left_out = self._commands(self._reached.get(node, 0), index - 1)
            check(not left_out, f"node {node} applies {index}, but left out {left_out}")
        self._reached[node] = index
        if index and self._hashes.setdefault(index, applied_hash) != applied_hash:
            raise Violation(f"the machine of node {node} differs at entry {index}")

    def _commands(self, after: int, to: int) -> list[int]:
        """Indexes of the entries behind `after` that are for machines."""
        return [entry.index for entry in self.committed[after:to] if entry.data and not entry.kind]

    def sends(self, message: Message, disk: SimDisk, core: Core | None) -> None:
        """What a message reveals is durable before it leaves, and a node votes once a term."""
        saved = disk.hard_state or HardState(0, 0, 0)
        kind = message.type
        if kind is not MessageType.PRE_VOTE and kind is not MessageType.PRE_VOTE_REPLY:
            if message.term > saved.term:
                raise Violation(f"a term that is not durable left: {message}")
        if kind is MessageType.VOTE or (kind is MessageType.VOTE_REPLY and not message.reject):
            self._votes_once(message, saved)
        if kind is MessageType.APPEND_REPLY and not message.reject and saved.term == message.term:
            if disk.last_index() < message.index:
                raise Violation(f"acknowledged before it was durable: {message}")
        if kind is MessageType.TIMEOUT_NOW and core is not None and core.status().transfer_to == message.to:
            heir = self._disks[message.to]
            state = heir.hard_state
            # One that has moved on, or lost its disk, may have had it all when it said so.
            is_as_it_said = state is not None and state.is_whole and state.term <= core.term
            check(
                not is_as_it_said or heir.last_index() >= core.log.last_index,
                f"node {message.to} is to lead with entries up to {heir.last_index()} "
                f"of {core.log.last_index}",
            )

    def _votes_once(self, message: Message, saved: HardState) -> None:
        voted_for = message.sender if message.type is MessageType.VOTE else message.to
        other = self._votes.setdefault((message.sender, message.term), voted_for)
        check(
            other == voted_for,
            f"node {message.sender} voted for {other} and {voted_for} in term {message.term}",
        )
        check(
            saved.term > message.term or saved.vote == voted_for,
            f"a vote that is not durable left: {message}",
        )

    def lost_disk(self, node: int) -> None:
        """Votes that a node gave itself do not bind it once its disk is gone: it is no candidate any more,
        and nobody else counts them. Votes for others were promised, and must be remembered for it."""
        for vote in [vote for vote, given in self._votes.items() if vote[0] == node == given]:
            del self._votes[vote]

    def serves_read(self, node: int, machine_index: int, index: int, index_min: int) -> None:
        """A linearizable read sees everything that was committed when it was asked for."""
        check(
            index >= index_min,
            f"node {node} serves a read at {index}, though {index_min} was committed before",
        )
        behind = self._commands(machine_index, index)
        check(not behind, f"node {node} serves a read at {index} from a machine at {machine_index}")
