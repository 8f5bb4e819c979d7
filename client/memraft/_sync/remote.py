# Generated from _async/remote.py by scripts/generate_sync.py: edit that one.

"""temporary"""


class RemoteLink:
    def __init__(self, cluster):
        pass
