"""The console script `memraft`.

One wheel carries client and server, but a plain `pip install memraft` brings only what the client needs.
The command line is the server's; when a package of the extra `server` is missing, this says what to
install instead of showing a traceback.
"""

import sys

_SERVER_PACKAGES = frozenset(
    {
        "cryptography",
        "google",  # google.rpc, from googleapis-common-protos
        "grpc_health",
        "grpc_reflection",
        "hnswlib",
        "prometheus_client",
        "rocksdict",
    }
)


def main() -> int:
    """Run the command line and return its exit status (1 when the extra `server` is not installed)."""
    try:
        from memraft_server.cli import main as run

        return run()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _SERVER_PACKAGES:
            raise
        print(
            f"memraft: the command line needs the package {missing!r}, which is not installed.\n"
            "Install the server's needs with:  pip install 'memraft[server]'",
            file=sys.stderr,
        )
        return 1
