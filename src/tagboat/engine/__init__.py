"""The container engine: Docker through aiodocker, a memory held to the same tests, and the probe of what runs on it."""
