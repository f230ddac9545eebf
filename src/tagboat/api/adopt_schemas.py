"""The bodies of taking a container over. Values of secrets are never shown."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from tagboat.api import values
from tagboat.api.bodies import RequestModel, ResponseModel, unset, with_tuples
from tagboat.api.lenient import TooMuchRefusedError, accepted_part
from tagboat.api.schemas import StageCreate
from tagboat.core.adoption import FIRST_ADOPTED_STAGE, AdoptionWish
from tagboat.core.catalog import Strategy
from tagboat.core.errors import ConflictError
from tagboat.operations.adoption import Adoption

# The engine's own grammar of names; an id is one, too.
_CONTAINER = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class AdoptOrder(RequestModel):
    """An order to take a running container over."""

    container: Annotated[
        str, values.text(_CONTAINER, 255, "the name or id of a container", shortest=1)
    ]
    project: values.ObjectName = unset()
    stage: values.ObjectName = FIRST_ADOPTED_STAGE
    pattern: values.PatternText = unset()
    port: values.PortNumber = unset()
    force: bool = False
    dry_run: bool = False

    def to_wish(self) -> AdoptionWish:
        """Return the core's value."""
        pattern = str(self.pattern) if self.pattern is not None else None
        return AdoptionWish(project=self.project, stage=self.stage, pattern=pattern, port=self.port)


class AdoptedProjectOut(ResponseModel):
    """The project that the container belongs to; `id` is null in a dry run that would make it."""

    id: str | None
    name: str
    image: str
    port: int
    healthcheck: str
    created: bool


class AdoptedStageOut(ResponseModel):
    """The stage that is made, which is held; `options` are all that are set, secrets by name."""

    id: str | None
    name: str
    tag_pattern: str
    domains: list[str]
    env: Mapping[str, str]
    options: Mapping[str, Any]
    volumes: Mapping[str, str] = Field(description="The engine's volumes, by path.")


class AdoptionOut(ResponseModel):
    """A container that was taken over, or with `dry_run` would be."""

    dry_run: bool
    container: str
    container_id: str
    tag: str
    digest: str
    project: AdoptedProjectOut
    stage: AdoptedStageOut
    endpoint: str | None
    strategy: Strategy
    seamless: bool
    first_deploy: list[str]
    dangers: list[str]
    remarks: list[str]


def screen_stage(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return the fields of a new stage that the API accepts, and why it refuses the others."""
    try:
        stage, refused = accepted_part(StageCreate, dict(fields))
    except TooMuchRefusedError as error:
        raise ConflictError(f"the container cannot be described: {error}") from None
    said = with_tuples(stage.given(tag_pattern="pattern"))
    return said, [f"{'.'.join(path)}: {reason}" for path, reason in refused]


def show_adoption(adoption: Adoption, *, dry_run: bool) -> AdoptionOut:
    """Return a taken-over container as the API shows it."""
    plan, project, stage = adoption.plan, adoption.project, adoption.stage
    options = dict(stage.run.said)
    for name in ("secrets", "secret_files"):
        if name in options:
            options[name] = sorted(options[name])
    return AdoptionOut(
        dry_run=dry_run,
        container=plan.container,
        container_id=plan.container_id,
        tag=plan.tag,
        digest=plan.digest,
        project=AdoptedProjectOut(
            id=None if dry_run and adoption.created else project.id,
            name=project.name,
            image=str(project.image),
            port=project.port,
            healthcheck=project.healthcheck,
            created=adoption.created,
        ),
        stage=AdoptedStageOut(
            id=None if dry_run else stage.id,
            name=stage.name,
            tag_pattern=str(stage.pattern),
            domains=list(stage.domains),
            env=stage.env,
            options=options,
            volumes=adoption.volumes,
        ),
        endpoint=str(plan.endpoint) if plan.endpoint else None,
        strategy=adoption.strategy,
        seamless=adoption.seamless,
        first_deploy=list(adoption.words),
        dangers=list(plan.dangers),
        remarks=list(plan.remarks),
    )
