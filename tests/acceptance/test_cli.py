"""`memraft up` and the commands of a person, against real nodes as processes of this machine."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from memraft_server.cli import main
from memraft_server.cli.devcluster import DevCluster

COMMAND = [sys.executable, "-m", "memraft_server.cli"]
PATIENCE_S = 60.0


def memraft(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end, in this process: starting one takes longer than most commands."""
    said = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said[0]), redirect_stderr(said[1]):
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
    output, complaints = (each.buffer.getvalue().decode() for each in said)  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, status, output, complaints)


def memraft_process(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end as a person does."""
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE_S,
        check=False,
    )


class Up:
    """A `memraft up` that runs. `facts` is what it printed when the nodes were ready."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.facts: dict[str, Any] = self._read_facts()

    def _read_facts(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line == "}\n":
                facts: dict[str, Any] = json.loads(text)
                return facts
        assert self.process.stderr is not None
        raise AssertionError(f"memraft up ended: {self.process.stderr.read()}")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "MEMRAFT_ENDPOINTS": self.facts["endpoints"],
            "MEMRAFT_CERTS": self.facts["certs"],
            "MEMRAFT_NAMESPACE": self.facts["namespace"],
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return memraft(*arguments, env=self.environment)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> subprocess.CompletedProcess[str]:
        return self.run("status", "--json", "--certs", self.facts["operator_certs"])

    def end(self) -> tuple[int, str]:
        """Sends what Ctrl-C sends; the exit status and what was complained about."""
        self.process.send_signal(signal.SIGINT)
        _, complaints = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, complaints


def eventually(check: Any, what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = check()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not in {PATIENCE_S} s: {what}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up("--dir", str(tmp_path_factory.mktemp("up") / "cluster"))
    try:
        yield running
    finally:
        running.end()


def test_status_shows_nodes_shards_and_leaders(up: Up) -> None:
    done = up.status()
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert [node["name"] for node in status["nodes"]] == ["n1", "n2", "n3"]
    assert {shard["leader"] for shard in status["shards"]} <= {"n1", "n2", "n3"}
    assert [len(shard["replicas"]) for shard in status["shards"]] == [3, 3, 3]
    slots = [(shard["slot_first"], shard["slot_last"]) for shard in status["shards"]]
    assert slots[0][0] == 0
    assert slots[-1][1] == 4095


def test_an_agent_may_not_ask_how_nodes_stand(up: Up) -> None:
    done = up.run("status")
    assert done.returncode == 1
    assert "operator" in done.stderr
    assert "Traceback" not in done.stderr


def test_documents_from_put_to_history(up: Up) -> None:
    first = up.json("kv", "put", "cli/greeting", '{"text": "hello"}')
    second = up.json("kv", "put", "cli/greeting", "plain words")
    assert second["version"] > first["version"]
    assert up.run("kv", "get", "cli/greeting").stdout == '"plain words"\n'
    past = up.json("kv", "get", "cli/greeting", "--at", str(first["log_index"]))
    assert past["value"] == {"text": "hello"}
    assert past["agent"] == "support"
    assert [item["key"] for item in up.json("kv", "list", "cli/")["items"]] == ["cli/greeting"]
    assert "cli/greeting" in up.run("kv", "list", "cli/", "--keys-only").stdout

    conflict = up.run("kv", "put", "cli/greeting", "1", "--if-version", str(first["version"]))
    assert conflict.returncode == 1
    assert str(second["version"]) in conflict.stderr

    assert up.run("kv", "delete", "cli/greeting").returncode == 0
    gone = up.run("kv", "get", "cli/greeting", "--consistency", "linearizable")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "no document under key 'cli/greeting'" in gone.stderr
    history = up.json("kv", "history", "cli/greeting")["items"]
    assert [item["deleted"] for item in history] == [True, False, False]
    moment = history[-1]["at"]
    assert moment.endswith("Z")


def test_streams_from_append_to_verdict(up: Up) -> None:
    event = up.json("stream", "append", "cli:1", '{"text": "it is broken"}', "--type", "message")
    assert event["sequence"] == 1
    assert len(event["hash"]) == 64
    assert up.run("stream", "append", "cli:1", "done", "--type", "resolution").returncode == 0
    events = up.json("stream", "read", "cli:1")["items"]
    assert [(item["type"], item["payload"]) for item in events] == [
        ("message", {"text": "it is broken"}),
        ("resolution", "done"),
    ]
    assert events[1]["prev_hash"] == event["hash"]
    assert up.json("stream", "verify", "cli:1")["intact"] is True
    assert "intact: 2 events" in up.run("stream", "verify", "cli:1").stdout
    assert up.json("stream", "list", "cli:")["items"] == [{"name": "cli:1", "last_sequence": 2}]
    newest = up.json("stream", "read", "cli:1", "--newest-first", "--limit", "1")
    assert [item["sequence"] for item in newest["items"]] == [2]
    older = up.json(
        "stream", "read", "cli:1", "--newest-first", "--limit", "1", "--cursor", newest["next_cursor"]
    )
    assert [item["sequence"] for item in older["items"]] == [1]
    assert up.json("stream", "read", "cli:1", "--until", "2020-01-01T00:00:00Z")["items"] == []
    tailed = up.run("stream", "tail", "cli:1", "--from-sequence", "2", "--idle-s", "0.5")
    assert tailed.returncode == 0 and "resolution" in tailed.stdout
    assert len(tailed.stdout.splitlines()) == 1


def test_an_exported_stream_is_verified_without_a_server(up: Up, tmp_path: Path) -> None:
    for payload in ("1", "2", "3"):
        event = up.json("stream", "append", "cli:2", payload)
    out = tmp_path / "export.jsonl"
    assert up.json("stream", "export", "cli:2", "--out", str(out))["count"] == 3
    again = up.run("stream", "export", "cli:2", "--out", str(out))
    assert again.returncode == 1 and "exists already" in again.stderr

    def verified(*arguments: str) -> subprocess.CompletedProcess[str]:
        return memraft("stream", "verify", *arguments)

    intact = verified("--file", str(out), "--head", event["hash"])
    assert (intact.returncode, intact.stderr) == (0, "") and "intact: 3 events of cli:2" in intact.stdout
    assert verified("--file", str(out), "--head", "00" * 32).returncode == 1
    assert verified("--file", str(out), "--head", "no").returncode == 2
    assert verified().returncode == 2
    assert verified("--file", str(tmp_path / "none")).returncode == 1
    out.write_bytes(out.read_bytes().replace(b'"payload":"2"', b'"payload":"4"'))
    broken = verified("--file", str(out))
    assert broken.returncode == 1 and "broken at line 3: event 2 was changed" in broken.stdout


def test_memories_from_remembering_to_forgetting(up: Up) -> None:
    text = "Refund for order #1458 initiated on 10/20"
    written = up.json("memory", "remember", text, "--about", "user:4321", "--salience", "0.9")
    recalled = up.json("memory", "recall", "refund status", "--about", "user:4321")["items"]
    assert recalled[0]["text"] == text
    assert recalled[0]["id"] == written["id"]
    assert text in up.run("memory", "recall", "refund status").stdout
    assert [item["id"] for item in up.json("memory", "list", "--about", "user:4321")["items"]] == [
        written["id"]
    ]
    assert up.run("memory", "forget", written["id"]).returncode == 0
    assert up.json("memory", "list", "--about", "user:4321")["items"] == []
    before = up.json("memory", "list", "--about", "user:4321", "--at", str(written["log_index"]))
    assert [item["id"] for item in before["items"]] == [written["id"]]
    again = up.run("memory", "forget", written["id"])
    assert (again.returncode, again.stdout) == (1, "")


def test_a_lock_is_handed_on_when_its_holder_ends_or_is_killed(up: Up) -> None:
    told = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    hold = [*COMMAND, "lock", "run", "reindex", "--ttl"]
    environment = {**os.environ, **up.environment}

    def begin(ttl_s: int) -> tuple["subprocess.Popen[str]", int]:
        command = [*hold, str(ttl_s), "--", sys.executable, "-c", told]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert holder.stdout is not None
        return holder, int(holder.stdout.readline())  # it has the lock

    holder, _ = begin(ttl_s=60)
    assert up.json("lock", "show", "reindex")["agent"]
    refused = up.run("lock", "run", "reindex", "--wait-s", "0", "--", "true")
    assert (refused.returncode, refused.stderr.count("was not granted")) == (1, 1)
    holder.terminate()
    assert holder.stdout is not None and holder.stdout.read() == ""  # the command has ended, too
    assert holder.wait(PATIENCE_S) == 128 + signal.SIGTERM
    holder.stdout.close()
    assert up.run("lock", "show", "reindex").stdout == "free\n"

    holder, command = begin(ttl_s=3)
    try:
        holder.kill()
        mine = ("lock", "run", "reindex", "--", sys.executable, "-c", "print('mine')")
        next_one = memraft_process(*mine, env=up.environment)  # its command writes where its process does
        assert (next_one.returncode, next_one.stdout) == (0, "mine\n")
    finally:
        os.kill(command, signal.SIGKILL)  # nobody was left to end it
        holder.wait(PATIENCE_S)
        assert holder.stdout is not None
        holder.stdout.close()


def test_counters_gates_and_transactions_from_scripts(up: Up) -> None:
    assert up.json("counter", "add", "jobs", "2")["value"] == 2
    waiting = subprocess.Popen(
        [*COMMAND, "gate", "wait", "ready"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **up.environment},
    )
    up.json("gate", "open", "ready")
    assert waiting.communicate(timeout=PATIENCE_S)[0] == "open: ready\n"
    lines = '{"add": {"name": "jobs"}}\n{"put": {"key": "done", "value": true}}\n'
    done = subprocess.run(
        [*COMMAND, "txn"], input=lines, capture_output=True, text=True, check=False,
        env={**os.environ, **up.environment}, timeout=PATIENCE_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout[:14]) == (0, "done: 2 writes")
    assert up.run("counter", "get", "jobs").stdout == "3\n"
    assert up.json("projection", "list")["items"] == []


def test_mistakes_are_one_line(up: Up) -> None:
    for arguments in (
        ("kv", "get", "k", "--namespace", "other/place"),
        ("kv", "get", "k", "--at", "99999999"),
        ("kv", "put", "", "1"),
        ("stream", "read", "s", "--limit", "99999"),
        ("memory", "recall", "x", "--filter", '{"a": {"$near": 1}}'),
        ("kv", "get", "k", "--endpoints", "127.0.0.1:1", "--timeout-s", "1"),
    ):
        done = up.run(*arguments)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith("memraft: "), arguments
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_cluster_is_resumed_with_its_data_after_a_node_died(tmp_path: Path) -> None:
    """A node dies, `up` says so and ends; started again, it resumes with its data."""
    directory = str(tmp_path / "cluster")
    first = Up("--dir", directory, "--shards", "2")
    assert first.run("kv", "put", "kept", '"over the restart"').returncode == 0
    pids = [node["pid"] for node in first.facts["nodes"]]
    os.kill(pids[2], signal.SIGKILL)
    _, complaints = first.process.communicate(timeout=PATIENCE_S)
    assert first.process.returncode == 1
    log = tmp_path / "cluster" / "nodes" / "n3" / "node.log"
    assert complaints == f"memraft: node n3 ended by itself, killed by SIGKILL; its log: {log}\n"
    assert not any(map(alive, pids)), "the other nodes end with it"

    second = Up("--dir", directory)
    try:
        assert second.facts["endpoints"] == first.facts["endpoints"]
        assert second.facts["shards"] == 2
        assert second.run("kv", "get", "kept").stdout == '"over the restart"\n'
        third = memraft_process("up", "--dir", directory)
        assert third.returncode == 1
        assert f"is already running, started by process {second.process.pid}" in third.stderr
        assert third.stderr.count("\n") == 1
    finally:
        status, complaints = second.end()
    assert (status, complaints) == (0, "")
    assert not any(alive(node["pid"]) for node in second.facts["nodes"])


def test_a_cluster_that_removed_a_node_is_resumed_without_it(tmp_path: Path) -> None:
    """It would never be ready, and whoever removed it did as the documents say."""
    directory = str(tmp_path / "cluster")
    first = Up("--dir", directory, "--nodes", "2", "--shards", "1")
    removed = first.run("cluster", "remove-node", "n1", "--force", "--certs", first.facts["operator_certs"])
    assert removed.returncode == 0, removed.stderr
    assert first.run("kv", "put", "kept", "1").returncode == 0
    assert first.end() == (0, "")

    second = Up("--dir", directory)
    assert [node["name"] for node in second.facts["nodes"]] == ["n2"]
    assert second.run("kv", "get", "kept").stdout == "1\n"
    assert second.end() == (0, "")


def test_nodes_do_not_outlive_the_command_that_started_them(tmp_path: Path) -> None:
    running = Up("--dir", str(tmp_path / "cluster"), "--nodes", "1")
    running.process.kill()
    running.process.communicate()
    pid = running.facts["nodes"][0]["pid"]
    eventually(lambda: not alive(pid), "the node ends")


def test_a_cluster_is_not_resumed_with_other_numbers_than_it_was_made_with(tmp_path: Path) -> None:
    directory = tmp_path / "cluster"
    DevCluster.open(directory, nodes=3, shards=2)
    for option, asked, has in (("--nodes", "5", "3"), ("--shards", "7", "2"), ("--port-base", "1024", "")):
        done = memraft_process("up", "--dir", str(directory), option, asked)
        assert done.returncode == 1
        assert f"{option} {asked}: the cluster in {directory} was made with {has}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_node_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    """Its log holds JSON; what the person sees are the exit status, the last error and where the log is."""
    directory = tmp_path / "cluster"
    DevCluster.open(directory, nodes=1)
    certificate = directory / "certs" / "nodes" / "n1" / "cert.pem"
    certificate.write_text("nothing")
    up = memraft_process("up", "--dir", str(directory))
    home = directory / "nodes" / "n1"
    why = f"the node cannot start: certificate {certificate} is not a PEM certificate"
    assert up.returncode == 1
    log = home / "node.log"
    assert (
        up.stderr == f"memraft: node n1 ended by itself, exit status 1; last error: {why}; its log: {log}\n"
    )

    served = memraft_process("serve", "--config", str(home / "node.toml"))
    assert served.returncode == 1
    plain, structured = served.stderr.splitlines()
    assert plain == f"memraft: {why}"
    assert json.loads(structured)["level"] == "critical"


def test_nodes_without_tls_are_reached_by_saying_so(tmp_path: Path) -> None:
    with DevCluster.open(tmp_path / "cluster", nodes=1, shards=2) as cluster:
        config = tmp_path / "cluster" / "nodes" / "n1" / "node.toml"
        config.write_text(config.read_text().partition("[tls]")[0] + "[tls]\nenabled = false\n")
        cluster.start()
        where = ("--endpoints", cluster.endpoints, "--namespace", "acme/plain")
        agent = ("--certs", str(cluster.agent_certs("acme", "support")))
        assert memraft("kv", "put", "k", "[1]", "--insecure", *where).returncode == 0
        got = memraft("kv", "get", "k", "--insecure", *where, env={"MEMRAFT_CERTS": agent[1]})
        assert (got.stdout, got.stderr) == ("[1]\n", "")
        status = memraft("status", "--json", "--insecure", "--endpoints", cluster.endpoints)
        assert [shard["leader"] for shard in json.loads(status.stdout)["shards"]] == ["n1", "n1"]
        assert memraft("kv", "get", "k", "--insecure", *agent, *where).returncode == 2
        for command in (
            ("kv", "get", "k", *where, *agent),
            ("status", "--endpoints", cluster.endpoints, "--certs", str(cluster.operator_certs)),
        ):
            done = memraft(*command)
            assert done.returncode == 1
            assert "the port does not speak TLS" in done.stderr
            assert done.stderr.count("\n") == 1


def test_a_cluster_that_is_not_there_is_told_in_one_line_without_grpcs_own() -> None:
    done = memraft_process("status", "--insecure", "--endpoints", "127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "memraft: no node answers: 127.0.0.1:1: connection refused\n"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = memraft_process("up", "--dir", str(tmp_path / "c"), "--nodes", "1", "--port-base", str(port))
    assert done.returncode == 1
    assert f"port {port} (n1, for clients) on 127.0.0.1 is in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    done = memraft_process("up", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "is not empty and holds no development cluster" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_embedded_directory_is_served_without_nodes(tmp_path: Path) -> None:
    where = ("--path", str(tmp_path / "memory"), "--namespace", "acme/notes")
    for reading in (
        ("kv", "get", "k"),
        ("kv", "delete", "k"),
        ("stream", "read", "s"),
        ("memory", "recall", "kettle"),
    ):
        missing = memraft(*reading, *where)
        assert missing.returncode == 1
        assert f"there is no directory {tmp_path / 'memory'}" in missing.stderr
        assert list(tmp_path.iterdir()) == [], "to read makes nothing"
    assert memraft("kv", "put", "k", "17", *where).returncode == 0
    assert memraft("kv", "get", "k", *where).stdout == "17\n"
    assert memraft("memory", "remember", "the kettle is blue", *where).returncode == 0
    assert "the kettle is blue" in memraft("memory", "recall", "blue kettle", *where).stdout


def test_certificates_are_made_and_never_overwritten(tmp_path: Path) -> None:
    ca, out = str(tmp_path / "ca"), str(tmp_path / "agent")
    assert memraft("certs", "init", "--dir", ca).returncode == 0
    issued = memraft("certs", "issue", "--dir", ca, "--agent", "acme/support", "--out", out, "--json")
    assert issued.returncode == 0, issued.stderr
    assert sorted(Path(file).name for file in json.loads(issued.stdout)["files"]) == [
        "ca.pem",
        "cert.pem",
        "key.pem",
    ]
    again = memraft("certs", "issue", "--dir", ca, "--agent", "acme/support", "--out", out)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    issue = ("certs", "issue", "--dir", ca, "--out", str(tmp_path / "no"))
    never = memraft(*issue, "--agent", "acme/support", "--days", "0")
    assert never.stderr == "memraft: days = 0 is not between 1 and 36500\n"
    for name in ("acme/../s", "../s", "acme/.hidden", "acme/a//b", "a:b/s", f"{'a' * 64}/s"):
        refused = memraft(*issue, "--agent", name)
        assert refused.returncode in (1, 2), name
        assert "cannot stand in a certificate" in refused.stderr
    assert not (tmp_path / "no").exists()
