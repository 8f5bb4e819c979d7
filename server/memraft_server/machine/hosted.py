"""Projections that were registered: one of each for each namespace, made from what is stored and kept up.

A projection is derived from what the machine has and is no part of it: it is in no snapshot and in no hash.
It is made by replaying the versions that are kept, in order, and follows by the same change logs as a watch.
Both are done in portions, by whoever serves the machine, between its other turns. After the machine has
become another, as by a snapshot, all are made anew.

The projection of a fork is made when it is first asked for, so that making a fork takes no longer; of the
projections of forks those that were asked last are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, islice, repeat, takewhile
from typing import TYPE_CHECKING, Any

import msgspec

from memraft_proto.v1 import projection_pb2
from memraft_server.machine.changes import Change, ChangeLog, Wake, version_of
from memraft_server.machine.contents import lineage
from memraft_server.machine.limits import POSITION_BITS, Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.retention import is_before
from memraft_server.machine.scans import Scan
from memraft_server.machine.turn import Check, Query, View
from memraft_server.machine.validate_common import check_now, check_size, check_text, shown
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.protocol import KINDS, Projection, change_of

if TYPE_CHECKING:
    from memraft_server.machine.machine import Machine

PORTION_CHANGES = 200
"""Changes of a kind that are applied at a time: a few milliseconds of somebody's Python."""
PROJECTIONS_MAX = 64
FORKS_MAX = 64
"""Projections of forks that are kept."""

BUILDING = projection_pb2.PROJECTION_STATE_BUILDING
FOLLOWING = projection_pb2.PROJECTION_STATE_FOLLOWING
FAILED = projection_pb2.PROJECTION_STATE_FAILED

Make = Callable[[], Projection]
OnFault = Callable[[str], object]
"""Told where a projection's code failed."""


class HostedProjections:
    """All registered projections of one machine. Belongs to the machine's owner, as the machine does.

    Args:
        machine: Whose changes they follow.
        classes: Name -> what makes one, without arguments.
        on_fault: Called with a message when one is taken out.
        on_work: Called when there is something to do for `step`; must return at once.
    """

    def __init__(
        self, machine: Machine, classes: Mapping[str, Make], on_fault: OnFault, on_work: Wake
    ) -> None:
        self.machine = machine
        self.on_fault = on_fault
        self._on_work = on_work
        self.pending: dict[_Hosted, None] = {}
        """Those that have something to do."""
        self._classes = dict(sorted(classes.items()))
        self._hosted: dict[tuple[str, str], _Hosted] = {}
        self._forks: dict[tuple[str, str], None] = {}
        """Those of forks, the one that was asked longest ago first."""
        self.moved()

    def made(self, space: Namespace) -> None:
        """A namespace was made."""
        if space.origin is None:
            for name in self._classes:
                if (space.name, name) not in self._hosted:
                    self._host(space, name)

    def moved(self) -> None:
        """The machine has become another."""
        for key in [key for key in self._hosted if self.machine.space(key[0]) is None]:
            self._drop(key)
        for space in tuple(self.machine.spaces.by_name.values()):
            self.made(space)

    def step(self) -> bool:
        """Does one portion of what there is to do; returns whether there is more."""
        hosted = next(iter(self.pending), None)
        if hosted is None:
            return False
        del self.pending[hosted]
        if hosted.step():
            self.pending[hosted] = None
        return bool(self.pending)

    def query(self, view: View, space: Namespace, request: Any) -> projection_pb2.QueryProjectionResponse:
        """Answers `QueryProjection`, if the projection has had all that was applied."""
        name = request.projection
        if name not in self._classes:
            raise _unknown(name, self._classes)
        hosted = self._of(space, name)
        hosted.catch_up()
        argument = msgspec.json.decode(request.argument) if request.argument else None
        result = hosted.ask(argument, None if view.is_now else view.ceiling)
        most = view.limits.reply_bytes_max
        if len(result) > most:
            message = f"projection {name!r}: its answer has {len(result)} bytes, at most {most}"
            raise Refused("PROJECTION_FAILED", message, {"limit": str(most)})
        return projection_pb2.QueryProjectionResponse(result=result)

    def list(self, space: Namespace) -> projection_pb2.ListProjectionsResponse:
        """Answers `ListProjections`."""
        return projection_pb2.ListProjectionsResponse(
            projections=[self._of(space, name).status() for name in self._classes]
        )

    def _of(self, space: Namespace, name: str) -> _Hosted:
        key = space.name, name
        found = self._hosted.get(key)
        if found is not None and found.space is not space:  # a fork that was dropped, and made again
            self._drop(key)
            found = None
        if not space.name:  # of a namespace in which nothing was ever written
            return _Hosted(self, space, name, self._classes[name])
        if space.origin is not None:
            self._forks.pop(key, None)
            self._forks[key] = None
            if found is None and len(self._forks) > FORKS_MAX:
                self._drop(next(iter(self._forks)))
        return found if found is not None else self._host(space, name)

    def _host(self, space: Namespace, name: str) -> _Hosted:
        hosted = self._hosted[space.name, name] = _Hosted(self, space, name, self._classes[name])
        hosted.watch()
        self.note(hosted)
        return hosted

    def note(self, hosted: _Hosted) -> None:
        """There is something to do for one."""
        self.pending[hosted] = None
        self._on_work()

    def _drop(self, key: tuple[str, str]) -> None:
        self._forks.pop(key, None)
        hosted = self._hosted.pop(key, None)
        if hosted is not None:
            self.pending.pop(hosted, None)
            hosted.close()


