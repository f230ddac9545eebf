"""Whether what a registry keeps under a name is a container image, by what its manifest says of itself."""

_CONFIGS = frozenset(
    {"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"},
)


def is_image_config(media_type: str, artifact_type: str) -> bool:
    """Whether a manifest is that of an image: by the media type of its configuration and by its `artifactType`.

    Each is empty where the manifest does not say; one that says neither counts as an image. Charts, SBOMs, signatures, caches
    of builds and WebAssembly come as manifests as well, and have configurations of types of their own.
    """
    return not artifact_type and (not media_type or media_type.partition(";")[0].strip().lower() in _CONFIGS)
