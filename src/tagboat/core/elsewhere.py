"""Words for a Tagboat that runs in a container apart from the network in which it is to reach instances."""


def elsewhere(network: str | None) -> str:
    """Return what is wrong and what to do, empty where nothing is.

    `network` is that of the container of the engine that Tagboat runs in, None where it runs in none.
    """
    if network in {None, "host"}:
        return ""
    return (
        f"Tagboat runs in a container in the network {network}, so its 127.0.0.1 is not the Docker host's, where instances"
        " answer: start that container with --network host"
    )
