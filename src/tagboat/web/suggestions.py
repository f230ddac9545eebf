"""Suggestions while somebody types: pure functions of what was found."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from msgspec import Struct

from tagboat.core.catalog import Stage
from tagboat.core.principal import Role
from tagboat.operations.queries.finder import Finds, FoundProject
from tagboat.web.navigation import navigation_for
from tagboat.web.places import project_path, stage_logs_path, stage_path
from tagboat.web.typed_commands import (
    TypedCommand,
    Verb,
    command_line,
    purpose_of,
    start_of,
    use_of,
    verbs_like,
)

ORDER_PATH = "/find/order"
# All pages and commands, for those who have typed nothing.
MOST_SUGGESTED = 16
# Where the words of a command have their places: stages come second, and third when promoted.
_STAGE_PLACE, _LAST_PLACE = 1, 2


class Suggestion(Struct, frozen=True):
    """A line to choose.

    `text` is what the field then has. `path` is where it leads, empty where more is to be typed.
    `command` is the same for a terminal, empty where there is none. `why_not` says why the person
    may not do it, empty where they may.
    """

    text: str
    title: str
    detail: str = ""
    path: str = ""
    command: str = ""
    why_not: str = ""


def suggestions(command: TypedCommand, finds: Finds, role: Role) -> list[Suggestion]:
    """Return the lines for what is typed, best first."""
    if command.verb is Verb.GO:
        found = _places(command, finds, role)
    elif command.verb is Verb.WHY:
        found = _explained(command, finds)
    else:
        found = _words_of_command(command, finds, role)
    return [one for one, _ in zip(found, range(MOST_SUGGESTED), strict=False)]


def project_text(command: TypedCommand) -> str:
    """Return the part of what is typed that names a project."""
    word = command.word(0)
    return word.rpartition(":")[0] or word if command.verb is Verb.WHY else word


def tag_text(command: TypedCommand) -> str:
    """Return the part of what is typed that names a tag."""
    if command.verb is Verb.WHY:
        return command.word(0).rpartition(":")[2] if ":" in command.word(0) else ""
    return command.word(_LAST_PLACE) if command.verb is Verb.DEPLOY else ""


def _places(command: TypedCommand, finds: Finds, role: Role) -> Iterator[Suggestion]:
    typed = " ".join(command.words).strip()
    if finds.exact is not None and len(command.words) > 1:
        yield from _stages_to_see(finds.exact, command.word(_STAGE_PLACE))
        return
    if len(command.words) == 1:
        for found in finds.projects if typed else ():
            name = found.project.name
            stages = ", ".join(stage.name for stage in found.stages[:5])
            yield Suggestion(f"{name} ", name, stages or "no stages", project_path(name))
        if finds.exact is not None:
            yield from _stages_to_see(finds.exact, "")
    for entry in navigation_for(role):
        if typed.lower() in entry.name.lower():
            yield Suggestion(entry.name, entry.name, "page", entry.path)
    for verb in verbs_like(typed):
        why_not = _why_not(verb, role, None)
        yield Suggestion(start_of(verb), use_of(verb), purpose_of(verb), why_not=why_not)


def _stages_to_see(found: FoundProject, begun: str) -> Iterator[Suggestion]:
    name = found.project.name
    for stage in _suited(found.stages, begun):
        text = f"{name} {stage.name}"
        yield Suggestion(text, text, "stage", stage_path(name, stage.name))


def _explained(command: TypedCommand, finds: Finds) -> Iterator[Suggestion]:
    if finds.exact is None:
        if "/" in command.word(0):
            yield _why_not_offered(command.word(0), command.word(0))
        for found in finds.projects:
            yield Suggestion(f"why {found.project.name}:", f"why {found.project.name}:TAG")
        return
    project, tag = finds.exact.project, tag_text(command)
    tags = [*finds.tags, *([tag] if tag and tag not in finds.tags else [])]
    if tag in tags:
        tags = [tag, *(one for one in tags if one != tag)]
    for one in tags:
        yield _why_not_offered(f"{project.name}:{one}", f"{project.image}:{one}")
    if not tags:
        yield Suggestion(f"why {project.name}:", f"why {project.name}:TAG", "No tag is known yet")


def _why_not_offered(named: str, image: str) -> Suggestion:
    return Suggestion(
        f"why {named}",
        f"why {named}",
        purpose_of(Verb.WHY),
        f"/explain?{urlencode({'image': image})}",
        command_line(Verb.WHY, image),
    )


def _words_of_command(command: TypedCommand, finds: Finds, role: Role) -> Iterator[Suggestion]:
    verb, exact = command.verb, finds.exact
    if command.is_at(0) or exact is None:
        for found in finds.projects:
            text = f"{start_of(verb)}{found.project.name} "
            yield Suggestion(text, text, purpose_of(verb), why_not=_why_not(verb, role, found))
        return
    why_not = _why_not(verb, role, exact)
    name = exact.project.name
    has_more = verb in {Verb.DEPLOY, Verb.PROMOTE}
    if command.is_at(_STAGE_PLACE) or not has_more:
        for stage in _suited(exact.stages, command.word(_STAGE_PLACE)):
            text = f"{start_of(verb)}{name} {stage.name}"
            if has_more:
                yield Suggestion(f"{text} ", text, purpose_of(verb), why_not=why_not)
            else:
                yield _whole(verb, text, (name, stage.name), why_not)
        return
    first = command.word(_STAGE_PLACE)
    if all(stage.name != first for stage in exact.stages):
        return
    for last in _last_words(command, finds):
        text = f"{start_of(verb)}{name} {first} {last}"
        yield _whole(verb, text, (name, first, last), why_not)


def _last_words(command: TypedCommand, finds: Finds) -> Sequence[str]:
    typed = command.word(_LAST_PLACE)
    if command.verb is Verb.PROMOTE:
        stages = finds.exact.stages if finds.exact else ()
        found = [stage.name for stage in _suited(stages, typed)]
        return [name for name in found if name != command.word(_STAGE_PLACE)]
    others = [tag for tag in finds.tags if tag != typed]
    # The registry may have a tag that nobody has told Tagboat of.
    return [typed, *others] if typed else others


def _whole(verb: Verb, text: str, words: tuple[str, ...], why_not: str) -> Suggestion:
    path = f"{ORDER_PATH}?{urlencode({'q': text})}"
    if verb is Verb.LOGS:
        path = stage_logs_path(*words[:2])
    return Suggestion(
        text,
        text,
        purpose_of(verb),
        "" if why_not else path,
        command_line(verb, *words),
        why_not,
    )


def _suited(stages: Sequence[Stage], begun: str) -> list[Stage]:
    wanted = begun.lower()
    found = [stage for stage in stages if wanted in stage.name.lower()]
    # The one that is typed in full comes before those that only contain it.
    return sorted(found, key=lambda stage: not stage.name.lower().startswith(wanted))


def _why_not(verb: Verb, role: Role, found: FoundProject | None) -> str:
    if not verb.is_order:
        return ""
    if not role.includes(Role.DEPLOYER):
        return f"You are a {role}: ask an admin for the role deployer."
    if found is not None and not found.may_act:
        return "You may not act on this project: ask an admin to allow it."
    return ""
