"""The lines of the strip "needs you": a state, a sentence, and where to go."""

from msgspec import Struct

from tagboat.operations.queries.needs import Need, NeedKind, NeedTarget
from tagboat.web.messages import Tone
from tagboat.web.places import delivery_path, deploy_path, stage_path

_BAD = frozenset({NeedKind.FAILED, NeedKind.UNHEALTHY, NeedKind.DISK})
# Where the next step is known, the button says it.
_BUTTONS = {
    NeedKind.HELD: "Release…",
    NeedKind.WAITING: "Look",
    NeedKind.SILENT: "Why",
    NeedKind.SENDER: "Why",
}


class NeedLine(Struct, frozen=True):
    """One line. `path` is where to deal with it, None where that is not a page; `button` leads."""

    need: Need
    tone: Tone
    path: str | None
    button: str
    sentence: str


def need_line(need: Need) -> NeedLine:
    """Return the line for a thing that needs a person."""
    sentence = need.sentence[:1].upper() + need.sentence[1:]
    return NeedLine(
        need=need,
        tone=Tone.BAD if need.kind in _BAD else Tone.WAIT,
        path=need_path(need),
        button=_BUTTONS.get(need.kind, "Open"),
        # After the names of project and stage it goes on as it is.
        sentence=need.sentence if need.project else sentence,
    )


def need_path(need: Need) -> str | None:
    """Return the page where it can be dealt with, None where there is none."""
    match need.target:
        case NeedTarget.DEPLOY:
            return deploy_path(need.target_id)
        case NeedTarget.STAGE if need.project and need.stage:
            return stage_path(need.project.name, need.stage.name)
        case NeedTarget.DELIVERY:
            return delivery_path(need.target_id)
        case NeedTarget.REGISTRY:
            # A registry that does not call needs its webhook looked at, not its login.
            return "/connect" if need.kind is NeedKind.SILENT else "/registries"
        # A disk has no page: the sentence says it all.
        case _:
            return None
