"""The message for a Tagboat in a container that cannot reach the instances."""


def elsewhere(network: str | None) -> str:
    """Return the fault and the correction, empty if there is none.

    `network` is the network of the container that Tagboat runs in, None if it runs in none.
    """
    # With the network of the host, its loopback is the same.
    if network in {None, "host"}:
        return ""
    return (
        f"Tagboat runs in a container in the network {network}, so it cannot reach the instances "
        "at 127.0.0.1 of the Docker host: start that container with --network host"
    )
