"""Small histories of registers and keys whose verdict anyone can check by hand."""

from pathlib import Path

import pytest

from tests.linearizability import Operation, Outcome, Recorder, check_cells, load, save

INFO = Outcome.INFO


def call(
    process: int | str,
    start: float,
    end: float | None,
    kind: str,
    value: object = None,
    result: object = None,
    version: int | None = None,
    outcome: Outcome = Outcome.OK,
    key: str = "x",
) -> Operation:
    return Operation(
        process=process, kind=kind, key=key, value=value, result=result, invoked=start, returned=end,
        outcome=outcome, version=version,
    )  # fmt: skip


def write(process: int, start: float, end: float | None, value: object, **more: object) -> Operation:
    return call(process, start, end, "write", value, **more)  # type: ignore[arg-type]


def read(process: int, start: float, end: float, result: object, **more: object) -> Operation:
    return call(process, start, end, "read", None, result, **more)  # type: ignore[arg-type]


def cas(process: int, start: float, end: float | None, old: object, new: object, result: object) -> Operation:
    outcome = Outcome.INFO if result is None else Outcome.OK
    return call(process, start, end, "cas", [old, new], result, outcome=outcome)


GOOD = {
    "nothing": [],
    "read of nothing": [read(1, 0, 1, None)],
    "one after the other": [write(1, 0, 1, 7), read(2, 2, 3, 7)],
    "a read beside a write sees either": [write(1, 0, 9, 7), read(2, 1, 2, None), read(2, 3, 4, 7)],
    "writes that overlap in either order": [write(1, 0, 5, 1), write(2, 1, 6, 2), read(3, 7, 8, 1)],
    "at the same instant is at the same time": [write(1, 0, 2, 7), read(2, 2, 3, None)],
    "an unknown write seen late": [
        write(1, 0, None, 7, outcome=INFO), read(2, 5, 6, None), read(2, 90, 91, 7),
    ],
    "an unknown write never seen": [write(1, 0, None, 7, outcome=INFO), read(2, 5, 6, None)],
    "a write that was refused": [write(1, 0, 1, 7, outcome=Outcome.FAIL), read(2, 5, 6, None)],
    "cas": [write(1, 0, 1, 1), cas(1, 2, 3, 1, 2, True), cas(1, 4, 5, 1, 3, False), read(1, 6, 7, 2)],
    "an unknown cas in between": [
        write(1, 0, 1, 1), cas(2, 2, None, 1, 2, None), cas(1, 3, 4, 2, 3, True), read(1, 5, 6, 3),
    ],
    "a read may see a value written between two that overlap it": [
        write(1, 0, 1, 1), read(2, 2, 9, 2), write(1, 3, 4, 2), write(1, 5, 6, 3), read(3, 10, 11, 3),
    ],
    "delete": [
        write(1, 0, 1, 1), call(1, 2, 3, "delete", result=True), read(1, 4, 5, None),
        call(1, 6, 7, "delete", result=False),
    ],
    "versions": [
        write(1, 0, 5, "a", version=3), write(2, 0, 5, "b", version=2), read(1, 6, 7, "a", version=3),
        call(1, 8, 9, "cas_version", [3, "c"], True, 5), call(1, 10, 11, "cas_version", [3, "d"], False),
    ],
    "two keys": [write(1, 0, 1, 1), write(1, 2, 3, 2, key="y"), read(1, 4, 5, 1)],
}  # fmt: skip

