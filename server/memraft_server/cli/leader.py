"""`memraft leader`: who leads in an election of agents."""

from typing import Any

from memraft_server.cli.connection import add_connection, add_json, add_read
from memraft_server.cli.lock import show_leader


def register(commands: Any) -> None:
    """Adds `leader` and its subcommand."""
    group = commands.add_parser("leader", help="who leads in an election", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    text = "show who leads in an election, and who else stands; the token is the term"
    show = actions.add_parser("show", help=text, description=text)
    show.set_defaults(run=show_leader)
    show.add_argument("name")
    add_connection(show)
    add_json(show)
    add_read(show)
