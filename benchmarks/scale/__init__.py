"""How throughput, CPU, memory and start-up grow with shards, nodes, values and records."""
