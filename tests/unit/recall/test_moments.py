"""Which time a query names, seen from Wednesday, 13 March 2024, 15:00 UTC."""

from datetime import UTC, datetime

import pytest

from memraft_server.recall.moments import span_of

NOW = datetime(2024, 3, 13, 15, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def span(query: str) -> tuple[str, str] | None:
    found = span_of(query, micros(NOW))
    if found is None:
        return None
    first, after = (datetime.fromtimestamp(each / 1e6, UTC) for each in found)
    return first.strftime("%Y-%m-%d"), after.strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("What happened on 2023-05-07?", ("2023-05-07", "2023-05-08")),
        ("what did we agree in 2023-12", ("2023-12-01", "2024-01-01")),
        ("where was she on 7 May 2023", ("2023-05-07", "2023-05-08")),
        ("where was she on the 7th of May, 2023", ("2023-05-07", "2023-05-08")),
        ("where was she on May 7, 2023", ("2023-05-07", "2023-05-08")),
        ("May 7", ("2023-05-07", "2023-05-08")),
        ("March 2", ("2024-03-02", "2024-03-03")),
        ("the trip of December 2023", ("2023-12-01", "2024-01-01")),
        ("what did he read in May?", ("2023-05-01", "2023-06-01")),
        ("what did he read last January", ("2024-01-01", "2024-02-01")),
        ("in 2022", ("2022-01-01", "2023-01-01")),
        ("yesterday", ("2024-03-12", "2024-03-13")),
        ("who called this morning", ("2024-03-13", "2024-03-14")),
        ("last week", ("2024-03-04", "2024-03-11")),
        ("this month", ("2024-03-01", "2024-04-01")),
        ("last month", ("2024-02-01", "2024-03-01")),
        ("last year", ("2023-01-01", "2024-01-01")),
        ("3 days ago", ("2024-03-10", "2024-03-11")),
        ("two weeks ago", ("2024-02-25", "2024-03-03")),
        ("a couple of weeks ago", ("2024-02-25", "2024-03-03")),
        ("the past 2 months", ("2024-01-13", "2024-03-13")),
        ("on Monday", ("2024-03-11", "2024-03-12")),
        ("last Wednesday", ("2024-03-06", "2024-03-07")),
        ("order 1458 of last week", ("2024-03-04", "2024-03-11")),
    ],
)
def test_a_time_is_read(query: str, expected: tuple[str, str]) -> None:
    assert span(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "",
        "what may happen",
        "who will march on",
        "order 1458",
        "the last tea",
        "on 31 February",
        "in the house",
        "now",
    ],
)
def test_what_names_no_time_is_not_taken_for_one(query: str) -> None:
    assert span(query) is None


def test_what_does_not_exist_falls_back_to_what_does() -> None:
    assert span("30 February 2023") == ("2023-02-01", "2023-03-01")


def test_in_january_last_month_is_of_the_year_before() -> None:
    january = micros(datetime(2024, 1, 5, tzinfo=UTC))
    december = (micros(datetime(2023, 12, 1, tzinfo=UTC)), micros(datetime(2024, 1, 1, tzinfo=UTC)))
    assert span_of("last month", january) == december


def test_before_the_first_year_there_is_nothing() -> None:
    assert span_of("999 years ago, and again 999 years ago", micros(datetime(5, 1, 1, tzinfo=UTC))) is None
