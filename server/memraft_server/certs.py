"""Certificates for a cluster: one authority, and what it issues to nodes, agents and operators.

A certificate says who its owner is in one URI (see ``admission.identity``). An authority's directory holds
``ca.pem`` and ``ca-key.pem``; what is issued goes into a directory of its own with ``ca.pem``, ``cert.pem``
and ``key.pem``, which is what ``tls`` in a node's configuration and ``certs=`` of a client take. All keys are
P-256; files of keys are readable by their owner alone, and nothing is ever overwritten.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from memraft_proto.names import is_namespace_segment
from memraft_server.admission.identity import AGENT_BYTES_MAX, SPIFFE_URI, TRUST_DOMAIN

CA_CERT, CA_KEY = "ca.pem", "ca-key.pem"
CERT, KEY = "cert.pem", "key.pem"
CA_DAYS = 3650
LEAF_DAYS = 365
BACKDATED = timedelta(minutes=5)
"""Validity begins a little early, because clocks of machines differ."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]*")
"""A name that is issued, or a part of one: what identities are made of, but never ``..`` or ``-x``, because
names become directories and arguments."""


class CertsError(Exception):
    """Certificates that cannot be made or used; the message names the file."""


def init_ca(directory: Path, trust_domain: str, *, days: int = CA_DAYS) -> None:
    """Makes an authority.

    Args:
        directory: receives ``ca.pem`` and ``ca-key.pem``; made where it does not exist.
        trust_domain: such as ``memraft.local``: stands in every certificate that it issues.
        days: how long it is valid.

    Raises:
        CertsError: there is an authority already, or an argument is out of range.
    """
    if not re.fullmatch(TRUST_DOMAIN, trust_domain):
        raise CertsError(f"trust domain {trust_domain!r} is not 1 to 255 of a-z 0-9 . _ -")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{trust_domain} authority"[:64])])
    builder = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]),
            critical=False,
        )
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write_new(directory, {CA_KEY: _key_pem(key), CA_CERT: _pem(certificate)})


def issue_node(ca: Path, out: Path, name: str, hosts: Sequence[str], *, days: int = LEAF_DAYS) -> None:
    """Issues a node's certificate, for clients and for other nodes.

    Args:
        ca: the authority's directory.
        out: receives ``ca.pem``, ``cert.pem`` and ``key.pem``.
        name: of the node, as its configuration has it.
        hosts: names and IP addresses under which clients reach it.
        days: how long it is valid.

    Raises:
        CertsError: a file exists already, the authority cannot be used, or an argument is malformed.
    """
    if not hosts:
        raise CertsError(f"node {name!r}: no host; clients check the name or address that they call")
    _issue(ca, out, f"node/{name}", name, hosts, days, serves=True)


def issue_agent(ca: Path, out: Path, tenant: str, agent: str, *, days: int = LEAF_DAYS) -> None:
    """Issues an agent's certificate. ``agent`` may be a path, such as ``support/worker-3``; otherwise as
    :func:`issue_node`."""
    path = f"tenant/{tenant}/agent/{agent}"
    if not is_namespace_segment(tenant):
        raise CertsError(
            f"{path!r} cannot stand in a certificate: tenant {tenant!r} is not 1 to 63 of A-Z a-z 0-9 . _ -, "
            "the first a letter or digit"
        )
    if len(agent) > AGENT_BYTES_MAX:
        raise CertsError(f"agent {agent[:40] + '…'!r} has {len(agent)} bytes, at most {AGENT_BYTES_MAX}")
    _issue(ca, out, path, agent, (), days)


def issue_operator(ca: Path, out: Path, name: str, *, days: int = LEAF_DAYS) -> None:
    """Issues the certificate of a person or program that watches the cluster; otherwise as
    :func:`issue_node`."""
    _issue(ca, out, f"operator/{name}", name, (), days)


