"""Moments: aware datetimes, and microseconds since the Unix epoch."""

from datetime import UTC, datetime, timedelta
from reprlib import repr as shown

from .errors import InvalidArgument

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


def when_us(moment: datetime | None, name: str) -> int | None:
    """Returns microseconds since the epoch of an aware datetime, None for None. Raises InvalidArgument."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise InvalidArgument(f"{name} must be an aware datetime, not {shown(moment)}")
    try:
        return time_us_of(moment)
    except ValueError as error:
        raise InvalidArgument(f"{name}: {error}") from error
