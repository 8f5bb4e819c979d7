"""What signals count for in the recalls of a namespace: a setting, and between messages and parameters."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from memraft_proto.v1 import memory_pb2, namespace_pb2
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Turn, View
from memraft_server.projections.settings import RECALL
from memraft_server.recall.parameters import DEFAULT, Given, Parameters, fault_of, overlaid

_BY_RANKS = "by_ranks"
_FUSIONS = frozenset(memory_pb2.Fusion.values())
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, float]).decode


def given_of(message: memory_pb2.RecallParameters) -> dict[str, float]:
    """Returns what a message has, by name."""
    given = {field.name: float(value) for field, value in message.ListFields()}
    fusion = given.pop("fusion", 0)
    if fusion:
        given[_BY_RANKS] = float(fusion == memory_pb2.FUSION_RECIPROCAL_RANKS)
    return given


def fill_given(message: memory_pb2.RecallParameters, given: Given) -> None:
    """Writes what is given by name into a message."""
    for name, value in given.items():
        if name == _BY_RANKS:
            message.fusion = memory_pb2.FUSION_RECIPROCAL_RANKS if value else memory_pb2.FUSION_MIN_MAX
        else:
            setattr(message, name, int(value) if name == "graph_depth" else value)


def set_parameters(view: View, space: Namespace) -> Parameters:
    """Returns what recalls count with where they say nothing of it."""
    record = space.settings.records.at(RECALL, view.ceiling) if space.settings is not None else None
    return _overlaid(record.value) if record is not None and record.value is not None else DEFAULT


@lru_cache(maxsize=256)
def _overlaid(value: bytes) -> Parameters:
    return overlaid(DEFAULT, _decode(value))


def change_recall_settings(turn: Turn, space: Namespace, message: memory_pb2.RecallParameters) -> None:
    """Makes these the parameters of a namespace's recalls; none: those that measured best."""
    records = space.make_settings().records
    given = given_of(message)
    if given:
        records.store(RECALL, _encode(given), turn.version, turn.author, 0)
    else:
        records.remove(RECALL, turn.version, turn.author)


def fill_recall_settings(
    view: View, space: Namespace, response: namespace_pb2.GetNamespaceSettingsResponse
) -> None:
    """Writes the parameters of a namespace's recalls, where there are any, into the reply."""
    record = space.settings.records.at(RECALL, view.ceiling) if space.settings is not None else None
    if record is not None and record.value is not None:
        fill_given(response.recall, _decode(record.value))
        view.fill_provenance(response.recall_provenance, record.version, record.author)


def check_parameters(field: str, message: memory_pb2.RecallParameters) -> None:
    """Refuses parameters out of their bounds."""
    if message.fusion not in _FUSIONS:
        raise invalid(
            f"{field}.fusion: {message.fusion}, from 0 to {max(_FUSIONS)}",
            field=f"{field}.fusion",
        )
    fault = fault_of(given_of(message))
    if fault is not None:
        name, what = fault
        raise invalid(f"{field}.{name}: {what}", field=f"{field}.{name}")
