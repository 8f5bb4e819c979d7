"""How results look."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest

from memraft_server.cli import output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.5e-7, "850 ns"),
        (2.4e-6, "2.40 µs"),
        (0.0135, "13.5 ms"),
        (0.25, "250 ms"),
        (1.6, "1.60 s"),
        (119, "119 s"),
        (600, "10 min"),
        (0, "0 ns"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(812, "812 B"), (1_434, "1.40 KiB"), (241_172_480, "230 MiB"), (5 << 40, "5120 GiB")]
)
def test_a_size_has_the_unit_that_suits_it(size: float, text: str) -> None:
    assert output.size(size) == text


def test_moments_are_shown_in_utc_in_the_form_that_at_takes() -> None:
    berlin = timezone(timedelta(hours=2))
    shown = output.moment(datetime(2026, 5, 1, 14, 0, 0, 123_456, tzinfo=berlin))
    assert shown == "2026-05-01T12:00:00.123Z"
    assert datetime.fromisoformat(shown) == datetime(2026, 5, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def test_tables_line_up_and_leave_no_blanks_at_the_end() -> None:
    text = output.table(["NAME", "N"], [["a", 1], ["long name", 1_000]], right="lr")
    assert text.splitlines() == ["NAME          N", "a             1", "long name  1000"]
    assert output.table(["A", "B"], [["x", ""]]).splitlines()[1] == "x"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_cleared() -> None:
    stream = Terminal()
    shown = output.Progress(stream=stream)
    shown.step("half done")
    shown.clear()
    assert "half done" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[2K")


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (Terminal(), True)])
def test_progress_is_silent_in_logs_and_beside_json(stream: io.StringIO, quiet: bool) -> None:
    shown = output.Progress(quiet=quiet, stream=stream)
    shown.step("half done")
    shown.clear()
    assert stream.getvalue() == ""
