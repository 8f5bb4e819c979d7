"""MemoryService through the machine: remembering, forgetting, recall among the right ones, and the past."""

import itertools
from typing import Any

import numpy as np
import pytest

from memraft_proto.methods import METHODS
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.machine.validate import check_read, check_write

NAMESPACE = "acme/support"
LIMITS = Limits()
MODEL = "hashed-ngrams-v1:3"


def floats(*components: float) -> bytes:
    return np.array(components, "<f4").tobytes()


class Shard:
    """A machine whose calls are checked first, as the server does."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.machine = Machine(0, limits)

    def write(self, name: str, **fields: Any) -> Any:
        method = METHODS[name]
        request: Any = method.request(namespace=NAMESPACE, **fields)
        request.context.run = "run-1"
        check_write(method.kind, request, self.limits)
        index = self.machine.applied_index + 1
        [reply] = self.machine.apply(index, index * 1000, 7, [Command(method.kind, "alice", request)])
        if isinstance(reply, Refused):
            raise reply
        return reply

    def read(self, name: str, at_index: int | None = None, **fields: Any) -> Any:
        request: Any = METHODS[name].request(namespace=NAMESPACE, **fields)
        if at_index is not None:
            request.context.at_index = at_index
        check_read(name, request, self.limits)
        return self.machine.query(name, request)

    def remember(self, text: str, *embedding: float, **fields: Any) -> Any:
        if embedding:
            fields = {"embedding": floats(*embedding), "fingerprint": MODEL} | fields
        return self.write("Remember", text=text, **fields)

    def recall(self, *embedding: float, **fields: Any) -> list[str]:
        """Returns the texts found, best first."""
        fields = {"embedding": floats(*embedding), "fingerprint": MODEL} | fields
        return [hit.memory.text for hit in self.read("Recall", **fields).hits]

    def update(self, id: str, **fields: Any) -> Any:
        return self.write("UpdateMemory", id=id, **fields)

    def texts(self, **fields: Any) -> list[str]:
        return [memory.text for memory in self.read("ListMemories", **fields).memories]


def test_what_is_remembered_is_found_by_id_by_age_and_by_meaning() -> None:
    shard = Shard()
    reply = shard.remember(
        "Refund for order #1458", 1, 0, 0,
        about="user:4321", kind="fact", salience=0.75, metadata=b'{"order": 1458}',
    )  # fmt: skip
    assert len(reply.id) == 26 and (reply.version, reply.time_us) == (1 << 20, 1000)
    [hit] = shard.read("Recall", embedding=floats(2, 0, 0), fingerprint=MODEL).hits
    memory = hit.memory
    assert hit.score == pytest.approx(1)
    assert (memory.id, memory.text, memory.metadata) == (
        reply.id,
        "Refund for order #1458",
        b'{"order": 1458}',
    )
    assert (memory.about, memory.kind, memory.salience) == ("user:4321", "fact", 0.75)
    provenance = memory.provenance
    assert (provenance.agent, provenance.run, provenance.time_us) == ("alice", "run-1", 1000)
    assert shard.read("GetMemory", id=reply.id).memory == memory
    assert list(shard.read("ListMemories").memories) == [memory]
    assert not shard.read("GetMemory", id="another").HasField("memory")


def test_recall_looks_only_among_those_asked_for() -> None:
    shard = Shard()
    for i, (about, kind) in enumerate(itertools.product(["ann", "bob", ""], ["fact", "plan", ""])):
        shard.remember(f"{about}/{kind}", 1, i / 10, 0, about=about, kind=kind, metadata=b'{"i": %d}' % i)
    assert len(shard.recall(1, 0, 0)) == 9
    assert shard.recall(1, 0, 0, k=2) == ["ann/fact", "ann/plan"]
    assert shard.recall(1, 0, 0, about="bob") == ["bob/fact", "bob/plan", "bob/"]
    assert shard.recall(1, 0, 0, kind="plan") == ["ann/plan", "bob/plan", "/plan"]
    assert shard.recall(1, 0, 0, about="bob", kind="plan") == ["bob/plan"]
    assert shard.recall(1, 0, 0, about="bob", filter=b'{"i": {"$gt": 3}}') == ["bob/plan", "bob/"]
    assert shard.recall(1, 0, 0, filter=b'{"i": {"$in": [8, 0]}}') == ["ann/fact", "/"]
    assert shard.recall(1, 0, 0, about="nobody") == []
    assert shard.recall(1, 0, 0, kind="plan", about="nobody") == []


def test_replaced_and_forgotten_memories_stay_in_the_past() -> None:
    shard = Shard()
    shard.remember("lives in Oslo", 1, 0, 0, id="home", about="ann")
    shard.remember("likes tea", 0, 1, 0, id="tea", about="ann")
    shard.remember("lives in Bergen", 1, 0, 0.5, id="home", about="ann")
    assert shard.write("Forget", id="tea").found
    assert not shard.write("Forget", id="tea").found
    assert not shard.write("Forget", id="never").found
    assert shard.recall(1, 0, 0) == ["lives in Bergen"]
    assert shard.texts(about="ann") == ["lives in Bergen"]
    assert not shard.read("GetMemory", id="tea").HasField("memory")
    assert shard.recall(1, 0, 0, at_index=2) == ["lives in Oslo", "likes tea"]
    assert shard.texts(at_index=2) == ["likes tea", "lives in Oslo"]
    assert shard.texts(about="ann", at_index=3) == ["lives in Bergen", "likes tea"]
    assert shard.read("GetMemory", id="home", at_index=1).memory.text == "lives in Oslo"
    assert shard.read("GetMemory", id="tea", at_index=3).memory.text == "likes tea"
    assert not shard.read("GetMemory", id="tea", at_index=1).HasField("memory")
    shard.remember("likes coffee", 0, 1, 0, id="tea")
    assert shard.recall(0, 1, 0, k=1) == ["likes coffee"]
    assert not shard.read("GetMemory", id="tea", at_index=4).HasField("memory")
    usage = shard.machine.usage("acme")
    assert usage.vectors == 2


def test_a_memory_without_an_embedding_is_kept_and_not_recalled() -> None:
    shard = Shard()
    shard.remember("only text", id="a")
    assert shard.recall(1, 0, 0) == []
    shard.remember("with meaning", 1, 0, 0)
    assert shard.recall(1, 0, 0) == ["with meaning"]
    assert shard.texts() == ["with meaning", "only text"]
    shard.remember("now with meaning", 1, 0, 0.1, id="a")
    assert shard.recall(1, 0, 0) == ["with meaning", "now with meaning"]
    shard.remember("without again", id="a")
    assert shard.recall(1, 0, 0) == ["with meaning"]
    assert shard.machine.usage("acme").vectors == 1


@pytest.mark.parametrize("about", ["", "even"])
def test_pages_go_from_new_to_old_without_gaps(about: str) -> None:
    shard = Shard()
    for i in range(25):
        shard.remember(str(i), id=str(i), about="even" if i % 2 == 0 else "odd")
    for i in (4, 5):
        shard.write("Forget", id=str(i))
    wanted = [str(i) for i in range(24, -1, -1) if i not in (4, 5) and (not about or i % 2 == 0)]
    seen, cursor = [], ""
    while True:
        page = shard.read("ListMemories", about=about, limit=4, cursor=cursor)
        seen += [memory.text for memory in page.memories]
        assert len(page.memories) <= 4
        cursor = page.next_cursor
        if not cursor:
            break
        shard.remember("newer", about=about)  # what comes after the first page is not on a later one
    assert seen == wanted


def test_a_page_ends_before_it_is_too_large() -> None:
    shard = Shard(Limits(page_bytes_max=10_000))
    for i in range(10):
        shard.remember("x" * 1000, id=str(i))
    page = shard.read("ListMemories")
    assert 0 < len(page.memories) < 10 and page.next_cursor


INVALID = "INVALID_ARGUMENT"
MISMATCH = "EMBEDDING_MISMATCH"
REMEMBER = {"text": "t", "embedding": floats(1, 0, 0), "fingerprint": MODEL}
RECALL = {"embedding": floats(1, 0, 0), "fingerprint": MODEL}


@pytest.mark.parametrize(
    ("call", "name", "fields", "reason", "told"),
    [
        ("write", "Remember", REMEMBER | {"text": ""}, INVALID, "text: missing; 1 to 65536 bytes"),
        ("write", "Remember", REMEMBER | {"text": "ä" * 32769}, INVALID, "text: 65538 bytes, at most 65536"),
        ("write", "Remember", REMEMBER | {"salience": 1.5}, INVALID, "salience: 1.5, from 0 to 1"),
        ("write", "Remember", REMEMBER | {"salience": float("nan")}, INVALID, "salience: nan"),
        ("write", "Remember", REMEMBER | {"metadata": b"7"}, INVALID, "metadata: a JSON object"),
        ("write", "Remember", REMEMBER | {"about": "a\nb"}, INVALID, "about: "),
        ("write", "Remember", REMEMBER | {"kind": "k" * 129}, INVALID, "kind: 129 bytes, at most 128"),
        ("write", "Remember", REMEMBER | {"embedding": b"123"}, INVALID, "embedding: 3 bytes"),
        ("write", "Remember", REMEMBER | {"embedding": floats(1, np.inf, 0)}, INVALID, "component 1"),
        (
            "write",
            "Remember",
            REMEMBER | {"embedding": floats(1, 0)},
            MISMATCH,
            "3 components, 12 bytes; this one has 8",
        ),
        (
            "write",
            "Remember",
            REMEMBER | {"fingerprint": "other"},
            MISMATCH,
            f"made by '{MODEL}'; this one was made by 'other'",
        ),
        ("write", "Remember", REMEMBER | {"fingerprint": ""}, MISMATCH, MODEL),
        ("write", "Forget", {"id": ""}, INVALID, "id: missing"),
        ("read", "GetMemory", {"id": ""}, INVALID, "id: missing"),
        ("read", "ListMemories", {"limit": 10_001}, INVALID, "limit: 10001, at most 10000"),
        ("read", "ListMemories", {"cursor": "x"}, INVALID, "cursor: "),
        ("read", "Recall", RECALL | {"k": 1001}, INVALID, "k: 1001, at most 1000"),
        ("read", "Recall", RECALL | {"embedding": b""}, INVALID, "embedding: 0 bytes"),
        ("read", "Recall", RECALL | {"embedding": floats(1)}, MISMATCH, "this one has 4 bytes"),
        ("read", "Recall", RECALL | {"fingerprint": "other"}, MISMATCH, "'other'"),
        ("read", "Recall", RECALL | {"filter": b"{"}, INVALID, "filter: it is not JSON"),
    ],
)
def test_bad_arguments_are_refused_by_name_and_change_nothing(
    call: str, name: str, fields: dict[str, Any], reason: str, told: str
) -> None:
    shard = Shard()
    shard.remember("first", 0, 0, 1)
    before = shard.machine.usage("acme").bytes
    with pytest.raises(Refused) as refused:
        getattr(shard, call)(name, **fields)
    assert refused.value.reason == reason
    assert told in refused.value.message
    assert shard.machine.usage("acme").bytes == before
    assert shard.texts() == ["first"]


def test_recall_among_thousands_is_nearly_exact() -> None:
    shard = Shard()
    random = np.random.default_rng(1)
    centres = random.standard_normal((50, 16))
    vectors = (centres[random.integers(50, size=4000)] + 0.4 * random.standard_normal((4000, 16))).astype(
        "<f4"
    )
    for i, vector in enumerate(vectors):
        shard.remember(str(i), *vector, about=f"user:{i % 40}", kind="fact" if i % 2 else "plan")
    while jobs := shard.machine.index_jobs():
        for job in jobs:
            job.run()
            shard.machine.install(job)
    exact = vectors @ vectors.T / np.linalg.norm(vectors, axis=1)
    found = 0
    for i in range(0, 4000, 100):
        order = np.argsort(-exact[i]).tolist()
        found += len(set(shard.recall(*vectors[i])) & {str(row) for row in order[:10]})
        about = [str(row) for row in order if row % 40 == 7][:10]
        assert shard.recall(*vectors[i], about="user:7") == about
        plans = set(shard.recall(*vectors[i], kind="plan"))
        assert len(plans & {str(row) for row in [r for r in order if r % 2 == 0][:10]}) >= 9
    assert found >= 0.95 * 400


def test_what_is_true_in_the_world_is_another_matter_than_what_was_written_when() -> None:
    shard = Shard()
    oslo = shard.remember("Oslo", 1, 0, about="ann", valid_from_us=100)  # index 1
    shard.update(oslo.id, valid_until_us=200)  # index 2: learned later
    shard.remember("Bergen", 1, 0.1, about="ann", valid_from_us=200)  # index 3
    always = shard.remember("is a person", 0, 1, about="ann")

    seen = [shard.texts(valid_at_us=time_us) for time_us in (99, 100, 199, 200)]
    person = "is a person"
    assert seen == [[person], [person, "Oslo"], [person, "Oslo"], [person, "Bergen"]]
    assert shard.recall(1, 0, k=1, valid_at_us=199) == ["Oslo"]
    assert shard.recall(1, 0, k=1, valid_at_us=200) == ["Bergen"]
    assert shard.recall(1, 0, k=1) == ["Oslo"]
    # What was believed at index 1 about the year 300, and what is believed of it now.
    assert shard.texts(at_index=1, valid_at_us=300) == ["Oslo"]
    assert shard.recall(1, 0, at_index=1, valid_at_us=300) == ["Oslo"]
    assert shard.recall(1, 0, at_index=2, valid_at_us=300) == []
    assert shard.recall(1, 0, valid_at_us=300) == ["Bergen", person]

    assert not shard.read("GetMemory", id=oslo.id, valid_at_us=200).HasField("memory")
    assert shard.read("GetMemory", id=oslo.id, valid_at_us=200, at_index=1).memory.text == "Oslo"
    found = shard.read("GetMemory", id=oslo.id, valid_at_us=150).memory
    assert (found.valid_from_us, found.valid_until_us, found.provenance.version >> 20) == (100, 200, 2)
    assert shard.read("GetMemory", id=always.id, valid_at_us=1).memory.valid_from_us == 0


def test_an_update_changes_what_it_names_and_keeps_the_embedding() -> None:
    shard = Shard()
    first = shard.remember("tea", 3, 4, about="ann", kind="fact", salience=0.25, metadata=b'{"a": 1}')
    shard.remember("coffee", 4, 3)
    shard.update(first.id, kind="habit", metadata=b"")
    found = shard.read("GetMemory", id=first.id).memory
    assert (found.text, found.kind, found.about, found.salience) == ("tea", "habit", "ann", 0.25)
    assert found.metadata == b""
    assert shard.recall(3, 4, kind="habit") == ["tea"]
    assert shard.recall(3, 4, kind="fact") == []
    assert shard.recall(3, 4, kind="fact", at_index=1) == ["tea"]
    assert shard.recall(3, 4) == ["tea", "coffee"]
    shard.update(first.id, valid_from_us=5, valid_until_us=9)
    shard.update(first.id, valid_until_us=0)
    assert shard.texts(valid_at_us=1 << 40) == ["tea", "coffee"]
    assert shard.texts(valid_at_us=4) == ["coffee"]
    plain = shard.remember("without an embedding")
    shard.update(plain.id, salience=1)
    assert shard.recall(3, 4) == ["tea", "coffee"]


def test_a_memory_knows_its_thread_its_speaker_its_pin_and_its_end() -> None:
    shard = Shard()
    said = shard.remember("I moved", thread="session 1", speaker="Ann", pinned=True, ttl_ms=5)
    found = shard.read("GetMemory", id=said.id).memory
    assert (found.thread, found.speaker, found.pinned) == ("session 1", "Ann", True)
    assert found.expires_at_us == said.time_us + 5_000
    updated = shard.update(said.id, pinned=False, ttl_ms=7)
    found = shard.read("GetMemory", id=said.id).memory
    assert (found.thread, found.speaker, found.pinned) == ("session 1", "Ann", False)
    assert found.expires_at_us == updated.time_us + 7_000
    shard.update(said.id, ttl_ms=0)
    assert shard.read("GetMemory", id=said.id).memory.expires_at_us == 0


def test_a_filter_an_entity_and_a_moment_confine_together() -> None:
    shard = Shard()
    for number in range(300):
        fields = {"valid_from_us": number, "valid_until_us": number + 10} if number % 3 else {}
        shard.remember(
            f"{number}",
            1,
            number / 300,
            about=f"user:{number % 2}",
            metadata=b'{"even": true}' if number % 4 == 0 else b"",
            **fields,
        )
    wanted = {n for n in range(300) if n % 4 == 0 and (not n % 3 or n <= 100 < n + 10)}
    found = shard.recall(1, 0.5, k=300, valid_at_us=100, about="user:0", filter=b'{"even": true}')
    assert {int(text) for text in found} == wanted
    assert {int(text) for text in shard.recall(1, 0.5, k=300, valid_at_us=100, about="user:1")} == {
        n for n in range(300) if n % 2 and (not n % 3 or n <= 100 < n + 10)
    }


@pytest.mark.parametrize(
    ("call", "fields", "says"),
    [
        ("Remember", {"text": "t", "thread": "x" * 513}, "thread: 513 bytes"),
        ("Remember", {"text": "t", "speaker": "a\nb"}, "speaker: "),
        ("Remember", {"text": "t", "ttl_ms": 1 << 60}, "ttl_ms: 1152921504606846976, at most 3153600000000"),
        ("UpdateMemory", {"id": "m", "ttl_ms": 1 << 60}, "ttl_ms: 1152921504606846976, at most"),
        ("Remember", {"text": "t", "valid_from_us": 5, "valid_until_us": 5}, "valid_until_us: .*5Z is not"),
        ("Remember", {"text": "t", "valid_from_us": -1}, "valid_from_us: -1, from 0 to 253402300799999999"),
        ("Remember", {"text": "t", "valid_until_us": 1 << 62}, "valid_until_us: 4611686018427387904, from 0"),
        (
            "UpdateMemory",
            {"id": "m", "valid_until_us": 7},
            r"valid_until_us: 1970-01-01T00:00:00\.000007Z is not after valid_from_us: 1970",
        ),
        ("UpdateMemory", {"id": "m", "valid_from_us": -3}, "valid_from_us: -3, from 0"),
        ("UpdateMemory", {"id": "m", "salience": 1.5}, "salience: 1.5, from 0 to 1"),
        ("UpdateMemory", {"id": "m", "metadata": b"["}, "metadata"),
        ("UpdateMemory", {"id": "other"}, "there is no memory 'other'"),
        ("UpdateMemory", {}, "id"),
    ],
)
def test_a_time_that_cannot_be_is_refused(call: str, fields: dict[str, Any], says: str) -> None:
    shard = Shard()
    shard.remember("t", id="m", valid_from_us=7)
    with pytest.raises(Refused, match=says):
        shard.write(call, **fields)
    assert shard.read("GetMemory", id="m").memory.valid_from_us == 7
    for read in ("GetMemory", "ListMemories"):
        with pytest.raises(Refused, match="valid_at_us: -1, from 0"):
            shard.read(read, valid_at_us=-1, **({"id": "m"} if read == "GetMemory" else {}))
    with pytest.raises(Refused, match="valid_at_us"):
        shard.recall(1, 0, valid_at_us=1 << 62)


def test_the_cursor_of_another_listing_is_refused() -> None:
    shard = Shard()
    for number in range(3):
        shard.remember(f"{number}", about="ann")
    cursor = shard.read("ListMemories", about="ann", limit=1).next_cursor
    assert len(shard.read("ListMemories", about="ann", cursor=cursor).memories) == 2
    for other in ({"about": "bob"}, {"about": "ann", "valid_at_us": 5}):
        with pytest.raises(Refused, match="cursor: not the next_cursor"):
            shard.read("ListMemories", cursor=cursor, **other)
