"""What the consensus loop alone can do: real sockets with mutual TLS, real RocksDB, no gRPC, no machine.

Starts three processes on this machine, waits for a leader, and has the leader's process propose commands with
a fixed number in flight. Prints one JSON object::

    python benchmarks/raft_loop.py --seconds 5 --inflight 1 64 256 --bytes 200 [--sync-in-thread] [--shards 1]

``commands_per_s`` counts acknowledged commands: synced on a majority and applied by the leader's machine.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from memraft_cluster.driver import Applied, DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.identity import node_uri
from memraft_cluster.log import DurableLog
from memraft_cluster.state_machine import Volatile
from memraft_cluster.tls import TlsFiles
from memraft_cluster.transport import Peer, Transport, TransportConfig
from memraft_server.cli.ports import free_ports

NODES = (1, 2, 3)
DAY = datetime.timedelta(days=1)


class CountingMachine(Volatile):
    """Counts commands: what is measured is the loop below the machine."""

    def __init__(self) -> None:
        self.count = 0

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        if local is None:
            return ()
        first = self.count
        self.count += len(local)
        return range(first, self.count)


class Joiner:
    """Concatenates: a real builder encodes no more than that."""

    def build(self, commands: Sequence[bytes]) -> bytes:
        return b"".join(commands)


def write_certificates(folder: Path) -> None:
    """One authority and a certificate with the role ``node`` for each node."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench authority")])
    builder = x509.CertificateBuilder(ca_name, ca_name).serial_number(1)
    builder = builder.not_valid_before(now - DAY).not_valid_after(now + DAY).public_key(ca_key.public_key())
    ca = builder.add_extension(x509.BasicConstraints(True, 0), True).sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    for node in NODES:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"n{node}")])
        uri = x509.UniformResourceIdentifier(node_uri("bench", f"n{node}"))
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = x509.CertificateBuilder(ca_name, name).serial_number(node + 1)
        builder = builder.not_valid_before(now - DAY).not_valid_after(now + DAY).public_key(key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), False)
        signed = builder.add_extension(usage, False).sign(ca_key, hashes.SHA256())
        (folder / f"n{node}.pem").write_bytes(signed.public_bytes(pem))
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"n{node}.key").write_bytes(private)


def make_node(node: int, folder: Path, ports: Sequence[int], args: argparse.Namespace) -> MultiRaft:
    """One node as the server would wire it; node 1 prefers to lead every shard."""
    tls = TlsFiles(
        str(folder / "ca.pem"), str(folder / f"n{node}.pem"), str(folder / f"n{node}.key"), "bench"
    )
    peers = tuple(Peer(each, f"n{each}", "127.0.0.1", ports[each - 1]) for each in NODES)
    transport = Transport(TransportConfig("bench", node, peers, tls))
    log = DurableLog(folder / f"data{node}", cluster="bench", node=f"n{node}")
    options = {} if args.inflight_entries is None else {"entries_inflight_target": args.inflight_entries}
    config = DriverConfig(
        node, sync_in_thread=args.sync_in_thread, commit_notices=not args.no_notices, **options
    )
    specs = {shard: GroupSpec(CountingMachine(), Joiner(), 1, NODES) for shard in range(args.shards)}
    return MultiRaft(config, log, transport, specs)


async def measure(node: MultiRaft, inflight: int, args: argparse.Namespace) -> dict[str, float]:
    """Keep ``inflight`` commands under way for ``seconds``; callers wait as a caller would."""
    command, shards = bytes(args.bytes), args.shards
    latencies: list[float] = []
    until = time.perf_counter() + args.seconds

    async def caller(number: int) -> None:
        while (began := time.perf_counter()) < until:
            reply: Applied = await node.propose(number % shards, command, None)
            latencies.append(time.perf_counter() - began)
            assert reply.index > 0

    before, began = (node.counters.syncs_total, node.counters.sync_seconds_total), time.perf_counter()
    cpu_began = time.process_time()
    await asyncio.gather(*(caller(number) for number in range(inflight)))
    took, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    latencies.sort()
    syncs = node.counters.syncs_total - before[0]
    return {
        "inflight": inflight,
        "commands_per_s": round(len(latencies) / took),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 3),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 3),
        "leader_cpu_us": round(cpu_s / len(latencies) * 1_000_000, 1),
        "commands_per_sync": round(len(latencies) / max(syncs, 1), 1),
        "sync_ms_mean": round((node.counters.sync_seconds_total - before[1]) / max(syncs, 1) * 1000, 3),
    }


async def run_node(
    number: int, folder: Path, ports: Sequence[int], args: argparse.Namespace, control: Connection
) -> None:
    node = make_node(number, folder, ports, args)
    await node.start()
    if number == 1:
        deadline = time.monotonic() + 20
        while not all(node.is_leader(shard) for shard in range(args.shards)):
            if time.monotonic() > deadline:
                raise TimeoutError("node 1 did not come to lead within 20 s")
            await asyncio.sleep(0.05)
        await measure(node, 64, argparse.Namespace(**{**vars(args), "seconds": 0.5}))
        for inflight in args.inflight:
            control.send(await measure(node, inflight, args))
    loop = asyncio.get_running_loop()
    if number != 1:
        await loop.run_in_executor(None, control.recv)
    # From here on nobody proposes anything.
    began = time.process_time()
    await asyncio.sleep(args.idle_seconds)
    control.send((time.process_time() - began) / args.idle_seconds * 100 if args.idle_seconds else 0.0)
    await loop.run_in_executor(None, control.recv)
    await node.stop()


def node_process(
    number: int, folder: Path, ports: Sequence[int], args: argparse.Namespace, control: Connection
) -> None:
    asyncio.run(run_node(number, folder, ports, args, control))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--inflight", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--idle-seconds", type=float, default=0.0)
    parser.add_argument("--inflight-entries", type=int)
    parser.add_argument("--sync-in-thread", action="store_true")
    parser.add_argument("--no-notices", action="store_true")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder, ports = Path(name), free_ports(len(NODES))
        write_certificates(folder)
        pipes = [context.Pipe() for _ in NODES]
        processes = [
            context.Process(target=node_process, args=(node, folder, ports, args, pipe[1]))
            for node, pipe in zip(NODES, pipes, strict=True)
        ]
        for process in processes:
            process.start()
        results = [pipes[0][0].recv() for _ in args.inflight]
        for pipe in pipes[1:]:
            pipe[0].send(None)
        idle_cpu_percent = sum(pipe[0].recv() for pipe in pipes)
        for pipe in pipes:
            pipe[0].send(None)
        for process in processes:
            process.join(10)
    settings = {name: value for name, value in vars(args).items() if name != "inflight"}
    idle = {"idle_cpu_percent_all_nodes": round(idle_cpu_percent, 1)} if args.idle_seconds else {}
    print(json.dumps({"benchmark": "raft_loop", "nodes": 3, **settings, "results": results, **idle}))


if __name__ == "__main__":
    main()
