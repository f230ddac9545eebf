"""Which images become projects by themselves, and how many: pure functions that return a named reason."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tagboat.core.excerpt import some_of
from tagboat.core.image import ImageName
from tagboat.core.image_glob import ImageGlob

MOST_PUSHES = 100
"""Pushes of one call that are carried through."""
MOST_NEW_PROJECTS = 20
"""Projects that one call makes."""
TOO_MANY_PUSHES = (
    f"it is beyond the first {MOST_PUSHES} pushes of its call, and a call brings no more; "
    "send it in one of its own"
)
_TOO_MANY_NEW = f"one call makes {MOST_NEW_PROJECTS} projects at most; send it in one of its own"
Screened = Mapping[ImageName, str | None]


@dataclass(frozen=True, slots=True)
class AutoCreate:
    """Whether an image never seen before becomes a project.

    `images` are the globs of those that may; None stands for what is on one of `hosts`, those of the registries configured,
    and for every image as long as there are none. `most` is the number of projects beyond which none is made unasked.
    """

    enabled: bool
    images: tuple[ImageGlob, ...] | None
    hosts: frozenset[str] = frozenset()
    most: int = 1000


def refuses(policy: AutoCreate, image: ImageName) -> str | None:
    """The reason why an unknown image is not made a project; None when it may become one."""
    if not policy.enabled:
        return f"no project has the image {image}, and the setting auto_create is off"
    if policy.images is not None and not any(glob.matches(image) for glob in policy.images):
        return f"no project has the image {image}, and nothing in the setting auto_create_images allows it"
    if policy.images is None and policy.hosts and image.host not in policy.hosts:
        return (
            f"no project has the image {image}, and {image.host} is not the host of a configured registry; add it as one, or "
            "name the image in the setting auto_create_images"
        )
    return None


def too_many_projects(policy: AutoCreate, image: ImageName, projects: int) -> str | None:
    """The reason why an unknown image is not made a project where there are so many `projects`; None when it may."""
    if projects < policy.most:
        return None
    return (
        f"no project has the image {image}, and none is made unasked beyond {policy.most} (the setting max_projects): "
        f"there are {projects}"
    )


def newcomers(
    policy: AutoCreate, unknown: Sequence[ImageName], at_hand: Collection[ImageName], projects: int
) -> Screened:
    """Of the images of one call that no project has, each with None where it becomes one, else with the reason why not.

    `at_hand` are those that the call was found to make projects of before: they count among its `MOST_NEW_PROJECTS`, and no
    others take their place.
    """
    left = MOST_NEW_PROJECTS - len(at_hand)
    screened: dict[ImageName, str | None] = {}
    for image in unknown:
        reason = refuses(policy, image) or too_many_projects(policy, image, projects)
        if reason is None and image not in at_hand:
            reason = None if left > 0 else f"no project has the image {image}, and {_TOO_MANY_NEW}"
            left -= 1
        projects += reason is None
        screened[image] = reason
    return screened


def what_the_url_allows(policy: AutoCreate) -> str:
    """What whoever has the webhook URL for all images can do, in a sentence."""
    own = "Whoever has this URL can have any tag of your projects' images deployed, in the stage whose pattern it matches"
    return f"{own}, and {_new_images(policy)}: treat it as a password."


def _new_images(policy: AutoCreate) -> str:
    if not policy.enabled or policy.most == 0 or policy.images == ():
        return "no other image run here"
    if policy.images is not None:
        return f"have any image run here that auto_create_images allows ({some_of([glob.text for glob in policy.images])})"
    if policy.hosts:
        return f"have any image run here that is at {some_of(sorted(policy.hosts))}"
    return "have any image run here, from anywhere (name those that may be in auto_create_images, or add your registry)"
