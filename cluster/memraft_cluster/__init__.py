"""Replication: the sans-IO Raft core, the driver, the durable log and the streams between nodes."""
