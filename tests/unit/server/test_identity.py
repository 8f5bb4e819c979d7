"""Who calls, from the certificate's URI, and what it may touch."""

from __future__ import annotations

import pytest

from memraft_server.admission.identity import (
    Caller,
    Role,
    check_namespace,
    parse_identity,
    writing_agent,
)
from memraft_server.machine import Refused

DOMAIN = "memraft.local"
SUPPORT = Caller(Role.AGENT, "support", "acme")


@pytest.mark.parametrize(
    ("path", "caller"),
    [
        ("tenant/acme/agent/support", SUPPORT),
        ("tenant/acme/agent/support/worker-3", Caller(Role.AGENT, "support/worker-3", "acme")),
        ("operator/olga", Caller(Role.OPERATOR, "olga")),
        ("node/n1", Caller(Role.NODE, "n1")),
    ],
)
def test_a_uri_names_an_agent_an_operator_or_a_node(path: str, caller: Caller) -> None:
    assert parse_identity((f"spiffe://{DOMAIN}/{path}",), DOMAIN) == caller


@pytest.mark.parametrize(
    ("uris", "message"),
    [
        ((), "carries 0 URIs"),
        (("spiffe://memraft.local/node/n1", "spiffe://memraft.local/node/n2"), "carries 2 URIs"),
        (("https://memraft.local/node/n1",), "names no agent, operator or node"),
        (("spiffe://memraft.local/tenant/acme",), "names no agent"),
        (("spiffe://memraft.local/tenant/acme/agent/",), "names no agent"),
        (("spiffe://memraft.local/tenant/a/b/agent/c",), "names no agent"),
        (("spiffe://memraft.local/node/n1\n",), "names no agent"),
        (("spiffe://elsewhere/node/n1",), "is not of trust domain 'memraft.local'"),
        ((f"spiffe://memraft.local/tenant/acme/agent/{'/'.join(['a' * 100] * 3)}",), "302 bytes, over 255"),
    ],
)
def test_a_certificate_without_a_usable_identity_says_why(uris: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        parse_identity(uris, DOMAIN)
    assert caught.value.reason == "NO_IDENTITY"


def test_an_agent_is_confined_to_its_tenant() -> None:
    check_namespace(SUPPORT, "acme")
    check_namespace(SUPPORT, "acme/support/agents/alice")
    for namespace in ("globex", "acmes/support", "Acme/support", ""):
        with pytest.raises(Refused) as caught:
            check_namespace(SUPPORT, namespace)
        assert caught.value.reason == "WRONG_TENANT"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.NODE])
def test_operators_and_nodes_touch_no_data(role: Role) -> None:
    with pytest.raises(Refused, match="takes an agent's certificate") as caught:
        check_namespace(Caller(role, "x"), "acme/support")
    assert caught.value.reason == "WRONG_ROLE"


def test_the_owner_of_the_process_is_confined_by_nothing() -> None:
    owner = Caller(Role.LOCAL, "local")
    check_namespace(owner, "anything/at/all")
    assert writing_agent(owner, "whoever") == "whoever"


def test_an_agent_writes_as_itself_or_as_one_below_it() -> None:
    assert writing_agent(SUPPORT, "") == "support"
    assert writing_agent(SUPPORT, "support") == "support"
    assert writing_agent(SUPPORT, "support/worker") == "support/worker"
    for other in ("billing", "support2", "suppor"):
        with pytest.raises(Refused) as caught:
            writing_agent(SUPPORT, other)
        assert caught.value.reason == "WRONG_AGENT"
