"""Delays, reorders and drops packets that a filter rule hands over (`iptables -j NFQUEUE`): a user of the
kernel's nfnetlink_queue, for kernels without `tc netem`.

    python -m tests.acceptance.campaign.packets QUEUE DELAY_MS JITTER_MS LOSS READY_FD

It speaks netlink itself (linux/netfilter/nfnetlink_queue.h), asks for the packets' numbers alone, and gives
its verdict on each when its time has come. READY_FD is closed once the queue is bound.
"""

from __future__ import annotations

import errno
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

NETLINK_NETFILTER = 12
SUBSYSTEM_QUEUE = 3
MSG_PACKET, MSG_VERDICT, MSG_CONFIG = 0, 1, 2
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN = 1, 2, 3
CMD_BIND, COPY_META = 1, 1
ATTR_PACKET_HDR, ATTR_VERDICT_HDR = 1, 2
DROP, ACCEPT = 0, 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2

TRIAL_QUEUE = 9
"""Bound and let go again, to see whether the kernel has queues."""

WAITING_MAX = 20_000
"""Packets that wait at once; the kernel drops what comes on top."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind: int, queue: int, body: bytes, flags: int = NLM_F_REQUEST) -> bytes:
    """One netlink message to the queue subsystem."""
    family_version_queue = struct.pack("!BBH", socket.AF_UNSPEC, 0, queue)
    size = _HEADER.size + len(family_version_queue) + len(body)
    return _HEADER.pack(size, SUBSYSTEM_QUEUE << 8 | kind, flags, 0, 0) + family_version_queue + body


def packet_ids(data: bytes) -> list[int]:
    """The numbers of the packets that a datagram announces. Raises OSError where it reports an error."""
    found, offset = [], 0
    while offset + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if kind == NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", data, offset + _HEADER.size)
            if code:
                raise OSError(-code, os.strerror(-code))
        elif kind == SUBSYSTEM_QUEUE << 8 | MSG_PACKET:
            at, end = offset + _HEADER.size + 4, offset + size
            while at + _ATTRIBUTE.size <= end:
                length, what = _ATTRIBUTE.unpack_from(data, at)
                if what & 0x3FFF == ATTR_PACKET_HDR:
                    found.append(struct.unpack_from("!I", data, at + _ATTRIBUTE.size)[0])
                at += max(_ATTRIBUTE.size, length + -length % 4)
        offset += max(_HEADER.size, size + -size % 4)
    return found


def bind(queue: int) -> socket.socket:
    """A socket that receives what a queue announces. Raises OSError where the kernel has no such queues."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    netlink.bind((0, 0))
    for kind, value in (
        (CFG_CMD, struct.pack("!BBH", CMD_BIND, 0, socket.AF_INET)),
        (CFG_PARAMS, struct.pack("!IB", 0, COPY_META)),
        (CFG_QUEUE_MAXLEN, struct.pack("!I", WAITING_MAX)),
    ):
        netlink.send(message(MSG_CONFIG, queue, attribute(kind, value), NLM_F_REQUEST | NLM_F_ACK))
        packet_ids(netlink.recv(65_536))
    return netlink


def decide(netlink: socket.socket, queue: int, packet: int, verdict: int) -> None:
    """Lets a packet go on, or drops it."""
    try:
        netlink.send(
            message(MSG_VERDICT, queue, attribute(ATTR_VERDICT_HDR, struct.pack("!II", verdict, packet)))
        )
    except OSError as error:
        if error.errno not in (errno.ENOBUFS, errno.ENOENT):
            raise


def serve(netlink: socket.socket, queue: int, delay_s: float, jitter_s: float, loss: float) -> None:
    """Passes packets on, each in its own time, until it is killed."""
    waiting: list[tuple[float, int]] = []
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([netlink], [], [], timeout)[0]:
            try:
                arrived = packet_ids(netlink.recv(65_536))
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.ENOENT):
                    raise
                arrived = []
            now = time.monotonic()
            for packet in arrived:
                if random.random() < loss:
                    decide(netlink, queue, packet, DROP)
                else:
                    due = now + max(0.0, delay_s + random.uniform(-jitter_s, jitter_s))
                    heapq.heappush(waiting, (due, packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            decide(netlink, queue, heapq.heappop(waiting)[1], ACCEPT)


def main(arguments: list[str]) -> None:
    """Binds the queue and serves it."""
    queue, ready = int(arguments[0]), int(arguments[4])
    delay_ms, jitter_ms, loss = map(float, arguments[1:4])
    netlink = bind(queue)
    os.close(ready)
    serve(netlink, queue, delay_ms / 1_000, jitter_ms / 1_000, loss)


if __name__ == "__main__":
    main(sys.argv[1:])
