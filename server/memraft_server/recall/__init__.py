"""The retrieval pipeline: candidates, their signals, and how these are fused."""