def _issue(
    ca: Path, out: Path, path: str, common_name: str, hosts: Sequence[str], days: int, serves: bool = False
) -> None:
    authority, authority_key, trust_domain = _read_ca(ca)
    uri = f"spiffe://{trust_domain}/{path}"
    if not SPIFFE_URI.fullmatch(uri) or not all(map(_NAME.fullmatch, path.split("/"))):
        raise CertsError(
            f"{path!r} cannot stand in a certificate: names are made of A-Z a-z 0-9 . _ ~ : @ -, "
            "a node's name of A-Z a-z 0-9 . _ -, and begin with a letter or digit"
        )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), *map(_host_name, hosts)]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if serves:
        usages.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    builder = (
        _builder(subject, authority.subject, key.public_key(), days, authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
    )
    certificate = builder.sign(authority_key, hashes.SHA256())
    _write_new(out, {KEY: _key_pem(key), CERT: _pem(certificate), CA_CERT: _pem(authority)})


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says: its URIs, and until when it is valid."""

    uris: tuple[str, ...]
    not_before: datetime
    not_after: datetime


def check_files(ca: str, cert: str, key: str) -> CertificateFacts:
    """Checks the files that a process is to prove itself with, before anybody else does.

    Args:
        ca, cert, key: paths of PEM files.

    Returns:
        What the certificate says.

    Raises:
        CertsError: a file is missing, unreadable or not PEM; the certificate has expired or is not valid yet,
            with the date; the key is not the certificate's, or the authority did not sign it.
    """
    authority = _read_certificate(Path(ca))
    certificate = _read_certificate(Path(cert))
    private = _read_key(Path(key))
    now = datetime.now(UTC)
    for path, each in ((ca, authority), (cert, certificate)):
        if now > each.not_valid_after_utc:
            raise CertsError(f"certificate {path} expired on {_date(each.not_valid_after_utc)}")
        if now < each.not_valid_before_utc:
            raise CertsError(f"certificate {path} is not valid before {_date(each.not_valid_before_utc)}")
    if private.public_key() != certificate.public_key():
        raise CertsError(f"key {key} does not belong to certificate {cert}")
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise CertsError(f"certificate {cert} was not issued by the authority {ca}") from None
    uris = _alternative_names(certificate).get_values_for_type(x509.UniformResourceIdentifier)
    return CertificateFacts(tuple(uris), certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    days: int,
    no_later_than: datetime | None = None,
) -> x509.CertificateBuilder:
    if not 1 <= days <= 36_500:
        raise CertsError(f"days = {days} is not between 1 and 36500")
    now = datetime.now(UTC)
    until = now + timedelta(days=days)
    if no_later_than is not None:
        until = min(until, no_later_than)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host):
        raise CertsError(f"host {host!r} is neither a DNS name nor an IP address")
    return x509.DNSName(host)


def _read_ca(ca: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey, str]:
    authority = _read_certificate(ca / CA_CERT)
    key = _read_key(ca / CA_KEY)
    if key.public_key() != authority.public_key():
        raise CertsError(f"key {ca / CA_KEY} does not belong to certificate {ca / CA_CERT}")
    if datetime.now(UTC) > authority.not_valid_after_utc:
        raise CertsError(f"authority {ca / CA_CERT} expired on {_date(authority.not_valid_after_utc)}")
    uris = _alternative_names(authority).get_values_for_type(x509.UniformResourceIdentifier)
    match = re.fullmatch(rf"spiffe://({TRUST_DOMAIN})", uris[0]) if len(uris) == 1 else None
    if match is None:
        raise CertsError(f"certificate {ca / CA_CERT} is no authority of a trust domain")
    return authority, key, match[1]


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CertsError(f"certificate {path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise CertsError(f"certificate {path} is not a PEM certificate") from None


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise CertsError(f"key {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):
        raise CertsError(f"key {path} is not a PEM key without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertsError(f"key {path} is not an elliptic-curve key")
    return key


def _write_new(directory: Path, files: dict[str, bytes]) -> None:
    """Writes files that must not exist yet; keys for their owner's eyes only."""
    for name in files:
        if (directory / name).exists():
            raise CertsError(f"{directory / name} exists already and is not overwritten")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            mode = 0o600 if name in (KEY, CA_KEY) else 0o644
            descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        raise CertsError(f"cannot write to {directory}: {error.strerror or error}") from None


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _date(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