class _Hosted:
    """One projection of one namespace, a watcher of its changes."""

    def __init__(self, owner: HostedProjections, space: Namespace, name: str, make: Make) -> None:
        self.space = space
        self.version = 0
        """It has had all changes up to this one."""
        self.wake: Wake = self._note
        self._owner = owner
        self._machine = owner.machine
        self._name = name
        self._make = make
        self._made: Any = None
        self._state = BUILDING
        self._fault = ""
        self._kinds: tuple[str, ...] = ()
        self._logs: list[tuple[str, ChangeLog]] = []
        self._moves = 0
        self._scans: list[tuple[str, Scan]] = []
        self._found: Iterator[tuple[Change, str]] = iter(())
        self._found_to = 0
        self._begin()

    def _note(self) -> None:
        """There is something to do."""
        self._owner.note(self)

    def watch(self) -> None:
        """Begins to be told of changes."""
        changes, name = self._machine.changes, self.space.name
        self._logs = [
            (kind, changes.watch(self.space, name, KINDS[kind], self, self._machine.ceiling))
            for kind in self._kinds
        ]
        self._moves = self._count_moves()

    def close(self) -> None:
        """Is told of nothing any more."""
        space = self._machine.space(self.space.name)
        for kind, _ in self._logs:
            self._machine.changes.unwatch(space, self.space.name, KINDS[kind], self)
        self._logs = []

    def step(self) -> bool:
        """Applies one portion; returns whether there is more to do."""
        if self._state == FAILED:
            return False
        if self._count_moves() != self._moves:
            self._moves = self._count_moves()
            self._begin()
        portion = self._portion()
        if portion is None:
            return True
        changes, version = portion
        for change, kind in changes:
            if not self._apply(kind, change):
                return False
        self.version = max(self.version, version)
        if self.version < self._machine.ceiling:
            return True
        self._state = FOLLOWING
        return False

    def catch_up(self) -> None:
        """Does one portion where there is something to do. Raises Refused where that was not all."""
        if self._state != FAILED and (self.version < self._machine.ceiling or self._state == BUILDING):
            self.step()
        if self._state == FAILED:
            raise Refused("PROJECTION_FAILED", self._fault)
        if self.version < self._machine.ceiling:
            at, of = self.version >> POSITION_BITS, self._machine.applied_index
            how = "is being made" if self._state == BUILDING else "is catching up"
            raise Refused(
                "PROJECTION_BUILDING",
                f"projection {self._name!r} of {self.space.name!r} {how}: it has had all up to log index "
                f"{at} of {of}; ask again",
                {"index": str(at), "applied_index": str(of)},
            )

    def ask(self, argument: Any, ceiling: int | None) -> bytes:
        """Returns the projection's answer as JSON, as of a version or, with None, of now. Raises Refused."""
        what = f"projection {self._name!r}"
        made = self._made
        if ceiling is not None and not hasattr(made, "query_at"):
            raise invalid(f"context.at: {what} answers as of now only: it has no query_at", field="context")
        try:
            found = made.query(argument) if ceiling is None else made.query_at(argument, ceiling)
            return msgspec.json.encode(found)
        except ValueError as error:
            raise invalid(f"argument: {what}: {error}", field="argument") from None
        except Exception as error:
            raise Refused("PROJECTION_FAILED", f"{what}: this query failed: {_told(error)}") from None

    def status(self) -> projection_pb2.ProjectionStatus:
        """Returns how it stands."""
        hash_of = getattr(self._made, "state_hash", None)
        is_idle = self._state == FOLLOWING and self not in self._owner.pending
        index = self._machine.applied_index if is_idle else self.version >> POSITION_BITS
        status = projection_pb2.ProjectionStatus(
            name=self._name, state=self._state, fault=self._fault, projected_index=index
        )
        if hash_of is not None and self._state != FAILED:
            try:
                status.state_hash = hash_of()
            except Exception as error:
                status.fault = f"state_hash failed: {_told(error)}"
        return status

    def _begin(self) -> None:
        """Begins anew, with nothing."""
        self.space = self._machine.space(self.space.name) or self.space
        self.version = 0
        self._state = BUILDING
        self._scans, self._found, self._found_to = [], iter(()), 0
        try:
            self._made = self._make()
            self._kinds = tuple(self._made.kinds)
        except Exception as error:
            self._fail(f"it cannot be made: {_told(error)}")

    def _count_moves(self) -> int:
        return sum(log.moves for _, log in self._logs)

    def _portion(self) -> tuple[list[tuple[Change, str]], int] | None:
        """Returns what comes next, each with its kind, and the version up to which that is all; None where a
        scan for it is not done yet."""
        while True:
            if self._scans:
                for _, scan in self._scans:
                    if not scan.step():
                        return None
                self._gather()
            portion = list(islice(self._found, PORTION_CHANGES))
            if len(portion) == PORTION_CHANGES:
                return portion, portion[-1][0].version - 1  # perhaps there are more of this version
            if portion:
                return portion, self._found_to
            if self.version < self._found_to:
                self.version = self._found_to
            known = [(kind, log.after(self.version, PORTION_CHANGES)) for kind, log in self._logs]
            if all(changes is not None for _, changes in known):
                return self._merged([(kind, changes or []) for kind, changes in known])
            self._scan()

    def _scan(self) -> None:
        """Begins to look for all that is not in the logs, in a fork also in what it is a fork of."""
        self._begin_if_forgotten()
        for space, ceiling in lineage(self.space, self._machine.ceiling):
            base = space.origin.base if space.origin is not None else 0
            above = max(self.version, base)
            if ceiling > above:
                self._scans += [
                    (kind, Scan(space, KINDS[kind], above, ceiling, self._moves)) for kind in self._kinds
                ]
        self._found_to = self._machine.ceiling

    def _begin_if_forgotten(self) -> bool:
        """Begins anew where something that it has may be deleted and forgotten: no scan would tell."""
        is_late = self.version > 0 and is_before(self.space, self.version)
        if is_late:
            self._begin()
        return is_late

    def _gather(self) -> None:
        if self._begin_if_forgotten():
            return
        ceiling = min([self._found_to, *(scan.ceiling for _, scan in self._scans if scan.is_cut)])
        # Merged one by one as they are asked for: they may be many, and each scan has its own in order.
        each_kind = [zip(scan.found, repeat(kind), strict=False) for kind, scan in self._scans]
        merged = merge(*each_kind, key=_version_of)
        self._found = takewhile(lambda each: each[0].version <= ceiling, merged)
        self._found_to, self._scans = ceiling, []

    def _merged(self, known: list[tuple[str, list[Change]]]) -> tuple[list[tuple[Change, str]], int]:
        cut = [changes[-1].version for _, changes in known if len(changes) >= PORTION_CHANGES]
        ceiling = min([self._machine.ceiling, *cut])
        both = chain.from_iterable(((change, kind) for change in changes) for kind, changes in known)
        return sorted((each for each in both if each[0].version <= ceiling), key=_version_of), ceiling

    def _apply(self, kind: str, change: Change) -> bool:
        """Gives the projection one change; returns whether it took it."""
        time_us = self._machine.time_us(change.version)
        version, new = change.version, change.new
        author = new.author if new is not None else self.space.projection(MemoryStore).ender(version)
        told = change_of(kind, version, time_us, change.name, author, change.old, new)
        try:
            self._made.apply(told)
        except Exception as error:
            where = f"{kind} {shown(told.name)}, version {change.version}"
            self._fail(f"it failed at {where}: {_told(error)}")
            return False
        return True

    def _fail(self, how: str) -> None:
        self._state = FAILED
        self._fault = f"projection {self._name!r} of {self.space.name!r} was taken out: {how}"
        self._scans, self._found, self._made = [], iter(()), None
        self.close()
        self._owner.on_fault(self._fault)


