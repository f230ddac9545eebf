"""The values of operations as the API shows them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from tagboat.api import (
    delivery_schemas,
    hook_schemas,
    overview_schemas,
    registry_schemas,
    schemas,
    settings_schemas,
)
from tagboat.api.hook_schemas import signature_shown
from tagboat.api.receipt_schemas import show_receipt
from tagboat.api.run_schemas import run_view
from tagboat.api.tag_schemas import KnownTagOut, PolledTagOut, PollReportOut, TagNewsOut
from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.config import Config
from tagboat.core.polling import PollReport
from tagboat.intake.receipt import Named
from tagboat.operations.queries.deliveries import DeliveryRow
from tagboat.operations.queries.logs import StageLog
from tagboat.operations.queries.needs import Need
from tagboat.operations.queries.overview import StageOverview
from tagboat.operations.queries.patterns import PatternPreview
from tagboat.operations.queries.tags import TagView
from tagboat.operations.registries import Choice
from tagboat.operations.views import DeployView, InstanceView, ProjectView, StageView
from tagboat.operations.way_back import Prospect
from tagboat.operations.webhooks import WebhookView

# A new field of a stage needs no line here if both sides give it the same name.
_SHOWN_AS_STORED = sorted(
    {field.name for field in fields(Stage)} & set(schemas.StageOut.model_fields)
)


def name_of(value: Project | Stage | Named) -> schemas.RefOut:
    """Return id and name."""
    return schemas.RefOut(id=value.id, name=value.name)


def show_project(view: ProjectView) -> schemas.ProjectOut:
    """Return a project."""
    project = view.project
    return schemas.ProjectOut(
        id=project.id,
        name=project.name,
        image=str(project.image),
        port=project.port,
        port_set=project.port_set,
        healthcheck=project.healthcheck,
        healthcheck_set=project.healthcheck_set,
        protocol_set=project.protocol_set,
        protocol=project.protocol,
        env=project.env,
        registry=project.registry_id,
        poll=schemas.PollOut(
            last_at=view.poll.last_at, next_at=view.next_poll, error=view.poll.error
        ),
        created_at=project.created_at,
        **run_view(project.run),
    )


def show_stage(view: StageView) -> schemas.StageOut:
    """Return a stage."""
    stage = view.stage
    return schemas.StageOut(
        **{name: getattr(stage, name) for name in _SHOWN_AS_STORED},
        project=name_of(view.project),
        tag_pattern=stage.pattern.text,
        strategy_in_force=view.strategy_in_force,
        address=view.address,
        **run_view(stage.run),
    )


def show_saved_stage(view: StageView) -> schemas.SavedStageOut:
    """Return a stage with its warnings."""
    return schemas.SavedStageOut(
        **dict(show_stage(view)),
        warnings=list(view.warnings),
        preview=show_preview(view.preview) if view.preview else None,
    )


def show_preview(preview: PatternPreview) -> schemas.PatternPreviewOut:
    """Return the effect of a pattern."""
    return schemas.PatternPreviewOut(
        matching=preview.matching,
        tags=preview.tags,
        newest=list(preview.newest),
        pushes=preview.pushes,
        elsewhere=[
            schemas.DivertedPushOut(
                tag=one.tag,
                at=one.at,
                went_to=name_of(one.went_to) if one.went_to else None,
                would_go_to=name_of(one.would_go_to) if one.would_go_to else None,
            )
            for one in preview.elsewhere
        ],
        summary=preview.summary,
        warnings=list(preview.warnings),
    )


def show_deploy(view: DeployView, *, with_log: bool = True) -> schemas.DeployOut:
    """Return a deploy; without its log, that is an empty string."""
    deploy = view.deploy
    return schemas.DeployOut(
        id=deploy.id,
        project=name_of(view.project),
        stage=name_of(view.stage),
        tag=deploy.tag,
        digest=deploy.digest,
        trigger=deploy.trigger,
        ordered_by=deploy.ordered_by,
        status=deploy.status,
        reason=deploy.reason,
        note=deploy.note,
        # The mark stays on the record; to clients it means work that is still to be done.
        cancelling=deploy.cancelling and not deploy.status.final,
        steps=[
            schemas.StepOut(
                name=step.name,
                status=step.status,
                started_at=step.started_at,
                finished_at=step.finished_at,
                detail=step.detail,
            )
            for step in deploy.steps
        ],
        receipt=show_receipt(view.receipt),
        log=deploy.log if with_log else "",
        created_at=deploy.created_at,
        started_at=deploy.started_at,
        finished_at=deploy.finished_at,
    )


def show_instance(view: InstanceView) -> schemas.InstanceOut:
    """Return an instance."""
    instance, vitals, trouble = view.instance, view.vitals, view.trouble
    # All null until the engine has reported: "not running" must not be read into no news.
    names = ("running", "restarting", "paused", "restarts", "health")
    reported: dict[str, Any] = {name: getattr(vitals, name) if vitals else None for name in names}
    return schemas.InstanceOut(
        id=instance.id,
        project=name_of(view.project),
        stage=name_of(view.stage),
        deploy=instance.deploy_id,
        tag=instance.tag,
        digest=instance.digest,
        state=instance.state,
        url=instance.url,
        address=view.address,
        container=instance.container,
        started_at=instance.started_at,
        stopped_at=instance.stopped_at,
        **reported,
        trouble=trouble.detail if trouble else None,
        trouble_since=trouble.changed_at if trouble else None,
    )


def show_way_back(prospect: Prospect) -> schemas.WayBackOut:
    """Return what a rollback would bring back."""
    target = prospect.target
    return schemas.WayBackOut(
        possible=prospect.possible,
        reason=prospect.reason,
        deploy=target.deploy_id if target else None,
        tag=target.tag if target else None,
        digest=target.digest if target else None,
    )


def show_stage_log(log: StageLog, lines: list[str]) -> overview_schemas.StageLogOut:
    """Return the log of a stage, with its lines as text."""
    return overview_schemas.StageLogOut(
        source="deploy" if log.instance is None else "instance",
        instance=show_instance(log.instance) if log.instance else None,
        deploy=show_deploy(log.deploy, with_log=False) if log.deploy else None,
        lines=lines,
    )


def show_overview(
    stages: Sequence[StageOverview],
    senders: Sequence[DeliveryRow],
    needs: Sequence[Need],
    cursor: str | None,
) -> overview_schemas.OverviewOut:
    """Return a page of the overview; `cursor` is that of the next one."""
    return overview_schemas.OverviewOut(
        items=[show_stage_overview(row) for row in stages],
        needs=[
            overview_schemas.NeedOut(
                kind=need.kind,
                project=name_of(need.project) if need.project else None,
                stage=name_of(need.stage) if need.stage else None,
                sentence=need.sentence,
                since=need.since,
                todo=need.todo,
                target=need.target,
                target_id=need.target_id,
            )
            for need in needs
        ],
        next=cursor,
        senders=[
            overview_schemas.TroubledSenderOut(
                sender=row.delivery.sender,
                reason=row.reason,
                delivery=row.delivery.id,
                received_at=row.delivery.received_at,
            )
            for row in senders
        ],
    )


def show_stage_overview(row: StageOverview) -> overview_schemas.StageOverviewOut:
    """Return a stage of the overview."""
    last = row.last_deploy
    return overview_schemas.StageOverviewOut(
        project=name_of(row.stage.project),
        stage=show_stage(row.stage),
        live=[show_instance(one) for one in row.live],
        under_way=[show_deploy(one, with_log=False) for one in row.under_way],
        last_deploy=show_deploy(last, with_log=False) if last else None,
        waiting=[
            overview_schemas.WaitingPushOut(
                tag=push.tag, digest=push.digest, source=push.source, seen_at=push.seen_at
            )
            for push in row.waiting
        ],
        way_back=show_way_back(row.way_back),
        warnings=list(row.stage.warnings),
        needs_you=list(row.needs_you),
    )


def show_tag(view: TagView) -> KnownTagOut:
    """Return a known tag."""
    tag, verdict = view.tag, view.tag.verdict
    return KnownTagOut(
        tag=tag.tag,
        digest=tag.digest,
        first_seen=tag.first_seen,
        source=tag.source,
        reason=view.reason,
        live_in=[name_of(stage) for stage in view.live_in],
        last=TagNewsOut(
            at=verdict.at,
            source=verdict.source,
            outcome=verdict.outcome,
            reason=verdict.reason,
            deploy=verdict.deploy,
        )
        if verdict
        else None,
    )


def show_poll(report: PollReport) -> PollReportOut:
    """Return the outcome of a poll."""
    return PollReportOut(
        first_poll=report.first_poll,
        new_tags=list(report.new_tags),
        deploys=list(report.deploys),
        tags=[
            PolledTagOut(
                tag=tag.tag,
                change=tag.change,
                stage=name_of(tag.stage) if tag.stage else None,
                outcome=tag.verdict.outcome,
                reason=tag.verdict.reason,
                deploy=tag.verdict.deploy,
            )
            for tag in report.tags
        ],
        error=report.error,
    )


def show_registry(registry: Registry) -> registry_schemas.RegistryOut:
    """Return a registry without its password."""
    return registry_schemas.RegistryOut(
        id=registry.id,
        name=registry.name,
        url=registry.url,
        kind=registry.kind,
        username=registry.username,
        has_password=registry.password is not None,
        password_command=registry.password_command or None,
        ca_cert=registry.ca_cert,
        login_service=registry.login_service or None,
    )


def show_choice(choice: Choice) -> registry_schemas.ImageChoicesOut:
    """Return names to choose from."""
    return registry_schemas.ImageChoicesOut(
        items=list(choice.items), whole=choice.whole, error=choice.error
    )


def show_webhook(view: WebhookView) -> hook_schemas.HookOut:
    """Return a webhook without its URL."""
    return hook_schemas.HookOut(
        id=view.webhook.id,
        project=name_of(view.project),
        name=view.webhook.name,
        signature=signature_shown(view.webhook.signature),
        created_at=view.webhook.created_at,
    )


def show_made_webhook(view: WebhookView) -> hook_schemas.CreatedHookOut:
    """Return a webhook with the URL that is shown once."""
    return hook_schemas.CreatedHookOut(**dict(show_webhook(view)), url=view.url or "")


def delivery_fields(row: DeliveryRow) -> dict[str, Any]:
    """Return the fields of a delivery as lists have them."""
    delivery = row.delivery
    return {
        "id": delivery.id,
        "sender": delivery.sender,
        "status": delivery.status,
        "received_at": delivery.received_at,
        "took_ms": delivery.took_ms,
        "hook": delivery_schemas.HookRefOut(id=delivery.hook_id, name=row.webhook_name)
        if delivery.hook_id
        else None,
        "outcome": row.outcome,
        "reason": row.reason,
        "pushes": [
            delivery_schemas.PushResultOut(
                image=push.image,
                tag=push.tag,
                digest=push.digest,
                project=name_of(push.project) if push.project else None,
                stage=name_of(push.stage) if push.stage else None,
                project_created=push.project_created,
                outcome=push.outcome,
                reason=push.reason,
                deploy=push.deploy,
            )
            for push in row.pushes
        ],
        "skipped": [
            delivery_schemas.SkippedOut(image=one.image, reason=one.reason) for one in row.skipped
        ],
        "needs_you": row.needs_you,
    }


def show_settings(config: Config) -> settings_schemas.SettingsOut:
    """Return the settings."""
    images = config.auto_create_images
    return settings_schemas.SettingsOut(
        poll_schedule=config.poll_schedule,
        auto_create=config.auto_create,
        auto_create_images=None if images is None else list(images),
        max_projects=config.max_projects,
        deliveries_keep_days=config.deliveries_keep_days,
        deliveries_keep=config.deliveries_keep,
        images_keep=config.images_keep,
        history_keep_days=config.history_keep_days,
        audit_keep_days=config.audit_keep_days,
        backups_keep=config.backups_keep,
    )
