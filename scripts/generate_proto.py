"""Generates the Python stubs of `memraft.v1`; with --check, compares them with the committed ones instead.

Stubs are made with the oldest grpcio-tools supported (pinned in pyproject.toml), so that they import beside
protobuf 5 and later. Regeneration is byte-identical, which is what lets --check be a plain comparison.
"""

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO_ROOT = ROOT / "proto"
PACKAGE = Path("memraft_proto/v1")
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def sources() -> list[Path]:
    """The .proto files, relative to the source root, so that imports come out as `memraft_proto.v1`."""
    return sorted(path.relative_to(PROTO_ROOT) for path in (PROTO_ROOT / PACKAGE).glob("*.proto"))


def generate(target: Path) -> None:
    """Write the stubs under `target`, which stands for the source root `proto/`.

    Raises:
        SystemExit: protoc refused a file; it has printed why.
    """
    bundled = resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"-I{PROTO_ROOT}",
        f"-I{bundled}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *(str(path) for path in sources()),
    ]
    status = protoc.main(arguments)
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")


def contents(root: Path) -> dict[str, bytes]:
    """Generated files under `root`, by name."""
    return {path.name: path.read_bytes() for glob in GENERATED for path in (root / PACKAGE).glob(glob)}


def check() -> int:
    """Compare the committed stubs with fresh ones; the exit status."""
    with tempfile.TemporaryDirectory() as name:
        generate(Path(name))
        fresh = contents(Path(name))
    committed = contents(PROTO_ROOT)
    differing = sorted(n for n in fresh.keys() | committed.keys() if fresh.get(n) != committed.get(n))
    for file_name in differing:
        print(f"{PACKAGE / file_name} is not what the .proto files say; run `make proto`", file=sys.stderr)
    if not differing:
        print(f"{len(fresh)} generated files agree with {len(sources())} .proto files")
    return 1 if differing else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; fail when they differ")
    if parser.parse_args().check:
        return check()
    for stale in GENERATED:
        for path in (PROTO_ROOT / PACKAGE).glob(stale):
            path.unlink()
    generate(PROTO_ROOT)
    print(f"generated {len(contents(PROTO_ROOT))} files from {len(sources())} .proto files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
