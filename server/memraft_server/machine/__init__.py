"""The deterministic state machine: committed entries in, replies out, and reads of any moment.

It does no IO, reads no clock and starts nothing: what it becomes follows from the entries alone.
"""

from memraft_server.machine.commands import Command
from memraft_server.machine.limits import ITEMS_MAX, POSITION_BITS, Limits
from memraft_server.machine.machine import Adjacent, Contents, Machine, Nearest
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.registry import PORTIONED
from memraft_server.machine.turn import IndexJob
from memraft_server.machine.validate import check_namespace, check_read, check_write
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOW, Author, Record

__all__ = [
    "ITEMS_MAX",
    "NOW",
    "PORTIONED",
    "POSITION_BITS",
    "Adjacent",
    "Author",
    "Command",
    "Contents",
    "IndexJob",
    "Limits",
    "Machine",
    "Nearest",
    "Record",
    "Refused",
    "Usage",
    "check_namespace",
    "check_read",
    "check_write",
    "invalid",
]
