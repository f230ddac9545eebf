"""Taking a running container over: the plan of its project and stage. Pure."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from tagboat.core.catalog import Strategy
from tagboat.core.container_facts import ContainerFacts, VolumeMount
from tagboat.core.endpoint import LOOPBACK, Endpoint
from tagboat.core.errors import ConflictError, InvalidImageRefError
from tagboat.core.image import Digest, ImageName, parse_digest, parse_image_name, parse_image_ref
from tagboat.core.inspection import port_of
from tagboat.core.moving_in import (
    is_proxy_label,
    looks_secret,
    path_asked,
    pattern_for,
    secret_words,
    traefik_hosts,
    traefik_port,
)
from tagboat.core.naming import MAX_LENGTH, slug
from tagboat.core.run import KEEP_ENTRYPOINT
from tagboat.core.values import replace

FIRST_ADOPTED_STAGE = "prod"
_COMPOSE_SERVICE = "com.docker.compose.service"
_COMPOSE_PROJECT = "com.docker.compose.project"
_ON_LOOPBACK = frozenset({"0.0.0.0", LOOPBACK})  # noqa: S104 - where it can be reached by loopback
_DEFAULT_STOP_S = 10
_ENGINE_MADE = re.compile("[0-9a-f]{64}")
# Whoever starts what is stopped would fight with Tagboat.
_OWNERS = {
    "com.docker.swarm.service.id": "a service of Docker Swarm",
    "io.kubernetes.pod.name": "a pod of Kubernetes",
}


class AdoptionWish(Struct, frozen=True, kw_only=True):
    """The names and values that a person has chosen; None: found from the container."""

    project: str | None = None
    stage: str = FIRST_ADOPTED_STAGE
    pattern: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionPlan:
    """The project and stage that a container becomes.

    `project` and `stage` are fields as in a request, and `secrets` the values of the stage's.
    `adopted_volumes` are as in `Stage`. `endpoint` is where the ingress reaches the container, None
    for nowhere. `dangers` are words for what the app may miss, `remarks` for what is different
    afterwards. `stop_s` is how many seconds the container may take to stop.
    """

    container: str
    container_id: str
    image: ImageName
    tag: str
    digest: Digest
    project: Mapping[str, Any]
    stage: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    adopted_volumes: Mapping[str, str]
    image_volumes: tuple[str, ...]
    endpoint: Endpoint | None
    published: tuple[int, ...]
    dangers: tuple[str, ...]
    remarks: tuple[str, ...]
    stop_s: int = _DEFAULT_STOP_S

    def with_remarks(self, *remarks: str) -> "AdoptionPlan":
        """Return the plan with more remarks."""
        return replace(self, remarks=(*self.remarks, *remarks))

    def without_endpoint(self, reason: str) -> "AdoptionPlan":
        """Return the plan for a container that does not answer."""
        return replace(self, endpoint=None).with_remarks(reason)


def plan_adoption(facts: ContainerFacts, wish: AdoptionWish) -> AdoptionPlan:
    """Return the plan for a container. Raises ConflictError where it cannot be taken over."""
    check_adoptable(facts)
    image, tag, digest = image_tag_and_digest_of(facts)
    port, healthcheck = port_and_check_of(facts, wish.port)
    volumes, adopted = volumes_of(facts)
    stage = {
        "name": wish.stage,
        "tag_pattern": wish.pattern or pattern_for(tag),
        **run_options_of(facts),
        **({"volumes": volumes} if volumes else {}),
    }
    env = dict(variables_beyond_image(facts))
    secrets = {name: value for name, value in env.items() if value and looks_secret(name, value)}
    if plain := {name: value for name, value in env.items() if name not in secrets}:
        stage["env"] = plain
    if domains := traefik_hosts(facts.labels):
        stage["domains"] = domains
    # As for a push: named after the last part of the image.
    project: dict[str, Any] = {"name": wish.project or image.last_part[:MAX_LENGTH].rstrip("._-")}
    # 0 as well where a person says so: else the port would follow the image.
    if port or wish.port is not None:
        project["port"] = port
    if healthcheck is not None:
        project["healthcheck"] = healthcheck
    # By a published port only: an address on a network may be another container's tomorrow.
    reached = next(
        (
            one.host_port
            for one in facts.published
            if one.port == port and one.protocol == "tcp" and one.host_ip in _ON_LOOPBACK
        ),
        0,
    )
    return AdoptionPlan(
        container=facts.name,
        container_id=facts.id,
        image=image,
        tag=tag,
        digest=digest,
        project=project,
        stage=stage,
        secrets=secrets,
        adopted_volumes=adopted,
        image_volumes=facts.info.volumes,
        endpoint=Endpoint(LOOPBACK, reached) if reached else None,
        published=tuple(dict.fromkeys(one.host_port for one in facts.published)),
        dangers=tuple(dangers_of(facts)),
        remarks=tuple(remarks_of(facts, port)),
        stop_s=_DEFAULT_STOP_S if facts.stop_timeout_s is None else facts.stop_timeout_s,
    )


def handover_words(plan: AdoptionPlan, strategy: Strategy, *, routes_traffic: bool) -> list[str]:
    """Return what the first deploy does to those who use the container, one sentence each."""
    name = plan.container
    words = []
    if strategy is Strategy.RECREATE:
        wait = "requests through the ingress wait meanwhile, all others fail"
        words.append(
            f"The app keeps data, so the first deploy stops {name} before the new container starts."
            f" It is down from then until the new one is healthy: up to {plan.stop_s} s to stop,"
            " and the time that the app needs to start"
            + (f"; {wait}." if routes_traffic and plan.endpoint else ".")
        )
    elif plan.endpoint and routes_traffic:
        words.append(
            f"The first deploy starts the new container next to {name}, and loses no request that"
            " comes through the ingress."
        )
    if not routes_traffic:
        words.append(
            f"There is no ingress: {name} is stopped as soon as the new container is live."
        )
    elif plan.endpoint is None and plan.project.get("port"):
        words.append(
            f"The ingress cannot lead to {name}: until the first deploy, the address of the stage"
            f" answers 503, and clients of {name} lose it when it is stopped."
        )
    words += [
        f"Clients of port {port} of this machine must use the address of the stage before that:"
        f" the port is free once {name} is stopped."
        for port in plan.published
    ]
    return words


def is_seamless(plan: AdoptionPlan, strategy: Strategy, *, routes_traffic: bool) -> bool:
    """Return whether the first deploy loses no request that comes through the ingress."""
    return routes_traffic and plan.endpoint is not None and strategy is Strategy.ROLLING


def check_adoptable(facts: ContainerFacts) -> None:
    """Raise ConflictError for a container that is not its maker's to give."""
    # Its first deploy would end the server that carries it out.
    if facts.own:
        raise ConflictError(f"{facts.name} is the container in which Tagboat itself runs")
    if own := [name for name in facts.labels if name.startswith("tagboat.managed")]:
        raise ConflictError(
            f"{facts.name} has the label {own[0]}: Tagboat has made it, and runs it already"
        )
    for label, owner in _OWNERS.items():
        if label in facts.labels:
            # The command takes an image without its tag; a port of the host is no tag.
            named = facts.image.partition("@")[0]
            host, slash, last = named.rpartition("/")
            repository = f"{host}{slash}{last.partition(':')[0]}"
            raise ConflictError(
                f"{facts.name} belongs to {owner}, which would start it again: make a project for"
                f" its image with 'tagboat projects create {repository}'"
            )
    if facts.auto_remove and (lost := [one.target for one in facts.volumes if is_unnamed(one)]):
        raise ConflictError(
            f"{facts.name} was started with --rm: once it is stopped, the engine removes it and its"
            f" volume at {', '.join(lost)}, which has no name. Copy what is in it, run the"
            " container again without --rm, with a named volume there, and adopt that"
        )
    if not facts.running:
        raise ConflictError(f"{facts.name} does not run; start it first: docker start {facts.name}")