def _version_of(each: tuple[Change, str]) -> int:
    return version_of(each[0])


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"


def _unknown(name: str, known: Sequence[str] | Mapping[str, Make]) -> Refused:
    there = ", ".join(map(repr, known)) if known else "none"
    return Refused(
        "NO_SUCH_PROJECTION",
        f"projection: no {shown(name)} is registered here; there is {there}",
        {"name": name},
    )


def _check_query(request: projection_pb2.QueryProjectionRequest, limits: Limits) -> None:
    check_text("projection", request.projection, limits.name_bytes_max)
    check_size("argument", len(request.argument), limits.value_bytes_max)
    if request.argument:
        try:
            msgspec.json.decode(request.argument)
        except (msgspec.DecodeError, RecursionError) as error:
            raise invalid(f"argument: no JSON: {error}", field="argument") from None


def _check_list(request: projection_pb2.ListProjectionsRequest, _limits: Limits) -> None:
    check_now(request.context)


def _query(view: View, space: Namespace, request: Any) -> projection_pb2.QueryProjectionResponse:
    if view.hosted is None:
        raise _unknown(request.projection, ())
    return view.hosted.query(view, space, request)


def _list(view: View, space: Namespace, _request: Any) -> projection_pb2.ListProjectionsResponse:
    return projection_pb2.ListProjectionsResponse() if view.hosted is None else view.hosted.list(space)


READ_CHECKS: dict[str, Check] = {"QueryProjection": _check_query, "ListProjections": _check_list}
QUERIES: dict[str, Query] = {"QueryProjection": _query, "ListProjections": _list}
