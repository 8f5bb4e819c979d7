"""Who a node is: the one URI in its certificate, ``spiffe://<trust domain>/node/<name>``. Pure.

Only certificates with the role ``node`` may speak consensus; an agent's certificate, though signed by
the same authority, is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import PeerRefused

NODE_URI = re.compile(r"spiffe://(?P<trust_domain>[a-z0-9._-]{1,255})/node/(?P<name>[A-Za-z0-9._-]{1,64})")


def node_uri(trust_domain: str, name: str) -> str:
    """The URI that the certificate of node ``name`` carries.

    Raises:
        ValueError: a trust domain or name that the URI may not carry.
    """
    uri = f"spiffe://{trust_domain}/node/{name}"
    if not NODE_URI.fullmatch(uri):
        raise ValueError(f"{uri!r} is not spiffe://<trust domain>/node/<name>")
    return uri


def node_name(certificate: Mapping[str, object] | None, trust_domain: str) -> str:
    """Name of the node that a verified certificate belongs to.

    Args:
        certificate: as ``ssl.SSLSocket.getpeercert()`` gives it.
        trust_domain: the one that this cluster trusts.

    Raises:
        PeerRefused: no certificate, not exactly one URI, another trust domain, or a role that is not
            ``node``.
    """
    if not certificate:
        raise PeerRefused("the other side showed no certificate")
    names = certificate.get("subjectAltName", ())
    uris = [pair[1] for pair in names if pair[0] == "URI"] if isinstance(names, tuple) else []
    if len(uris) != 1:
        raise PeerRefused(f"the certificate carries {len(uris)} URIs, it must carry exactly one")
    match = NODE_URI.fullmatch(uris[0])
    if match is None:
        raise PeerRefused(f"the certificate of {uris[0]!r} does not have the role node")
    if match["trust_domain"] != trust_domain:
        raise PeerRefused(f"the certificate of {uris[0]!r} is not of trust domain {trust_domain!r}")
    return match["name"]
