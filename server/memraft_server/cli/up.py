"""`memraft up`: a development cluster on this machine, with mutual TLS. Ctrl-C ends it in good order, and the
same command with the same directory resumes it."""

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memraft_server.cli.connection import add_json
from memraft_server.cli.ending import Ending, Interrupted
from memraft_server.cli.output import print_json, progress

if TYPE_CHECKING:
    from memraft_server.cli.devcluster import DevCluster

WATCH_INTERVAL_S = 0.2


def register(commands: Any) -> None:
    """Adds `up`."""
    parser = commands.add_parser("up", help="a development cluster on this machine", description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--dir", metavar="DIR", required=True, help="where certificates, logs and data are kept"
    )
    parser.add_argument("--nodes", type=int, metavar="N", help="how many nodes (3)")
    parser.add_argument("--shards", type=int, metavar="N", help="how many shards (as many as nodes)")
    parser.add_argument(
        "--port-base", type=int, metavar="PORT", help="take consecutive ports from here (else free ones)"
    )
    parser.add_argument("--tenant", default="acme", help="tenant of the agent's certificate (acme)")
    parser.add_argument(
        "--agent", default="support", help="the agent that a certificate is made for (support)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Starts the cluster, prints how to use it, and waits for Ctrl-C, SIGTERM or the end of a node."""
    from memraft_server.cli.devcluster import DevCluster

    with Ending() as ending, progress(quiet=arguments.json) as shown:
        cluster = DevCluster.open(Path(arguments.dir), arguments.nodes, arguments.shards, arguments.port_base)
        try:
            certs = cluster.agent_certs(arguments.tenant, arguments.agent)
            cluster.start(ending.checking(shown.update))
            shown.clear()
            _greet(arguments, cluster, certs)
            while True:
                cluster.check_alive()
                ending.check()
                time.sleep(WATCH_INTERVAL_S)
        except Interrupted:
            pass  # how this command is meant to end
        finally:
            shown.step("stopping the nodes …")
            cluster.stop()
    if not arguments.json:
        print("stopped; the same command resumes this cluster")
    return 0


def _greet(arguments: argparse.Namespace, cluster: "DevCluster", certs: Path) -> None:
    namespace = f"{arguments.tenant}/{arguments.agent}"
    if arguments.json:
        print_json(_facts(cluster, certs, namespace))
    else:
        print(_greeting(cluster, certs, namespace), flush=True)


def _facts(cluster: "DevCluster", certs: Path, namespace: str) -> dict[str, Any]:
    return {
        "endpoints": cluster.endpoints,
        "certs": str(certs),
        "operator_certs": str(cluster.operator_certs),
        "namespace": namespace,
        "directory": str(cluster.directory),
        "shards": cluster.plan.shards,
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "pid": cluster.pid(node.name),
                "metrics": f"http://127.0.0.1:{node.metrics_port}/metrics",
            }
            for node in cluster.plan.nodes
        ],
    }


def _greeting(cluster: "DevCluster", certs: Path, namespace: str) -> str:
    nodes = "\n".join(
        f"  {node.name}  {node.address}  pid {cluster.pid(node.name)}  "
        f"metrics http://127.0.0.1:{node.metrics_port}/metrics"
        for node in cluster.plan.nodes
    )
    operator = shlex.quote(str(cluster.operator_certs))
    return f"""{len(cluster.plan.nodes)} nodes are ready in {cluster.directory}
{nodes}

In Python:

  from memraft import Memory
  m = Memory("{cluster.endpoints}",
             certs={str(certs)!r}, namespace="{namespace}")
  m.remember("Refund for order #1458 initiated on 10/20", about="user:4321", salience=0.9)
  print(m.recall("refund status", about="user:4321")[0].text)

In a shell:

  export MEMRAFT_ENDPOINTS={cluster.endpoints}
  export MEMRAFT_CERTS={shlex.quote(str(certs))}
  export MEMRAFT_NAMESPACE={namespace}
  memraft kv put greeting '"hello"'
  memraft kv get greeting
  memraft status --certs {operator}

Ctrl-C stops the nodes; the data stays."""
