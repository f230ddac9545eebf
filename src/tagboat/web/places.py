"""The addresses of pages, in one place."""

from urllib.parse import quote


def project_path(project: str) -> str:
    """Return the address of a project's page, by the project's name."""
    # The slash too: a name never has one, but what is typed into an address may.
    return f"/projects/{quote(project, safe='')}"


def stage_path(project: str, stage: str) -> str:
    """Return the address of a stage's page, by the names of project and stage."""
    return f"{project_path(project)}/{quote(stage, safe='')}"


def deploy_path(deploy_id: str) -> str:
    """Return the address of a deploy's page."""
    return f"/deploys/{quote(deploy_id, safe='')}"


def delivery_path(delivery_id: str) -> str:
    """Return the address of the page of a webhook call."""
    return f"/deliveries/{quote(delivery_id, safe='')}"


def instance_logs_path(instance_id: str) -> str:
    """Return the address of the page with an instance's log."""
    return f"/instances/{quote(instance_id, safe='')}/logs"


def stage_logs_path(project: str, stage: str) -> str:
    """Return the address of the page with a stage's log, by the names of project and stage."""
    return f"{stage_path(project, stage)}/logs"


def deploy_log_path(deploy_id: str) -> str:
    """Return the address of the page with the log of the container that a deploy has started."""
    return f"{deploy_path(deploy_id)}/log"


def project_part(project: str, part: str) -> str:
    """Return the address of a part of a project, such as its settings.

    No stage can be named `-`, so that it cannot be mistaken for one.
    """
    return f"{project_path(project)}/-/{part}"
