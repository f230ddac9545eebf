"""Sentences about the server's health and its disks: pure functions."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from tagboat.core.keeping import Disk
from tagboat.operations.health import WELL, SystemHealth
from tagboat.web.messages import Tone

_WELL_WORDS = {
    "database": "It answers.",
    "engine": "It answers.",
    "ingress": "It runs, and routes requests.",
    "registries": "No registry failed at its last poll.",
}
_BYTE_UNITS = ("kB", "MB", "GB", "TB", "PB")
_SIZE_STEP = 1000


class HealthLine(Struct, frozen=True):
    """One check: its name, the tone, and the finding."""

    name: str
    tone: Tone
    text: str


def health_sentence(health: SystemHealth, disks: Sequence[Disk] = ()) -> tuple[Tone, str]:
    """Return the health of the server in one sentence, with its tone."""
    # By name: the reasons stand below, and would make a headline of ten lines.
    out = [name for name, state in health.checks.items() if state not in WELL]
    out += [f"a disk ({disk.name})" for disk in disks if disk.low]
    if not out:
        return Tone.OK, "Everything that this server needs answers."
    if health.status == "unavailable":
        return Tone.BAD, "The database is out of reach: pushes cannot be accepted."
    these = "this needs" if len(out) == 1 else "these need"
    return Tone.WAIT, f"Pushes are accepted, but {these} a person: {', '.join(out)}."


def health_lines(health: SystemHealth) -> Iterator[HealthLine]:
    """Yield each check in words."""
    for name, state in health.checks.items():
        if state == "none":
            yield HealthLine(
                name.capitalize(), Tone.PLAIN, "There is none: TAGBOAT_INGRESS is none."
            )
        elif state in WELL:
            yield HealthLine(name.capitalize(), Tone.OK, _WELL_WORDS.get(name, "It is well."))
        else:
            yield HealthLine(name.capitalize(), Tone.BAD, state)


def disk_sentence(disk: Disk) -> str:
    """Return how full a disk is, and what to do where it will soon be full."""
    free = f"{size_words(disk.free)} of {size_words(disk.total)} are free at {disk.path}."
    if not disk.low:
        return free
    return f"{free} Make room: the next image or the database may not fit."


def size_words(count: int | None) -> str:
    """Return bytes as people read them, such as `61 MB`; None is a size that nobody knows."""
    if count is None:
        return "size unknown"
    if count < _SIZE_STEP:
        return f"{count} B"
    size = float(count)
    for unit in _BYTE_UNITS:
        size /= _SIZE_STEP
        # As it is shown: 999.9 would be rounded to 1000.
        if round(size) < _SIZE_STEP or unit == _BYTE_UNITS[-1]:
            return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"  # noqa: PLR2004
    raise AssertionError("unreachable")
