"""`memraft backup` and `memraft restore`: a cluster in a folder, while it works, and a new one out of it."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memraft_server.cli.connection import add_connection, add_json, certs_of, endpoints_of
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import Progress, count, duration, print_json, progress, size, table

if TYPE_CHECKING:
    from memraft_server.backup import Manifest

BACKUP = (
    "Makes a backup of a running cluster in a folder. Each shard is in it as of one moment, with all that "
    "was acknowledged before the command began; writes go on meanwhile. It takes an operator's certificate."
)
VERIFY = "Reads all of a backup and computes every checksum anew. Exit status 1 where it is damaged."
RESTORE = (
    "Makes the data directory of one node of a new cluster out of a backup, before the node's first start. "
    "Run it on every node, each with its own node.toml and the same backup; then start them. There may be "
    "more or fewer nodes than before, but as many shards."
)


def register(commands: Any) -> None:
    """Adds `backup` and `restore`."""
    backup = commands.add_parser("backup", help="a running cluster into a folder", description=BACKUP)
    backup.set_defaults(run=run_backup)
    backup.add_argument(
        "--out", metavar="DIR", help="the folder: new, empty, or with an earlier backup, which is replaced"
    )
    add_connection(backup, namespace=False)
    add_json(backup)
    actions = backup.add_subparsers(title="commands", metavar="COMMAND", dest="action")
    verify = actions.add_parser("verify", help="check a backup, offline", description=VERIFY)
    verify.set_defaults(run=run_verify)
    verify.add_argument("directory", metavar="DIR", help="the folder of the backup")
    add_json(verify)

    restore = commands.add_parser("restore", help="a backup into a new cluster", description=RESTORE)
    restore.set_defaults(run=run_restore)
    restore.add_argument("directory", metavar="DIR", help="the folder of the backup")
    into = restore.add_mutually_exclusive_group(required=True)
    into.add_argument("--config", metavar="FILE", help="the node.toml of the node to restore")
    into.add_argument(
        "--path",
        metavar="DIR",
        help="the directory of an embedded memory to make, from a backup of one shard",
    )
    add_json(restore)


# -- the commands --------------------------------------------------------------------------------------


def run_backup(arguments: argparse.Namespace) -> int:
    """Makes a backup."""
    if not arguments.out:
        raise UsageError("say where to: --out DIR")
    from memraft_server.backup import BackupFolder, BackupUnusable
    from memraft_server.cli.backupclient import BackupClient
    from memraft_server.cli.clusterview import Observer

    endpoints, certs = endpoints_of(arguments), certs_of(arguments)
    began = time.monotonic()
    try:
        with (
            progress(quiet=arguments.json) as shown,
            BackupFolder(Path(arguments.out)) as folder,
            Observer(endpoints, certs) as observer,
        ):
            shown.step("asking the nodes …")
            manifest = BackupClient(observer, folder, _fetched(shown, arguments.json)).run()
    except BackupUnusable as error:
        raise CliError(str(error)) from error
    took_s = time.monotonic() - began
    if arguments.json:
        print_json(_facts(manifest, took_s, directory=arguments.out))
    else:
        print(_render(manifest))
        print(f"\nbacked up in {duration(took_s)}, {_rate(manifest.size_bytes, took_s)}: {arguments.out}")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Checks a backup."""
    from memraft_server.backup import BackupUnusable, verify

    began = time.monotonic()
    try:
        with progress(quiet=arguments.json) as shown:
            manifest = verify(Path(arguments.directory), _read(shown, "checking"))
    except BackupUnusable as error:
        raise CliError(str(error)) from error
    took_s = time.monotonic() - began
    if arguments.json:
        print_json(_facts(manifest, took_s, directory=arguments.directory))
    else:
        print(_render(manifest))
        print(f"\nsound; read in {duration(took_s)}")
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Makes a data directory out of a backup."""
    from memraft_server.backup import BackupUnusable
    from memraft_server.config import load
    from memraft_server.restore import RestoreRefused, restore_embedded, restore_node

    folder, began = Path(arguments.directory), time.monotonic()
    try:
        with progress(quiet=arguments.json) as shown:
            tell = _read(shown, "restoring")
            if arguments.path:
                restored = restore_embedded(folder, Path(arguments.path), tell)
            else:
                restored = restore_node(folder, load(Path(arguments.config)), tell)
    except (BackupUnusable, RestoreRefused) as error:
        raise CliError(str(error)) from error
    took_s = time.monotonic() - began
    shards = [each.shard for each in restored.shards]
    bytes_done = sum(each.size_bytes for each in restored.shards)
    rows = sum(each.rows for each in restored.shards)
    if arguments.json:
        facts = {"shards": shards, "rows": rows, "size_bytes": bytes_done, "took_s": round(took_s, 3)}
        print_json({"directory": restored.directory, "created_at": restored.manifest.created_at, **facts})
        return 0
    what = (
        f"shards {', '.join(map(str, shards))}" if shards else "none of the shards, which are on other nodes"
    )
    print(
        f"{restored.directory}: {what}; {count(rows)} rows, {size(bytes_done)}, as of "
        f"{restored.manifest.created_at}, in {duration(took_s)}"
    )
    if restored.others:
        print(f"restore {', '.join(restored.others)} from the same backup, too, then start all nodes")
    return 0


# -- what is shown -------------------------------------------------------------------------------------


def _fetched(shown: Progress, is_quiet: bool) -> Callable[[int, int, str], None]:
    began = time.monotonic()

    def tell(shard: int, done: int, said: str) -> None:
        if said and done and not is_quiet:
            shown.clear()
            print(f"shard {shard} is begun anew: {said}", flush=True)
        elif said:
            shown.update(f"shard {shard}: {said}")
            return
        shown.update(f"shard {shard}: {size(done)}, {duration(time.monotonic() - began)} so far")

    return tell


def _read(shown: Progress, what: str) -> Callable[[int, int, int], None]:
    def tell(shard: int, done: int, total: int) -> None:
        shown.update(f"{what} shard {shard}: {100 * done / max(1, total):.0f} % of {size(total)}")

    return tell


def _rate(size_bytes: int, took_s: float) -> str:
    return f"{size(size_bytes / max(took_s, 1e-3))}/s"


def _facts(manifest: "Manifest", took_s: float, directory: str) -> dict[str, Any]:
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(manifest)
    sums = {"size_bytes": manifest.size_bytes, "rows": manifest.rows}
    return {"directory": directory, **facts, **sums, "took_s": round(took_s, 3)}


def _render(manifest: "Manifest") -> str:
    """A backup as a person reads it."""
    rows = [
        [
            each.shard,
            f"{each.slot_first}-{each.slot_end - 1}",
            each.index,
            count(each.rows),
            size(each.size_bytes),
        ]
        for each in manifest.shards
    ]
    head = f"cluster {manifest.cluster}, {manifest.created_at}, by version {manifest.version}"
    shards = table(["SHARD", "SLOTS", "INDEX", "ROWS", "SIZE"], rows, right="rlrrr")
    return f"{head}\n\n{shards}\n\n{count(manifest.rows)} rows, {size(manifest.size_bytes)}"
