"""The digest that a deploy brings: the one ordered, else the one that its tag points to now."""

from tagboat.core.deploy import Deploy, Instance, InstanceState, StepName
from tagboat.core.image import Digest
from tagboat.core.naming import instance_host
from tagboat.core.ports import TagSource
from tagboat.deploy.context import DeployContext

_ALSO = "; "


async def wanted_digest(tags: TagSource, context: DeployContext) -> Digest:
    """Return the digest to deploy.

    Raises RegistryError where the registry cannot resolve the tag.
    """
    # A push may name a digest as well, but a sender must not choose what runs: only the registry
    # says what a tag is.
    deploy = context.deploy
    if deploy.is_exact and deploy.digest is not None:
        return deploy.digest
    return await tags.resolve(context.repository, deploy.tag, context.registry)


def at_its_address(context: DeployContext) -> Instance | None:
    """Return the instance that stays live and whose own address is that of the deploy's tag.

    Hosts are slugs, so that `v1.0` and `v1-0` have the same. None where there is no such.
    """
    stage, project, tag = context.stage, context.project, context.deploy.tag
    staying = context.others_that(InstanceState.LIVE)[: stage.max_instances - 1]
    own = instance_host(project.name, stage.name, tag, "")
    return next(
        (
            one
            for one in staying
            if one.tag != tag and instance_host(project.name, stage.name, one.tag, "") == own
        ),
        None,
    )


def found(tag: str, digest: Digest, named: Digest | None) -> str:
    """Return words for a tag that is `digest`, where the push has `named` one (None.

    It has not).
    """
    if named in {None, digest}:
        return f"{tag} is {digest}"
    return (
        f"{tag} is {digest}{_ALSO}the push named {named}, which is not what the tag points to now,"
        " and is not deployed"
    )


def unheeded(deploy: Deploy) -> str:
    """Return words for a push that named another digest than the one deployed, else nothing."""
    return deploy.step(StepName.RESOLVE).detail.partition(_ALSO)[2]
