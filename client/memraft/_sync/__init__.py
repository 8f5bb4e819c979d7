"""The synchronous facade. All files but io.py are generated from `_async` by scripts/generate_sync.py."""
