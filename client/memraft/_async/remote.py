"""temporary"""


class AsyncRemoteLink:
    def __init__(self, cluster):
        pass