def image_tag_and_digest_of(facts: ContainerFacts) -> tuple[ImageName, str, Digest]:
    """Return a repository and tag of the image, and the digest by which the repository knows it.

    Raises ConflictError where the image has no name with a tag, or is in no registry.
    """
    # A name with a digest has no tag for us, but the image may bear one.
    name, at, _ = facts.image.partition("@")
    has_tag = ":" in name.rpartition("/")[2]
    named = []
    for text in [*([] if at and not has_tag else [name]), *facts.image_names]:
        with contextlib.suppress(InvalidImageRefError):
            named.append(parse_image_ref(text))
    # Each name: what the container was run by may be an id, or a tag of this machine.
    for ref in named:
        for text in facts.image_digests:
            repository, _, digest = text.partition("@")
            with contextlib.suppress(InvalidImageRefError):
                if parse_image_name(repository) == ref.name:
                    return ref.name, ref.tag, parse_digest(digest)
    if named:
        image = named[0].name
        raise ConflictError(
            f"the image {image} of {facts.name} was built on this machine and is in no registry:"
            f" push it (docker push {image}:TAG), start the container from what was pushed, and"
            " adopt that"
        )
    raise ConflictError(
        f"the image of {facts.name} has no name with a tag ({facts.image}), and Tagboat deploys"
        " tags: start the container from a tag of a registry, such as"
        " git.example.com/acme/app:v1, and adopt that"
    )


