"""Taking over containers that somebody else has made, each as a project and a stage."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, field

from tagboat.core.adoption import (
    AdoptionPlan,
    AdoptionWish,
    handover_words,
    is_seamless,
    plan_adoption,
)
from tagboat.core.audit import AuditAction, project_subject
from tagboat.core.catalog import KnownTag, Project, Stage, Strategy, run_config
from tagboat.core.deploy import (
    ACTIVE_STATES,
    ADOPTED,
    Deploy,
    DeployStatus,
    Instance,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    InvalidValueError,
    NotFoundError,
    RegistryError,
    RegistryNotFoundError,
)
from tagboat.core.host_access import parse_bind, parse_device
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.core.push import Source
from tagboat.core.run import RunOptions
from tagboat.core.storage import stage_volumes, strategy_in_force
from tagboat.core.values import replace
from tagboat.operations.host_claims import StageRef
from tagboat.operations.nesting import without_nested
from tagboat.operations.projects import add_project
from tagboat.operations.queries.image_look import ANSWERS_WITHIN_S
from tagboat.operations.services import OperationServices
from tagboat.operations.stages import add_stage
from tagboat.operations.views import Views

Screen = Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], Sequence[str]]]
"""Reads the fields of a stage; returns those it accepts, and why it refuses the others."""


class Adoption(Struct, frozen=True, kw_only=True):
    """A container that was taken over, or would be: the plan, and what it became.

    `words` say what the first deploy does to those who use it; `seamless` is True if it loses no
    request that comes through the ingress. `created` is False where the image had a project.
    """

    plan: AdoptionPlan
    project: Project
    stage: Stage
    created: bool
    strategy: Strategy
    seamless: bool
    words: Sequence[str] = field(default_factory=tuple)

    @property
    def volumes(self) -> dict[str, str]:
        """The engine's names of the stage's volumes, by path."""
        named = stage_volumes(self.stage, run_config(self.project, self.stage))
        return {path: name for name, path in named.items()}


class AdoptionOperations(Struct, frozen=True):
    """Takes containers over."""

    services: OperationServices

    async def adopt(
        self, container: str, wish: AdoptionWish, screen: Screen, *, force: bool, dry_run: bool
    ) -> Adoption:
        """Make a container of the engine the live instance of a new stage, which is held.

        The container goes on as it is; the first deploy replaces it. A `dry_run` changes nothing,
        and raises what the real one would: NotFoundError without such a container, ConflictError
        where it cannot be taken over or, without `force`, may miss something afterwards, FieldError
        and EngineError.
        """
        if self.services.engine.is_cluster:
            raise ConflictError(
                "the server uses a swarm (TAGBOAT_ENGINE=swarm), and a container cannot be taken"
                " over there: make a project of its image ('tagboat projects add'), deploy it, and"
                " stop the container; its data stays on its machine until you copy it to a volume"
                " of the node"
            )
        facts = await self.services.engine.inspect_container(container)
        if facts is None:
            raise NotFoundError(f"the engine has no container {container}; 'docker ps' lists them")
        screened = await self._screened(plan_adoption(facts, wish), screen)
        plan = await self._checked(screened)
        if plan.dangers and not force and not dry_run:
            raise ConflictError(
                f"{plan.container} may not work the same: {'; '.join(plan.dangers)}."
                " To leave that out, use force (--force)"
            )

        def work(tx: Tx) -> Adoption:
            adoption = add_adoption(tx, self.services, plan, wish)
            if dry_run:
                raise _UndoAdoption(adoption)
            return adoption

        # Tried and undone, so that a dry run finds every conflict.
        try:
            return await self.services.store.write(work)
        except _UndoAdoption as trial:
            return trial.adoption

    async def _screened(self, plan: AdoptionPlan, screen: Screen) -> AdoptionPlan:
        """Return the plan with the values that a stage can have; the others are dangers."""
        stage, refused = screen({**plan.stage, "secrets": dict(plan.secrets)})
        dangers = [*plan.dangers, *refused]
        kept = dict(stage)
        secrets = kept.pop("secrets", {})
        for name, parse in (("binds", parse_bind), ("devices", parse_device)):
            allowed = []
            for text in kept.pop(name, ()):
                try:
                    self.services.host_path(parse(text).source)
                except InvalidValueError as error:
                    dangers.append(f"{name}: {error}")
                else:
                    allowed.append(text)
            kept[name] = tuple(allowed)
        options, nested = await self.services.store.read(
            partial(
                without_nested,
                (str(plan.project["name"]), str(kept["name"])),
                RunOptions(binds=kept.pop("binds"), devices=kept.pop("devices")),
                self.services.host_path,
            )
        )
        dangers += nested
        paths = {"binds": options.binds, "devices": options.devices}
        kept |= {name: texts for name, texts in paths.items() if texts}
        return replace(plan, stage=kept, secrets=secrets, dangers=tuple(dangers))

    async def _checked(self, plan: AdoptionPlan) -> AdoptionPlan:
        """Return the plan with what registry and container answer.

        Raises ConflictError where the registry says that it has no such image.
        """
        services, image = self.services, plan.image
        registry = await services.store.read(lambda reader: reader.registry_for_host(image.host))
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                digest = await services.resolve(image, plan.tag, registry)
            if digest != plan.digest:
                plan = plan.with_remarks(
                    f"{plan.tag} is another image in the registry by now ({digest[:19]}…, here"
                    f" {plan.digest[:19]}…): the first deploy of {plan.tag} brings that one"
                )
        except RegistryNotFoundError as error:
            raise ConflictError(
                f"{image}:{plan.tag} cannot be pulled: {error}. Push it, or start the container"
                " from an image that is in a registry"
            ) from None
        # That it cannot be asked now need not be so at the first deploy.
        except (TimeoutError, RegistryError) as error:
            why = str(error) or f"it did not answer within {ANSWERS_WITHIN_S:g} s"
            words = f"the registry could not be asked, and the first deploy needs it: {why}"
            plan = plan.with_remarks(words)
        if plan.endpoint is not None:
            complaint = await services.engine.probe.tcp(plan.endpoint)
            if complaint is not None:
                return plan.without_endpoint(f"{plan.endpoint} does not answer: {complaint}")
        return plan


class _UndoAdoption(Exception):  # noqa: N818 - no error: it undoes what was only tried
    """Undoes the transaction of a dry run, and has what it would have made."""

    def __init__(self, adoption: Adoption) -> None:
        super().__init__()
        self.adoption = adoption


def check_project_of_image(present: Project, plan: AdoptionPlan, wish: AdoptionWish) -> None:
    """Raise FieldError where the image's project is not the one that is asked for."""
    if wish.project is not None and wish.project != present.name:
        raise FieldError(
            "project",
            f"the project {present.name} deploys the image {plan.image} already, and an image has"
            f" one project; leave the name out, or use {present.name}",
        )
    if (port := plan.project.get("port")) and port != present.port and present.port:
        raise FieldError(
            "port", f"the project {present.name} has the port {present.port}, and this one {port}"
        )


