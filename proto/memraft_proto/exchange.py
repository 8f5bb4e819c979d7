"""What client and node agree on about exchanges, the calls that carry other calls."""

CALLS_MAX = 1_000
"""Calls an exchange."""
REPLY_BYTES_MAX = 8 << 20
"""Bytes of all replies: what does not fit is to be asked for alone."""
