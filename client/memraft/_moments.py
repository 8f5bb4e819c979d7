"""Moments: aware datetimes, and microseconds since the Unix epoch."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def datetime_of(time_us: int) -> datetime:
    """Returns the aware UTC datetime of microseconds since the Unix epoch, exactly."""
    return _EPOCH + timedelta(microseconds=time_us)


def time_us_of(moment: datetime) -> int:
    """Returns microseconds since the Unix epoch of an aware datetime, exactly.

    Raises:
        ValueError: the datetime has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone names no moment; use datetime.now(UTC) or the like")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def utc_now() -> datetime:
    """Returns the time that it is, aware."""
    return datetime.now(UTC)
