"""Registries, read only: tags, digests and what images say of themselves (OCI distribution specification 1.1)."""
