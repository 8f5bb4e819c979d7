"""Receipts in the machine: what is stored once, what counts as an access, what goes, what is refused."""

from typing import Any

import pytest
from msgspec.structs import replace

from memraft_proto.v1 import (
    batch_pb2,
    fork_pb2,
    kv_pb2,
    log_pb2,
    memory_pb2,
    namespace_pb2,
    recall_pb2,
    retention_pb2,
)
from memraft_server.machine import Refused
from memraft_server.machine.handlers_receipts import complete_influence, receipts_over
from memraft_server.machine.retention import Trimmer
from memraft_server.projections.receipts import (
    Access,
    InfluencesProjection,
    ReceiptsProjection,
    Uses,
    decode_receipt,
    encode_receipt,
)
from memraft_server.projections.usage import Usage
from memraft_server.recall.receipts import RECEIPT_BYTES_MAX, make_receipt
from tests.unit.machine.harness import NAMESPACE, Shard

FORK = f"{NAMESPACE}@f"


def body(*ids: str, run: str = "", turn: str = "", agent: str = "alice", signals: int = 1) -> bytes:
    response = memory_pb2.RecallResponse(pipeline=1)
    for id in ids:
        hit = response.hits.add(score=0.5)
        hit.memory.id, hit.memory.provenance.version = id, 7 << 20
    columns, count = response.signals, len(ids)
    columns.names[:] = [f"signal {n}" for n in range(signals)]
    columns.weights[:] = [1.0] * signals
    columns.counts[:] = [signals] * count
    columns.places[:] = [*range(signals)] * count
    columns.ranks[:] = [*range(signals)] * count
    columns.values[:] = [0.25] * signals * count
    columns.shares[:] = [0.5] * signals * count
    request = memory_pb2.RecallRequest(
        namespace=NAMESPACE, query="q", run=run, turn=turn, embedding=b"\0" * 8
    )
    return make_receipt(agent, request, response, 5)


def receipts(namespace: str = NAMESPACE, **bodies: bytes) -> log_pb2.RecordRecallsCommand:
    return log_pb2.RecordRecallsCommand(namespace=namespace, ids=bodies, receipts=bodies.values())


def accesses(shard: Shard, namespace: str = NAMESPACE) -> Uses:
    space = shard.machine.space(namespace)
    assert space is not None
    return space.projection(ReceiptsProjection).accesses


def listed(shard: Shard, **fields: Any) -> list[str]:
    request = recall_pb2.ListReceiptsRequest(**{"namespace": NAMESPACE, **fields})
    return [each.id for each in shard.read(request).receipts]


def tied(shard: Shard, receipt: str, answer: str, *used: str) -> recall_pb2.RecordInfluenceRequest:
    request = recall_pb2.RecordInfluenceRequest(
        namespace=NAMESPACE, receipt=receipt, answer_id=answer, used=used
    )
    complete_influence(shard.machine.space(NAMESPACE), request)
    return request


def test_a_receipt_is_stored_once_however_often_it_is_written() -> None:
    shard = Shard()
    first = shard.write(receipts(r1=body("a", "b"), r2=body("b")))
    assert (first.count, first.first_version) == (2, 1 << 20)
    again = shard.write(receipts(r2=body("b"), r3=body("b")))
    assert again.count == 1
    assert listed(shard) == ["r3", "r2", "r1"]
    assert accesses(shard).of("a") == Access(1, 1 << 20)
    assert accesses(shard).of("b") == Access(3, 2 << 20)
    assert accesses(shard).of("c") == Access(0, 0)
    assert accesses(shard).of("b", (2 << 20) - 1) == Access(2, (1 << 20) + 1)
    assert accesses(shard).of("b", (1 << 20) - 1) == Access(0, 0)


def test_what_no_leader_makes_is_refused_and_changes_nothing() -> None:
    shard = Shard()
    whole = body("a", "b")
    for wrong in (b"", b"\x01", whole[:-1], whole.replace(b"\xa1b", b"", 1)):
        with pytest.raises(Refused, match="receipts: no receipt"):
            shard.write(receipts(r1=whole, r2=wrong))
    short = memory_pb2.RecallSignals(names=["s"], weights=[1], counts=[1, 1], places=[0])
    for field, value in (
        ("versions", (1,)),
        ("scores", b"1234"),
        ("signals", short.SerializeToString()),
    ):
        wrong = encode_receipt(replace(decode_receipt(whole), **{field: value}))
        with pytest.raises(Refused, match="receipts: no receipt: its columns do not fit"):
            shard.write(receipts(r1=wrong))
    assert not listed(shard)
    with pytest.raises(Refused, match="versions: 0 of 1 memories"):
        shard.write(
            recall_pb2.RecordInfluenceRequest(namespace=NAMESPACE, receipt="r", answer_id="a", used=["b"])
        )


