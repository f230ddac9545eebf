"""Automatic projects: made for an image not seen before, from its configuration."""

import itertools
from datetime import datetime

from tagboat.core.catalog import Project, Stage
from tagboat.core.hosts import host_label
from tagboat.core.ids import new_id
from tagboat.core.image import ImageInfo, ImageName
from tagboat.core.inspection import healthcheck_of, port_of
from tagboat.core.naming import FEW_CHOICES, name_choices
from tagboat.core.ports import Tx
from tagboat.core.protocol import AppProtocol, protocol_of
from tagboat.core.tags import parse_tag_pattern

FIRST_STAGE = "dev"
# The first stage takes every tag, so a stage that a person adds must come before it.
LAST_POSITION = 1000


def make_project(tx: Tx, image: ImageName, info: ImageInfo | None, now: datetime) -> Project:
    """Add a project for `image` and its stage `dev`.

    Without `info` the first deploy fills in the rest when it has pulled the image.
    """
    project = Project(
        id=new_id(),
        name=_free_name(tx, image),
        image=image,
        port=port_of(info) if info else 0,
        healthcheck=healthcheck_of(info) if info else "",
        protocol=protocol_of(info.labels) if info else AppProtocol.HTTP,
        inspected=info is not None,
        created_at=now,
    )
    tx.add_project(project)
    tx.add_stage(first_stage(project.id, info, now))
    return project


def _free_name(tx: Tx, image: ImageName) -> str:
    """Return a name that no project has, and whose stage's host is free.

    `a` with a stage `b-dev`, and `a-b` with a stage `dev`, would have the same host.
    """
    # By groups: the first names are usually free, and each group costs two reads.
    choices = name_choices(image.last_part, str(image))
    while True:
        some = {
            name: host_label(name, FIRST_STAGE)
            for name in itertools.islice(choices, FEW_CHOICES + 1)
        }
        hosts = {claim.host for claim in tx.host_claims(some.values()) if not claim.is_domain}
        taken = tx.names_taken(some)
        for name, host in some.items():
            if name not in taken and host not in hosts:
                return name


def first_stage(project_id: str, info: ImageInfo | None, now: datetime) -> Stage:
    """Return the stage of an automatic project; `info` is None if the image could not be read."""
    volumes = info.volumes if info else ()
    return Stage(
        id=new_id(),
        project_id=project_id,
        name=FIRST_STAGE,
        pattern=parse_tag_pattern("*"),
        position=LAST_POSITION,
        # A container elsewhere on the machine may use the image's data already: a person decides.
        auto_deploy=not volumes,
        image_volumes=volumes,
        created_at=now,
    )
