"""Between Python values and the messages of forgetting. Pure; shared by both facades."""

from collections.abc import Mapping
from reprlib import repr as shown
from typing import Any, cast

from memraft_proto.v1 import batch_pb2, forgetting_pb2, memory_pb2, namespace_pb2

from . import _wire
from .errors import InvalidArgument
from .types import (
    Consolidation,
    ForgetReason,
    Forgotten,
    MemoryItem,
    MemorySettings,
    MemorySettingsChanges,
    MemoryWorth,
    MergedMemories,
    Results,
)

GROUPS_MAX = 1_000
"""Groups that a consolidation tells of."""
PAGE_ITEMS = 1_000
"""Memories that are looked at, and perhaps forgotten, together."""
_PREFIX = "FORGET_REASON_"
_REASONS: dict[int, ForgetReason] = {
    number: cast(ForgetReason, name.removeprefix(_PREFIX).lower() if number else "")
    for name, number in forgetting_pb2.ForgetReason.items()
}
_NUMBERS = {name: number for number, name in _REASONS.items()}


def list_forgotten(
    where: Mapping[str, Any], id: str, reason: ForgetReason, limit: int, cursor: str
) -> forgetting_pb2.ListForgottenRequest:
    """Returns the request that lists what was forgotten."""
    if reason not in _NUMBERS:
        known = ", ".join(name for name in _NUMBERS if name)
        raise InvalidArgument(f"reason is one of {known}, not {reason!r}")
    return _wire.build(
        forgetting_pb2.ListForgottenRequest,
        **where,
        id=id,
        reason=_NUMBERS[reason],
        limit=_wire.at_least_one(limit, "limit"),
        cursor=cursor,
    )


def forgotten(response: forgetting_pb2.ListForgottenResponse) -> Results[Forgotten]:
    """Returns what a listing holds."""
    return _wire.results(response, tuple(map(_forgotten, response.memories)))


def _forgotten(each: forgetting_pb2.ForgottenMemory) -> Forgotten:
    ended, worth = each.provenance, each.worth
    return Forgotten(
        memory=MemoryItem(**_wire.memory_fields(each.memory)),
        reason=_REASONS.get(each.reason, ""),
        note=each.note,
        worth=MemoryWorth(
            score=worth.score,
            recency=worth.recency,
            frequency=worth.frequency,
            salience=worth.salience,
            impact=worth.impact,
        )
        if each.HasField("worth")
        else None,
        merged_into=each.merged_into,
        version=ended.version,
        time_us=ended.time_us,
        agent=ended.agent,
        run=ended.run,
        tool=ended.tool,
    )


class Wanted:
    """Which memories are forgotten together.

    Args:
        about: The entity; empty: any. Likewise the others.
        kind: Of what kind.
        speaker: Who said it.
        thread: Of which conversation.

    Raises:
        InvalidArgument: nothing is given.
    """

    def __init__(self, about: str, kind: str, speaker: str, thread: str) -> None:
        self._about = about
        self._given = {"about": about, "kind": kind, "speaker": speaker, "thread": thread}
        self._given = {name: value for name, value in self._given.items() if value}
        if not self._given:
            raise InvalidArgument("forget_where needs about=, kind=, speaker= or thread=")

    def page(self, where: Mapping[str, Any]) -> memory_pb2.ListMemoriesRequest:
        """Returns the request for a page of candidates."""
        return _wire.build(memory_pb2.ListMemoriesRequest, **where, about=self._about, limit=PAGE_ITEMS)

    def forget(
        self, where: Mapping[str, Any], page: memory_pb2.ListMemoriesResponse, reason: str
    ) -> batch_pb2.BatchRequest | None:
        """Returns the request that forgets those of a page; None where there are none."""
        requests = [
            _wire.build(memory_pb2.ForgetRequest, id=each.id, reason=reason)
            for each in page.memories
            if all(getattr(each, name) == value for name, value in self._given.items())
        ]
        operations = [batch_pb2.Operation(forget=each) for each in requests]
        return _wire.build(batch_pb2.BatchRequest, **where, operations=operations) if operations else None


def memory_settings(changes: MemorySettingsChanges | None) -> namespace_pb2.MemorySettings | None:
    """Returns the message that changes them; None where nothing is to change."""
    if changes is None:
        return None
    if not isinstance(changes, Mapping):
        raise InvalidArgument(f"memories must be a mapping of names to numbers, not {shown(changes)}")
    unknown = sorted(set(changes) - set(MemorySettingsChanges.__annotations__))
    if unknown or not changes:
        known = ", ".join(MemorySettingsChanges.__annotations__)
        raise InvalidArgument(f"memories are {known}; not {', '.join(unknown) if unknown else 'nothing'}")
    return _wire.build(namespace_pb2.MemorySettings, **changes)


def read_memory_settings(found: namespace_pb2.MemorySettings) -> MemorySettings:
    """Returns the settings of a reply."""
    return MemorySettings(**{field.name: value for field, value in found.ListFields()})


class Merging:
    """What a consolidation has done so far.

    Args:
        where: Of the requests that merge.
    """

    def __init__(self, where: Mapping[str, Any]) -> None:
        self._where = where
        self._gone: set[str] = set()
        self._versions: dict[str, int] = {}
        """Of memories that others were merged into: the version since."""
        self._groups: list[MergedMemories] = []
        self._looked = self._conflicts = 0

    def requests(
        self, page: forgetting_pb2.FindDuplicatesResponse
    ) -> list[tuple[forgetting_pb2.MergeMemoriesRequest, MergedMemories]]:
        """Returns how to merge the groups of a page, each memory into one other."""
        self._looked += page.looked
        found = []
        taken: set[str] = set()
        for group in page.groups:
            others = [each for each in group.duplicates if each.id not in self._gone | taken]
            if not others or group.keep_id in self._gone | taken:
                continue
            merged = MergedMemories(
                kept=group.keep_id,
                merged=tuple(each.id for each in others),
                cosines=tuple(each.cosine for each in others),
            )
            taken.update(merged.merged)
            request = forgetting_pb2.MergeMemoriesRequest(
                **self._where,
                keep_id=group.keep_id,
                keep_version=group.keep_version,
                ids=merged.merged,
                versions=[self._versions.get(each.id, each.version) for each in others],
            )
            found.append((request, merged))
        return found

    def current(self, request: forgetting_pb2.MergeMemoriesRequest) -> forgetting_pb2.MergeMemoriesRequest:
        """Has a request expect the version that the one to keep has since an earlier one."""
        request.keep_version = self._versions.get(request.keep_id, request.keep_version)
        return request

    def done(self, merged: MergedMemories, response: forgetting_pb2.MergeMemoriesResponse | None) -> None:
        """A group was merged, or would be (None)."""
        if response is not None and response.conflict:
            self._conflicts += 1
            return
        self._gone.update(merged.merged)
        if response is not None:
            self._versions[merged.kept] = response.version
        if len(self._groups) < GROUPS_MAX:
            self._groups.append(merged)

    @property
    def result(self) -> Consolidation:
        """All of it."""
        return Consolidation(
            groups=tuple(self._groups),
            merged=len(self._gone),
            looked=self._looked,
            conflicts=self._conflicts,
        )
