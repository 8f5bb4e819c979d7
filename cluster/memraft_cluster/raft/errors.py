"""Everything the consensus core can raise.

```
RaftError
├── NotLeader            retryable   this node does not lead; `leader` says who does, 0 if unknown
│   └── LeadershipMoving retryable   it leads, but hands leadership over to `leader` just now
├── Overloaded           retryable   a bound was reached; `limit` names it
├── EntryTooLarge                    a proposal that no retry can make fit
├── MembershipRefused    (retryable) a change of membership that cannot be made, or not yet: `retryable`
├── TransferRefused      (retryable) leadership cannot go to that node, or not yet: `retryable`
├── BadMessage                       a message that no correct peer sends; drop it and count it
├── EntriesUnavailable               log entries that were asked for are gone
├── ConfigError (ValueError)         a configuration that cannot work
└── BrokenInvariant                  what Raft rules out has happened: end the process, do not go on
```
"""

from __future__ import annotations


class RaftError(Exception):
    """Base of all errors of the core. `retryable` says whether the same call may succeed later."""

    retryable = False


class NotLeader(RaftError):
    """Only a leader takes proposals and reads. `leader` is the id of the leader, 0 if it is unknown."""

    retryable = True

    def __init__(self, leader: int) -> None:
        self.leader = leader
        super().__init__(f"not the leader; the leader is node {leader}" if leader else "no leader is known")


class LeadershipMoving(NotLeader):
    """The leader takes no proposals while it hands leadership over to node `leader`."""

    def __init__(self, leader: int) -> None:
        super().__init__(leader)
        self.args = (f"leadership is moving to node {leader}",)


class Overloaded(RaftError):
    """A bound was reached. `limit` is the name of the setting, `limit_value` its value."""

    retryable = True

    def __init__(self, limit: str, limit_value: int, detail: str) -> None:
        self.limit = limit
        self.limit_value = limit_value
        super().__init__(f"{detail}; the limit is {limit} = {limit_value}")


class EntryTooLarge(RaftError):
    """A proposal of `size_bytes` is larger than one entry may be."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        super().__init__(f"an entry of {size_bytes} bytes; the limit is entry_bytes_max = {limit_bytes}")


class MembershipRefused(RaftError):
    """A change of membership cannot be made; `retryable` when it may be later."""

    def __init__(self, why: str, retryable: bool) -> None:
        self.retryable = retryable
        super().__init__(why)


class TransferRefused(RaftError):
    """Leadership cannot move to node `to`; `retryable` when it may later."""

    def __init__(self, to: int, why: str, retryable: bool) -> None:
        self.to = to
        self.retryable = retryable
        super().__init__(f"leadership cannot move to node {to}: {why}")


class BadMessage(RaftError):
    """A message that no correct peer sends. It has changed nothing."""


class EntriesUnavailable(RaftError):
    """Entries from `index` on were asked for, but the log begins at `first_index`."""

    def __init__(self, index: int, first_index: int) -> None:
        self.index = index
        self.first_index = first_index
        super().__init__(f"log entry {index} is gone: the log begins at {first_index}")


class ConfigError(RaftError, ValueError):
    """A setting that cannot work; the message names it and its bounds."""


class BrokenInvariant(RaftError):
    """Raft's guarantees do not hold any more: damaged storage or a bug. Going on could lose writes."""
