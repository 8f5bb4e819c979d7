"""Where the records of each kind are: what a store needs to know to give them back to a machine."""

from __future__ import annotations

from collections.abc import Callable

from memraft_server.machine.namespaces import Namespace
from memraft_server.projections import notes
from memraft_server.projections.coordination import CountersProjection, GatesProjection
from memraft_server.projections.floors import FloorsProjection
from memraft_server.projections.forgetting import ForgettingProjection
from memraft_server.projections.graph import GraphProjection
from memraft_server.projections.leases import LeasesProjection
from memraft_server.projections.merges import MergesProjection
from memraft_server.projections.receipts import InfluencesProjection, ReceiptsProjection
from memraft_server.projections.state import StateProjection
from memraft_server.projections.traces import TracesProjection
from memraft_server.projections.versions import VersionedRecords

Extend = Callable[[list[str]], None]
"""Takes names in ascending order, for an index that the records do not keep themselves."""


def _settings(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.make_settings().records, None


def _documents(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.kv.records, space.kv.keys.extend


def _state(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(StateProjection).records, None


def _leases(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(LeasesProjection).records, None


def _counters(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(CountersProjection).records, None


def _gates(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(GatesProjection).records, None


def _nodes(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(GraphProjection).nodes, None


def _edges(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(GraphProjection).edges, None


def _merges(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(MergesProjection).records, None


def _traces(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(TracesProjection).records, None


def _receipts(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(ReceiptsProjection).records, None


def _influences(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(InfluencesProjection).records, None


def _forgotten(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(ForgettingProjection).records, None


def _floors(space: Namespace) -> tuple[VersionedRecords, Extend | None]:
    return space.projection(FloorsProjection).records, None


RECORD_TABLES: dict[bytes, Callable[[Namespace], tuple[VersionedRecords, Extend | None]]] = {
    notes.FLOOR: _floors,
    notes.SETTING: _settings,
    notes.NODE: _nodes,
    notes.EDGE: _edges,
    notes.DOCUMENT: _documents,
    notes.LEASE: _leases,
    notes.STATE: _state,
    notes.COUNTER: _counters,
    notes.GATE: _gates,
    notes.MERGE: _merges,
    notes.TRACE: _traces,
    notes.FORGOTTEN: _forgotten,
    notes.RECEIPT: _receipts,
    notes.INFLUENCE: _influences,
}
"""Kind -> the records of that kind in a namespace. A primitive that keeps records is complete on disk, in
snapshots and in backups once its kind stands here."""
