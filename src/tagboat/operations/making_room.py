"""Room for an apply: what changes hands is given up by all before anyone takes it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from tagboat.core.audit import AuditAction, changes_between, stage_subject
from tagboat.core.catalog import Stage
from tagboat.core.config_file import Configured
from tagboat.core.config_plan import PlannedAction, PlannedChange, PlannedKind
from tagboat.core.errors import ConflictError, TakenError
from tagboat.core.image import ImageName
from tagboat.core.ports import Tx
from tagboat.core.run import NO_OPTIONS, EngineKind
from tagboat.core.values import replace
from tagboat.operations.services import OperationServices

# Reserved for names that nothing has (RFC 6761). It is replaced in the same transaction.
_NOWHERE = "invalid"


class Room(Struct, frozen=True):
    """The transaction of an apply once nothing is in the way of its changes but their results.

    `stand_ins` are the names of projects by those that they have until they get their new ones.
    `leaving` are the stages that are deleted only after the transaction; `deleted` says in words,
    by id, all that is.
    """

    stand_ins: Mapping[str, str]
    leaving: Sequence[Stage]
    deleted: Mapping[str, str]

    def explain(self, error: ConflictError, place: str) -> str:
        """Return an error at a place of the file in words for people."""
        words = str(error)
        for stand_in, name in self.stand_ins.items():
            words = words.replace(stand_in, name)
        if isinstance(error, TakenError) and (holder := self.deleted.get(error.holder)):
            words += (
                f". The {holder} is deleted only after all changes, so this takes two applies with"
                f" --prune: first a file in which {place} is as it is on the server now, or left"
                " out, then this file"
            )
        return words

    def restore(self, tx: Tx) -> None:
        """Give back to the stages that are deleted later what they need until then."""
        with tx.without_events():
            for stage in self.leaving:
                tx.put_stage(stage)


def make_room(
    tx: Tx, services: OperationServices, now: Configured, changes: Sequence[PlannedChange]
) -> Room:
    """Take from what will change, and from stages to delete, what others may be about to take.

    Checked one after another, each change would collide with what a later one gives up.
    """
    wanted = {change.target: change.fields for change in changes if change.target}
    stand_ins: dict[str, str] = {}
    leaving, deleted = _give_up_domains(tx, services, now, changes)
    # Each of these is written again by its own change, which records the event.
    with tx.without_events():
        for registry in now.registries:
            if wanted.get(registry.id, {}).get("url", registry.url) != registry.url:
                tx.put_registry(replace(registry, url=f"https://{registry.id}.{_NOWHERE}"))
        for project in now.projects:
            said = wanted.get(project.id, {})
            is_renamed = said.get("name", project.name) != project.name
            has_moved = said.get("image", project.image) != project.image
            if is_renamed:
                stand_ins[project.id] = project.name
            if is_renamed or has_moved:
                name = project.id if is_renamed else project.name
                image = ImageName(_NOWHERE, project.id) if has_moved else project.image
                tx.put_project(replace(project, name=name, image=image))
        for stage in (one for stages in now.stages.values() for one in stages):
            if said := wanted.get(stage.id, {}):
                kept = tuple(name for name in stage.domains if name in said["domains"])
                several = min(stage.max_instances, said["max_instances"])
                tx.put_stage(_loosened(replace(stage, domains=kept, max_instances=several)))
        for stage in leaving:
            tx.put_stage(_loosened(stage))
    return Room(stand_ins, leaving, deleted)


def _loosened(stage: Stage) -> Stage:
    """Return a stage whose project may be anything that some stage allows, on any engine."""
    return replace(
        stage,
        env={},
        run=NO_OPTIONS,
        strategy=None,
        engine=EngineKind.SWARM,
        replicas=1,
        constraints=(f"node.id=={_NOWHERE}",),
    )


def _give_up_domains(
    tx: Tx, services: OperationServices, now: Configured, changes: Sequence[PlannedChange]
) -> tuple[list[Stage], dict[str, str]]:
    """Take the domains that stages will have from those that are deleted after the transaction.

    Return these stages as they are until then, and in words, by the ids of registries, projects
    and stages, all that is deleted then.
    """
    deleted = {
        str(change.target): f"{change.kind} {' '.join(change.names)}"
        for change in changes
        if change.action is PlannedAction.DELETE and change.kind is not PlannedKind.WEBHOOK
    }
    taken = {name for change in changes for name in change.fields.get("domains", ())}
    leaving: list[Stage] = []
    for project in now.projects:
        for stage in now.stages.get(project.id, ()):
            words = deleted.get(stage.id) or deleted.get(project.id)
            if words is None:
                continue
            deleted[stage.id] = words
            kept = tuple(name for name in stage.domains if name not in taken)
            leaving.append(replace(stage, domains=kept))
            if kept != stage.domains:
                # It stays if its containers cannot be stopped: on record as any change.
                tx.put_stage(leaving[-1])
                subject, told = stage_subject(project, stage), changes_between(stage, leaving[-1])
                services.record(tx, AuditAction.STAGE_CHANGE, subject, told)
    return leaving, deleted
