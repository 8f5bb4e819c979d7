"""The asynchronous facade, written by hand. `_sync` is generated from it by scripts/generate_sync.py."""