def port_and_check_of(facts: ContainerFacts, wished: int | None) -> tuple[int, str | None]:
    """Return the port of the app, 0 for none, and its health check, None for the image's own."""
    tcp = [one.port for one in facts.published if one.protocol == "tcp"]
    port = traefik_port(facts.labels) if wished is None else wished
    if port is None:
        # Of several published ports the one that the image is about.
        exposed = port_of(facts.info)
        port = exposed if exposed in tcp or not tcp else min(tcp)
    if not facts.healthcheck or facts.healthcheck == facts.info.healthcheck:
        return port, None
    if facts.healthcheck[0] == "NONE":
        return port, ""
    asked = path_asked(facts.healthcheck[1:])
    return port, asked[1] if asked and asked[0] == port else None


def variables_beyond_image(facts: ContainerFacts) -> Iterator[tuple[str, str]]:
    """Yield the variables that the image itself does not set so."""
    # With their values: a person may have changed what the image sets.
    of_image = set(facts.info.env)
    for name, value in facts.env.items():
        if f"{name}={value}" not in of_image:
            yield name, value


def is_unnamed(mount: VolumeMount) -> bool:
    """Return whether the engine has made the volume's name: 64 hexadecimal digits."""
    return _ENGINE_MADE.fullmatch(mount.name) is not None


def volumes_of(facts: ContainerFacts) -> tuple[dict[str, str], dict[str, str]]:
    """Return the stage's volumes, and the engine's names of those and of the image's VOLUMEs."""
    prefix = f"{facts.labels.get(_COMPOSE_PROJECT) or ''}_"
    volumes: dict[str, str] = {}
    adopted: dict[str, str] = {}
    for mount in facts.volumes:
        if mount.target in facts.info.volumes and is_unnamed(mount):
            adopted[mount.target] = mount.name
            continue
        # Compose puts its project before the names of volumes.
        wanted = slug(mount.name.removeprefix(prefix).lower()) or "data"
        name = wanted if wanted not in volumes else f"{wanted}-{len(volumes) + 1}"
        volumes[name] = mount.target
        adopted[name] = mount.name
    return volumes, adopted


