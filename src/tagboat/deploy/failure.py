"""The ways in which a deploy fails or ends early, and what is recorded about them."""

from collections.abc import Collection

from msgspec import Struct

from tagboat.core.catalog import judged_tag
from tagboat.core.deploy import Deploy, push_of
from tagboat.core.errors import DeployFailedError, NotAnImageError, RegistryNotFoundError
from tagboat.core.ports import Tx
from tagboat.core.push import Outcome, PushVerdict, Source
from tagboat.deploy.containers import ReleaseFailedError
from tagboat.deploy.record import CancelRequestedError

CANCELLED = "cancelled"


class AlreadyLiveError(Exception):
    """This digest is live already, with the same configuration."""


class MovedOnError(Exception):
    """The tag was pushed again, and the image it pointed to before is gone."""


class WasTakenBackError(Exception):
    """The digest was taken back in this stage before, and no person has asked for it again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SickenedError(DeployFailedError):
    """The new instance was healthy and live, and then it was not."""


class Failure(Struct, frozen=True):
    """Why a deploy does not come to its end.

    `lines` are what the app said, `missing` is whether the registry has no such tag.

    `no_image` is whether what it has is not a container image. The rest is as for
    `DeployRecord.record_failure`.
    """

    reason: str
    lines: Collection[str] = ()
    sick: bool = False
    moved_on: bool = False
    missing: bool = False
    no_image: bool = False


def failure_of(error: Exception, tag: str) -> Failure:
    """Return the failure of a deploy of `tag` for an error that ended a step."""
    match error:
        case CancelRequestedError():
            return Failure(CANCELLED)
        case MovedOnError():
            return Failure(
                f"{tag} was pushed again while it was pulled, and is deployed as it is now",
                moved_on=True,
            )
        case ReleaseFailedError():
            return Failure(str(error), error.lines)
    return Failure(
        str(error),
        # The pipeline raises DeployFailedError from the error that ended the step.
        sick=isinstance(error, SickenedError),
        missing=isinstance(error.__cause__, RegistryNotFoundError),
        no_image=isinstance(error.__cause__, NotAnImageError),
    )


def say_no_image(reason: str, tx: Tx, deploy: Deploy) -> None:
    """Record on the tag that a push of it was refused, because it is not an image."""
    # A person is told by the deploy; a sender has only the tag to look at.
    if deploy.by_news:
        source, now = Source(deploy.trigger.value), deploy.created_at
        verdict = PushVerdict(
            at=now, source=source, outcome=Outcome.REFUSED, reason=reason, deploy=deploy.id
        )
        tx.record_tag(judged_tag(deploy.project_id, deploy.tag, deploy.digest, verdict))


def keep_waiting(reason: str, tx: Tx, deploy: Deploy) -> None:
    """Keep the push for the release of the stage, and record the reason on its tag."""
    source, now = Source(deploy.trigger.value), deploy.created_at
    tx.add_held_push(push_of(deploy))
    verdict = PushVerdict(
        at=now, source=source, outcome=Outcome.WAITING, reason=reason, deploy=deploy.id
    )
    tx.record_tag(judged_tag(deploy.project_id, deploy.tag, deploy.digest, verdict))
