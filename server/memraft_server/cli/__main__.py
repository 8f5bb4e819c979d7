"""`python -m memraft_server.cli`: how a development cluster starts its nodes."""

import sys

from memraft_server.cli import program

if __name__ == "__main__":
    sys.exit(program())