def run_options_of(facts: ContainerFacts) -> dict[str, Any]:
    """Return the run options that differ from what the image or the engine does by itself."""
    # The engine adds the labels of the image to those of the container.
    of_image = facts.info.labels
    labels = {
        name: value
        for name, value in facts.labels.items()
        if of_image.get(name) != value and not (is_proxy_label(name) or name.startswith("tagboat."))
    }
    options: dict[str, Any] = {
        "user": "" if facts.user == facts.info.user else facts.user,
        "stop_signal": facts.stop_signal,
        "memory": facts.memory,
        "cpus": facts.cpus,
        "pids": facts.pids,
        "shm_size": facts.shm_size,
        "read_only": facts.read_only or None,
        "init": facts.init,
        "tmpfs": dict(facts.tmpfs),
        "cap_add": list(facts.cap_add),
        "devices": [str(one) for one in facts.devices],
        "binds": [str(one) for one in facts.binds],
        "extra_hosts": dict(facts.extra_hosts),
        "networks": list(facts.networks),
        "labels": labels,
        **command_line_of(facts),
    }
    said = {name: value for name, value in options.items() if value not in (None, 0, "", [], {})}
    if facts.stop_timeout_s is not None:
        said["stop_timeout_s"] = facts.stop_timeout_s
    return said


def command_line_of(facts: ContainerFacts) -> dict[str, Any]:
    """Return the command line where it is not the image's own."""
    image = facts.info
    command = list(facts.command)
    # One empty word is how an entrypoint is removed.
    entrypoint = [word for word in facts.entrypoint if word]
    if list(image.entrypoint) == entrypoint:
        if facts.command == image.command:
            return {}
        return {"command": command, "entrypoint": KEEP_ENTRYPOINT if entrypoint else []}
    return {"command": command, "entrypoint": entrypoint}


def dangers_of(facts: ContainerFacts) -> Iterator[str]:
    """Yield words for what the app may need and Tagboat gives no container."""
    yield from facts.dangers
    if facts.auto_remove:
        yield (
            "it was started with --rm: the engine removes it as soon as it is stopped, so that it"
            " cannot be started again when the first deploy fails"
        )
    if facts.shares_host:
        yield (
            "it uses the network of the host or of another container, and Tagboat's containers have"
            " their own: its ports are reached through the ingress, or by publish"
        )


def remarks_of(facts: ContainerFacts, port: int) -> Iterator[str]:
    """Yield words for what is different afterwards; `port` is that of the app."""
    yield from facts.remarks
    tested = facts.healthcheck and facts.healthcheck not in (facts.info.healthcheck, ("NONE",))
    asked = path_asked(facts.healthcheck[1:]) if tested else None
    if tested and (asked is None or asked[0] != port):
        yield (
            "its HEALTHCHECK is not the image's: set healthcheck to a path, or build the test into"
            " the image"
        )
    if command_line_of(facts) and (named := secret_words([*facts.entrypoint, *facts.command])):
        yield (
            f"its command line has what looks like a secret ({', '.join(named)}), which all who may"
            " read the stage will see: let the app read it from a secret"
        )
    for one in facts.published:
        if one.port != port or one.protocol != "tcp":
            yield (
                f"port {one.host_port} of this machine leads to {one.port}/{one.protocol}, which is"
                f" not the port of the app: if it is needed, set publish to {one}"
            )
    if ro := [one.target for one in facts.volumes if one.read_only]:
        yield f"the volume at {', '.join(ro)} was read-only, and is not any more"
    if facts.networks:
        service = facts.labels.get(_COMPOSE_SERVICE)
        names = dict.fromkeys((service or facts.name, *facts.aliases))
        if service:
            names.pop(facts.name, None)
        yield (
            f"on {', '.join(facts.networks)} others find it by the names PROJECT-STAGE and PROJECT,"
            f" not by {', '.join(names)}"
            + (f"; --project {service} keeps that name" if service else "")
        )
    if any(is_proxy_label(name) and "traefik" in name for name in facts.labels):
        yield "labels of Traefik are left out: point Traefik, or the DNS, at Tagboat's ingress"
