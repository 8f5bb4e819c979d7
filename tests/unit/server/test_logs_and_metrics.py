"""What a node tells: log lines that programs and people can read, and numbers for Prometheus."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from memraft_cluster.driver import Counters
from memraft_cluster.errors import NotLeader
from memraft_cluster.groups import META_GROUP
from memraft_server import logs
from memraft_server.metrics import (
    CallMetrics,
    driver_families,
    process_families,
    quota_family,
    render,
    transport_families,
)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(before[0])
    logger.handlers[:] = before[1]


def test_a_json_line_has_its_fields_beside_the_event(root: logging.Logger) -> None:
    stream = io.StringIO()
    logs.set_up("info", "json", "n1", stream)
    logging.getLogger("memraft.test").info(
        "leader changed", extra={"fields": {"shard": 3, "who": {1, 2} - {2}}}
    )
    logging.getLogger("memraft.test").debug("not shown")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info", "node": "n1", "logger": "memraft.test", "event": "leader changed",
        "shard": 3, "who": [1],
    }  # fmt: skip


def test_a_json_line_stays_one_line_with_a_traceback(root: logging.Logger) -> None:
    stream = io.StringIO()
    logs.set_up("info", "json", "n1", stream)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("memraft.test").exception("failed")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert "ValueError: two\nlines" in line["exception"]


def test_text_is_for_a_person(root: logging.Logger) -> None:
    stream = io.StringIO()
    logs.set_up("warning", "text", "n1", stream)
    logging.getLogger("memraft.test").warning("peer unreachable", extra={"fields": {"peer": "n2"}})
    assert stream.getvalue().rstrip().endswith("warning n1 peer unreachable peer=n2")


def test_the_group_of_the_record_has_a_name_and_no_number(root: logging.Logger) -> None:
    """65535 says nothing to a person, and stands beside shards 0, 1, 2."""
    said = []
    for form in ("json", "text"):
        stream = io.StringIO()
        logs.set_up("info", form, "n1", stream)
        for group in (3, META_GROUP):
            error = NotLeader(group, 2)
            logging.getLogger("memraft.test").info("x", extra={"fields": {"group": group, "error": error}})
        said.append(stream.getvalue())
    assert [json.loads(line)["group"] for line in said[0].splitlines()] == [3, "record"]
    assert "group=record error=this node does not lead the cluster's record" in said[1]
    assert "group=3 error=this node does not lead group 3" in said[1]
    assert str(META_GROUP) not in "".join(said)


def test_calls_become_a_histogram_by_method_and_code() -> None:
    calls = CallMetrics()
    for seconds in (0.00005, 0.002, 100.0):
        calls.of("Put").observe("OK", seconds)
    calls.of("Put").observe("UNAVAILABLE", 0.1)
    families = [
        calls.family(), *driver_families(Counters()), quota_family({"bytes_max": 2}),
        *transport_families(rejected=3, dropped=4), *process_families("1.0", "n1", "c", epoch=7),
    ]  # fmt: skip
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(render(families).decode())
        for sample in family.samples
    }
    ok = (("code", "OK"), ("method", "Put"))
    assert samples["memraft_call_seconds_count", *ok] == 3
    assert samples["memraft_call_seconds_sum", *ok] == pytest.approx(100.00205)
    assert samples["memraft_call_seconds_bucket", ("code", "OK"), ("le", "0.0001"), ("method", "Put")] == 1
    assert samples["memraft_call_seconds_bucket", ("code", "OK"), ("le", "5.0"), ("method", "Put")] == 2
    assert samples["memraft_call_seconds_bucket", ("code", "OK"), ("le", "+Inf"), ("method", "Put")] == 3
    assert samples["memraft_quota_refusals_total", ("limit", "bytes_max")] == 2
    assert samples["memraft_peer_connections_rejected_total",] == 3
    assert samples["memraft_peer_messages_unsent_total",] == 4
    assert samples["memraft_log_syncs_total",] == 0
    assert samples["memraft_resident_bytes",] > 1 << 20
