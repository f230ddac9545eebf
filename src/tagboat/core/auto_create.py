"""Rules for automatic projects: which images get one, and how many. Pure functions with reasons."""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from tagboat.core.excerpt import some_of
from tagboat.core.image import ImageName
from tagboat.core.image_glob import ImageGlob

# Pushes of one call that are processed, and projects that it makes, at most.
MOST_PUSHES = 100
MOST_NEW_PROJECTS = 20
TOO_MANY_PUSHES = (
    f"it is after the first {MOST_PUSHES} pushes of its call, and no more are accepted; "
    "send it in another call"
)
_TOO_MANY_NEW = f"one call makes {MOST_NEW_PROJECTS} projects at most; send it in another call"
Screened = Mapping[ImageName, str | None]


class AutoCreate(Struct, frozen=True):
    """The rules for images that have no project.

    `images` are the globs of those that may get one. None stands for images on one of `hosts`, the
    hosts of the configured registries, and for each image if there are none. `most` is the number
    of projects above which none is made automatically.
    """

    enabled: bool
    images: tuple[ImageGlob, ...] | None
    hosts: frozenset[str] = frozenset()
    most: int = 1000


def refuses(policy: AutoCreate, image: ImageName) -> str | None:
    """Return why an image without a project does not get one; None if it may."""
    if not policy.enabled:
        return f"no project has the image {image}, and the setting auto_create is off"
    if policy.images is not None and not any(glob.matches(image) for glob in policy.images):
        return (
            f"no project has the image {image}, "
            "and nothing in the setting auto_create_images allows it"
        )
    # Registries that people have configured are the ones that they trust.
    if policy.images is None and policy.hosts and image.host not in policy.hosts:
        return (
            f"no project has the image {image}, and {image.host} is not the host of a configured "
            "registry; add it as one, or name the image in the setting auto_create_images"
        )
    return None


def too_many_projects(policy: AutoCreate, image: ImageName, projects: int) -> str | None:
    """Return why an image does not get a project when there are `projects`; None if it may."""
    if projects < policy.most:
        return None
    return (
        f"no project has the image {image}, and none is made automatically above {policy.most} "
        f"(the setting max_projects): there are {projects}"
    )


def newcomers(
    policy: AutoCreate, unknown: Sequence[ImageName], at_hand: Collection[ImageName], projects: int
) -> Screened:
    """Return, for each image of one call without a project, None or the reason why it gets none.

    `at_hand` are the ones that the call was found to make projects of before: they count towards
    its `MOST_NEW_PROJECTS`, and no others take their place.
    """
    left = MOST_NEW_PROJECTS - len(at_hand)
    screened: dict[ImageName, str | None] = {}
    for image in unknown:
        reason = refuses(policy, image) or too_many_projects(policy, image, projects)
        if reason is None and image not in at_hand:
            reason = None if left > 0 else f"no project has the image {image}, and {_TOO_MANY_NEW}"
            left -= 1
        # The limit of the installation counts those of this call, too.
        projects += reason is None
        screened[image] = reason
    return screened


def what_the_url_allows(policy: AutoCreate) -> str:
    """Return a sentence about what the webhook URL for all images allows."""
    # Shown next to the URL: its reader decides who gets it.
    if not policy.enabled or policy.most == 0 or policy.images == ():
        others = "cannot run any other image"
    elif policy.images is not None:
        globs = some_of([glob.text for glob in policy.images])
        others = f"can run each image that auto_create_images allows ({globs})"
    elif policy.hosts:
        others = f"can run each image at {some_of(sorted(policy.hosts))}"
    else:
        others = (
            "can run any image from anywhere (list the allowed ones in auto_create_images, "
            "or add your registry)"
        )
    return (
        "Anybody with this URL can deploy any tag of your projects' images, to the stage whose "
        f"pattern it matches, and {others}. Treat it as a password."
    )
