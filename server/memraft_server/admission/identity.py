"""Who calls: the one URI in the caller's certificate, and what it may touch.

========================================================  =================================================
``spiffe://<trust domain>/tenant/<t>/agent/<a>[/<a>...]``  an agent: data of namespaces of tenant ``t``
``spiffe://<trust domain>/operator/<name>``                an operator: how nodes stand, no data
``spiffe://<trust domain>/node/<name>``                    a node of the cluster: how nodes stand, no data
========================================================  =================================================
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from memraft_proto.names import AGENT_PART
from memraft_proto.sharding import tenant_of
from memraft_server.machine import Refused

TRUST_DOMAIN = r"[a-z0-9._-]{1,255}"
AGENT_BYTES_MAX = 255
SPIFFE_URI = re.compile(
    rf"spiffe://(?P<domain>{TRUST_DOMAIN})/"
    rf"(?:tenant/(?P<tenant>{AGENT_PART})/agent/(?P<agent>{AGENT_PART}(?:/{AGENT_PART})*)"
    rf"|operator/(?P<operator>{AGENT_PART})|node/(?P<node>[A-Za-z0-9._-]{{1,64}}))"
)


class Role(Enum):
    """What kind of caller."""

    AGENT = "agent"
    OPERATOR = "operator"
    NODE = "node"
    LOCAL = "local"
    """The owner of the process: an embedded memory. Confined by nothing."""


class Caller(msgspec.Struct, frozen=True):
    """Who calls. ``name`` is the agent's path for an agent, else the operator's or node's name; ``tenant`` is
    empty for all but agents."""

    role: Role
    name: str
    tenant: str = ""


def parse_identity(uris: tuple[str, ...], trust_domain: str) -> Caller:
    """The caller that a verified certificate speaks for.

    Args:
        uris: all URIs among the certificate's alternative names.
        trust_domain: the one of this cluster.

    Raises:
        Refused: NO_IDENTITY, saying what is wrong with the certificate.
    """
    if len(uris) != 1:
        raise Refused("NO_IDENTITY", f"the certificate carries {len(uris)} URIs, it must carry exactly one")
    match = SPIFFE_URI.fullmatch(uris[0])
    if match is None:
        raise Refused("NO_IDENTITY", f"the certificate's URI {uris[0]!r} names no agent, operator or node")
    if match["domain"] != trust_domain:
        raise Refused(
            "NO_IDENTITY", f"the certificate's URI {uris[0]!r} is not of trust domain {trust_domain!r}"
        )
    if match["agent"] is not None:
        if len(match["agent"]) > AGENT_BYTES_MAX:
            size = len(match["agent"])
            raise Refused("NO_IDENTITY", f"the certificate's agent has {size} bytes, over {AGENT_BYTES_MAX}")
        return Caller(Role.AGENT, match["agent"], match["tenant"])
    if match["operator"] is not None:
        return Caller(Role.OPERATOR, match["operator"])
    return Caller(Role.NODE, match["node"])


def check_namespace(caller: Caller, namespace: str) -> None:
    """Raises Refused unless the caller may touch data of ``namespace``."""
    if caller.role is Role.LOCAL:
        return
    if caller.role is not Role.AGENT:
        raise Refused(
            "WRONG_ROLE",
            f"{caller.role.value} {caller.name!r} may not touch data; that takes an agent's certificate",
            {"role": caller.role.value},
        )
    if tenant_of(namespace) != caller.tenant:
        raise Refused(
            "WRONG_TENANT",
            f"namespace {namespace!r} belongs to tenant {tenant_of(namespace)!r}; "
            f"the certificate is of tenant {caller.tenant!r}",
            {"tenant": caller.tenant, "namespace": namespace},
        )


def writing_agent(caller: Caller, wanted: str) -> str:
    """The agent a write is recorded under.

    Args:
        caller: who calls.
        wanted: ``WriteContext.agent``: empty, or the caller's agent, or one below it.

    Raises:
        Refused: WRONG_AGENT.
    """
    if not wanted or wanted == caller.name:
        return caller.name
    if caller.role is Role.LOCAL or wanted.startswith(caller.name + "/"):
        return wanted
    raise Refused(
        "WRONG_AGENT",
        f"agent {caller.name!r} may write as itself or as an agent below it, such as "
        f"'{caller.name}/worker', not as {wanted!r}",
        {"agent": caller.name},
    )
