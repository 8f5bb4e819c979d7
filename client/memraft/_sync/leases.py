# Generated from _async/leases.py by scripts/generate_sync.py: edit that one.

"""Locks and elections: names that one holder has at a time."""

import secrets
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from memraft_proto.v1 import lease_pb2

from .. import _coordination as coordination
from .. import _left_behind, _wire
from ..errors import ClosedError, InvalidArgument, LeaseLost, LockTimeout, MemraftError
from ..types import At, Consistency, LeaseInfo, Results
from .base import METHOD, Calls
from .io import Worker, monotonic, sleep
from .waiting import PAUSE_MAX_S, wait_until

if TYPE_CHECKING:
    from .memory import Memory

_ACQUIRE, _RENEW, _RELEASE = METHOD["AcquireLease"], METHOD["RenewLease"], METHOD["ReleaseLease"]
_GET, _LIST = METHOD["GetLease"], METHOD["ListLeases"]

PLACE_TTL_S = 10.0
"""How long a place in a queue is kept for one that does not say that it is still there."""
RENEWALS = 3
"""How often a lease is renewed in the time that it lasts: two renewals may fail."""


class Claim:
    """One attempt to hold a lease, from the first asking to the release. Not for callers: locks and elections
    are made of it.

    Args:
        calls: where, and who.
        name: of the lease.
        ttl_ms: milliseconds until it ends unless it is renewed.
    """

    def __init__(self, calls: Calls, name: str, ttl_ms: int) -> None:
        self.calls = calls
        self.name = name
        self.holder = secrets.token_hex(16)
        self.token = 0
        """Of the grant; 0: there was none, or it was given back."""
        self._ttl_ms = ttl_ms
        self._ends_s = 0.0
        self._is_lost = False
        self._ask_again_s = 0.0
        self._left_behind = ""
        _left_behind.watch(self)

    def leave_behind(self, reason: str) -> None:
        """See `_left_behind.Opened`: the parent holds it, and gives it back."""
        self.token = 0
        self._left_behind = reason

    @property
    def is_held(self) -> bool:
        """Whether it is held, as far as this process can know: its clock counts from before the asking."""
        return self.token != 0 and not self._is_lost and monotonic() < self._ends_s

    @property
    def remaining_s(self) -> float:
        """Seconds until it ends unless it is renewed; 0 where it is not held."""
        return max(0.0, self._ends_s - monotonic()) if self.is_held else 0.0

    def ask(self, wait: bool) -> bool:
        """Asks for the lease, and where it is not free and the caller waits for a place in the queue; returns
        whether it was granted."""
        begun_s = monotonic()
        request = _wire.build(
            lease_pb2.AcquireLeaseRequest,
            **self.calls._where,
            name=self.name,
            holder=self.holder,
            ttl_ms=self._ttl_ms,
            wait_ms=round(PLACE_TTL_S * 1000) if wait else 0,
        )
        response: lease_pb2.AcquireLeaseResponse = self.calls._link.write(_ACQUIRE, request)
        self._ask_again_s = begun_s + PLACE_TTL_S / RENEWALS
        if response.granted:
            self.token = response.current.token
            self._ends_s = begun_s + self._ttl_ms / 1000
        return response.granted

    def look(self) -> bool | None:
        """Looks whether it is this one's turn; returns True where it was granted.

        A read tells whose turn it is. Now and then, and where there is something to gain by it, it asks
        again: that keeps the place in the queue, and has the time of a lease that was granted begin when this
        process knows of it.
        """
        if monotonic() < self._ask_again_s:
            request = _wire.build(lease_pb2.GetLeaseRequest, **self.calls._from(None, None), name=self.name)
            found: lease_pb2.GetLeaseResponse = self.calls._link.read(_GET, request)
            if any(each.holder == self.holder for each in found.waiting):
                return None
        return self.ask(wait=True) or None

    def renew(self) -> None:
        """Has the lease's time begin anew, or notes that it is lost. Raises MemraftError."""
        begun_s = monotonic()
        request = _wire.build(
            lease_pb2.RenewLeaseRequest,
            **self.calls._where,
            name=self.name,
            token=self.token,
            ttl_ms=self._ttl_ms,
        )
        response: lease_pb2.RenewLeaseResponse = self.calls._link.write(_RENEW, request)
        if response.renewed:
            self._ends_s = begun_s + self._ttl_ms / 1000
        else:
            self._is_lost = True

    def keep(self) -> float | None:
        """Renews the lease, for a worker; returns the seconds until the next time, None where it is lost."""
        pause_s = self._ttl_ms / 1000 / RENEWALS
        try:
            self.renew()
        except MemraftError:
            pause_s /= RENEWALS  # There is no time to lose.
        return min(pause_s, self.remaining_s) if self.is_held else None

    def leave(self) -> None:
        """Gives the lease, or the place in its queue, back. Raises MemraftError."""
        self.token = 0
        request = _wire.build(
            lease_pb2.ReleaseLeaseRequest, **self.calls._where, name=self.name, holder=self.holder
        )
        self.calls._link.write(_RELEASE, request)

    def fenced(self, what: str) -> Any:
        """A view of the memory whose writes carry the token. Raises LeaseLost where it is not held."""
        self.check(what)
        return self.calls._fenced(self.name, self.token)

    def check_process(self) -> None:
        """Raises ClosedError where it was asked for before a fork, by the parent."""
        if self._left_behind:
            raise ClosedError(self._left_behind)

    def check(self, what: str) -> None:
        """Raises LeaseLost where it is not held."""
        self.check_process()
        if not self.is_held:
            raise LeaseLost(
                f"{what} is not held" if not self.token else f"{what} was lost: it was not renewed in time"
            )


