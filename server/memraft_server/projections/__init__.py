"""Indexes that the machine keeps from the log: pure data structures that know neither log nor wire."""
