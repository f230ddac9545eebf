"""The fields by which each log line about a deploy names it: deploy, project, stage and tag."""

import contextlib

from tagboat.core.deploy import Deploy, Instance
from tagboat.core.errors import TagboatError
from tagboat.core.ports import Reader, Store
from tagboat.deploy.context import DeployContext


def deploy_words(context: DeployContext) -> dict[str, str]:
    """Return the fields of a deploy whose context is known."""
    return {
        "deploy": context.deploy.id,
        "project": context.project.name,
        "stage": context.stage.name,
        "tag": context.deploy.tag,
    }


async def words_about(store: Store, about: Deploy | Instance) -> dict[str, str]:
    """Return the fields of a deploy, or of that of an instance, with the names of now.

    Where they cannot be read any more, project and stage are ids. Raises nothing.
    """

    def names(reader: Reader) -> dict[str, str]:
        project, stage = reader.project(about.project_id), reader.stage(about.stage_id)
        return {"project": project.name, "stage": stage.name}

    words = {
        "deploy": about.id if isinstance(about, Deploy) else about.deploy_id,
        "project": about.project_id,
        "stage": about.stage_id,
        "tag": about.tag,
    }
    with contextlib.suppress(TagboatError):
        words |= await store.read(names)
    return words
