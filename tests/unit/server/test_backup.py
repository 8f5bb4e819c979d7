"""Backups are whole or none, and say what is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memraft_server import backup as backup_module
from memraft_server.backup import (
    MANIFEST,
    MARK,
    PARTIAL,
    BackupFolder,
    BackupUnusable,
    Manifest,
    read_manifest,
    verify,
)
from memraft_server.cli import main
from memraft_server.snapshot_format import ROWS, ChunkDamaged, decode_chunk, encode_chunk
from tests.unit.server.backups import backup, flip, record_of, snapshot

SHARDS = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backup of two shards."""
    backup(tmp_path / "made", tmp_path / "backup", SHARDS)
    return tmp_path / "backup"


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def rewrite(folder: Path, manifest: Manifest) -> None:
    """With a checksum that fits: what another version, or a person, may write."""
    (folder / MANIFEST).write_bytes(backup_module._sealed(manifest))


def test_a_backup_tells_what_it_holds_and_holds_what_it_tells(folder: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    manifest = verify(folder, lambda *done: seen.append(done))
    assert manifest == read_manifest(folder)
    assert (manifest.cluster, len(manifest.shards)) == ("test", SHARDS)
    assert manifest.size_bytes == sum(each.stat().st_size for each in folder.glob("*.snapshot"))
    assert all(each.index == 2 and each.rows > 3_000 and each.chunks > 3 for each in manifest.shards)
    assert [each.shard for each in manifest.record.shards] == [0, 1]
    assert seen[-1][1] == seen[-1][2] == manifest.shards[-1].size_bytes
    assert names(folder) == {MARK, MANIFEST, *(each.file for each in manifest.shards)}


def test_a_flip_of_any_byte_of_any_file_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    manifest = backup(tmp_path / "made", folder, 1, documents=2)
    files = [MARK, MANIFEST, manifest.shards[0].file]
    for path in (folder / name for name in files):
        data = path.read_bytes()
        assert len(data) < 4_000, "few enough to try each"
        for place in range(len(data)):
            flip(path, place)
            with pytest.raises(BackupUnusable, match=path.name):
                verify(folder)
            path.write_bytes(data)
    verify(folder)


def test_a_file_that_is_cut_longer_missing_or_another_is_found_and_named(folder: Path) -> None:
    first, second = (folder / each.file for each in read_manifest(folder).shards)
    whole = first.read_bytes()
    size = len(whole)
    for data in (b"", whole[:10], whole[: size // 2], whole[: size - 1], whole + whole[:200], whole + b"\0"):
        first.write_bytes(data)
        with pytest.raises(BackupUnusable, match=f"{first.name} is damaged"):
            verify(folder)
    first.write_bytes(second.read_bytes())
    with pytest.raises(BackupUnusable, match=rf"{first.name} is not the file that manifest\.json tells of"):
        verify(folder)
    first.unlink()
    with pytest.raises(BackupUnusable, match=rf"{first.name} cannot be read: No such file"):
        verify(folder)
    first.write_bytes(whole)
    verify(folder)
    for name in (MANIFEST, MARK):
        data = (folder / name).read_bytes()
        for cut in (0, 5, len(data) - 1):
            (folder / name).write_bytes(data[:cut])
            with pytest.raises(BackupUnusable, match=name):
                verify(folder)
        (folder / name).unlink()
        with pytest.raises(BackupUnusable, match=f"no whole backup: .*{name}"):
            verify(folder)
        (folder / name).write_bytes(data)


def test_a_manifest_of_another_format_or_with_other_names_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    replace = msgspec.structs.replace
    outside = (replace(manifest.shards[0], file="../secret"), manifest.shards[1])
    for other, said in (
        (replace(manifest, format=9), "has format 9; this version reads format 1"),
        (replace(manifest, shards=manifest.shards[:1] * 2), "does not name each shard once"),
        (replace(manifest, shards=outside), "names '../secret', which is no file of a backup"),
    ):
        rewrite(folder, other)
        with pytest.raises(BackupUnusable, match=said):
            verify(folder)


def test_a_row_that_was_damaged_before_it_was_sent_is_found(tmp_path: Path) -> None:
    chunks = snapshot(tmp_path / "source", 0, 10)
    number = next(n for n, chunk in enumerate(chunks) if decode_chunk(chunk, n)[0] == ROWS)
    payload = bytearray(decode_chunk(chunks[number], number)[1])
    payload[-1] ^= 1
    with BackupFolder(tmp_path / "backup") as folder:
        writer = folder.shard(0, (0, 1))
        for chunk in chunks[:number]:
            writer.write(chunk)
        with pytest.raises(ChunkDamaged, match="its checksum does not fit"):
            writer.write(encode_chunk(ROWS, number, bytes(payload)))
        writer.abort()


def test_what_broke_off_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "backup"
    chunks = snapshot(tmp_path / "source", 0, 10)
    for is_there in (False, True):
        if is_there:
            out.mkdir()
        with (
            pytest.raises(ChunkDamaged, match="the end is missing after 1 chunks"),
            BackupFolder(out) as folder,
        ):
            done = folder.shard(1, (0, 1))
            for chunk in chunks:
                done.write(chunk)
            done.finish()
            writer = folder.shard(0, (0, 1))
            writer.write(chunks[0])
            writer.finish()
        assert out.exists() == is_there
        assert not is_there or names(out) == set()


def test_an_earlier_backup_stays_until_the_next_is_whole(tmp_path: Path, folder: Path) -> None:
    before = read_manifest(folder)
    chunks = snapshot(tmp_path / "source", 0, 10)
    with pytest.raises(KeyboardInterrupt), BackupFolder(folder) as again:
        again.shard(0, (0, 1)).write(chunks[0])
        raise KeyboardInterrupt
    assert verify(folder) == before
    killed = BackupFolder(folder)  # and never closed in order: what a process leaves that is killed
    writer = killed.shard(0, (0, 1))
    writer.write(chunks[0])
    os.close(killed._lock)
    assert any(name.endswith(PARTIAL) for name in names(folder)) and verify(folder) == before
    after = backup(tmp_path / "again", folder, SHARDS, documents=5)
    assert verify(folder) == after != before
    assert names(folder) == {MARK, MANIFEST, *(each.file for each in after.shards)}
    writer.abort()


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "documents"
    other.mkdir()
    (other / "thesis.tex").write_text("all of it")
    with pytest.raises(
        BackupUnusable, match=r"is no backup and not empty, it holds 'thesis\.tex': give another"
    ):
        BackupFolder(other)
    assert names(other) == {"thesis.tex"}
    with pytest.raises(BackupUnusable, match="is a file"):
        BackupFolder(other / "thesis.tex")
    with BackupFolder(folder), pytest.raises(BackupUnusable, match="another backup is being made"):
        BackupFolder(folder)
    verify(folder)


def test_the_command_says_what_is_sound_and_what_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["backup", *arguments])
        return status, *capsys.readouterr()

    status, out, _ = run("verify", str(folder))
    assert status == 0 and "cluster test" in out and out.endswith("ms\n") and "\nsound; read in" in out
    status, out, _ = run("verify", str(folder), "--json")
    facts: dict[str, Any] = json.loads(out)
    assert (status, facts["rows"], len(facts["shards"])) == (0, read_manifest(folder).rows, SHARDS)
    shard = folder / facts["shards"][1]["file"]
    flip(shard, shard.stat().st_size // 2)
    status, out, said = run("verify", str(folder))
    assert (status, out) == (1, "") and f"{shard} is damaged at offset" in said and said.count("\n") == 1
    status, _, said = run("verify", str(tmp_path))
    assert status == 1 and f"{tmp_path} is no whole backup: " in said
    status, _, said = run()
    assert status == 2 and "say where to: --out DIR" in said


def test_the_record_stands_in_the_manifest_as_it_was(tmp_path: Path, folder: Path) -> None:
    assert read_manifest(folder).record == record_of(tmp_path, SHARDS)
    json.loads((folder / MANIFEST).read_bytes())  # and other tools can read it
