"""`memraft doctor`: what it finds, what it says of it, and that it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memraft import Memory
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import Entry, HardState, Membership, SnapshotMeta
from memraft_server.cli import main
from memraft_server.doctor import COVERED
from memraft_server.machine.facts import StateLabel, row
from memraft_server.store import SavedState, StateStore

MEMBERS = Membership.of((1, 2, 3))


def contents(path: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(each.relative_to(path)): (each.read_bytes(), each.stat().st_mtime_ns)
        for each in path.rglob("*")
        if each.is_file()
    }


def make_node(path: Path) -> None:
    """Group 0 is cut behind 5 and has a state up to 8; group 1 is whole and has none."""
    log = DurableLog(path / "log", cluster="prod", node="n1")
    for index in range(1, 21):
        log.append(0, [Entry(2, index, b"x%d" % index * 100)], HardState(2, 1, index - 1))
        log.append(1, [Entry(1, index, b"y" * 50)], HardState(1, 3, 0))
    log.cut(0, SnapshotMeta(5, 2, MEMBERS))
    log.close()
    store = StateStore(path / "state", cluster="prod", node="n1")
    saved = SavedState(SnapshotMeta(8, 2, MEMBERS), StateLabel(8, bytes(16), 0, 3))
    rows = [row(b"E%d" % index + bytes(8), b"body" * 500) for index in range(3)]
    store.group(0).write(rows, saved)
    store.flush()
    store.close()


def doctor(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    before = contents(path)
    status = main(["doctor", str(path), "--json"])
    assert contents(path) == before, "nothing may change"
    return status, json.loads(capsys.readouterr().out)


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 8
    file.write_bytes(data)


def test_a_sound_node_directory_is_told_group_by_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_node(tmp_path)
    status, report = doctor(tmp_path, capsys)
    assert (status, report["is_sound"], report["damages"], report["is_running"]) == (0, True, [], False)
    assert report["owner"] == "node 'n1' of cluster 'prod'"
    assert (report["entries"], report["rows"]) == (40, 3)
    assert report["groups"] == [
        {"group": 0, "base": 5, "first": 6, "last": 20, "term": 2, "vote": 1, "commit": 19, "state": 8}
        | {"verdict": "sound"},
        {"group": 1, "base": 0, "first": 1, "last": 20, "term": 1, "vote": 3, "commit": 0, "state": None}
        | {"verdict": "sound"},
    ]
    assert main(["doctor", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "GROUP  BASE  FIRST  LAST  TERM  VOTE  COMMIT  STATE  VERDICT" in text
    assert text.endswith("sound\n")


def test_damage_in_the_log_is_named_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_node(tmp_path)
    segment = tmp_path / "log" / "0000000001.log"
    flip(segment, segment.read_bytes().index(b"x7x7") + 10)
    status, report = doctor(tmp_path, capsys)
    assert status == 1 and not report["is_sound"]
    assert "0000000001.log, offset" in report["damages"][0]
    assert "group 0, index 7: checksum mismatch" in report["damages"][0]
    assert report["groups"][0]["verdict"] == "damaged" and report["groups"][0]["base"] == 5
    assert report["notes"] == [COVERED]
    assert main(["doctor", str(tmp_path)]) == 1
    assert "DAMAGED: log: 0000000001.log" in capsys.readouterr().out
    flip(segment, segment.read_bytes().index(b"x9x9") + 10)
    assert doctor(tmp_path, capsys)[1]["notes"] == [], "the state reaches to 8"


@pytest.mark.parametrize("name", ["HEAD", "marks"])
def test_a_small_file_that_is_damaged_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    make_node(tmp_path)
    (tmp_path / "log" / name).write_bytes(b"rubbish")
    status, report = doctor(tmp_path, capsys)
    assert status == 1 and name in report["damages"][0]


def test_a_damaged_beginning_of_the_cluster_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With it the node does not start."""
    make_node(tmp_path)
    (tmp_path / "bootstrap.json").write_text('{"record": nul}')
    status, report = doctor(tmp_path, capsys)
    assert status == 1 and report["damages"][0].startswith("bootstrap.json: ")
    (tmp_path / "bootstrap.json").write_text('{"record": null}')
    assert doctor(tmp_path, capsys)[0] == 0


def test_a_log_cut_off_at_its_end_is_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_node(tmp_path)
    segment = tmp_path / "log" / "0000000001.log"
    data = segment.read_bytes()
    segment.write_bytes(data[: data.index(b"x19x19") - 60])
    status, report = doctor(tmp_path, capsys)
    assert status == 1
    assert any("group 0: entries 19 to 20 cannot be read" in each for each in report["damages"])


def test_damage_in_the_state_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_node(tmp_path)
    table = max((tmp_path / "state").glob("*.sst"), key=lambda each: each.stat().st_size)
    flip(table, table.stat().st_size // 3)
    status, report = doctor(tmp_path, capsys)
    assert status == 1 and report["damages"][0].startswith("state: ")
    for file in (tmp_path / "state").iterdir():
        file.unlink()
    status, report = doctor(tmp_path, capsys)
    assert status == 1
    (tmp_path / "state").rmdir()
    status, report = doctor(tmp_path, capsys)
    assert status == 1
    assert report["damages"] == ["state: group 0: it reaches to index 0, but the log begins behind 5"]


def test_a_directory_in_use_is_examined_beside_its_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Memory(path=tmp_path) as memory:
        memory.put("k", 1)
        status, report = doctor(tmp_path, capsys)
        assert (status, report["is_running"], report["entries"]) == (0, True, 1)
        memory.put("k", 2)
    status, report = doctor(tmp_path, capsys)
    assert (status, report["is_running"]) == (0, False)
    assert report["owner"].endswith("of cluster 'embedded memory'")
    flip(tmp_path / "0000000001.log", 100)
    assert main(["doctor", str(tmp_path)]) == 1
    assert "an embedded memory has no others" in capsys.readouterr().out


def test_what_is_no_data_directory_cannot_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "CURRENT").write_text("MANIFEST-000004\n")
    (tmp_path / "file").write_text("text")
    for name, said in {
        ".": "is no data directory",
        "missing": "does not exist",
        "file": "is no data directory",
        "old": "has format 2; this version reads format 3",
    }.items():
        assert main(["doctor", str(tmp_path / name)]) == 2
        captured = capsys.readouterr()
        assert said in captured.err and captured.out == ""


def test_its_exit_statuses_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    section = text.split("## Is a data directory sound?")[1].split("\n## ")[0]
    assert "`memraft doctor DIR`" in text
    for word in ("0 sound", "1 damaged", "2 where it cannot be told", "GROUP", "`recovering`"):
        assert word in section
