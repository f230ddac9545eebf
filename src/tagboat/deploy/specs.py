"""The specs of workloads: the instance of a deploy, its release command, and one-off commands."""

from collections.abc import Mapping, Sequence

from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.endpoint import only_loopback
from tagboat.core.one_off import OneOff
from tagboat.core.storage import stage_volumes
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.deploy.context import DeployContext
from tagboat.deploy.options import as_instance, as_release, with_surroundings
from tagboat.deploy.ownership import (
    CLAIM,
    INSTANCE,
    ONE_OFF,
    RELEASE,
    ROLE,
    RUN,
    release_container,
)

SECRETS_FOLDER = "/run/secrets"
_OF_A_DEPLOY = frozenset({"tagboat.deploy", CLAIM})


def instance_spec(
    context: DeployContext,
    instance: Instance,
    installation: str,
    *,
    alone: bool = False,
    keeps_names: bool = False,
) -> WorkloadSpec:
    """Return the workload of an instance; `alone`: nothing else is on the project's network.

    `keeps_names`: its names on networks are those of its start.
    """
    spec = as_instance(
        _common_spec(context, instance.container, installation, INSTANCE), context.config.options
    )
    spec = replace(
        spec,
        port=context.config.port,
        endpoint=only_loopback(instance.endpoints),
        aliases=context.aliases,
        replicas=context.config.replicas,
    )
    if keeps_names or not waits_for_names(context, instance):
        return spec
    if alone:
        return replace(spec, aliases={context.network: context.aliases[context.network]})
    # It will leave its networks and join again, and its connections survive only with the same
    # address: see docs/decisions/0015.
    return replace(spec, aliases={}, keeps_address=True)


def waits_for_names(context: DeployContext, instance: Instance) -> bool:
    """Return whether the stage's names are for another instance until this one is healthy."""
    return instance.state is InstanceState.STARTING and bool(
        context.others_that(InstanceState.LIVE)
    )


def release_spec(context: DeployContext, installation: str) -> WorkloadSpec:
    """Return the workload that runs the release command."""
    spec = _common_spec(context, release_container(context.container), installation, RELEASE)
    return as_release(spec, context.config.options)


def one_off_spec(
    context: DeployContext, one_off: OneOff, installation: str, command: Sequence[str]
) -> WorkloadSpec:
    """Return the workload of a command that runs once, as the release command does."""
    spec = _common_spec(context, one_off.container, installation, ONE_OFF)
    # It belongs to no deploy: what looks after a deploy must not take it for its own.
    labels = {name: value for name, value in spec.labels.items() if name not in _OF_A_DEPLOY}
    spec = replace(spec, labels={**labels, RUN: one_off.id})
    return as_release(spec, replace(context.config.options, release_command=tuple(command)))


def _common_spec(context: DeployContext, name: str, installation: str, role: str) -> WorkloadSpec:
    options = context.config.options
    # By its labels a person can tell whose a volume was, even after project and stage are gone.
    own = {
        label: value
        for label, value in _own_labels(context, installation, role).items()
        if label not in {*_OF_A_DEPLOY, ROLE}
    }
    spec = WorkloadSpec(
        name=name,
        image=context.image,
        labels={**options.labels, **_own_labels(context, installation, role)},
        env={**context.config.env, **options.secrets},
        user=options.user,
        volumes=stage_volumes(context.stage, context.config),
        volume_labels=own | {"tagboat.stage_id": context.stage.id},
        files={
            f"{SECRETS_FOLDER}/{file}": content for file, content in options.secret_files.items()
        },
        memory=options.memory,
        cpus=options.cpus,
        pids=options.pids,
        network=context.network,
        networks=options.networks,
        stop_signal=options.stop_signal,
        stop_timeout_s=options.stop_timeout_s,
        constraints=context.config.constraints,
    )
    return with_surroundings(spec, options)


def _own_labels(context: DeployContext, installation: str, role: str) -> Mapping[str, str]:
    return {
        "tagboat.managed": "true",
        "tagboat.project": context.project.name,
        "tagboat.stage": context.stage.name,
        "tagboat.deploy": context.deploy.id,
        CLAIM: str(context.deploy.claim),
        "tagboat.installation": installation,
        ROLE: role,
    }