def test_a_receipt_says_who_recalled() -> None:
    shard = Shard()
    shard.write(receipts(r1=body("a", run="run 1", turn="t", agent="bob")))
    space = shard.machine.space(NAMESPACE)
    assert space is not None
    record = space.projection(ReceiptsProjection).records.head("r1")
    assert record is not None and (record.author.agent, record.author.run) == ("bob", "run 1")
    found = shard.read(recall_pb2.GetReceiptRequest(namespace=NAMESPACE, id="r1")).receipt
    assert (found.agent, found.run, found.turn, found.request.query) == ("bob", "run 1", "t", "q")
    assert not found.request.namespace and not found.request.embedding and len(found.embedding_hash) == 32
    [hit] = found.hits
    why = found.signals
    assert (hit.id, hit.version, hit.score) == ("a", 7 << 20, 0.5)
    assert (why.names, why.counts, why.places, why.ranks) == (["signal 0"], [1], [0], [0])
    assert (why.values, why.shares) == ([0.25], [0.5])


def test_accesses_are_the_same_in_whatever_order_receipts_come() -> None:
    """From a disk they come in the order of their ids."""
    there, back = Uses(Usage(), None, 0), Uses(Usage(), None, 0)
    for version in (3, 5, 9):
        there.add(("a",), version)
    for version in (9, 3, 5):
        back.add(("a",), version)
    for ceiling in range(11):
        assert there.of("a", ceiling) == back.of("a", ceiling)
    back.discard(("a", "b"), 5)
    back.discard(("a",), 4)
    assert back.of("a", 8) == Access(1, 3)
    assert back.of("a") == Access(2, 9)


def test_what_an_index_takes_is_counted_and_given_back() -> None:
    usage = Usage()
    uses = Uses(usage, None, 0)
    uses.add(("a", "b"), 1)
    assert usage.bytes == 16
    uses.discard(("a", "b"), 1)
    assert usage.bytes == 0


def test_receipts_go_oldest_first_once_their_time_is_over() -> None:
    shard = Shard()
    for n in range(4):
        shard.write(receipts(**{f"r{n}": body("a")}))
    setting = namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, receipts_ttl_ms=3_500)
    assert not receipts_over(shard.machine, shard.time_us + 1_000_000_000, 100)
    shard.write(setting)
    due = receipts_over(shard.machine, shard.time_us + 1_000_000, 100)
    assert [list(each.request.over) for each in due] == [["r0", "r1"]]
    assert [list(each.request.over) for each in receipts_over(shard.machine, shard.time_us * 2, 3)] == [
        ["r0", "r1", "r2"]
    ]
    shard.write(due[0].request)
    assert shard.write(due[0].request).count == 0, "twice does no harm"
    assert listed(shard) == ["r3", "r2"]
    assert accesses(shard).of("a") == Access(2, 4 << 20)
    assert (
        shard.read(recall_pb2.GetReceiptRequest(namespace=NAMESPACE, id="r0"), at_index=4).receipt.id == "r0"
    )
    shard.write(receipts(r0=body("a")))
    assert listed(shard) == ["r3", "r2"], "one that is over does not come back"
    shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, receipts_ttl_ms=0))
    assert not receipts_over(shard.machine, shard.time_us * 2, 100)


def test_a_fork_ends_receipts_as_its_parent_did_when_it_was_as_the_fork_shows_it() -> None:
    shard = Shard()
    for ttl_ms in (1, 0):
        shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=NAMESPACE, receipts_ttl_ms=ttl_ms))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f", at_index=1))
    shard.write(receipts(FORK, r1=body("a")))
    assert [each.request.namespace for each in receipts_over(shard.machine, shard.time_us * 2, 9)] == [FORK]


def test_a_merge_brings_the_time_to_live_of_receipts() -> None:
    shard = Shard()
    shard.write(receipts(r1=body("a")))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=FORK, receipts_ttl_ms=1))
    assert not receipts_over(shard.machine, shard.time_us * 2, 9)
    shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))
    due = receipts_over(shard.machine, shard.time_us * 2, 9)
    assert [list(each.request.over) for each in due] == [["r1"]]


