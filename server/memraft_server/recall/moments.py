"""Which span of time a query names, relative to the moment at which it is asked. English, in UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Span = tuple[int, int]
"""From the first, included, to the second, excluded: microseconds since the epoch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sep sept", "october oct", "november nov", "december dec"), 1
    )
    for name in names.split()
}  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {word: number for number, word in enumerate(
    ("a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1
)} | {"one": 1, "an": 1, "few": 3, "couple": 2}  # fmt: skip
_UNIT_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


def span_of(query: str, now_us: int) -> Span | None:
    """Returns the span that a query names, the most exact first, or None.

    Args:
        query: Its text.
        now_us: When it is asked, in microseconds since the epoch: what `yesterday` is relative to.
    """
    text = query.lower()
    if _HINT.search(text) is None:
        return None
    for pattern, read in _RULES:
        found = pattern.search(text)
        if found is None:
            continue
        try:
            start, end = read(found, _EPOCH + timedelta(microseconds=now_us))
            return _us(start), _us(end)
        except (ValueError, OverflowError):  # the 31st of a month with 30 days; before the first year
            continue
    return None


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


Read = Callable[["re.Match[str]", datetime], tuple[datetime, datetime]]


def _day_of(year: int, month: int, day: int) -> tuple[datetime, datetime]:
    start = datetime(year, month, day, tzinfo=UTC)
    return start, start + timedelta(days=1)


def _month_of(year: int, month: int) -> tuple[datetime, datetime]:
    return datetime(year, month, 1, tzinfo=UTC), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _year_of(year: int) -> tuple[datetime, datetime]:
    return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _days_back(first: int, past_last: int) -> Read:
    """The days from `first` days ago until before `past_last` days ago."""

    def read(_: re.Match[str], now: datetime) -> tuple[datetime, datetime]:
        today = _midnight(now)
        return today - timedelta(days=first), today - timedelta(days=past_last)

    return read


def _dated(found: re.Match[str], now: datetime) -> tuple[datetime, datetime]:
    """A month's name with a day, a year or both, in either order."""
    names = found.groupdict()
    month = _MONTHS[names["month"]]
    day, year = names.get("day"), names.get("year")
    if year:
        return _day_of(int(year), month, int(day)) if day else _month_of(int(year), month)
    # The last such month or day that has begun.
    this = _day_of(now.year, month, int(day)) if day else _month_of(now.year, month)
    if this[0] <= now:
        return this
    return _day_of(now.year - 1, month, int(day)) if day else _month_of(now.year - 1, month)


def _iso(found: re.Match[str], _: datetime) -> tuple[datetime, datetime]:
    year, month, day = found.groups()
    return _day_of(int(year), int(month), int(day)) if day else _month_of(int(year), int(month))


def _count_of(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS[text]


def _ago(found: re.Match[str], now: datetime) -> tuple[datetime, datetime]:
    """As long around that moment as the unit is."""
    unit = _UNIT_DAYS[found[2]]
    middle = _midnight(now) - timedelta(days=_count_of(found[1]) * unit)
    before = timedelta(days=unit // 2)
    return middle - before, middle - before + timedelta(days=unit)


def _past(found: re.Match[str], now: datetime) -> tuple[datetime, datetime]:
    return now - timedelta(days=_count_of(found[1]) * _UNIT_DAYS[found[2]]), now + timedelta(microseconds=1)


def _calendar(found: re.Match[str], now: datetime) -> tuple[datetime, datetime]:
    """This or the last week, month or year of the calendar; a week begins on Monday."""
    is_last, unit = found[1] != "this", found[2]
    today = _midnight(now)
    if unit == "week":
        start = today - timedelta(days=today.weekday() + 7 * is_last)
        return start, start + timedelta(days=7)
    if unit == "year":
        return _year_of(now.year - is_last)
    month = now.month - is_last
    return _month_of(now.year, month) if month else _month_of(now.year - 1, 12)


def _weekday(found: re.Match[str], now: datetime) -> tuple[datetime, datetime]:
    """The last such day before today."""
    today = _midnight(now)
    back = (today.weekday() - _DAYS.index(found[1]) - 1) % 7 + 1
    start = today - timedelta(days=back)
    return start, start + timedelta(days=1)


def _in_year(found: re.Match[str], _: datetime) -> tuple[datetime, datetime]:
    return _year_of(int(found[1]))


_DAY = r"(?P<day>[12]?\d|3[01])(?:st|nd|rd|th)?"
_MONTH = "(?P<month>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + ")"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_COUNT = r"(\d{1,3}|" + "|".join(_NUMBERS) + ")(?: of)?"
_UNIT = "(day|week|month|year)s?"

_RULES: tuple[tuple[re.Pattern[str], Read], ...] = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), read)
    for pattern, read in (
        (r"((?:19|20)\d\d)-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?", _iso),
        (rf"{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?", _dated),
        (rf"{_MONTH} {_DAY}(?:,? {_YEAR})?", _dated),
        (rf"{_MONTH},? (?:of )?{_YEAR}", _dated),
        (rf"{_COUNT} {_UNIT} ago", _ago),
        (rf"(?:last|past) {_COUNT} {_UNIT}", _past),
        (r"(this|last|past) (week|month|year)", _calendar),
        (rf"(?:on|last) ({'|'.join(_DAYS)})", _weekday),
        (r"yesterday|last night", _days_back(1, 0)),
        (r"today|tonight|this (?:morning|afternoon|evening)", _days_back(0, -1)),
        (rf"(?:in|during|last|this) {_MONTH}", _dated),
        (r"(?:in|during) ((?:19|20)\d\d)", _in_year),
    )
)
"""The most exact first: what a query says of a day goes before what it says of a year."""

_HINT = re.compile(r"\d|\b(?:ago|last|past|this|yesterday|today|tonight|on|in|during)\b")
"""Without any of these no rule holds: saves trying them all."""
