"""Mutual TLS 1.3 between nodes.

Host names are not checked: addresses change, and a name says nothing about a role. What is checked, after
the chain, is the URI of the certificate (see ``identity``), on both sides of every connection.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from cryptography import x509

from .errors import CertificateError, PeerRefused
from .identity import node_name


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a node, and the trust domain that its cluster's certificates carry."""

    authority_path: str
    certificate_path: str
    key_path: str
    trust_domain: str


def listening_context(files: TlsFiles) -> ssl.SSLContext:
    """For the side that is dialled. Raises CertificateError naming the file that cannot be used."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    context.num_tickets = 0  # connections live for days; resumption would buy nothing
    return context


def dialling_context(files: TlsFiles) -> ssl.SSLContext:
    """For the side that dials. Raises CertificateError naming the file that cannot be used."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, files)


def _context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(files.authority_path)
    except OSError as error:
        raise CertificateError(files.authority_path, f"not a usable authority: {error}") from error
    try:
        context.load_cert_chain(files.certificate_path, files.key_path)
    except OSError as error:
        detail = f"not usable together with key {files.key_path}: {error}"
        raise CertificateError(files.certificate_path, detail) from error
    return context


def check_own_certificate(files: TlsFiles, name: str) -> None:
    """Find out now, not from the refusals of others, that a node was given the wrong certificate.

    Raises:
        CertificateError: it does not carry ``spiffe://<trust domain>/node/<name>``.
    """
    try:
        with open(files.certificate_path, "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise CertificateError(files.certificate_path, str(error)) from error
    try:
        found = node_name({"subjectAltName": tuple(("URI", uri) for uri in uris)}, files.trust_domain)
    except PeerRefused as error:
        raise CertificateError(files.certificate_path, str(error)) from error
    if found != name:
        raise CertificateError(files.certificate_path, f"it belongs to node {found!r}, this is node {name!r}")
