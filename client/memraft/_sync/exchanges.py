# Generated from _async/exchanges.py by scripts/generate_sync.py: edit that one.

"""The last hop of every call, to one node: alone, or in an exchange with others that go there now."""

from typing import Any, Protocol

import grpc

from memraft_proto.methods import Method

from .. import _exchange, _status, errors
from .._course import ATTEMPT_FIRST_S
from .._exchange import EXCHANGE, ExchangeFlight
from .io import INTERRUPTED, Call, is_cancelled, monotonic
from .lanes import Lanes

_CLOSED_MEANWHILE = "this memory was closed while a call was under way: a write may have been applied"


class Channels(Protocol):
    """Has a channel to every node."""

    @property
    def is_closed(self) -> bool: ...
    def callable(self, address: str, method: Method) -> Call: ...


class Exchanges:
    """The calls of one client on their way to nodes.

    Args:
        channels: to them.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._lanes = Lanes(ExchangeFlight, self._send, ATTEMPT_FIRST_S)
        self._without: dict[str, float] = {}
        """Node -> when it is to be asked again whether it has exchanges by now."""

    def call(self, address: str, method: Method, request: Any, timeout_s: float) -> Any:
        """Makes one call to one node. Raises MemraftError."""
        encoded = request.SerializeToString()
        key = _exchange.lane_of(method, request, len(encoded), address)
        if key is None or (self._without and self._is_without(address)):
            return self._make(method, encoded, address, timeout_s)
        deadline_s = monotonic() + timeout_s
        lane = self._lanes.alone(key, deadline_s)
        if lane is None:
            return self._lanes.carry(_exchange.Call(method, encoded, address, deadline_s, key))
        try:
            return self._make(method, encoded, address, timeout_s)
        finally:
            self._lanes.hand_on(lane)

    def close(self) -> None:
        """Fails what is queued; calls under way end with their channels."""
        self._lanes.close()

    def _send(self, method: Method, request: bytes, address: str, deadline_s: float) -> Any:
        return self._make(method, request, address, max(0.001, deadline_s - monotonic()))

    def _make(self, method: Method, request: bytes, address: str, timeout_s: float) -> Any:
        try:
            return self._channels.callable(address, method)(request, timeout=timeout_s)
        except INTERRUPTED as failure:
            if self._channels.is_closed and not is_cancelled():
                raise errors.ClosedError(_CLOSED_MEANWHILE) from failure
            raise
        except grpc.RpcError as failure:
            if self._channels.is_closed:
                raise errors.ClosedError(_CLOSED_MEANWHILE) from failure
            if method is EXCHANGE and failure.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._without[address] = monotonic() + _exchange.WITHOUT_S
                raise errors.InvalidArgument(f"{address} has no {method.name}") from failure
            raise _status.explain(failure, address) from failure

    def _is_without(self, address: str) -> bool:
        again_s = self._without.get(address)
        if again_s is None:
            return False
        if monotonic() < again_s:
            return True
        self._without.pop(address, None)
        return False