def add_adoption(
    tx: Tx, services: OperationServices, plan: AdoptionPlan, wish: AdoptionWish
) -> Adoption:
    """Add the stage, and the project where there is none, and record the container as live.

    Raises ConflictError and FieldError.
    """
    now = services.clock()
    if any(one.container_id == plan.container_id for one in tx.instances(states=ACTIVE_STATES)):
        raise ConflictError(f"{plan.container} is adopted already; 'tagboat status' shows it")
    present = tx.project_by_image(plan.image)
    project = present or add_project(tx, services, {**plan.project, "image": plan.image})
    if present is not None:
        check_project_of_image(present, plan, wish)
        plan = plan.with_remarks(
            *(
                f"{name} stays {getattr(present, name) or 'unset'} in the project {present.name},"
                f" and is {found or 'unset'} here; 'tagboat projects edit {present.name}' changes"
                " it"
                for name in ("port", "healthcheck")
                if (found := plan.project.get(name)) is not None and found != getattr(present, name)
            )
        )
    plan = without_taken_domains(tx, plan)
    fields = {**plan.stage, "secrets": plan.secrets, "held": True}
    stage = add_stage(tx, services, project.id, fields)
    # State, not configuration: no request sets these.
    stage = replace(stage, adopted_volumes=plan.adopted_volumes, image_volumes=plan.image_volumes)
    tx.put_stage(stage)
    tx.record_tag(
        KnownTag(
            project_id=project.id,
            tag=plan.tag,
            digest=plan.digest,
            first_seen=now,
            source=Source.MANUAL,
        )
    )
    put_adopted_instance(tx, services, plan, StageRef(project, stage))
    note = f"the container {plan.container}"
    services.record(tx, AuditAction.PROJECT_ADOPT, project_subject(project), note=note)
    strategy = strategy_in_force(stage, run_config(project, stage))
    (view,) = Views(tx, services).warned_stages([stage])
    plan = plan.with_remarks(*view.warnings)
    routes = services.ingress.routes_traffic
    return Adoption(
        plan=plan,
        project=project,
        stage=stage,
        created=present is None,
        strategy=strategy,
        seamless=is_seamless(plan, strategy, routes_traffic=routes),
        words=handover_words(plan, strategy, routes_traffic=routes),
    )


def without_taken_domains(reader: Reader, plan: AdoptionPlan) -> AdoptionPlan:
    """Return the plan without the domains that another stage has, which are remarks instead."""
    domains = plan.stage.get("domains", ())
    # Traefik routes paths of one host to several containers; a domain belongs to one stage.
    taken = [claim.host for claim in reader.host_claims(domains) if claim.is_domain]
    if not taken:
        return plan
    kept = tuple(domain for domain in domains if domain not in taken)
    words = f"{', '.join(sorted(taken))}: another stage has the domain, and it belongs to one"
    return replace(plan, stage={**plan.stage, "domains": kept}).with_remarks(words)


def put_adopted_instance(
    tx: Tx, services: OperationServices, plan: AdoptionPlan, ref: StageRef
) -> None:
    """Record a deploy that has made nothing, and the container as its live instance."""
    now, project, stage = services.clock(), ref.project, ref.stage
    deploy = Deploy(
        id=new_id(),
        project_id=project.id,
        stage_id=stage.id,
        tag=plan.tag,
        digest=plan.digest,
        image=plan.image,
        trigger=Trigger.MANUAL,
        status=DeployStatus.SUCCEEDED,
        reason=f"took over the running container {plan.container}",
        ordered_by=services.actor.name,
        steps=tuple(Step(name, StepStatus.SKIPPED, detail="taken over") for name in StepName),
        container=plan.container,
        created_at=now,
        started_at=now,
        finished_at=now,
    )
    tx.add_deploy(deploy)
    tx.put_deploy_config(deploy.id, run_config(project, stage))
    tx.add_instance(
        Instance(
            id=new_id(),
            deploy_id=deploy.id,
            project_id=project.id,
            stage_id=stage.id,
            tag=plan.tag,
            digest=plan.digest,
            image=plan.image,
            state=InstanceState.LIVE,
            container=plan.container,
            container_id=plan.container_id,
            endpoints=(plan.endpoint,) if plan.endpoint else (),
            fingerprint=ADOPTED,
            started_at=now,
            live_at=now,
            protocol=project.protocol,
        )
    )
    tx.announce(Topic.ROUTES)
