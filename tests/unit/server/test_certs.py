"""Certificates: what is issued says who its owner is, and nothing is overwritten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memraft_server.certs import (
    CertsError,
    check_files,
    init_ca,
    issue_agent,
    issue_node,
    issue_operator,
)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    init_ca(tmp_path / "ca", "memraft.local")
    return tmp_path / "ca"


def facts_of(directory: Path) -> tuple[str, ...]:
    return check_files(*(str(directory / name) for name in ("ca.pem", "cert.pem", "key.pem"))).uris


def test_each_role_has_its_uri(ca: Path, tmp_path: Path) -> None:
    issue_node(ca, tmp_path / "n", "n1", ["127.0.0.1", "node-1.example.com"])
    issue_agent(ca, tmp_path / "a", "acme", "support/worker-3")
    issue_operator(ca, tmp_path / "o", "olga")
    assert facts_of(tmp_path / "n") == ("spiffe://memraft.local/node/n1",)
    assert facts_of(tmp_path / "a") == ("spiffe://memraft.local/tenant/acme/agent/support/worker-3",)
    assert facts_of(tmp_path / "o") == ("spiffe://memraft.local/operator/olga",)


def test_keys_are_for_their_owner_alone(ca: Path, tmp_path: Path) -> None:
    issue_agent(ca, tmp_path / "a", "acme", "support")
    assert (ca / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(ca: Path, tmp_path: Path) -> None:
    issue_agent(ca, tmp_path / "a", "acme", "support")
    before = {path: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    with pytest.raises(CertsError, match=r"key\.pem exists already and is not overwritten"):
        issue_agent(ca, tmp_path / "a", "acme", "support")
    with pytest.raises(CertsError, match=r"ca-key\.pem exists already"):
        init_ca(ca, "memraft.local")
    assert {path: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before


def test_validity_is_in_days_and_ends_no_later_than_the_authority(tmp_path: Path) -> None:
    init_ca(tmp_path / "short", "memraft.local", days=10)
    issue_operator(tmp_path / "short", tmp_path / "o", "olga", days=5)
    issue_operator(tmp_path / "short", tmp_path / "p", "paul", days=365)
    for directory, days in (("o", 5), ("p", 10)):
        names = (str(tmp_path / directory / name) for name in ("ca.pem", "cert.pem", "key.pem"))
        until = check_files(*names).not_after
        assert abs(until - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=5)


def test_what_cannot_be_issued_is_refused_by_name(ca: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(CertsError, match="trust domain 'Über' is not"):
        init_ca(tmp_path / "other", "Über")
    with pytest.raises(CertsError, match="'tenant/a b/agent/c' cannot stand in a certificate"):
        issue_agent(ca, out, "a b", "c")
    with pytest.raises(CertsError, match="host 'no host' is neither a DNS name nor an IP address"):
        issue_node(ca, out, "n1", ["no host"])
    with pytest.raises(CertsError, match="node 'n1': no host"):
        issue_node(ca, out, "n1", [])
    with pytest.raises(CertsError, match="days = 0 is not between 1 and 36500"):
        issue_operator(ca, out, "olga", days=0)
    with pytest.raises(CertsError, match=r"nowhere/ca\.pem cannot be read: No such file"):
        issue_operator(tmp_path / "nowhere", out, "olga")
    assert not out.exists()
