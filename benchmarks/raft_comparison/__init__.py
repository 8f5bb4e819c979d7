"""This project's consensus and PySyncObj under the same load and the same kills. See `__main__`."""
