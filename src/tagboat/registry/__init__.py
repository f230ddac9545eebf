"""The registry adapter: tags, digests and image configurations of OCI registries."""
