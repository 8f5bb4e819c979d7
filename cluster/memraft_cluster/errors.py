"""Every exception of the cluster package, defined once.

::

    ClusterError                      retryable = False
    ├── NotLeader                     retryable: ask the leader it names, or any node when it names none
    │   └── ReplicaStopped            this replica differs from the others: ask one of them
    ├── OutcomeUnknown                retryable with the same request number only
    ├── Overloaded                    retryable after a pause: a bounded queue is full
    ├── NotYetWritten                 retryable on another node: an index far beyond what is known here
    ├── DiskFull                      retryable on another node, or when there is room again
    ├── MembershipRefused             its own ``is_retryable`` says so: a change of members is under way
    ├── TransferRefused               its own ``is_retryable`` says so: the node lacks entries just now
    ├── CommandTooLarge
    ├── SnapshotRefused               what another node sent is not a state: asked for again
    ├── Stopped                       retryable on another node
    ├── DataDirectoryError            the data directory cannot be used as it is
    │   ├── WrongDirectory            it belongs to another node or cluster
    │   ├── LayoutChanged             it was made for other shards or other nodes
    │   ├── DirectoryLocked           another process has it open
    │   ├── FormatUnsupported         written by another version of this software
    │   ├── LogCorrupted              what was stored is not what is read back
    │   └── StateCorrupted            the same of the machines' state
    ├── DiskError                     a write or a sync failed: fatal for the process, never retried
    ├── ListenError                   the address for other nodes cannot be listened on
    ├── CertificateError              this node's own certificate, key or authority cannot be used
    └── PeerError                     a connection between nodes
        ├── PeerRefused               identity, role or cluster of the other side is wrong
        └── MalformedFrame            bytes that are not a frame of ours

``retryable`` says whether the same call may succeed later, here or elsewhere, without being changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from .groups import group_name


class ClusterError(Exception):
    """Root of the tree."""

    retryable: ClassVar[bool] = False


class NotLeader(ClusterError):
    """This node does not lead the group; the command was not and will not be applied through this call: it
    was never proposed, or an entry of another leader is committed where it stood.

    Args:
        group: the group asked.
        leader: node id of the leader as far as known here, 0 when unknown.
    """

    retryable = True

    def __init__(self, group: int, leader: int) -> None:
        self.group = group
        self.leader = leader
        hint = f"node {leader} leads it" if leader else "its leader is not known here"
        super().__init__(f"this node does not lead {group_name(group)}: {hint}")


class ReplicaStopped(NotLeader):
    """What this node's machine has become differs from what a majority has become after the same entries: it
    answers nothing any more. Its state has to be replaced by that of another replica.

    Args:
        group: its number.
        index: up to which it had applied the log.
    """

    def __init__(self, group: int, index: int) -> None:
        super().__init__(group, 0)
        self.index = index
        self.args = (
            f"the replica of {group_name(group)} on this node is stopped: up to index {index} its machine "
            "became another than that of a majority; stop the node, move its directory `state` away and "
            "start it again: its state is made anew",
        )


class OutcomeUnknown(ClusterError):
    """The command was proposed and leadership was lost before its fate was seen: it may yet be applied."""

    retryable = True

    def __init__(self, group: int, index: int) -> None:
        self.group = group
        self.index = index
        super().__init__(
            f"{group_name(group)} lost its leader before the entry at index {index} was known to be "
            "committed; retry with the same request number"
        )


class Overloaded(ClusterError):
    """A bounded queue is full. Nothing was queued.

    Args:
        group: the group asked.
        limit: name of the limit that was reached.
        value: its value, in the unit that the name ends with.
    """

    retryable = True

    def __init__(self, group: int, limit: str, value: int) -> None:
        self.group = group
        self.limit = limit
        self.value = value
        super().__init__(
            f"{group_name(group)} is overloaded: {limit} = {value} is reached; retry after a pause"
        )


class NotYetWritten(ClusterError):
    """An index to wait for lies so far beyond the log known here that waiting would be of no use.

    Args:
        group: the group asked.
        index: what was to be waited for.
        known: the highest index that this node has or has heard of.
    """

    retryable = True

    def __init__(self, group: int, index: int, known: int) -> None:
        self.group = group
        self.index = index
        self.known = known
        super().__init__(
            f"index {index} of {group_name(group)} lies far beyond index {known}, the highest known here"
        )


class DiskFull(ClusterError):
    """The disk has less room left than is held in reserve: nothing is written until there is more. Reads go
    on.

    Args:
        path: what the disk holds.
        free_bytes: what is left.
        reserve_bytes: what must stay free, so that the node can go on running and be started again.
    """

    retryable = True

    def __init__(self, path: str, free_bytes: int, reserve_bytes: int) -> None:
        self.path = path
        self.free_bytes = free_bytes
        self.reserve_bytes = reserve_bytes
        super().__init__(
            f"the disk that holds {path} is full: {free_bytes} bytes are free, {reserve_bytes} are held in "
            "reserve; this node takes no writes until there is room"
        )

    def again(self) -> DiskFull:
        """The same for another caller: raising one that is shared would grow its traceback."""
        return DiskFull(self.path, self.free_bytes, self.reserve_bytes)


class MembershipRefused(ClusterError):
    """The group cannot take this change of its members, or not now. Nothing was proposed.

    Args:
        group: its number.
        detail: why.
        is_retryable: the same change may be taken later.
    """

    def __init__(self, group: int, detail: str, *, is_retryable: bool) -> None:
        self.group = group
        self.is_retryable = is_retryable
        super().__init__(f"{group_name(group)} does not change its members: {detail}")


class TransferRefused(ClusterError):
    """Leadership of the group cannot go to that node, or not now.

    Args:
        group: its number.
        to: node id.
        detail: why.
        is_retryable: it may later.
    """

    def __init__(self, group: int, to: int, detail: str, *, is_retryable: bool) -> None:
        self.group = group
        self.to = to
        self.is_retryable = is_retryable
        super().__init__(f"{group_name(group)}: {detail}")


class SnapshotRefused(ClusterError):
    """What was received is not a whole state: a chunk is damaged, missing, or of another format."""

    retryable = True

    def __init__(self, detail: str) -> None:
        super().__init__(f"a snapshot was refused: {detail}")


class CommandTooLarge(ClusterError):
    """A command that no entry may carry."""

    def __init__(self, size_bytes: int, command_bytes_max: int) -> None:
        self.size_bytes = size_bytes
        self.command_bytes_max = command_bytes_max
        super().__init__(f"a command of {size_bytes} bytes is over command_bytes_max = {command_bytes_max}")


class Stopped(ClusterError):
    """The node is stopping and takes no more work."""

    retryable = True


class DataDirectoryError(ClusterError):
    """The data directory cannot be used as it is."""


class WrongDirectory(DataDirectoryError):
    """The directory belongs to another node or another cluster."""

    def __init__(self, path: str, owner: str, wanted: str) -> None:
        self.path = path
        self.owner = owner
        self.wanted = wanted
        super().__init__(f"data directory {path} belongs to {owner}; this is {wanted}: refusing to open it")


class LayoutChanged(DataDirectoryError):
    """The directory was made for another number of shards, or for other nodes.

    Args:
        path: the directory.
        differences: what it was made for and what the configuration says, such as ("1 shard", "4").
    """

    def __init__(self, path: str, differences: Iterable[tuple[str, str]]) -> None:
        self.path = path
        said = "; ".join(f"was made for {made}, the config says {wanted}" for made, wanted in differences)
        super().__init__(
            f"data directory {path} {said}: with these its data would not be found; refusing to open it"
        )


class DirectoryLocked(DataDirectoryError):
    """Another process (or another object of this one) has the directory open."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"data directory {path} is in use, by this process or another (its LOCK file is held): "
            "close it there first"
        )


