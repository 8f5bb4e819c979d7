"""What a memory is opened on: reads addresses and certificate files, and says what is wrong with them."""

import os
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import grpc
import msgspec

from .errors import ConfigurationError

Durability = Literal["commit", "relaxed"]
"""Whether a write is on the disk of a memory in a directory before it is acknowledged, or soon after."""

Engine = Literal["grpcio", "lean"]
"""What carries calls to a cluster."""

ADDRESSES_MAX = 1_024
TIMEOUT_S_MAX = 7 * 24 * 3600.0
CA_FILE, CERTIFICATE_FILE, KEY_FILE = "ca.pem", "cert.pem", "key.pem"


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a directory of certificates, PEM."""

    directory: Path
    authority: bytes
    certificate: bytes
    key: bytes

    def credentials(self) -> grpc.ChannelCredentials:
        """What a channel is opened with."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def context(self) -> ssl.SSLContext:
        """What a connection of our own is opened with: the node's certificate must be of the authority, and
        have the name or the address that was given, as gRPC wants it.

        Raises:
            OSError: they do not load; ssl.SSLError is one.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        context.load_verify_locations(cadata=self.authority.decode("ascii", "replace"))
        context.load_cert_chain(self.directory / CERTIFICATE_FILE, self.directory / KEY_FILE)
        return context


class ClusterTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster to talk to."""

    addresses: tuple[str, ...]
    certificates: Certificates | None
    """None: plain text."""
    timeout_s: float
    engine: Engine


def read_durability(durability: str, path: str | Path | None) -> bool:
    """Returns whether a memory in a directory may acknowledge writes before they are on its disk.

    Raises:
        ConfigurationError: it is neither `commit` nor `relaxed`, or `relaxed` without a directory.
    """
    if durability not in ("commit", "relaxed"):
        raise ConfigurationError(f"durability must be 'commit' or 'relaxed', not {durability!r}")
    if durability == "relaxed" and path is None:
        raise ConfigurationError(
            "durability='relaxed' is for a memory in a directory: give path=; "
            "a cluster has it in its configuration, and a memory without a directory has no disk to wait for"
        )
    return durability == "relaxed"


def read_target(
    target: str | Sequence[str] | None,
    path: str | Path | None,
    certs: str | Path | None,
    insecure: bool,
    timeout_s: float,
    engine: str,
) -> ClusterTarget | None:
    """Returns the cluster that the arguments of `Memory` name; None: in process.

    Raises:
        ConfigurationError: see there.
    """
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        raise ConfigurationError(f"timeout_s must be a number of seconds, not {timeout_s!r}")
    if not 0 < timeout_s <= TIMEOUT_S_MAX:
        raise ConfigurationError(
            f"timeout_s must be greater than 0 and at most {TIMEOUT_S_MAX:.0f} seconds, not {timeout_s}"
        )
    carrier = _engine(engine)
    _check_path(path, "path")
    _check_path(certs, "certs")
    if target is None:
        if certs is not None or insecure:
            raise ConfigurationError("certs= and insecure= are for a cluster: say where it is, host:port")
        return None
    if path is not None:
        raise ConfigurationError(
            "a memory is on a cluster or in a directory: give addresses or path=, not both"
        )
    if insecure and certs is not None:
        raise ConfigurationError("certs= and insecure=True exclude each other")
    addresses = _addresses(target)
    if certs is None and not insecure:
        raise ConfigurationError(
            f"certs= is needed for {addresses[0]}: the directory with {CA_FILE}, {CERTIFICATE_FILE} and "
            f"{KEY_FILE} that `memraft certs issue` makes (or insecure=True for nodes without TLS)"
        )
    certificates = _certificates(Path(certs)) if certs is not None else None
    return ClusterTarget(addresses=addresses, certificates=certificates, timeout_s=timeout_s, engine=carrier)


def _engine(engine: str) -> Engine:
    if engine not in ("grpcio", "lean"):
        raise ConfigurationError(f"engine must be 'grpcio' or 'lean', not {engine!r}")
    return "lean" if engine == "lean" else "grpcio"


def _check_path(path: Any, name: str) -> None:
    """Refuses what names no directory; the empty one would be the directory that the process runs in."""
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ConfigurationError(f"{name} must be the path of a directory, not {path!r}")
    if path == "":
        raise ConfigurationError(f"{name} must not be empty; the current directory is '.'")


def _addresses(target: Any) -> tuple[str, ...]:
    parts = target.split(",") if isinstance(target, str) else target
    if not isinstance(parts, Iterable):
        raise ConfigurationError(f"an address must be a str such as 'host:port', not {target!r}")
    parts = list(parts)
    for part in parts:
        if not isinstance(part, str):
            raise ConfigurationError(f"an address must be a str such as 'host:port', not {part!r}")
    addresses = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not addresses:
        raise ConfigurationError(f"no address in {target!r}; give host:port, separated by commas")
    if len(addresses) > ADDRESSES_MAX:
        raise ConfigurationError(f"{len(addresses)} addresses, at most {ADDRESSES_MAX}")
    for address in addresses:
        split_address(address)
    return addresses


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port of `host:port` or `[v6]:port`; ConfigurationError where it is neither."""
    host, _, port = address.rpartition(":")
    is_v6 = host.startswith("[") and host.endswith("]")
    if host and port.isdecimal() and 0 < int(port) < 65_536 and (is_v6 or ":" not in host):
        return (host[1:-1] if is_v6 else host), int(port)
    raise ConfigurationError(f"address {address!r} is not host:port with a port from 1 to 65535")


def _certificates(directory: Path) -> Certificates:
    if not directory.is_dir():
        raise ConfigurationError(f"certs={str(directory)!r} is not a directory")
    contents: dict[str, bytes] = {}
    for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE):
        try:
            contents[name] = (directory / name).read_bytes()
        except OSError as error:
            reason = (
                "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            )
            raise ConfigurationError(f"certificate file {directory / name} {reason}") from error
        if b"-----BEGIN " not in contents[name]:
            raise ConfigurationError(f"certificate file {directory / name} is not PEM")
    return Certificates(
        directory=directory,
        authority=contents[CA_FILE],
        certificate=contents[CERTIFICATE_FILE],
        key=contents[KEY_FILE],
    )
