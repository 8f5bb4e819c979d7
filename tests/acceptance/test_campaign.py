"""The campaign's own judgement: it must see what it is there to see. `make campaign` runs the campaign."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.acceptance.campaign import packets, report
from tests.acceptance.campaign.catalogue import FAULTS
from tests.acceptance.campaign.run import Result
from tests.acceptance.campaign.verdict import Final, Tally, clock_problems, judge, longest_gap_s
from tests.linearizability import Operation, Outcome

PLACE = "acme/x"


def operation(
    kind: str,
    name: str,
    value: object,
    begin: float,
    outcome: Outcome = Outcome.OK,
    *,
    took: float = 1.0,
    result: object = None,
    version: int | None = None,
) -> Operation:
    return Operation(
        process="c0", kind=kind, key=f"{PLACE}|{name}", value=value, invoked=begin, returned=begin + took,
        outcome=outcome, result=result, version=version,
    )  # fmt: skip


def verdict(history: list[Operation], ledger: dict[str, str], events: list[str]) -> Tally:
    return judge(history, {PLACE: Final(ledger, {"s0": events, "s1": []})})


def test_what_was_acknowledged_and_is_there_once_is_good() -> None:
    tally = verdict(
        [
            operation("put", "ledger:a", "a", 0),
            operation("append", "s0", "b", 2, result=1),
            operation("append", "s0", "c", 4, Outcome.INFO),
            operation("append", "s0", "d", 4, Outcome.FAIL),
            operation("batch", "e", "e", 6),
            operation("put", "kv:r", "f", 8, version=5),
            operation("get", "kv:r", None, 10, result="f", version=5),
        ],
        {"ledger:a": "a", "ledger:e": "e"},
        ["b", "e"],
    )
    assert tally == Tally(acknowledged=5, failed=1, unknown=1)


@pytest.mark.parametrize(
    ("history", "ledger", "events", "lost", "doubled", "problem"),
    [
        ([operation("put", "ledger:a", "a", 0)], {}, [], 1, 0, "lost"),
        ([operation("put", "ledger:a", "a", 0)], {"ledger:a": "b"}, [], 1, 0, "lost"),
        ([operation("append", "s0", "a", 0, result=1)], {}, [], 1, 0, "lost"),
        ([operation("append", "s0", "a", 0, result=1)], {}, ["a", "a"], 0, 1, "doubled"),
        ([operation("append", "s0", "a", 0, Outcome.INFO)], {}, ["a", "a"], 0, 1, "doubled"),
        ([operation("append", "s0", "a", 0, result=2)], {}, ["a"], 0, 0, "is at 1"),
        ([operation("put", "ledger:a", "a", 0, Outcome.FAIL)], {"ledger:a": "a"}, [], 0, 0, "refused"),
        ([operation("append", "s0", "a", 0, Outcome.FAIL)], {}, ["a"], 0, 0, "refused"),
        ([operation("batch", "a", "a", 0, Outcome.INFO)], {"ledger:a": "a"}, [], 0, 0, "half of a batch"),
        ([operation("append", "s1", "a", 0, Outcome.INFO)], {}, ["a"], 0, 0, "is in stream s0"),
        ([], {}, ["a"], 0, 0, "nobody wrote"),
        (
            [operation("append", "s0", "a", 0, result=2), operation("append", "s0", "b", 5, result=1)],
            {}, ["b", "a"], 0, 0, "out of order",
        ),
        (
            [
                operation("put", "kv:r", "a", 0, version=1),
                operation("put", "kv:r", "b", 2, version=2),
                operation("get", "kv:r", None, 4, result="a", version=1),
            ],
            {}, [], 0, 0, "not linearizable",
        ),
    ],
)  # fmt: skip
def test_what_must_not_be_is_seen(
    history: list[Operation], ledger: dict[str, str], events: list[str], lost: int, doubled: int, problem: str
) -> None:
    tally = verdict(history, ledger, events)
    assert (tally.lost, tally.doubled) == (lost, doubled)
    assert any(problem in each for each in tally.problems), tally.problems


def test_the_longest_gap_is_the_worst_shards_and_counts_both_ends() -> None:
    assert longest_gap_s({"a": [1.0, 2.0, 2.5], "b": [1.5, 2.0]}, 1.0, 3.0) == 1.0
    assert longest_gap_s({"a": []}, 1.0, 3.0) == 2.0


def test_commit_time_that_goes_back_is_seen() -> None:
    assert clock_problems({"a": {3: 30, 1: 10, 2: 20}}) == []
    assert "from log index 1 to 2" in clock_problems({"a": {1: 10, 2: 9}})[0]


def test_the_table_shows_what_was_skipped_and_what_was_wrong(tmp_path: Path) -> None:
    good = Result("none", 3, 1, Tally(acknowledged=10))
    bad = Result("none", 3, 2, Tally(acknowledged=5, lost=1), violations=["lost: x"], kept="build/here")
    table = report.render([good, bad], {"delay": "no queue"}, FAULTS)
    assert "none" in table.splitlines()[2] and "VIOLATED in 1" in table.splitlines()[2]
    assert "15" in table.splitlines()[2]
    assert "SKIPPED: no queue" in table
    assert "lost: x" in table and "build/here" in table
    report.write_json(tmp_path / "report.json", [good, bad], {"delay": "no queue"}, {"seed": 1})
    assert '"violations"' in (tmp_path / "report.json").read_text()


def test_packets_that_the_kernel_announces_are_read() -> None:
    one = packets.attribute(packets.ATTR_PACKET_HDR, struct.pack("!IHB", 77, 0x0800, 3))
    two = packets.attribute(9, b"xyz") + packets.attribute(
        packets.ATTR_PACKET_HDR, struct.pack("!IHB", 78, 0, 3)
    )
    data = b"".join(packets.message(packets.MSG_PACKET, 1, each) for each in (one, two))
    assert packets.packet_ids(data) == [77, 78]
    refusal = struct.pack("=IHHIIi", 36, packets.NLMSG_ERROR, 0, 0, 0, -1) + b"\0" * 16
    with pytest.raises(PermissionError):
        packets.packet_ids(refusal)


def test_every_fault_says_what_it_does_and_ci_has_a_size_for_it() -> None:
    for fault in FAULTS.values():
        assert fault.about and fault.sizes[0] in (3, 5), fault.name
    assert {3, 5} == {fault.sizes[0] for fault in FAULTS.values()}
