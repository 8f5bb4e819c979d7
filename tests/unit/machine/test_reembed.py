"""Moving memories to another embedding model: what is found by which model, when, and after what."""

from typing import Any

import numpy as np
import pytest

from memraft_proto.v1 import batch_pb2, fork_pb2, memory_pb2, reembed_pb2, retention_pb2, txn_pb2
from memraft_server.machine import Machine, Refused, handlers_reembed
from memraft_server.machine.journal import Journal
from memraft_server.machine.retention import Trimmer
from tests.properties.test_machine_store import Disk, held
from tests.unit.machine.harness import NAMESPACE, SECOND_US, Shard

OLD, NEW = "old:2", "new:3"
MISMATCH = "EMBEDDING_MISMATCH"
Numbers = tuple[float, ...]


def floats(numbers: Numbers) -> bytes:
    return np.array(numbers, "<f4").tobytes()


class Moving(Shard):
    """A shard whose namespace moves from `OLD`, of two components, to `NEW`, of three."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.machine = Machine(0, journal=Journal())

    def reload(self) -> None:
        """Saves the machine and goes on with what is loaded of it, which must be the same."""
        before = held(self.machine)
        self.disk.save(self.machine)
        self.machine = self.disk.load()
        assert held(self.machine) == before

    def remember(self, id: str, numbers: Numbers, namespace: str = NAMESPACE, **more: Any) -> Any:
        return self.write(remembering(id, numbers, namespace=namespace, **more))

    def begin(self, dimension: int = 3, fingerprint: str = NEW) -> Any:
        asked = reembed_pb2.BeginReembedRequest(
            namespace=NAMESPACE, dimension=dimension, fingerprint=fingerprint
        )
        return self.write(asked)

    def store(self, made: dict[str, Numbers], fingerprint: str = NEW, **versions: int) -> Any:
        request = reembed_pb2.StoreEmbeddingsRequest(namespace=NAMESPACE, fingerprint=fingerprint)
        for id, numbers in made.items():
            request.ids.append(id)
            request.versions.append(versions.get(id) or self.version(id))
            request.embeddings += floats(numbers)
        return self.write(request)

    def version(self, id: str) -> int:
        found = self.read(memory_pb2.GetMemoryRequest(namespace=NAMESPACE, id=id))
        return int(found.memory.provenance.version)

    def finish(self, fingerprint: str = NEW, **more: Any) -> Any:
        return self.write(
            reembed_pb2.FinishReembedRequest(namespace=NAMESPACE, fingerprint=fingerprint, **more)
        )

    def left(self, limit: int = 100, above: int = 0) -> Any:
        return self.read(reembed_pb2.GetReembeddingRequest(namespace=NAMESPACE, limit=limit, above=above))

    def found(self, numbers: Numbers, namespace: str = NAMESPACE, **at: int) -> list[str]:
        """The ids of the memories near a query by the model of so many components, the nearest first."""
        fingerprint = OLD if len(numbers) == 2 else NEW
        asked = memory_pb2.RecallRequest(
            namespace=namespace, embedding=floats(numbers), fingerprint=fingerprint
        )
        return [each.memory.id for each in self.read(asked, **at).hits]


def remembering(id: str, numbers: Numbers, **more: Any) -> memory_pb2.RememberRequest:
    fingerprint = "" if not numbers else OLD if len(numbers) == 2 else NEW
    return memory_pb2.RememberRequest(
        id=id, text=f"text of {id}", embedding=floats(numbers), fingerprint=fingerprint, **more
    )


@pytest.fixture
def moving() -> Moving:
    shard = Moving()
    shard.remember("a", (1, 0))
    shard.remember("b", (0, 1))
    shard.remember("c", (1, 1))
    return shard


def test_both_models_find_until_it_is_done_and_the_past_is_found_by_what_was_then(moving: Moving) -> None:
    before = moving.machine.applied_index
    assert moving.begin().remaining == 3
    assert moving.found((1, 0)) == ["a", "c", "b"] and moving.found((1, 0, 0)) == []
    stored = moving.store({"a": (0, 0, 1), "b": (0, 1, 0)})
    assert (stored.stored, stored.remaining) == (2, 1)
    assert moving.found((1, 0)) == ["a", "c", "b"] and moving.found((0, 1, 0)) == ["b", "a"]
    half = moving.machine.applied_index
    refused = moving.finish()
    assert (refused.finished, refused.remaining) == (False, 1)
    assert moving.found((1, 0)) == ["a", "c", "b"]
    moving.store({"c": (0, 1, 1)})
    assert moving.finish().finished
    for _ in range(2):
        assert moving.found((0, 1, 0)) == ["b", "c", "a"]
        with pytest.raises(Refused, match=MISMATCH):
            moving.found((1, 0))
        with pytest.raises(Refused, match=MISMATCH):
            moving.remember("d", (1, 0))
        assert moving.found((1, 0), at_index=before) == ["a", "c", "b"]
        with pytest.raises(Refused, match=MISMATCH):
            moving.found((0, 1, 0), at_index=before)
        assert moving.found((0, 1, 0), at_index=half) == ["b", "a"]
        assert moving.found((1, 0), at_index=half) == ["a", "c", "b"]
        moving.reload()
    assert moving.finish().finished  # once more: it is done


def test_writes_by_either_model_are_taken_and_what_changed_meanwhile_is_embedded_anew(moving: Moving) -> None:
    moving.begin()
    stale = moving.version("a")
    moving.store({"b": (0, 1, 0)})
    moving.remember("a", (0, 1))
    moving.remember("d", (1, 0, 0))
    moving.write(memory_pb2.UpdateMemoryRequest(namespace=NAMESPACE, id="b", kind="fact"))
    moving.write(memory_pb2.ForgetRequest(namespace=NAMESPACE, id="c"))
    assert moving.found((0, 1)) == ["a", "b"] and moving.found((0, 1, 0)) == ["b", "d"]
    assert moving.store({"a": (9, 9, 9)}, a=stale).stored == 0
    assert moving.store({"b": (9, 9, 9)}).stored == 0  # it has one
    left = moving.left()
    assert (left.remaining, list(left.ids), list(left.texts)) == (1, ["a"], ["text of a"])
    assert (left.fingerprint, left.next_fingerprint, left.next_dimension) == (OLD, NEW, 3)
    assert moving.store({"a": (1, 1, 0)}).remaining == 0
    moving.reload()
    assert moving.finish().finished
    moving.reload()
    assert moving.found((1, 0, 0)) == ["d", "a", "b"]
    moving.write(memory_pb2.UpdateMemoryRequest(namespace=NAMESPACE, id="b", kind="fact"))
    moving.write(memory_pb2.ForgetRequest(namespace=NAMESPACE, id="a"))
    moving.remember("d", (0, 0, 1))
    moving.reload()
    assert moving.found((0, 1, 0)) == ["b", "d"]


def test_a_move_is_listed_in_pages_and_taken_up_where_it_stopped(moving: Moving) -> None:
    first = moving.begin()
    page = moving.left(limit=2)
    assert list(page.ids) == ["a", "b"] and page.next_above == page.versions[-1]
    moving.store({"a": (1, 0, 0)})
    moving.reload()
    assert moving.begin().version == first.version
    page = moving.left(limit=2)
    assert list(page.ids) == ["b", "c"] and not page.next_above
    rest = moving.left(limit=2, above=page.versions[0])
    assert list(rest.ids) == ["c"] and not rest.next_above
    with pytest.raises(Refused, match="move to 'new:3' already"):
        moving.begin(4, "third")
    with pytest.raises(Refused, match="not to or by 'third'"):
        moving.finish("third")
    asked = reembed_pb2.GetReembeddingRequest(namespace=NAMESPACE)
    assert moving.read(asked, at_index=1).next_fingerprint == ""
    asked.limit = 1
    with pytest.raises(Refused, match="as of now only"):
        moving.read(asked, at_index=1)


def test_a_page_ends_after_so_many_that_are_done_already(
    moving: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers_reembed, "LOOKED_MAX", 2)
    moving.begin()
    moving.store({"a": (1, 0, 0), "b": (0, 1, 0)})
    page = moving.left()
    assert not page.ids and page.next_above == moving.version("b") and page.remaining == 1
    page = moving.left(above=page.next_above)
    assert list(page.ids) == ["c"] and not page.next_above


def test_a_move_that_is_given_up_leaves_the_old_model_and_may_begin_again(moving: Moving) -> None:
    usage = moving.machine.usage("acme")
    vectors = usage.vectors
    moving.begin()
    moving.store({"a": (1, 0, 0)})
    moving.remember("d", (0, 1, 0))
    half = moving.machine.applied_index
    assert moving.finish(cancel=True).finished
    assert moving.machine.usage("acme").vectors == vectors
    assert moving.found((1, 0)) == ["a", "c", "b"]
    with pytest.raises(Refused, match=MISMATCH):
        moving.found((0, 1, 0))
    assert moving.found((0, 1, 0), at_index=half) == ["d", "a"]
    moving.reload()
    assert list(moving.left().ids) == ["d"]  # found by its words only, until it has one by the old model
    assert moving.begin(2, OLD).version == 0
    moving.store({"d": (1, 0)}, OLD)
    assert moving.left().remaining == 0 and moving.found((1, 0)) == ["a", "d", "c", "b"]
    moving.reload()
    begun = moving.begin()
    assert begun.remaining == 4 and moving.found((0, 1, 0)) == []
    moving.store({"a": (1, 0, 0), "b": (1, 0, 0), "c": (1, 0, 0), "d": (1, 0, 0)})
    assert moving.finish().finished
    moving.reload()
    assert moving.found((0, 1, 0), at_index=half) == ["d", "a"]


def test_back_to_the_model_before_is_a_move_like_any_other(moving: Moving) -> None:
    moving.begin()
    moving.store({"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1)})
    moving.finish()
    middle = moving.machine.applied_index
    moving.begin(2, OLD)
    moving.write(memory_pb2.UpdateMemoryRequest(namespace=NAMESPACE, id="a", kind="k"))
    assert moving.found((1, 0)) == [] and moving.found((1, 0, 0))[0] == "a"
    moving.store({"a": (0, 1), "b": (1, 0), "c": (1, 1)}, OLD)
    moving.write(memory_pb2.UpdateMemoryRequest(namespace=NAMESPACE, id="a", kind="l"))
    moving.reload()
    moving.finish(OLD)
    moving.reload()
    assert moving.found((1, 0)) == ["b", "c", "a"]
    assert moving.found((1, 0, 0), at_index=middle)[0] == "a"
    assert moving.found((1, 0), at_index=3) == ["a", "c", "b"]


def test_memories_without_embeddings_are_given_some(moving: Moving) -> None:
    moving.remember("plain", ())
    between = moving.machine.applied_index
    moving.remember("late", (1, 0))
    assert list(moving.left().ids) == ["plain"]
    moving.store({"plain": (1, 0)}, OLD)
    then = moving.machine.applied_index
    moving.remember("later", (0, 1))
    for _ in range(2):
        assert moving.found((1, 0)) == ["a", "late", "plain", "c", "b", "later"][:6]
        assert moving.found((1, 0), at_index=between) == ["a", "c", "b"]
        assert set(moving.found((1, 0), at_index=then)) == {"a", "late", "plain", "c", "b"}
        moving.reload()


def test_a_namespace_of_texts_alone_has_the_model_that_is_begun() -> None:
    shard = Moving()
    shard.remember("a", ())
    with pytest.raises(Refused, match="begin first"):
        shard.store({"a": (1, 0, 0)})
    assert shard.begin().remaining == 1
    shard.reload()
    shard.remember("b", (0, 1, 0))
    with pytest.raises(Refused, match=MISMATCH):
        shard.remember("c", (0, 1))
    shard.store({"a": (1, 0, 0)})
    assert shard.finish().finished
    shard.reload()
    assert shard.found((1, 0, 0)) == ["a", "b"]
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    assert shard.found((1, 0, 0), f"{NAMESPACE}@f") == ["a", "b"]


def test_forks_keep_the_models_that_they_began_with(moving: Moving) -> None:
    def fork(name: str) -> str:
        moving.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork=name))
        return f"{NAMESPACE}@{name}"

    before = fork("before")
    moving.begin()
    moving.store({"a": (1, 0, 0)})
    during = fork("during")
    moving.store({"b": (0, 1, 0), "c": (0, 0, 1)})
    moving.finish()
    after = fork("after")
    for _ in range(2):
        assert [id for id in moving.found((1, 0), before) if id != "x"] == ["a", "c", "b"]
        with pytest.raises(Refused, match=MISMATCH):
            moving.found((1, 0, 0), before)
        assert [id for id in moving.found((1, 0), during) if id != "y"] == ["a", "c", "b"]
        assert moving.found((1, 0, 0), during)[0] == "a" and "b" not in moving.found((1, 0, 0), during)
        assert moving.found((1, 0, 0), after)[0] == "a"
        moving.remember("x", (1, 0), before)
        moving.remember("x", (0.5, 1, 0), during)
        moving.remember("y", (0, 1), during)
        moving.write(memory_pb2.ForgetRequest(namespace=after, id="b"))
        moving.write(memory_pb2.UpdateMemoryRequest(namespace=during, id="a", kind="k"))
        with pytest.raises(Refused, match=MISMATCH):
            moving.remember("x", (1, 0), after)
        moving.reload()
    assert moving.found((0, 1, 0), after) == ["a", "c"]
    assert moving.found((0, 1, 0), during) == ["x", "a"] and moving.found((0, 1), during)[0] in "by"
    moving.disk.save(moving.machine)
    count = sum(key[:1] == b"w" for key in moving.disk.rows)
    moving.write(fork_pb2.DropForkRequest(namespace=NAMESPACE, fork="during"))
    moving.reload()
    assert sum(key[:1] == b"w" for key in moving.disk.rows) < count
    request = reembed_pb2.BeginReembedRequest(namespace=after, dimension=2, fingerprint=OLD)
    with pytest.raises(Refused, match="is a fork"):
        moving.write(request)


def test_what_a_fork_made_by_the_old_model_is_merged_as_text(moving: Moving) -> None:
    moving.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    moving.remember("x", (1, 0), f"{NAMESPACE}@f")
    moving.begin()
    moving.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="g"))
    moving.remember("y", (0, 1, 0), f"{NAMESPACE}@g")
    moving.store({"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1)})
    moving.finish()
    for name in "fg":
        moving.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork=name))
    moving.reload()
    assert moving.found((0, 1, 0))[:2] == ["b", "y"] and "x" not in moving.found((0, 1, 0))
    assert list(moving.left().ids) == ["x"]


def test_a_transaction_takes_either_model_during_a_move_and_none_of_the_calls_of_it(moving: Moving) -> None:
    moving.begin()
    txn = txn_pb2.CommitTxnRequest(namespace=NAMESPACE)
    txn.operations.add().remember.CopyFrom(remembering("d", (0, 1)))
    txn.operations.add().remember.CopyFrom(remembering("e", (0, 1, 0)))
    assert moving.write(txn).committed
    assert moving.found((0, 1, 0)) == ["e"] and "d" in moving.found((0, 1))
    txn.ClearField("operations")
    txn.operations.add().begin_reembed.CopyFrom(
        reembed_pb2.BeginReembedRequest(dimension=9, fingerprint="third")
    )
    txn.operations.add().remember.CopyFrom(remembering("f", (0, 1)))
    moving.check = False  # as if it stood in the log all the same
    assert "keeps the models" in moving.write(txn).results[0].error.message
    moving.check = True
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE)
    batch.operations.add().finish_reembed.fingerprint = NEW
    with pytest.raises(Refused, match="a call of its own"):
        moving.write(batch)


def test_what_is_trimmed_leaves_nothing_of_any_model_on_the_disk(moving: Moving) -> None:
    moving.begin()
    moving.store({"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1)})
    moving.remember("a", (0, 1, 0))
    moving.finish()
    moving.remember("b", (1, 0, 0))
    moving.write(memory_pb2.ForgetRequest(namespace=NAMESPACE, id="c"))
    moving.reload()
    moving.write(retention_pb2.SetRetentionRequest(namespace=NAMESPACE, versions=1))
    trimmer = Trimmer(moving.machine)
    while (command := trimmer.step(moving.time_us)) is not None:
        moving.time_us += SECOND_US
        moving.machine.apply(moving.machine.applied_index + 1, moving.time_us, 7, [command])
    moving.disk.save(moving.machine)
    assert sum(key[:1] == b"w" for key in moving.disk.rows) == 2
    assert sum(key[:1] == b"m" for key in moving.disk.rows) == 2
    moving.machine = moving.disk.load()
    assert moving.found((1, 0, 0)) == ["b", "a"]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (reembed_pb2.BeginReembedRequest(fingerprint="f"), "dimension: 0, from 1"),
        (reembed_pb2.BeginReembedRequest(dimension=5000, fingerprint="f"), "dimension: 5000"),
        (reembed_pb2.BeginReembedRequest(dimension=5), "fingerprint: missing"),
        (reembed_pb2.StoreEmbeddingsRequest(fingerprint="f"), "ids: 0, from 1"),
        (reembed_pb2.StoreEmbeddingsRequest(fingerprint="f", ids=["a"]), "versions: 0 elements"),
        (
            reembed_pb2.StoreEmbeddingsRequest(fingerprint="f", ids=["a"], versions=[1], embeddings=b"123"),
            "embeddings: 3 bytes for 1 ids",
        ),
        (
            reembed_pb2.StoreEmbeddingsRequest(
                fingerprint=OLD, ids=["a", "b"], versions=[1, 2], embeddings=floats((1, 0, 0, np.nan))
            ),
            r"embeddings\[1\]: NaN",
        ),
        (
            reembed_pb2.StoreEmbeddingsRequest(
                fingerprint=NEW, ids=["a"], versions=[1], embeddings=floats((1, 0, 0))
            ),
            MISMATCH,
        ),
        (reembed_pb2.FinishReembedRequest(), "fingerprint: missing"),
    ],
)
def test_bad_arguments_are_refused(moving: Moving, request_: Any, told: str) -> None:
    request_.namespace = NAMESPACE
    with pytest.raises(Refused, match=told):
        moving.write(request_)
    assert moving.left().next_fingerprint == "" and moving.found((1, 0)) == ["a", "c", "b"]
