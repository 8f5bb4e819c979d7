"""The configuration of a node: one frozen tree, read from one TOML file, checked once.

``docs/configuration.md`` explains every setting; a test fails when one is missing there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from memraft_cluster.meta import NODE_ID_MAX, NODES_MAX
from memraft_server.admission.quotas import Quota
from memraft_server.machine import ITEMS_MAX, Limits

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
SHARDS_MAX = 1024
CONFIG_BYTES_MAX = 1 << 20
MESSAGE_MARGIN_BYTES = 64 << 10
"""Room beside the largest request in a command of the log, and beside the largest reply in a message."""
RECEIVE_FACTOR = 2
"""gRPC takes messages this many times as large as ``request_bytes_max``, so that it is the service that
refuses one over the limit, naming the setting; what is larger still gRPC refuses unread."""


class ConfigError(Exception):
    """A configuration that cannot be used; the message names the file and the setting."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class NodeSection(_Section, frozen=True):
    """``[node]``: which node this is."""

    id: int
    name: str
    data_dir: str
    event_loop: Literal["auto", "asyncio"] = "auto"


class Member(_Section, frozen=True):
    """One element of ``cluster.nodes``."""

    id: int
    name: str
    peer: str
    client: str


class ClusterSection(_Section, frozen=True):
    """``[cluster]``: how the cluster begins, the same on each of its first nodes; afterwards its own record
    says who belongs to it."""

    name: str
    nodes: tuple[Member, ...]
    shards: int = 1
    replicas: int = 0
    join: bool = False


class ClientSection(_Section, frozen=True):
    """``[client]``: the port that agents call."""

    listen: str = ""
    engine: Literal["lean", "grpcio"] = "lean"
    concurrent_calls_max: int = 10_000
    lag_wait_ms: int = 1_000
    followers_max: int = 1_000
    heartbeat_ms: int = 5_000


class PeerSection(_Section, frozen=True):
    """``[peer]``: the port that other nodes call."""

    listen: str = ""


class TlsSection(_Section, frozen=True):
    """``[tls]``: mutual TLS for agents and nodes alike."""

    enabled: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""
    trust_domain: str = ""


class MetricsSection(_Section, frozen=True):
    """``[metrics]``: the port for Prometheus and health checks."""

    enabled: bool = True
    listen: str = "127.0.0.1:0"


class DurabilitySection(_Section, frozen=True):
    """``[durability]``: when a write counts as done."""

    mode: Literal["commit", "relaxed"] = "commit"
    i_accept_losing_acknowledged_writes: bool = False


class LimitsSection(_Section, frozen=True):
    """``[limits]``: what one call may carry."""

    request_bytes_max: int = 8 << 20
    reply_bytes_max: int = 32 << 20
    value_bytes_max: int = 1 << 20
    text_bytes_max: int = 64 << 10
    metadata_bytes_max: int = 16 << 10
    dimension_max: int = 4096
    items_max: int = ITEMS_MAX
    k_max: int = 1000


class RaftSection(_Section, frozen=True):
    """``[raft]``: how shards are kept in step."""

    tick_ms: int = 50
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    entry_bytes_target: int = 20 << 10
    entries_inflight_target: int = 1
    queued_commands_max: int = 20_000
    queued_bytes_max: int = 32 << 20
    sync_in_thread: Literal["auto"] | bool = "auto"
    rebalance: bool = True
    rebalance_after_ms: int = 3_000
    stop_transfer_ms: int = 1_500


class BackgroundSection(_Section, frozen=True):
    """``[background]``: what a node does unasked."""

    expiry_interval_ms: int = 100
    expiry_keys_max: int = 1_000
    index_interval_ms: int = 250


class DiskSection(_Section, frozen=True):
    """``[disk]``: what is kept, and what stays free."""

    reserve_bytes: int = 0
    log_keep_bytes: int = 64 << 20
    log_keep_entries: int = 1_000


class QuotasSection(_Section, frozen=True):
    """``[quotas]``: what tenants may use."""

    default: Quota = Quota()
    tenant: dict[str, Quota] = {}


class LogSection(_Section, frozen=True):
    """``[log]``: what the process prints about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class ProjectionsSection(_Section, frozen=True):
    """``[projections]``: views that the operator's own code derives."""

    classes: tuple[str, ...] = ()


