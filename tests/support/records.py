"""Deploys and instances as a worker would have left them."""

from datetime import UTC, datetime

from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, Trigger
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageName
from tagboat.core.workload import WorkloadSpec
from tests.support.api import Api
from tests.support.endpoints import at

DIGEST = Digest("sha256:" + "a" * 64)


def deploy_record(
    project_id: str, stage_id: str, tag: str = "v1", status: DeployStatus = DeployStatus.SUCCEEDED
) -> Deploy:
    """A deploy in that status."""
    return Deploy(
        id=new_id(),
        project_id=project_id,
        stage_id=stage_id,
        tag=tag,
        digest=DIGEST,
        trigger=Trigger.WEBHOOK,
        status=status,
        created_at=datetime.now(UTC),
    )


async def put_deploy(api: Api, deploy: Deploy) -> Deploy:
    """Put a deploy on record."""
    await api.store.write(lambda tx: tx.add_deploy(deploy))
    return deploy


async def put_instance(api: Api, project_id: str, stage_id: str, state: InstanceState) -> str:
    """Start a container on the engine and put it on record with the deploy that made it; return
    its name.
    """
    deploy = await put_deploy(api, deploy_record(project_id, stage_id))
    instance = Instance(
        id=new_id(),
        deploy_id=deploy.id,
        project_id=project_id,
        stage_id=stage_id,
        tag=deploy.tag,
        digest=DIGEST,
        state=state,
        container=f"app-{deploy.id}",
        endpoints=(at(40001),),
        fingerprint="0",
        started_at=datetime.now(UTC),
    )
    await api.store.write(lambda tx: tx.add_instance(instance))
    image = ImageName("git.example.com", "acme/app")
    api.engine.publish(image, DIGEST)
    await api.engine.pull(image, DIGEST, None, lambda _: None)
    await api.engine.create(
        WorkloadSpec(name=instance.container, image=f"{image}@{DIGEST}", labels={})
    )
    await api.engine.start(instance.container)
    return instance.container
