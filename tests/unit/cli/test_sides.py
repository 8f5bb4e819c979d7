"""Two sides of what differs, field by field."""

import json

from memraft.types import RecordDifference, StepDifference
from memraft_server.cli.sides import ROWS_MAX, record_table, step_rows, step_table


def step(left: object, right: object) -> StepDifference:
    texts = [json.dumps(each) if each is not None else "" for each in (left, right)]
    return StepDifference(step=1, call="Put", left=texts[0], right=texts[1])


def test_what_was_asked_for_differently_comes_before_what_was_told() -> None:
    asked = {"request": {"key": "k", "value": {"a": [1, 2], "b": 0}}, "reply": {"version": 1}}
    other = {"request": {"key": "k", "value": {"a": [1], "c": None}}, "reply": {"version": 2}}
    rows = [("value.a[1]", "2", "-"), ("value.b", "0", "-"), ("value.c", "-", "null")]
    assert step_rows(step(asked, other)) == rows
    assert step_rows(step(asked, {**asked, "reply": {"version": 2}})) == [("version", "1", "2")]


def test_a_side_that_is_missing_or_was_shortened_is_shown_as_far_as_it_goes() -> None:
    assert step_rows(step(None, 5)) == [("-", "-", "5")]
    long = StepDifference(step=1, call="Put", left='{"request":{"value":"' + "x" * 100 + "…", right="")
    ((field, left, right),) = step_rows(long)
    assert (field, len(left), left[-1], right) == ("-", 60, "…", "-")


def test_tables_stay_short() -> None:
    many = {"request": {str(n): n for n in range(20)}}
    shown = step_table(step(many, {"request": {}}), "R1", "R2")
    assert len(shown.splitlines()) == ROWS_MAX + 2 and shown.endswith("and 8 more")
    record = RecordDifference(
        kind="memory", name="m", left_version=1, right_version=2, left='{"text":"a"}', right='{"text":"b"}'
    )
    assert record_table([record], "L", "R").splitlines()[1].split() == ["memory", "m", "text", "a", "b"]