class Lease:
    """A lock. `with m.lock("reindex", ttl=10) as lease:` waits for it, renews it in the background
    while the block runs, and gives it back.

    A holder that is paused or cut off for longer than `ttl` loses it without noticing at once. So that
    nothing is written by two holders, write through `lease.memory`: its writes carry the lease's fencing
    token and are refused with LeaseLost once the lease is over.

    Where the lock was lost before the block ended, the end of the block raises LeaseLost.
    """

    def __init__(self, calls: Calls, name: str, ttl_ms: int, timeout_s: float | None) -> None:
        self.name = name
        self._calls = calls
        self._ttl_ms = ttl_ms
        self._timeout_s = timeout_s
        self._claim = Claim(calls, name, ttl_ms)
        self._worker: Worker | None = None

    @property
    def token(self) -> int:
        """The fencing token: higher than that of all who held this lock before; 0 where it is not held."""
        return self._claim.token

    @property
    def holder(self) -> str:
        """What tells this holder from others, as `lease_info` shows it."""
        return self._claim.holder

    @property
    def held(self) -> bool:
        """Whether it is held, as far as this process can know without asking."""
        return self._claim.is_held

    @property
    def lost(self) -> bool:
        """Whether it was held and is no more, though it was not released."""
        return self._claim.token != 0 and not self._claim.is_held

    @property
    def remaining_s(self) -> float:
        """Seconds until it ends unless it is renewed; 0 where it is not held."""
        return self._claim.remaining_s

    @property
    def memory(self) -> "Memory":
        """The memory whose writes are refused (LeaseLost) once this lock is not held any more.

        Raises:
            LeaseLost: it is not held now.
        """
        view: Memory = self._claim.fenced(f"lock {self.name!r}")
        return view

    def check(self) -> None:
        """Raises LeaseLost where the lock is not held, as far as this process can know without asking."""
        self._claim.check(f"lock {self.name!r}")

    def acquire(self, *, timeout_s: float | None = None) -> bool:
        """Takes the lock and begins to renew it in the background; returns whether it was granted.

        Args:
            timeout_s: seconds to wait; 0: not at all; None: for ever. Those who wait get it in the order in
                which they came.

        Raises:
            InvalidArgument: it is held by this object already.
            MemraftError: see `memraft.errors`; Overloaded where 128 wait for it.
        """
        wait_s = coordination.timeout(timeout_s)
        if self._claim.is_held:
            raise InvalidArgument(
                f"lock {self.name!r} is held by this lease already: each holder takes its own"
            )
        claim = self._claim = Claim(self._calls, self.name, self._ttl_ms)
        try:
            is_granted = claim.ask(wait=wait_s != 0)
            if not is_granted and wait_s != 0:
                is_granted = wait_until(claim.look, wait_s) or False
                if not is_granted:
                    claim.leave()
        except BaseException:
            with suppress(MemraftError):  # Else the place in the queue, or the lease, ends by itself.
                claim.leave()
            raise
        if is_granted:
            self._worker = Worker(self._keep, f"memraft-lock-{self.name}")
            self._worker.start()
        return is_granted

    def release(self) -> None:
        """Gives the lock back, and lets the next one have it. Harmless where it is not held.

        Raises:
            MemraftError: it could not be given back, and ends by itself after `ttl`.
        """
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
        if self._claim.token:
            self._claim.leave()

    def renew(self) -> None:
        """Has the lock's time begin anew now, beside what the background does.

        Raises:
            LeaseLost: it is lost.
        """
        self.check()
        self._claim.renew()
        self.check()

    def wait_lost(self, timeout_s: float) -> bool:
        """Waits until the lock is lost; False where it is still held when the time is up.

        Args:
            timeout_s: seconds to wait.
        """
        self._claim.check_process()
        end_s = monotonic() + timeout_s
        while not self.lost:
            wait_s = min(PAUSE_MAX_S, end_s - monotonic(), self.remaining_s or PAUSE_MAX_S)
            if wait_s <= 0:
                return False
            sleep(wait_s)
        return True

    def _keep(self) -> float | None:
        return self._claim.keep()

    def __enter__(self) -> "Lease":
        if not self.acquire(timeout_s=self._timeout_s):
            raise LockTimeout(
                f"lock {self.name!r} was not granted within {self._timeout_s} s: another holds it"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        is_lost = self.lost
        with suppress(MemraftError):  # It ends by itself.
            self.release()
        if is_lost and kind is None:
            raise LeaseLost(f"lock {self.name!r} was lost before the end of the block that it was held for")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, token={self.token}, held={self.held})"


