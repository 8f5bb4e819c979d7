"""What goes wrong on the command line, and what the user sees of it.

Exception
└── CliError            one line on standard error, exit status 1
    └── UsageError      the same with exit status 2: the command line itself is wrong
"""


class CliError(Exception):
    """Something the user can act upon. The message names the thing and the limit; it is shown as it is."""

    exit_status = 1


class UsageError(CliError):
    """The arguments do not make sense together, or one cannot be read."""

    exit_status = 2
