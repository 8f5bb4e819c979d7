"""`memraft reembed`, and the embedders that commands take by name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memraft import Memory
from memraft.embedders import HashedNgrams, StaticEmbedder
from memraft_server.cli.embedders import embedder_of
from memraft_server.cli.errors import UsageError
from tests.unit.cli.test_run_and_fork import Shell

SLOW = """
import sys
from memraft.embedders import HashedNgrams

class Slow(HashedNgrams):
    calls = 0
    def __init__(self):
        super().__init__(32)
    def embed(self, texts):
        self.calls += 1
        if self.calls == 4:
            print("stuck", flush=True)
            sys.stdin.read()
        return super().embed(texts)
"""


def test_commands_embed_by_the_model_that_the_memories_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(tmp_path / "memory", capsys)
    shell("memory", "remember", "likes green tea")
    assert "is by static-minilm-l6-v1:256:unit: 0 memories without" in shell("reembed", "--show")
    told = shell("reembed", "--embedder", "hashed:64")
    assert told == "acme/a is by hashed-ngrams-v1:64: 1 memories embedded\n"
    before = shell("memory", "recall", "green tea", "--at", "1")
    assert "likes green tea" in before  # by the model that was then
    shell("memory", "remember", "drinks coffee")
    hits = json.loads(shell("memory", "recall", "green tea", "--json"))["items"]
    assert hits[0]["text"] == "likes green tea"
    assert json.loads(shell("reembed", "acme/a", "--embedder", "static", "--json"))["stored"] == 2
    assert shell("reembed", "--cancel") == "no move was under way\n"
    assert "say what embeds the memories" in shell("reembed", status=2)
    with Memory(path=shell.path, namespace="acme/b", embedder=lambda text: [1.0, float(len(text))]) as other:
        other.remember("tea")
    assert "say which embedder that is" in shell("memory", "recall", "tea", namespace="acme/b", status=1)
    assert "has no embeddings" in shell("reembed", "acme/c", "--show")


def test_a_move_that_is_killed_goes_on_with_the_same_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    path = tmp_path / "memory"
    with Memory(path=path, namespace="acme/a", agent="ann") as memory:
        memory.remember_many(f"fact number {number}" for number in range(10))
    command = [sys.executable, "-m", "memraft_server.cli", "reembed", "acme/a", "--path", str(path)]
    command += ["--embedder", "slow:Slow", "--texts", "3"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"stuck\n"
        os.kill(process.pid, signal.SIGKILL)
    shell = Shell(path, capsys)
    assert json.loads(shell("reembed", "--show", "--json"))["remaining"] == 4
    assert json.loads(shell("reembed", "--embedder", "hashed:32", "--json"))["stored"] == 4
    with Memory(path=path, namespace="acme/a", embedder=HashedNgrams(32)) as memory:
        assert memory.recall("fact number 7", k=1)[0].text == "fact number 7"


@pytest.mark.parametrize(
    "which",
    ["", "dynamic", "hashed:0", "hashed:x", "onnx:", "endpoint:http://localhost", "os:nothing", "no.such:X"],
)
def test_what_names_no_embedder_is_refused(which: str) -> None:
    with pytest.raises(UsageError, match="--embedder"):
        embedder_of(which)


def test_embedders_by_name() -> None:
    assert isinstance(embedder_of("static"), StaticEmbedder)
    assert embedder_of("hashed").dimension == 768 and embedder_of("hashed:16").dimension == 16
    assert "endpoint:m" in embedder_of("endpoint:http://localhost:1#m").fingerprint
    assert isinstance(embedder_of("memraft.embedders:HashedNgrams"), HashedNgrams)
