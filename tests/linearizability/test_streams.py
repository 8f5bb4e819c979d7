"""Small histories of streams and sets, and what must be found in each."""

import pytest

from tests.linearizability import Operation, Outcome, check_streams


def append(
    process: int,
    start: float,
    end: float,
    element: object,
    outcome: Outcome = Outcome.OK,
    version: int | None = None,
) -> Operation:
    return Operation(
        process=process, kind="append", key="s", value=element, invoked=start, returned=end, outcome=outcome,
        version=version,
    )  # fmt: skip


def read(process: int, start: float, end: float, *elements: object) -> Operation:
    return Operation(
        process=process, kind="read", key="s", result=list(elements), invoked=start, returned=end
    )


ABC = [append(1, 0, 1, "a"), append(1, 2, 3, "b"), append(1, 4, 5, "c")]

GOOD = {
    "nothing": [],
    "in order": [*ABC, read(2, 6, 7, "a", "b", "c")],
    "beside each other in either order": [
        append(1, 0, 5, "a"),
        append(2, 0, 5, "b"),
        read(2, 6, 7, "b", "a"),
    ],
    "unknown, there": [append(1, 0, 1, "a", Outcome.INFO), read(2, 6, 7, "a")],
    "unknown, not there": [append(1, 0, 1, "a", Outcome.INFO), read(2, 6, 7)],
    "unknown, late": [append(1, 0, 1, "a", Outcome.INFO), append(1, 2, 3, "b"), read(2, 6, 7, "b", "a")],
    "refused": [append(1, 0, 1, "a", Outcome.FAIL), read(2, 6, 7)],
    "a read beside an append": [read(2, 0, 9), append(1, 1, 2, "a"), read(3, 10, 11, "a")],
    "versions": [append(1, 0, 9, "a", version=4), append(2, 0, 9, "b", version=2), read(1, 10, 11, "b", "a")],
}
BAD = {
    "acknowledged, but missing": [*ABC, read(2, 6, 7, "a", "c")],
    "there twice": [*ABC, read(2, 6, 7, "a", "b", "b", "c")],
    "nobody appended it": [*ABC, read(2, 6, 7, "a", "b", "c", "d")],
    "it was refused": [append(1, 0, 1, "a", Outcome.FAIL), read(2, 6, 7, "a")],
    "before it was appended": [read(2, 0, 1, "a"), append(1, 2, 3, "a")],
    "no beginning of the longest one": [
        append(1, 0, 9, "a"), append(2, 0, 9, "b"), read(3, 5, 6, "b"), read(3, 10, 11, "a", "b"),
    ],
    "elements that were read are gone": [
        append(1, 0, 1, "a", Outcome.INFO), append(1, 2, 3, "b"), read(2, 4, 5, "b", "a"), read(2, 6, 7, "b"),
    ],
    "not in the order in which": [*ABC, read(2, 6, 7, "b", "a", "c")],
    "stands after": [
        append(1, 0, 9, "a", version=4), append(2, 0, 9, "b", version=2), read(1, 10, 11, "a", "b"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    verdict = check_streams(GOOD[name])
    assert verdict.ok is True, str(verdict)


@pytest.mark.parametrize("name", BAD)
def test_rejects(name: str) -> None:
    verdict = check_streams(BAD[name])
    assert verdict.ok is False
    assert name in "\n".join(verdict.problems)


def test_sets_have_no_order_but_lose_nothing() -> None:
    assert check_streams([*ABC, read(2, 6, 7, "c", "a", "b")], is_ordered=False).ok is True
    assert check_streams([*ABC, read(2, 6, 7, "c", "a")], is_ordered=False).ok is False
    assert check_streams([*ABC, read(2, 6, 7, "c", "a", "b", "a")], is_ordered=False).ok is False


def test_elements_must_tell_appends_apart() -> None:
    with pytest.raises(ValueError, match="unique"):
        check_streams([append(1, 0, 1, "a"), append(1, 2, 3, "a")])
