"""`memraft certs`: an authority for a cluster, and certificates for its nodes, agents and operators."""

import argparse
from pathlib import Path
from typing import Any

from memraft_server.cli.connection import add_json
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import print_json

TRUST_DOMAIN = "memraft.local"


def register(commands: Any) -> None:
    """Adds `certs` and its subcommands."""
    group = commands.add_parser("certs", help="certificates for nodes and agents", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    text = "make an authority: ca.pem and ca-key.pem"
    init = actions.add_parser("init", help=text, description=text)
    init.set_defaults(run=_init)
    init.add_argument("--dir", metavar="DIR", required=True, help="where the authority is kept")
    init.add_argument(
        "--trust-domain", default=TRUST_DOMAIN, help=f"stands in all certificates ({TRUST_DOMAIN})"
    )
    init.add_argument("--days", type=int, metavar="N", help="how long it is valid: 1 to 36500")
    add_json(init)

    text = "issue a certificate: ca.pem, cert.pem and key.pem in a directory of their own"
    issue = actions.add_parser("issue", help=text, description=text)
    issue.set_defaults(run=_issue)
    issue.add_argument("--dir", metavar="DIR", required=True, help="where the authority is kept")
    issue.add_argument("--out", metavar="DIR", required=True, help="where the certificate goes")
    whose = issue.add_mutually_exclusive_group(required=True)
    whose.add_argument("--node", metavar="NAME", help="for a node, by the name in its configuration")
    whose.add_argument(
        "--agent", metavar="TENANT/AGENT", help="for an agent of a tenant, such as acme/support"
    )
    whose.add_argument(
        "--operator", metavar="NAME", help="for someone who watches and changes the cluster, and backs it up"
    )
    issue.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST",
        help="a name or address of the node; repeatable",
    )
    issue.add_argument("--days", type=int, metavar="N", help="how long it is valid: 1 to 36500")
    add_json(issue)


def _init(arguments: argparse.Namespace) -> int:
    from memraft_server.certs import CA_CERT, CA_DAYS, CA_KEY, init_ca

    directory = Path(arguments.dir)
    init_ca(directory, arguments.trust_domain, days=_days(arguments, CA_DAYS))
    _tell(arguments, "made an authority", [directory / CA_CERT, directory / CA_KEY])
    return 0


def _issue(arguments: argparse.Namespace) -> int:
    from memraft_server.certs import CA_CERT, CERT, KEY, LEAF_DAYS, issue_agent, issue_node, issue_operator

    ca, out = Path(arguments.dir), Path(arguments.out)
    days = _days(arguments, LEAF_DAYS)
    if arguments.host and not arguments.node:
        raise UsageError("--host names where a node is reached: it goes with --node")
    if arguments.node:
        if not arguments.host:
            raise UsageError("--node needs --host: clients check the name or address that they call")
        issue_node(ca, out, arguments.node, arguments.host, days=days)
    elif arguments.agent:
        tenant, _, agent = arguments.agent.partition("/")
        if not tenant or not agent:
            raise UsageError(f"--agent takes TENANT/AGENT, such as acme/support, not {arguments.agent!r}")
        issue_agent(ca, out, tenant, agent, days=days)
    else:
        issue_operator(ca, out, arguments.operator, days=days)
    _tell(arguments, "issued a certificate", [out / CA_CERT, out / CERT, out / KEY])
    return 0


def _days(arguments: argparse.Namespace, default: int) -> int:
    return default if arguments.days is None else int(arguments.days)


def _tell(arguments: argparse.Namespace, what: str, files: list[Path]) -> None:
    if arguments.json:
        print_json({"files": [str(file) for file in files]})
    else:
        print(f"{what}: {', '.join(map(str, files))}")
