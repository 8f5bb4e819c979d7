import socket
from pathlib import Path

from memraft_server.cli.ports import free_ports


def test_no_port_is_given_twice_and_each_can_be_listened_on() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


def test_no_port_is_one_that_an_outgoing_connection_may_take() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if lowest > 20_000:  # else no room is left below
        assert max(free_ports(20)) < lowest
