"""Runtimes: a Docker engine, and a memory held to the same contract tests."""
