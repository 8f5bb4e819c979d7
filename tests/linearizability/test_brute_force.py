"""The search and the literal definition agree on every small history that Hypothesis finds."""

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.linearizability import Operation, Outcome, check_cells
from tests.linearizability.brute import is_linearizable

VALUES = st.integers(1, 3)


@st.composite
def histories(draw: st.DrawFn, with_versions: bool) -> list[Operation]:
    """Up to seven operations that begin and end at any of twelve instants, with any answers."""
    found = []
    for process in range(draw(st.integers(1, 7))):
        kinds = ["read", "write", "delete", "cas", *(["cas_version"] if with_versions else [])]
        kind = draw(st.sampled_from(kinds))
        start = draw(st.integers(0, 10))
        end = draw(st.integers(start, 12))
        outcome = draw(st.sampled_from([Outcome.OK, Outcome.OK, Outcome.OK, Outcome.INFO, Outcome.FAIL]))
        value, result, version = _content(draw, kind, outcome, with_versions)
        found.append(
            Operation(
                process=process, kind=kind, value=value, result=result, invoked=start, returned=end,
                outcome=outcome, version=version,
            )
        )  # fmt: skip
    return found


def _content(
    draw: st.DrawFn, kind: str, outcome: Outcome, with_versions: bool
) -> tuple[object, object, int | None]:
    is_ok = outcome is Outcome.OK
    version = draw(st.integers(1, 5)) if with_versions and is_ok else None
    if kind == "read":
        result = draw(st.none() | VALUES) if is_ok else None
        return None, result, version if result is not None else None
    if kind == "delete":
        return None, draw(st.sampled_from([None, True, False])) if is_ok else None, version
    if kind == "write":
        return draw(VALUES), None, version
    expected = draw(st.integers(0, 5)) if kind == "cas_version" else draw(VALUES)
    return [expected, draw(VALUES)], draw(st.booleans()) if is_ok else None, version


@given(histories(with_versions=False))
@settings(max_examples=600)
def test_agrees_with_the_definition(history: list[Operation]) -> None:
    expected = is_linearizable(history)
    event(f"linearizable: {expected}")
    assert check_cells(history).ok is expected


@given(histories(with_versions=True))
@settings(max_examples=600)
def test_agrees_on_versions_where_all_are_known(history: list[Operation]) -> None:
    known = [each for each in history if each.outcome is not Outcome.INFO]
    assert check_cells(known).ok is is_linearizable(known)


@given(histories(with_versions=True))
@settings(max_examples=600)
def test_rejects_nothing_that_is_sound(history: list[Operation]) -> None:
    """With versions not known, the checker may be milder than the definition, never stricter."""
    if is_linearizable([each for each in history if each.kind != "cas_version"]):
        milder = [each for each in history if each.kind != "cas_version"]
        assert check_cells(milder).ok is True
