"""Measurements of Tagboat, each compared with a minimum or a peer in the same run."""