class Config(_Section, frozen=True):
    """The whole file."""

    node: NodeSection
    cluster: ClusterSection
    client: ClientSection = ClientSection()
    peer: PeerSection = PeerSection()
    tls: TlsSection = TlsSection()
    metrics: MetricsSection = MetricsSection()
    durability: DurabilitySection = DurabilitySection()
    limits: LimitsSection = LimitsSection()
    raft: RaftSection = RaftSection()
    background: BackgroundSection = BackgroundSection()
    disk: DiskSection = DiskSection()
    quotas: QuotasSection = QuotasSection()
    log: LogSection = LogSection()
    projections: ProjectionsSection = ProjectionsSection()

    @property
    def own(self) -> Member:
        """This node among ``cluster.nodes``."""
        return next(member for member in self.cluster.nodes if member.id == self.node.id)

    @property
    def client_listen(self) -> str:
        """Where to listen for agents: as set, else the address they are told."""
        return self.client.listen or self.own.client

    @property
    def peer_listen(self) -> str:
        """Where to listen for nodes: as set, else the address they are told."""
        return self.peer.listen or self.own.peer

    def machine_limits(self) -> Limits:
        """The limits that requests are checked against."""
        limits = self.limits
        return Limits(
            value_bytes_max=limits.value_bytes_max,
            text_bytes_max=limits.text_bytes_max,
            metadata_bytes_max=limits.metadata_bytes_max,
            dimension_max=limits.dimension_max,
            items_max=limits.items_max,
            k_max=limits.k_max,
            reply_bytes_max=limits.reply_bytes_max,
        )


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``; brackets around an IPv6 address are taken off. Raises ValueError."""
    match = HOST_PORT.fullmatch(address)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(f"{address!r} is not host:port")
    return match["host"].strip("[]"), int(match["port"])


def load(path: Path) -> Config:
    """Reads and checks a configuration file. Relative paths in it count from its directory.

    Raises:
        ConfigError: the file cannot be read or used; the message names it and the setting.
    """
    try:
        if path.stat().st_size > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path}: over {CONFIG_BYTES_MAX} bytes, which is no configuration")
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    return parse(tree, str(path), path.resolve().parent)


def parse(tree: dict[str, Any], source: str, base: Path) -> Config:
    """A configuration from a parsed TOML file.

    Args:
        tree: the parsed file.
        source: its name, for errors.
        base: relative paths count from here.

    Raises:
        ConfigError: as :func:`load`.
    """
    try:
        _refuse_unknown(tree, Config, "")
        config = msgspec.convert(tree, Config)
        _check(config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_readable(str(error))}") from None
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    return _with_absolute_paths(config, base)


def _refuse_unknown(tree: Any, kind: Any, path: str) -> None:
    """Raises ValueError for the first field that ``kind`` does not have, with the nearest that it has."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(tree, dict):
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        for name, value in tree.items():
            here = f"{path}.{name}" if path else name
            if name not in fields:
                near = get_close_matches(name, fields, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
                raise ValueError(f"unknown field {here}: {hint}")
            _refuse_unknown(value, fields[name], here)
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            _refuse_unknown(value, next(iter(get_args(kind)), None), f"{path}[{i}]")
    elif isinstance(tree, dict) and get_args(kind):
        for name, value in tree.items():
            _refuse_unknown(value, get_args(kind)[1], f"{path}.{name}")


def _readable(message: str) -> str:
    """msgspec ends its messages with `- at `$.node.id``; here the setting comes first, and of a word that is
    none of several those that are."""
    text, _, rest = message.partition(" - at `$")
    path = rest.rstrip("`").lstrip(".")
    if text.startswith("Invalid enum value"):
        text = f"{text}: there are {', '.join(_choices(path))}"
    return f"{path}: {text}" if path else text


def _choices(path: str) -> list[str]:
    """What the setting at a path may be, where that is one of several words."""
    kind: Any = Config
    for name in path.split("."):
        kind = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
    words: list[str] = []
    for each in get_args(kind):
        words += [each] if isinstance(each, str) else get_args(each) or ["true", "false"]
    return words


def _check(config: Config) -> None:
    _check_cluster(config)
    _check_addresses(config)
    _check_tls(config.tls)
    _check_durability(config)
    _check_numbers(config)


def _check_cluster(config: Config) -> None:
    cluster, node = config.cluster, config.node
    for what, name in (("cluster.name", cluster.name), ("node.name", node.name)):
        _require(bool(NAME.fullmatch(name)), f"{what}: {name!r} is not 1 to 64 of A-Z a-z 0-9 . _ -")
    _require(
        1 <= len(cluster.nodes) <= NODES_MAX,
        f"cluster.nodes: {len(cluster.nodes)} nodes are not 1 to {NODES_MAX}",
    )
    _require(
        1 <= cluster.shards <= SHARDS_MAX,
        f"cluster.shards: {cluster.shards} is not between 1 and {SHARDS_MAX}",
    )
    ids = [member.id for member in cluster.nodes]
    names = [member.name for member in cluster.nodes]
    _require(len(set(ids)) == len(ids), f"cluster.nodes: an id occurs twice: {ids}")
    _require(len(set(names)) == len(names), f"cluster.nodes: a name occurs twice: {names}")
    for member in cluster.nodes:
        _require(
            1 <= member.id <= NODE_ID_MAX,
            f"cluster.nodes: id {member.id} is not between 1 and {NODE_ID_MAX}",
        )
        _require(
            bool(NAME.fullmatch(member.name)),
            f"cluster.nodes: name {member.name!r} is not 1 to 64 of A-Z a-z 0-9 . _ -",
        )
    _require(node.id in ids, f"node.id: {node.id} is not among cluster.nodes, which has {ids}")
    _require(
        config.own.name == node.name,
        f"node.name: {node.name!r}, but cluster.nodes calls node {node.id} {config.own.name!r}",
    )
    _require(bool(node.data_dir), "node.data_dir: is empty")
    _check_beginning(cluster)


def _check_beginning(cluster: ClusterSection) -> None:
    count = len(cluster.nodes)
    if cluster.join:
        _require(count > 1, "cluster.join: to join a cluster, cluster.nodes must name one of its nodes, too")
        return
    _require(
        0 <= cluster.replicas <= count,
        f"cluster.replicas: {cluster.replicas} replicas of a shard need as many nodes; "
        f"cluster.nodes has {count}",
    )


def _check_addresses(config: Config) -> None:
    addresses: list[tuple[str, str]] = [("metrics.listen", config.metrics.listen)]
    for member in config.cluster.nodes:
        addresses.append((f"cluster.nodes: peer of {member.name}", member.peer))
        addresses.append((f"cluster.nodes: client of {member.name}", member.client))
    for what, listen in (("client.listen", config.client.listen), ("peer.listen", config.peer.listen)):
        if listen:
            addresses.append((what, listen))
    for what, address in addresses:
        try:
            split_address(address)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None


def _check_tls(tls: TlsSection) -> None:
    for name in ("ca", "cert", "key"):
        has = bool(getattr(tls, name))
        _require(
            has or not tls.enabled,
            f"tls.{name}: is missing; name the PEM file, or set tls.enabled = false to serve plain text",
        )
        _require(
            tls.enabled or not has, f"tls.{name}: is given, but tls.enabled = false would serve plain text"
        )


def _check_durability(config: Config) -> None:
    durability = config.durability
    _require(
        durability.mode == "commit"
        or len(config.cluster.nodes) == 1
        or durability.i_accept_losing_acknowledged_writes,
        'durability.mode: "relaxed" acknowledges writes up to 100 ms before they are on disk, so a cluster '
        "may lose them; set durability.i_accept_losing_acknowledged_writes = true to accept that",
    )


_RANGES: tuple[tuple[str, int, int], ...] = (
    ("client.concurrent_calls_max", 1, 1_000_000),
    ("client.lag_wait_ms", 1, 60_000),
    ("client.followers_max", 0, 1_000_000),
    ("client.heartbeat_ms", 10, 30_000),
    ("limits.request_bytes_max", 1 << 10, 8 << 20),
    ("limits.reply_bytes_max", 1 << 16, 256 << 20),
    ("limits.value_bytes_max", 1, 4 << 20),
    ("limits.text_bytes_max", 1, 1 << 20),
    ("limits.metadata_bytes_max", 1, 1 << 20),
    ("limits.dimension_max", 1, 4096),
    ("limits.items_max", 1, ITEMS_MAX),
    ("limits.k_max", 1, 10_000),
    ("raft.tick_ms", 5, 10_000),
    ("raft.election_ticks", 3, 1_000),
    ("raft.heartbeat_ticks", 1, 100),
    ("raft.entry_bytes_target", 1 << 10, 4 << 20),
    ("raft.entries_inflight_target", 1, 64),
    ("raft.queued_commands_max", 1, 10_000_000),
    ("raft.queued_bytes_max", 1 << 20, 4 << 30),
    ("raft.rebalance_after_ms", 0, 3_600_000),
    ("raft.stop_transfer_ms", 0, 60_000),
    ("background.expiry_interval_ms", 10, 250),
    ("background.expiry_keys_max", 1, ITEMS_MAX),
    ("background.index_interval_ms", 10, 60_000),
    ("disk.reserve_bytes", 0, 1 << 40),
    ("disk.log_keep_bytes", 1 << 20, 1 << 40),
    ("disk.log_keep_entries", 0, 10_000_000),
)
"""Setting, least value, greatest value; both included."""


def _check_numbers(config: Config) -> None:
    for path, least, most in _RANGES:
        section, _, name = path.partition(".")
        value = getattr(getattr(config, section), name)
        _require(least <= value <= most, f"{path}: {value} is not between {least} and {most}")
    raft = config.raft
    _require(
        raft.heartbeat_ticks < raft.election_ticks,
        f"raft.heartbeat_ticks: {raft.heartbeat_ticks} is not below "
        f"raft.election_ticks = {raft.election_ticks}",
    )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _with_absolute_paths(config: Config, base: Path) -> Config:
    absolute: Callable[[str], str] = lambda path: str(base / path) if path else ""  # noqa: E731
    replace = msgspec.structs.replace
    tls = config.tls
    return replace(
        config,
        node=replace(config.node, data_dir=absolute(config.node.data_dir)),
        tls=replace(tls, ca=absolute(tls.ca), cert=absolute(tls.cert), key=absolute(tls.key)),
    )