def test_what_is_gone_for_ever_leaves_nothing_in_the_index_of_its_run() -> None:
    shard = Shard()
    shard.write(retention_pb2.SetRetentionRequest(namespace=NAMESPACE, versions=1))
    shard.write(receipts(r1=body("a", run="run"), r2=body("a", run="run")))
    shard.write(log_pb2.RecordRecallsCommand(namespace=NAMESPACE, over=["r1"]))
    trimmer = Trimmer(shard.machine)
    while (command := trimmer.step(shard.time_us)) is not None:
        shard.write(command.request)
    space = shard.machine.space(NAMESPACE)
    assert space is not None
    made = space.projection(ReceiptsProjection)
    assert list(made.names("run")) == list(made.names()) == ["r2"]
    shard.write(log_pb2.RecordRecallsCommand(namespace=NAMESPACE, over=["r2"]))
    while (command := trimmer.step(shard.time_us)) is not None:
        shard.write(command.request)
    assert not made._by_run


def test_an_influence_names_what_the_receipt_has_and_replaces_what_was_said() -> None:
    shard = Shard()
    shard.write(receipts(r1=body("a", "b")))
    shard.write(tied(shard, "r1", "answer"))
    space = shard.machine.space(NAMESPACE)
    assert space is not None
    influences = space.projection(InfluencesProjection).influences
    assert (influences.of("a").count, influences.of("b").count) == (1, 1)
    shard.write(tied(shard, "r1", "answer", "b", "b"))
    assert (influences.of("a").count, influences.of("b").count) == (0, 1)
    with pytest.raises(Refused, match="NO_SUCH_RECEIPT: receipt: there is no receipt 'r2'"):
        tied(shard, "r2", "answer")
    with pytest.raises(Refused, match="used: memory 'c' is not in receipt 'r1'"):
        tied(shard, "r1", "answer", "a", "c")
    with pytest.raises(Refused, match="NO_SUCH_RECEIPT"):
        complete_influence(None, recall_pb2.RecordInfluenceRequest(namespace="x", receipt="r1"))


def test_an_influence_is_no_part_of_a_batch() -> None:
    shard = Shard()
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE)
    batch.operations.add().record_influence.answer_id = "a"
    with pytest.raises(Refused, match="record_influence: it is a call of its own"):
        shard.write(batch)


def test_a_fork_counts_the_accesses_of_its_parent_up_to_its_base_and_its_own() -> None:
    shard = Shard()
    shard.write(receipts(r1=body("a"), r2=body("b")))
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    shard.write(receipts(r3=body("a")))
    shard.write(receipts(FORK, r4=body("a")))
    assert accesses(shard).of("a") == Access(2, 3 << 20)
    assert accesses(shard, FORK).of("a") == Access(2, 4 << 20)
    assert accesses(shard, FORK).of("b") == Access(1, (1 << 20) + 1)
    assert accesses(shard, FORK).of("a", (4 << 20) - 1) == Access(1, 1 << 20)
    assert listed(shard, namespace=FORK) == ["r4", "r2", "r1"]
    shard.write(fork_pb2.DropForkRequest(namespace=NAMESPACE, fork="f"))
    with pytest.raises(Refused, match="NO_SUCH_FORK"):
        shard.write(receipts(FORK, r5=body("a")))


def test_a_receipt_that_is_too_large_leaves_its_signals_out() -> None:
    ids = [f"{n:026}" for n in range(1_000)]
    whole, cut = body(*ids, signals=2), body(*ids, signals=12)
    assert not decode_receipt(whole).is_cut and len(whole) <= RECEIPT_BYTES_MAX
    found = decode_receipt(cut)
    assert found.is_cut and found.ids == tuple(ids) and len(cut) <= RECEIPT_BYTES_MAX
    shard = Shard()
    shard.write(receipts(r1=cut))
    stored = shard.read(recall_pb2.GetReceiptRequest(namespace=NAMESPACE, id="r1")).receipt
    assert len(stored.hits) == 1_000 and not stored.signals.counts


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (recall_pb2.GetReceiptRequest(namespace=NAMESPACE), "id: missing"),
        (recall_pb2.ListReceiptsRequest(namespace=NAMESPACE, turn="x" * 256), "turn: 256 bytes, at most 255"),
        (recall_pb2.ListReceiptsRequest(namespace=NAMESPACE, limit=10_001), "limit: 10001, at most 10000"),
        (recall_pb2.GetLineageRequest(namespace=NAMESPACE), "answer_id: missing"),
        (recall_pb2.RecordInfluenceRequest(namespace=NAMESPACE, receipt="r"), "answer_id: missing"),
        (
            recall_pb2.RecordInfluenceRequest(namespace=NAMESPACE, receipt="r", answer_id="a\x1fb"),
            "answer_id: .* has a control character",
        ),
    ],
)
def test_malformed_calls_are_refused_by_name(request_: Any, said: str) -> None:
    shard = Shard()
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b"1"))
    with pytest.raises(Refused, match=said):
        if isinstance(request_, recall_pb2.RecordInfluenceRequest):
            shard.write(request_)
        else:
            shard.read(request_)
