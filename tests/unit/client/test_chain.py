"""An export verifies without a server, and shows whatever was changed in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memraft import InvalidArgument, Memory
from memraft.chain import verify_export, verify_file

Lines = list[bytes]


@pytest.fixture
def lines() -> Lines:
    with Memory(namespace="acme/support", agent="alice") as memory:
        memory.append("log", {"text": "héllo\n"}, type="message")
        memory.scoped(run="r1", agent="bob").append("log", [1, 2.5, None])
        memory.append("log", "third")
        return list(memory.export("log"))


def test_an_export_says_all_that_its_hashes_cover(lines: Lines) -> None:
    verdict = verify_export(lines)
    assert verdict and (verdict.namespace, verdict.stream, verdict.count) == ("acme/support", "log", 3)
    assert (verdict.line, verdict.reason) == (0, "")
    header, first, second, third = map(msgspec.json.decode, lines)
    assert header == {
        "format": "memraft.stream.v1",
        "namespace": "acme/support",
        "stream": "log",
        "count": 3,
        "head": verdict.head.hex(),
    }
    assert first["payload"] == '{"text":"héllo\\n"}' and first["prev_hash"] == "00" * 32
    assert (second["run"], second["agent"], second["prev_hash"]) == ("r1", "bob", first["hash"])
    assert third["hash"] == verdict.head.hex()
    assert verify_export(lines, head=verdict.head)


def changed(lines: Lines, line: int, field: str, value: Any) -> Lines:
    fields = msgspec.json.decode(lines[line])
    assert fields[field] != value
    fields[field] = value
    return [*lines[:line], msgspec.json.encode(fields) + b"\n", *lines[line + 1 :]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sequence", 3),
        ("event_id", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("run", "r2"),
        ("agent", "eve"),
        ("time_us", 1),
        ("time_us", -1),
        ("time_us", 1 << 63),
        ("type", "other"),
        ("payload", "[1,2.5,1]"),
        ("payload", "[1, 2.5, null]"),
        ("prev_hash", "00" * 32),
        ("prev_hash", ""),
        ("hash", "11" * 32),
        ("hash", "nonsense"),
    ],
)
def test_every_field_of_an_event_is_covered(lines: Lines, field: str, value: Any) -> None:
    verdict = verify_export(changed(lines, 2, field, value))
    assert not verdict and verdict.reason
    assert (verdict.line, verdict.count) == (3, 1)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("namespace", "acme/other", 2),
        ("stream", "other", 2),
        ("count", 2, 4),
        ("head", "11" * 32, 1),
        ("format", "memraft.stream.v2", 1),
    ],
)
def test_the_first_line_is_covered(lines: Lines, field: str, value: Any, line: int) -> None:
    verdict = verify_export(changed(lines, 0, field, value))
    assert not verdict and verdict.line == line


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found[:1] + found[2:],
        lambda found: found[:2] + found[3:],
        lambda found: found[:3],
        lambda found: [found[0], found[2], found[1], found[3]],
        lambda found: found[:2] + found[1:],
        lambda found: found[1:],
        lambda found: [],
        lambda found: [*found, b"\n"],
        lambda found: [*found[:2], found[2].replace(b"{", b'{"payload":"1",', 1), found[3]],
        lambda found: [*found[:2], found[2].replace(b"{", b"{ ", 1), found[3]],
        lambda found: [*found[:2], found[2].replace(b"}", b',"more":1}'), found[3]],
        lambda found: [*found[:3], found[3].rstrip()],
        lambda found: [*found[:2], b"\xff\n", found[3]],
        lambda found: [*found[:2], b"[]\n", found[3]],
    ],
)
def test_lines_that_are_missing_moved_or_written_otherwise_are_found(
    lines: Lines, damage: Callable[[Lines], Lines]
) -> None:
    verdict = verify_export(damage(lines))
    assert not verdict and verdict.line > 0 and verdict.reason


def test_only_a_head_of_ones_own_shows_that_the_end_was_cut_off_or_all_made_anew(lines: Lines) -> None:
    head = verify_export(lines).head
    last = msgspec.json.decode(lines[2])
    cut = changed(changed(lines[:3], 0, "count", 2), 0, "head", last["hash"])
    assert verify_export(cut)
    verdict = verify_export(cut, head=head)
    assert not verdict and head.hex() in verdict.reason
    with pytest.raises(InvalidArgument, match="32 bytes"):
        verify_export(lines, head=b"1")


def test_a_stream_that_is_empty_or_of_the_past_is_exported(tmp_path: Path) -> None:
    with Memory() as memory:
        nothing = list(memory.export("nothing"))
        assert len(nothing) == 1 and verify_export(nothing).count == 0
        first = memory.append_many("log", range(1_500))
        memory.append("log", "later")
        path = tmp_path / "export"
        path.write_bytes(b"".join(memory.export("log", at=first.log_index)))
    verdict = verify_file(path, head=first.last_hash)
    assert verdict and verdict.count == 1_500
    assert not verify_file(path, head=bytes(32))


def test_an_export_without_the_events_that_retention_forgot_verifies_from_there_on() -> None:
    with Memory(namespace="acme/support") as memory:
        for n in range(5):
            memory.append("log", n)
        memory.set_retention(events=2)
        while len(memory.events("log")) > 2:
            memory.put("other", 0)
        lines = list(memory.export("log"))
    verdict = verify_export(lines)
    assert verdict and (verdict.count, verdict.forgotten) == (2, 3) and len(lines) == 3
    header = msgspec.json.decode(lines[0])
    assert (header["count"], header["forgotten"]) == (5, 3)
    assert not verify_export([lines[0], lines[2]])
    assert not verify_export([lines[0].replace(header["before"].encode(), b"00" * 32), *lines[1:]])
    assert not verify_export([lines[0].replace(header["before"].encode(), b"?"), *lines[1:]])
