"""The tags that a stage has or is about to have, with which a new tag is compared."""

from collections.abc import Iterable

from msgspec import Struct

from tagboat.core.deploy import Deploy, Instance, InstanceState
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Reader


class Serving(Struct, frozen=True):
    """A tag that is live in a stage, or under way there.

    `digest` is None where it was not looked up yet, `image` the repository where it is not the
    project's.
    """

    tag: str
    live: bool
    digest: Digest | None = None
    image: ImageName | None = None

    @property
    def state(self) -> str:
        """In words that follow "which"."""
        return "is live" if self.live else "is under way"


def serving_in(reader: Reader, stage_id: str) -> tuple[Serving, ...]:
    """Return those of a stage, each tag once, what is live first; not what is being taken back."""
    live = reader.instances(stage_id=stage_id, states=[InstanceState.LIVE])
    return serving_among(live, reader.open_deploys(stage_id))


def serving_among(live: Iterable[Instance], open_deploys: Iterable[Deploy]) -> tuple[Serving, ...]:
    """Return the same for a stage whose live instances and open deploys were read already."""
    # Live ones first: another deploy of a live tag adds nothing.
    found = {
        one.tag: Serving(one.tag, live=True, digest=one.digest, image=one.image) for one in live
    }
    for deploy in open_deploys:
        # What is being taken back will not serve.
        if not deploy.cancelling and deploy.failed_step is None:
            found.setdefault(
                deploy.tag,
                Serving(deploy.tag, live=False, digest=deploy.digest, image=deploy.image),
            )
    return tuple(found.values())
