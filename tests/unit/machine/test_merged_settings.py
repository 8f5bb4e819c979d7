"""Settings that were changed in a fork hold in its parent once they are merged."""

from typing import Any

import pytest

from memraft_proto.v1 import fork_pb2, kv_pb2, namespace_pb2, query_pb2
from memraft_server.machine import Refused
from memraft_server.machine.limits import INDEXES_MAX
from tests.unit.machine.harness import NAMESPACE, Shard

FORK = f"{NAMESPACE}@f"


@pytest.fixture
def shard() -> Shard:
    shard = Shard()
    shard.write(kv_pb2.PutRequest(namespace=NAMESPACE, key="k", value=b'{"n":1}'))
    declare(shard, NAMESPACE, "old")
    shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f"))
    return shard


def declare(shard: Shard, space: str, field: str) -> None:
    shard.write(query_pb2.DeclareIndexRequest(namespace=space, field=field))


def merge(shard: Shard) -> Any:
    return shard.write(fork_pb2.MergeForkRequest(namespace=NAMESPACE, fork="f"))


def indexes(shard: Shard) -> dict[str, int]:
    for job in shard.machine.index_jobs():
        job.run()
        job.install()
    found = shard.read(query_pb2.ListIndexesRequest(namespace=NAMESPACE))
    return {each.field: each.state for each in found.indexes}


def test_an_index_that_a_fork_declared_is_built_and_one_that_it_dropped_is_gone(shard: Shard) -> None:
    assert indexes(shard) == {"old": query_pb2.INDEX_STATE_READY}
    declare(shard, FORK, "n")
    shard.write(query_pb2.DropIndexRequest(namespace=FORK, field="old"))
    assert indexes(shard) == {"old": query_pb2.INDEX_STATE_READY}
    merge(shard)
    assert indexes(shard) == {"n": query_pb2.INDEX_STATE_READY}
    space = shard.machine.space(NAMESPACE)
    assert space is not None and list(space.kv.indexes) == ["n"]


def test_a_schema_and_a_time_to_live_of_a_fork_are_the_parents_after_the_merge(shard: Shard) -> None:
    shard.write(namespace_pb2.SetNamespaceSettingsRequest(namespace=FORK, default_ttl_ms=1_000))
    shard.write(namespace_pb2.SetSchemaRequest(namespace=FORK, prefix="p", schema=b'{"type":"object"}'))
    assert merge(shard).merged == 2
    found = shard.read(namespace_pb2.GetNamespaceSettingsRequest(namespace=NAMESPACE))
    assert (found.default_ttl_ms, found.schemas) == (1_000, 1)
    request = kv_pb2.PutRequest(namespace=NAMESPACE, key="new", value=b"1")
    with pytest.raises(Refused, match="SCHEMA_CHANGED"):
        shard.write(request)
    space = shard.machine.space(NAMESPACE)
    assert space is not None and space.settings is not None
    request.context.schema_version = space.settings.schemas_version
    shard.write(request)
    shard.time_us += 2_000_000
    assert len(shard.machine.due(shard.time_us, 10)) == 1


def test_more_indexes_than_a_namespace_may_have_are_not_merged(shard: Shard) -> None:
    for number in range(INDEXES_MAX - 1):
        declare(shard, FORK, f"field{number}")
    declare(shard, NAMESPACE, "another")
    with pytest.raises(Refused, match=f"would have {INDEXES_MAX + 1} indexes, at most {INDEXES_MAX}"):
        merge(shard)
    assert set(indexes(shard)) == {"old", "another"}
