"""Sentences about registries: pure functions."""

from collections.abc import Sequence

from msgspec import Struct

from tagboat.core.catalog import Registry
from tagboat.operations.queries.registry_use import RegistryUse
from tagboat.operations.services import Check
from tagboat.web.messages import Tone


class RegistryLine(Struct, frozen=True):
    """The state of a registry as a tone, a word, and a sentence."""

    tone: Tone
    state: str
    sentence: str


def registry_line(use: RegistryUse) -> RegistryLine:
    """Return what is known of a registry without asking it."""
    if use.trouble is not None:
        return RegistryLine(Tone.BAD, "failing", use.trouble.error)
    if not use.projects:
        return RegistryLine(Tone.PLAIN, "not used", "No project has an image of it yet.")
    number = len(use.projects)
    images = (
        "The image of one project is" if number == 1 else f"The images of {number} projects are"
    )
    return RegistryLine(Tone.OK, "in use", f"{images} in it, and no poll of it fails.")


def check_sentence(registry: Registry, checks: Sequence[Check]) -> str:
    """Return the result of a registry's test; empty where it was not tested."""
    if not checks:
        return ""
    failed = [check for check in checks if not check.ok]
    if not failed:
        return f"{registry.name} can be reached and accepts the login."
    # The first one: those after it are often its consequence.
    return f"{registry.name} cannot be used yet: {failed[0].detail}"