class Election:
    """A candidacy. `with m.elect("planner", ttl=10) as seat:` stands in the election in the background
    while the block runs: leads when it is its turn, stands again when it lost the lead, resigns at the end.

    Like a lock, a lead may be lost without its holder noticing at once: write through `seat.memory`.
    """

    def __init__(self, calls: Calls, name: str, ttl_ms: int) -> None:
        self.name = name
        self._calls = calls
        self._ttl_ms = ttl_ms
        self._claim = self._new_claim()
        self._worker: Worker | None = None
        self._closed = ""
        """Why this cannot stand any more; empty as long as it can."""

    @property
    def is_leader(self) -> bool:
        """Whether this candidate leads, as far as this process can know without asking."""
        return self._claim.is_held

    @property
    def term(self) -> int:
        """The term of the lead, higher than all terms before; 0 where this candidate does not lead."""
        return self._claim.token if self._claim.is_held else 0

    @property
    def memory(self) -> "Memory":
        """The memory whose writes are refused (LeaseLost) once another leads.

        Raises:
            LeaseLost: this candidate does not lead now.
        """
        view: Memory = self._claim.fenced(f"the lead of election {self.name!r}")
        return view

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits until this candidate leads; False where the time is up.

        Args:
            timeout_s: seconds to wait; None: for ever.

        Raises:
            ClosedError: the memory was closed, or opened before a fork, by the parent.
        """
        return wait_until(self._is_leader_or_none, coordination.timeout(timeout_s)) or False

    def stand(self) -> None:
        """Stands in the election, after `resign`; entering the block does it the first time."""
        if self._worker is None:
            self._claim = self._new_claim()
            self._worker = Worker(self._step, f"memraft-election-{self.name}")
            self._worker.start()

    def resign(self) -> None:
        """Gives up the lead, or the place among the candidates. Harmless where there is neither.

        Raises:
            MemraftError: it could not be given up, and ends by itself after `ttl`.
        """
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()
            self._claim.leave()

    def _new_claim(self) -> Claim:
        return Claim(self._calls, coordination.ELECTION_PREFIX + self.name, self._ttl_ms)

    def _is_leader_or_none(self) -> bool | None:
        self._claim.check_process()
        if self._closed:
            raise ClosedError(self._closed)
        return self.is_leader or None

    def _step(self) -> float | None:
        """Keeps the lead, or looks for it."""
        if self._claim.token:
            pause_s = self._claim.keep()
            if pause_s is not None:
                return pause_s
            self._claim = self._new_claim()
        try:
            self._claim.look()
        except ClosedError as error:
            self._closed = str(error)
            return None
        except MemraftError:
            pass  # It is tried again.
        return PAUSE_MAX_S

    def __enter__(self) -> "Election":
        self.stand()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(MemraftError):  # It ends by itself.
            self.resign()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, term={self.term})"


class LeaseCalls(Calls):
    """Locks and elections."""

    def lock(self, name: str, *, ttl: float = 10.0, timeout_s: float | None = None) -> Lease:
        """Returns a lock: `with m.lock("reindex", ttl=10) as lease: ...`.

        Args:
            name: 1 to 512 bytes of UTF-8 without control characters.
            ttl: seconds until it ends unless it is renewed, which happens in the background: so long it stays
                locked when its holder dies. From 0.001 to a day.
            timeout_s: seconds that the block waits to be entered; None: for ever.

        Raises:
            InvalidArgument: `ttl` or `timeout_s` is no such number.
            LockTimeout: of the block: the time was up. Those who wait get it in the order in which they came.
        """
        return Lease(self, name, coordination.milliseconds(ttl, "ttl"), coordination.timeout(timeout_s))

    def elect(self, name: str, *, ttl: float = 10.0) -> Election:
        """Returns a candidacy in an election: `with m.elect("planner") as seat: ...`.

        Args:
            name: 1 to 500 bytes of UTF-8 without control characters. Its lease is named `election/` and this.
            ttl: seconds until the lead ends unless it is renewed, which happens in the background.

        Raises:
            InvalidArgument: `ttl` is no such number.
        """
        return Election(self, name, coordination.milliseconds(ttl, "ttl"))

    def leader(self, name: str, *, at: At = None, consistency: Consistency | None = None) -> LeaseInfo | None:
        """Reads who leads in an election; `token` is the term. None: nobody.

        Args:
            name: of the election.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        return self.lease_info(coordination.ELECTION_PREFIX + name, at=at, consistency=consistency)

    def lease_info(
        self, name: str, *, at: At = None, consistency: Consistency | None = None
    ) -> LeaseInfo | None:
        """Reads who holds a lock, and who waits for it; None: nobody holds it.

        Args:
            name: of the lock.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(lease_pb2.GetLeaseRequest, **self._from(at, consistency), name=name)
        response: lease_pb2.GetLeaseResponse = self._link.read(_GET, request)
        if not response.HasField("current"):
            return None
        return coordination.lease_info(name, response.current, response.waiting)

    def leases(
        self,
        prefix: str = "",
        *,
        limit: int = 1000,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[LeaseInfo]:
        """Lists locks and leads (`election/...`) that are held, in order of name.

        Args:
            prefix: only names that begin with this.
            limit: at most this many a page, 1 to 10,000.
            cursor: `next_cursor` of the page before. A page may be shorter than `limit` and yet not the last.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            lease_pb2.ListLeasesRequest,
            **self._from(at, consistency),
            prefix=prefix,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return coordination.leases(self._link.read(_LIST, request))