BAD = {
    "stale read": [write(1, 0, 1, 1), write(1, 2, 3, 2), read(2, 4, 5, 1)],
    "stale read of nothing": [write(1, 0, 1, 1), read(2, 2, 3, None)],
    "lost write": [write(1, 0, 1, 1), read(2, 2, 3, 1), read(2, 4, 5, None)],
    "a value from nowhere": [write(1, 0, 1, 1), read(2, 2, 3, 9)],
    "a value from the future": [read(2, 0, 1, 1), write(1, 2, 3, 1)],
    "reads that go back beside a write": [write(1, 0, 9, 1), read(2, 1, 2, 1), read(3, 3, 4, None)],
    "a refused write that is there": [write(1, 0, 1, 7, outcome=Outcome.FAIL), read(2, 5, 6, 7)],
    "cas that contradicts": [write(1, 0, 1, 1), cas(2, 2, 3, 5, 6, True)],
    "cas that should have held": [write(1, 0, 1, 1), cas(2, 2, 3, 1, 6, False)],
    "cas that two have won": [write(1, 0, 1, 1), cas(1, 2, 9, 1, 2, True), cas(2, 2, 9, 1, 3, True)],
    "an unknown write that happens twice": [
        write(1, 0, None, 7, outcome=INFO), read(2, 1, 2, 7), write(2, 3, 4, 8), read(2, 5, 6, 8),
        read(2, 7, 8, 7),
    ],
    "a deleted value that comes back": [
        write(1, 0, 1, 1), call(1, 2, 3, "delete", result=True), read(1, 4, 5, 1),
    ],
    "delete that found nothing": [write(1, 0, 1, 1), call(1, 2, 3, "delete", result=False)],
    "versions against time": [write(1, 0, 1, "a", version=5), write(1, 2, 3, "b", version=4)],
    "one version twice": [write(1, 0, 5, "a", version=5), write(2, 0, 5, "b", version=5)],
    "one version for a write and a delete": [
        write(1, 0, 5, "a", version=5), call(2, 0, 5, "delete", version=5),
    ],
    "a read at another version": [write(1, 0, 1, "a", version=5), read(1, 2, 3, "a", version=6)],
    "one version swapped by two": [
        write(1, 0, 1, "a", version=1), call(1, 2, 9, "cas_version", [1, "b"], True, 2),
        call(2, 2, 9, "cas_version", [1, "c"], True, 3),
    ],
    "an unknown write has one version": [
        write(1, 0, None, "a", outcome=INFO), read(2, 1, 2, "a", version=4), read(2, 3, 4, "a", version=5),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name: str) -> None:
    verdict = check_cells(GOOD[name])
    assert verdict.ok is True, str(verdict)


@pytest.mark.parametrize("name", BAD)
def test_rejects(name: str) -> None:
    assert check_cells(BAD[name]).ok is False


def test_says_which_key_where_it_ends_and_what_cannot_follow() -> None:
    history = [
        write(1, 0, 1, 1), write(1, 2, 3, 2), write(3, 3, None, 5, outcome=INFO), read(2, 4, 5, 1),
        read(1, 6, 7, 2), write(1, 0, 1, 9, key="sound"),
    ]  # fmt: skip
    assert check_cells(history).problems == [
        "key 'x': 2 operations can be put in order, ending in\n"
        "    [0, 1] 1: write x 1\n"
        "    [2, 3] 1: write x 2\n"
        "  where the value can be 2, 5; then this cannot follow:\n"
        "    [4, 5] 2: read x -> 1\n"
        "  with 1 under way that had not taken effect:\n"
        "    [3, ...] 3: write x 5 -> info"
    ]


def test_says_when_it_gives_up() -> None:
    crowd = [write(n, 0, 10, n) for n in range(1, 12)]
    assert check_cells([*crowd, read(20, 11, 12, 99)], configurations_max=50).ok is None


def test_many_at_once_with_versions() -> None:
    """Writes of known versions have one order, so that a crowd of them costs no search."""
    crowd = [write(n, 0, 1000, f"v{n}", version=n) for n in range(1, 200)]
    reads = [read(500 + n, 0, 1000, f"v{n}", version=n) for n in range(1, 200)]
    verdict = check_cells([*crowd, *reads, read(999, 1001, 1002, "v199", version=199)])
    assert verdict.ok is True
    assert verdict.configurations < 500


def test_refuses_what_it_has_no_model_for() -> None:
    with pytest.raises(ValueError, match="no operation 'increment'"):
        check_cells([call(1, 0, 1, "increment", 1)])
    with pytest.raises(ValueError, match="null cannot be told from nothing"):
        check_cells([write(1, 0, 1, None)])


def test_recorded_saved_and_read_again(tmp_path: Path) -> None:
    ticks = iter(range(100))
    recorder = Recorder(lambda: float(next(ticks)))
    put = recorder.invoke("client 1", "put", "x", {"a": [1, True, None]})
    get = recorder.invoke("client 2", "get", "x")
    recorder.ok(put, version=17)
    recorder.ok(get, {"a": [1, True, None]}, version=17)
    recorder.fail(recorder.invoke("client 1", "put", "x", 2))
    recorder.info(recorder.invoke("client 1", "put", "x", 3))
    recorder.invoke("client 2", "cas", "x", [1, 2])
    history = recorder.history()
    assert [each.outcome for each in history] == ["ok", "ok", "fail", "info", "info"]
    save(tmp_path / "history.jsonl", history)
    again = load(tmp_path / "history.jsonl")
    assert again == history
    assert check_cells(again).ok is True
    (tmp_path / "broken.jsonl").write_text('{"process": 1}\n')
    with pytest.raises(ValueError, match=r"broken.jsonl:1: .*kind"):
        load(tmp_path / "broken.jsonl")


def test_true_is_not_one() -> None:
    assert check_cells([write(1, 0, 1, True), read(1, 2, 3, 1)]).ok is False
