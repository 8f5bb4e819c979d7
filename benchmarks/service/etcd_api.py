"""The messages and calls of etcd's public API that the benchmark needs, made from `etcd_kv.proto`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

HERE = Path(__file__).parent
PACKAGE = "etcdserverpb"


@dataclass(frozen=True, slots=True)
class Api:
    """Message classes by their names in `etcd_kv.proto`."""

    messages: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.messages[name]
        except KeyError:
            raise AttributeError(name) from None


CALLS = {
    "Range": ("/etcdserverpb.KV/Range", "RangeRequest", "RangeResponse"),
    "Put": ("/etcdserverpb.KV/Put", "PutRequest", "PutResponse"),
    "Txn": ("/etcdserverpb.KV/Txn", "TxnRequest", "TxnResponse"),
    "Status": ("/etcdserverpb.Maintenance/Status", "StatusRequest", "StatusResponse"),
}
"""Name -> path, request, response."""


@cache
def api() -> Api:
    """Compiles the messages. RuntimeError where protoc refuses them."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "set"
        status = protoc.main(["protoc", f"-I{HERE}", f"--descriptor_set_out={out}", "etcd_kv.proto"])
        if status:
            raise RuntimeError(f"protoc failed with status {status}")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    file = pool.FindFileByName("etcd_kv.proto")
    return Api({name: GetMessageClass(kind) for name, kind in file.message_types_by_name.items()})


def calls_of(channel: Any) -> dict[str, Any]:
    """The calls over a channel of grpcio, with or without an event loop, or of the lean client."""
    kinds = api()
    return {
        name: channel.unary_unary(
            path,
            request_serializer=getattr(kinds, request).SerializeToString,
            response_deserializer=getattr(kinds, response).FromString,
        )
        for name, (path, request, response) in CALLS.items()
    }
