"""A proposal for moving in: the configuration file for services of a Compose file. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tagboat.core.compose_parts import ComposeNote, ComposeSurroundings
from tagboat.core.compose_service import ServiceImport
from tagboat.core.errors import InvalidValueError
from tagboat.core.naming import MAX_LENGTH, slug

_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9_]+")
ALL_SERVICES = "all services"
"""The service of notes that hold for the whole proposal."""


class ComposeProposal(Struct, frozen=True):
    """A configuration document with its projects, and what it leaves out.

    `variables` are the environment variables that its secrets refer to, and `tags` the tag of each
    project that the Compose file names; empty where it names a digest.
    """

    document: Mapping[str, Any]
    notes: Sequence[ComposeNote]
    variables: Sequence[str]
    tags: Mapping[str, str]


def propose_config(
    services: Mapping[str, Mapping[str, Any]], surroundings: ComposeSurroundings, stage: str
) -> ComposeProposal:
    """Return the configuration of `services`, whose variables are replaced already.

    Each becomes a project with one stage of the name `stage`.
    """
    proposal = _Proposal(stage)
    for name, body in services.items():
        # Compose puts a service that names no network on the one called `default`.
        in_compose = {"networks": ["default"], **body} if "network_mode" not in body else body
        try:
            proposal.add(ServiceImport(name, in_compose, surroundings))
        except InvalidValueError as error:
            # One service that cannot be carried over keeps no other from it.
            proposal.notes.append(ComposeNote(name, "image", f"left out: {error}"))
    return proposal.finish()


class _Proposal:
    """Joins services to one document, in which nothing may be there twice."""

    def __init__(self, stage: str) -> None:
        self.notes: list[ComposeNote] = []
        self._stage = stage
        self._projects: dict[str, dict[str, Any]] = {}
        self._slugs: set[str] = set()
        self._by_image: dict[object, str] = {}
        self._by_domain: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._tags: dict[str, str] = {}

    def add(self, one: ServiceImport) -> None:
        """Add the project of a service."""
        if twin := self._by_image.get(one.image):
            raise InvalidValueError(
                f"its image {one.image} is that of {twin}, and an image has one project; add a"
                f" stage by hand: tagboat stages add {twin} {one.service.lower()} --pattern PATTERN"
            )
        name = self.name_for(one.service)
        self._by_image[one.image] = name
        self.settle_domains(one)
        project = one.project
        # First: these names are the file's own, and cannot be others.
        for variable, value in one.file_variables.items():
            self._secrets.setdefault(variable, value)
        if one.secret_values:
            project["secrets"] = {
                key: f"env:{self.variable_for(name, key, value)}"
                for key, value in one.secret_values.items()
            }
        self._tags[name] = one.tag
        self._projects[name] = {**project, "stages": {self._stage: one.stage}}
        self.notes += one.notes

    def finish(self) -> ComposeProposal:
        """Return the proposal."""
        networks = sorted(
            {name for project in self._projects.values() for name in project.get("networks", ())}
        )
        if networks:
            self.notes.append(
                ComposeNote(
                    ALL_SERVICES,
                    "networks",
                    "each must exist before the first deploy: "
                    + "; ".join(f"docker network create {name}" for name in networks),
                )
            )
        document = {"projects": self._projects}
        return ComposeProposal(document, self.notes, tuple(self._secrets), self._tags)

    def name_for(self, service: str) -> str:
        """Return a free name for the project of a service."""
        wanted = (
            _NOT_IN_NAMES.sub("-", service.lower()).strip("._-")[: MAX_LENGTH - 8].rstrip("._-")
        )
        for name in _numbered_names(wanted or "app"):
            # Hosts are made of slugs, in which `a_b` and `a-b` are one.
            if slug(name) not in self._slugs:
                self._slugs.add(slug(name))
                return name
        raise AssertionError

    def settle_domains(self, one: ServiceImport) -> None:
        """Leave out the domains that another service has already."""
        # Two routers of Traefik may share a host and differ in paths; stages cannot.
        domains = one.stage.pop("domains", [])
        for domain in domains:
            if owner := self._by_domain.setdefault(domain, one.service):
                if owner == one.service:
                    one.stage.setdefault("domains", []).append(domain)
                else:
                    one.note("labels", f"{domain} is a domain of {owner}, and belongs to one stage")

    def variable_for(self, project: str, key: str, value: str) -> str:
        """Return the environment variable for a secret; one with another value has another name."""
        # The name that it has in the Compose file, where it is free: people may have it in `.env`.
        wanted = _NOT_IN_VARIABLES.sub("_", key.upper())
        wanted = f"_{wanted}" if wanted[:1].isdigit() else wanted
        prefix = _NOT_IN_VARIABLES.sub("_", project.upper())
        for name in (wanted, *_numbered_names(f"_{prefix}_{wanted}".lstrip("_"))):
            if self._secrets.setdefault(name, value) == value:
                return name
        raise AssertionError


def _numbered_names(wanted: str) -> Iterator[str]:
    yield wanted
    for number in range(2, 10_000):
        yield f"{wanted}_{number}"