class FormatUnsupported(DataDirectoryError):
    """The directory was written in a format this version does not read."""

    def __init__(self, path: str, found: int, supported: int) -> None:
        self.path = path
        super().__init__(f"data directory {path} has format {found}; this version reads format {supported}")


class LogCorrupted(DataDirectoryError):
    """The durable log is damaged. The replica must not vote with it.

    Args:
        path: the directory of the log.
        detail: what is wrong, with file, group and index where they are known.
    """

    def __init__(self, path: str, detail: str, group: int | None = None, index: int | None = None) -> None:
        self.path = path
        self.group = group
        self.index = index
        super().__init__(f"the log in {path} is damaged: {detail}")


class StateCorrupted(DataDirectoryError):
    """The state of the machines on disk is damaged. It must not be served from, nor be a base of the log.

    Args:
        path: the directory of the state store.
        detail: what is wrong, with file and row where they are known.
        group: whose state; None where that is not known.
    """

    def __init__(self, path: str, detail: str, group: int | None = None) -> None:
        self.path = path
        self.group = group
        where = "" if group is None else f"{group_name(group)}: "
        super().__init__(f"the state store in {path} is damaged: {where}{detail}")


class VoteUnknown(DataDirectoryError):
    """No copy of the votes that this node gave can be read. With a guess it could vote twice in one term.

    Args:
        path: the directory of the log.
        detail: what was found.
    """

    def __init__(self, path: str, detail: str) -> None:
        self.path = path
        super().__init__(
            f"the votes of this node in {path} cannot be read, so it must not take part any more ({detail}). "
            "Remove the node from the cluster (`memraft cluster remove-node`), delete its data directory and "
            "add it again (`memraft cluster add-node`): the other nodes have its data"
        )


class DiskError(ClusterError):
    """Writing or syncing failed. What reached the disk is unknown, so the process must end."""

    def __init__(self, path: str, detail: str) -> None:
        self.path = path
        super().__init__(f"writing to {path} failed: {detail}")


class ListenError(ClusterError):
    """The address for other nodes cannot be listened on, because it is in use for example."""

    def __init__(self, host: str, port: int, detail: str) -> None:
        super().__init__(f"cannot listen for other nodes on {host}:{port}: {detail}")


class CertificateError(ClusterError):
    """This node's own certificate, key or authority cannot be used."""

    def __init__(self, path: str, detail: str) -> None:
        self.path = path
        super().__init__(f"certificate file {path}: {detail}")


class PeerError(ClusterError):
    """Something about a connection between nodes."""

    retryable = True


class PeerRefused(PeerError):
    """The other side is not who it should be."""

    retryable = False


class MalformedFrame(PeerError):
    """The other side sent bytes that are not a frame, or a frame over its limit."""
