"""One call's way through the cluster: whom to ask next, when to wait, when to give up. No IO.

::

    answer           what to do
    NOT_LEADER       follow the hint once; then ask for the map
    NO_LEADER        wait, ask for the map
    DISK_FULL        the same: another node will lead; where all nodes say so for a second, tell the caller
    LAGGING          ask the next replica
    connection lost  suspect the node; a read asks the next replica, a write needs the new leader
    SCHEMA_CHANGED   ask it again: it checks the documents anew
    OVERLOADED       wait as long as the shard says, then ask it again
    quota, refusal   tell the caller

A write that may have reached a leader goes on under the same number; when its time is up its outcome is
unknown.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from memraft_proto.methods import Method
from memraft_proto.v1 import common_pb2

from . import _status, errors
from ._router import Router, Session

ATTEMPT_FIRST_S = 2.5
"""How long the first try waits for an answer; each that ends without one doubles it. A node that was killed
is noticed at once, by its closed connection; this is for one that vanished, and must be longer than a queue
under load: what is sent again makes the queue longer."""

DISK_FULL_S = 1.0
"""A write waits so long for room, or for another leader, where it hears of nothing but full disks."""

_TRANSPORT = frozenset({_status.CONNECT_FAILED, _status.CONNECTION_LOST, _status.ATTEMPT_TIMEOUT})
_MOVED = frozenset({"NOT_LEADER", "NO_LEADER", "OUTCOME_UNKNOWN", "SHUTTING_DOWN", "DISK_FULL"})
_ELECTING = frozenset({"NOT_LEADER", "NO_LEADER"})
"""What is heard between two leaders."""
_SAYS_LITTLE = _MOVED | {_status.ATTEMPT_TIMEOUT}
"""Where the time is up the last of these needs more said with it: what did not answer."""
_AT_THE_DOOR = (errors.TlsError, errors.Unauthenticated, errors.PermissionDenied)
"""Refusals of a node before the shard sees the call."""
_MAYBE_APPLIED = frozenset({_status.CONNECTION_LOST, _status.ATTEMPT_TIMEOUT, "OUTCOME_UNKNOWN"})


class Course:
    """See the module's docstring.

    Args:
        router: what is known of the cluster.
        shard: which shard; None: only the map is wanted.
        deadline_s: when to give up, by `time.monotonic`.
        is_write: whether a lost answer leaves the outcome unknown.
        needs_leader: whether only the leader can answer.
        spreads: whether any replica is as good as the leader.
    """

    # What most courses leave as it is.
    _session: Session | None = None
    _may_be_applied = False
    _has_followed_hint = False
    _tried: frozenset[str] = frozenset()
    _rounds = 0
    _timeouts = 0
    _last: errors.MemraftError | None = None
    _full: frozenset[str] = frozenset()
    """Nodes whose disks are full, as long as nothing else is the matter."""
    _full_at_s = 0.0

    def __init__(
        self,
        router: Router,
        shard: int | None,
        deadline_s: float,
        *,
        is_write: bool,
        needs_leader: bool,
        spreads: bool = False,
    ) -> None:
        self._router = router
        self._shard = shard
        self._deadline_s = deadline_s
        self._is_write = is_write
        self._needs_leader = needs_leader
        self._spreads = spreads

    @classmethod
    def of_read(
        cls, router: Router, shard: int, deadline_s: float, context: common_pb2.ReadContext
    ) -> "Course":
        """The course of a read of the context's consistency."""
        level = context.consistency
        return cls(
            router,
            shard,
            deadline_s,
            is_write=False,
            needs_leader=level == common_pb2.CONSISTENCY_LINEARIZABLE,
            spreads=level == common_pb2.CONSISTENCY_STALE,
        )

    # -- before a try ----------------------------------------------------------------------------------

    def address(self) -> str | None:
        """Returns whom to ask; None: nobody is left, the map is needed."""
        if self._shard is None:
            return None
        leader = self._router.leader(self._shard)
        if self._needs_leader:
            return leader
        if leader is not None and leader not in self._tried and not self._spreads:
            return leader
        for address in self._router.replicas(self._shard):
            if address not in self._tried:
                return address
        return None

    def is_lost(self) -> bool:
        """Whether the map is still needed to go on."""
        return not self._router.has_map if self._shard is None else self.address() is None

    def stamp(self, request: Any) -> None:
        """Writes into the request what this try needs to say."""
        if self._session is not None:
            request.context.first_unanswered = self._session.floor
        elif not self._is_write and self._shard is not None:
            request.context.min_index = self._router.seen(self._shard)

    def begin_session(self, session: Session) -> None:
        """The write goes on under a number of this session."""
        self._session = session

    def attempt_timeout_s(self) -> float:
        """Seconds to wait for the answer of this try."""
        remaining_s, most_s = self.remaining_s(), ATTEMPT_FIRST_S * 2.0**self._timeouts
        return most_s if most_s < remaining_s else remaining_s

    def remaining_s(self) -> float:
        """Seconds until the time is up, at least a little."""
        remaining_s = self._deadline_s - time.monotonic()
        return remaining_s if remaining_s > 0.001 else 0.001

    def has_time(self) -> bool:
        """Whether the time is not up."""
        return time.monotonic() < self._deadline_s

    # -- after a try -----------------------------------------------------------------------------------

    def is_new_session_needed(self, error: errors.MemraftError) -> bool:
        """Whether the shard no longer keeps the session and the write may be sent under another."""
        return error.reason == "SESSION_EXPIRED" and self._is_write and not self._may_be_applied

    def failed(self, address: str, error: errors.MemraftError) -> float:
        """Takes note of a failed try; returns the seconds to wait before the next.

        Raises:
            MemraftError: there is no use in another try, or no time.
        """
        reason = error.reason
        self._last = error
        if self._is_write and reason in _MAYBE_APPLIED:
            self._may_be_applied = True
        if reason == "DISK_FULL":
            self._note_full(address, error)
        elif reason not in _ELECTING:
            self._full = frozenset()
        if reason in _TRANSPORT:
            wait_s = self._lost(address, error)
        elif reason in _MOVED:
            wait_s = self._moved(address, error)
        elif reason == "LAGGING":
            self._tried |= {address}
            wait_s = 0.0
        elif reason in ("SCHEMA_CHANGED", "PROJECTION_BUILDING"):
            wait_s = self.pause_s()
        elif reason == "OVERLOADED" or (self._may_be_applied and isinstance(error, errors.QuotaExceeded)):
            # A quota is the caller's business, but not once an earlier try may have been applied: only the
            # shard's own answer tells.
            wait_s = max(getattr(error, "retry_after_s", None) or 0.0, self.pause_s())
        else:
            raise self._refused(error)
        if time.monotonic() + wait_s >= self._deadline_s:
            raise self.give_up()
        return wait_s

    def _refused(self, error: errors.MemraftError) -> errors.MemraftError:
        """What a refusal means: one at the door knows nothing of an earlier try that may have got in."""
        if self._may_be_applied and isinstance(error, _AT_THE_DOOR):
            return errors.OutcomeUnknown(
                f"this write may or may not have been applied, and asking again was refused: {error}",
                reason="OUTCOME_UNKNOWN",
            )
        return error

    def _note_full(self, address: str, error: errors.MemraftError) -> None:
        """Raises where no other node could take the write, and waiting did not help."""
        if not self._full:
            self._full_at_s = time.monotonic()
        self._full |= {address}
        assert self._shard is not None
        is_everywhere = self._full.issuperset(self._router.replicas(self._shard))
        if is_everywhere and not self._may_be_applied and time.monotonic() - self._full_at_s >= DISK_FULL_S:
            raise error

    def _lost(self, address: str, error: errors.MemraftError) -> float:
        reason = error.reason
        if _status.STILL_CONNECTING in error.message:
            self._timeouts += 1
            return 0.0
        self._router.suspect(address, is_gone=reason != _status.ATTEMPT_TIMEOUT)
        self._tried |= {address}
        if reason == _status.ATTEMPT_TIMEOUT:
            self._timeouts += 1
        return 0.0

    def _moved(self, address: str, error: errors.MemraftError) -> float:
        shard = self._shard
        assert shard is not None
        self._tried |= {address}
        self._router.forget_leader(shard, address)
        hint = error.metadata.get("leader", "")
        if error.reason == "NOT_LEADER" and hint and hint != address and not self._has_followed_hint:
            self._has_followed_hint = True
            if self._router.note_leader(shard, hint):
                return 0.0
        return 0.0 if error.reason == "SHUTTING_DOWN" else self.pause_s()

    def note_unreachable(self, failures: Sequence[errors.MemraftError]) -> None:
        """No node gave a map. Raises where waiting does not help."""
        for failure in failures:
            if isinstance(failure, _AT_THE_DOOR):
                raise self._refused(failure)
        if not failures:
            return
        said = "; ".join(failure.message for failure in failures)
        if any(failure.reason == _status.ATTEMPT_TIMEOUT for failure in failures):
            self._last = errors.Unavailable(f"no node of the cluster answered in time: {said}")
        elif _status.LOOP_BLOCKED in said:
            self._last = errors.ConnectionFailed(f"no connection to the cluster was made in time: {said}")
        else:
            self._last = errors.ConnectionFailed(f"no node of the cluster can be reached: {said}")

    def pause_s(self) -> float:
        """Seconds to wait before a new round. Raises when the time is up."""
        self.begin_round()
        wait_s = self._router.backoff_s(self._rounds - 1)
        if time.monotonic() + wait_s >= self._deadline_s:
            raise self.give_up()
        return wait_s

    def begin_round(self) -> None:
        """Everybody may be asked again."""
        self._rounds += 1
        self._tried = frozenset()
        self._has_followed_hint = False

    def give_up(self) -> errors.MemraftError:
        """The exception to raise when the time is up."""
        last = self._last
        said = f"; last: {last}" if last is not None else ""
        if self._may_be_applied:
            return errors.OutcomeUnknown(
                f"the time for this write is up and it may or may not have been applied{said}",
                reason="OUTCOME_UNKNOWN",
            )
        if isinstance(last, errors.Unavailable) and last.reason not in _SAYS_LITTLE:
            return last
        where = f"shard {self._shard}" if self._shard is not None else "the cluster"
        reason = last.reason if last is not None else ""
        kind = errors.DiskFull if reason == "DISK_FULL" else errors.Unavailable
        return kind(f"{where} did not answer in time{said}", reason=reason)


@cache
def index_reader(method: Method) -> Callable[[Any], int]:
    """Returns what takes the log index out of a write's response."""
    fields = method.response.DESCRIPTOR.fields_by_name
    if "log_index" in fields:
        return lambda response: int(response.log_index)
    name = "first_version" if "first_version" in fields else "version"
    return lambda response: int(getattr(response, name)) >> 20
