"""Where workloads run: a Docker engine, and a memory held to the same contract tests."""
