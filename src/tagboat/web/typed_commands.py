"""The commands that people type into a page, in the grammar of the command line."""

import re
import shlex
from enum import StrEnum

from msgspec import Struct

from tagboat.core.errors import InvalidValueError


class Verb(StrEnum):
    """The first word of a command; `go` stands for none."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    HOLD = "hold"
    RELEASE = "release"
    PROMOTE = "promote"
    RESTART = "restart"
    STOP = "stop"
    START = "start"
    CANCEL = "cancel"
    LOGS = "logs"
    WHY = "why"
    GO = "go"

    @property
    def is_order(self) -> bool:
        """True for those that change something, and need a deployer."""
        return self not in {Verb.LOGS, Verb.WHY, Verb.GO}


_OTHER_NAMES = {"roll": Verb.ROLLBACK, "explain": Verb.WHY, "log": Verb.LOGS}
# Longer texts are no command, and would only cost time.
_MOST_CHARACTERS = 300
_USES = {
    Verb.DEPLOY: "deploy PROJECT STAGE TAG",
    Verb.ROLLBACK: "roll back PROJECT STAGE",
    Verb.HOLD: "hold PROJECT STAGE",
    Verb.RELEASE: "release PROJECT STAGE",
    Verb.PROMOTE: "promote PROJECT FROM TO",
    Verb.RESTART: "restart PROJECT STAGE",
    Verb.STOP: "stop PROJECT STAGE",
    Verb.START: "start PROJECT STAGE",
    Verb.CANCEL: "cancel PROJECT STAGE",
    Verb.LOGS: "logs PROJECT STAGE",
    Verb.WHY: "why PROJECT:TAG",
    Verb.GO: "",
}
_DOES = {
    Verb.DEPLOY: "Deploy a tag",
    Verb.ROLLBACK: "Go back to what was live before",
    Verb.HOLD: "Let pushes deploy nothing",
    Verb.RELEASE: "Let pushes deploy again",
    Verb.PROMOTE: "Deploy what is live in another stage",
    Verb.RESTART: "Deploy again what is live",
    Verb.STOP: "End the stage's instances, until it is started",
    Verb.START: "Deploy what was live last",
    Verb.CANCEL: "Cancel what is queued or running",
    Verb.LOGS: "Show the log",
    Verb.WHY: "What would a push of that do?",
    Verb.GO: "",
}


class TypedCommand(Struct, frozen=True):
    """A command as far as it is typed: its verb, and the words after it.

    The last word is the one that is being typed: it is empty after a blank.
    """

    verb: Verb
    words: tuple[str, ...]

    def word(self, place: int) -> str:
        """Return the word at a place, empty where it is not typed yet."""
        return self.words[place] if place < len(self.words) else ""

    def is_at(self, place: int) -> bool:
        """Return whether the word at that place is being typed, or is the next one."""
        return max(0, len(self.words) - 1) == place


def use_of(verb: Verb) -> str:
    """Return how a command is typed, such as `deploy PROJECT STAGE TAG`."""
    return _USES[verb]


def purpose_of(verb: Verb) -> str:
    """Return what a command does, in a few words."""
    return _DOES[verb]


def typed_command(text: str) -> TypedCommand:
    """Return what is typed, with `roll back` for `rollback` and `tagboat` in front or not."""
    text = text[:_MOST_CHARACTERS].lstrip()
    words = re.split(r"\s+", text)
    # People paste the command line that they know.
    if len(words) > 1 and words[0] == "tagboat":
        words = words[1:]
    first = words[0].lower()
    verb = _OTHER_NAMES.get(first) or next((one for one in Verb if one == first), None)
    # A word that is still being typed may become another.
    if verb is None or verb is Verb.GO or len(words) == 1:
        return TypedCommand(Verb.GO, tuple(words))
    rest = words[1:]
    if first == "roll":
        if rest[0].lower() != "back":
            return TypedCommand(Verb.GO, tuple(words))
        rest = rest[1:] or [""]
    return TypedCommand(verb, tuple(rest))


def verbs_like(text: str) -> list[Verb]:
    """Return the verbs that begin with a text, in any case; all for an empty one."""
    begun = text.lower()
    return [
        verb
        for verb in Verb
        if verb is not Verb.GO and (use_of(verb).startswith(begun) or verb.startswith(begun))
    ]


def start_of(verb: Verb) -> str:
    """Return what is typed before the first word of a command, with a blank."""
    return use_of(verb).partition("PROJECT")[0]


def command_line(verb: Verb, *words: str) -> str:
    """Return the command for a terminal."""
    name = {Verb.WHY: "explain"}.get(verb, verb.value)
    return shlex.join(["tagboat", name, *words])


def whole_order(text: str) -> TypedCommand:
    """Return an order with all its words; raise InvalidValueError, with its use, for another."""
    command = typed_command(text)
    wanted = use_of(command.verb).removeprefix(start_of(command.verb)).split()
    words = tuple(word for word in command.words if word)
    if not command.verb.is_order:
        known = ", ".join(use_of(verb) for verb in Verb if verb.is_order)
        raise InvalidValueError(f"{text[:80]!r} is not an order; known are: {known}")
    if len(words) != len(wanted):
        raise InvalidValueError(f"type it as: {use_of(command.verb)}")
    return TypedCommand(command.verb, words)
