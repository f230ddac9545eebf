"""The sentences that ask before an order is carried out, and say that it was."""

from collections.abc import Mapping

from msgspec import Struct

from tagboat.web.typed_commands import TypedCommand, Verb


class OrderWords(Struct, frozen=True):
    """The question of an order, what will happen, the text of its button, and what is said after.

    `is_risky` is True where something is taken back or stopped.
    """

    question: str
    sentence: str
    button: str
    done: str
    is_risky: bool = False


# {place} is project and stage, {last} the last word of the order.
_ORDER_WORDS: Mapping[Verb, OrderWords] = {
    Verb.DEPLOY: OrderWords(
        "Deploy {last} to {place}?",
        "What is live keeps serving until the new one is healthy.",
        "Deploy {last}",
        "{last} is queued.",
    ),
    Verb.ROLLBACK: OrderWords(
        "Roll back {place}?",
        "What was live before serves again, with the configuration it had, and the stage is held:"
        " pushes wait until it is released.",
        "Roll back",
        "Rolling back. The stage {stage} is held.",
        is_risky=True,
    ),
    Verb.PROMOTE: OrderWords(
        "Promote {project} from {stage} to {last}?",
        "Exactly the digest that is live in {stage} is deployed to {last}.",
        "Promote to {last}",
        "Promoted from {stage}.",
    ),
    Verb.HOLD: OrderWords(
        "Hold {place}?",
        "Pushes and polls deploy nothing there until it is released. What is live keeps serving.",
        "Hold",
        "{place} is held.",
    ),
    Verb.RELEASE: OrderWords(
        "Release {place}?",
        "Pushes and polls deploy again, starting with the newest push during the hold.",
        "Release",
        "{place} is released.",
    ),
    Verb.RESTART: OrderWords(
        "Restart {place}?",
        "What is live is deployed again, with the saved settings. It keeps serving until the new"
        " one is healthy.",
        "Restart",
        "{place} is started again.",
    ),
    Verb.STOP: OrderWords(
        "Stop {place}?",
        "All its instances end, and requests are answered 503. Pushes wait until it is started.",
        "Stop",
        "{place} is stopped.",
        is_risky=True,
    ),
    Verb.START: OrderWords(
        "Start {place}?",
        "What was live last is deployed again, and pushes deploy from then on.",
        "Start",
        "{place} is started.",
    ),
    Verb.CANCEL: OrderWords(
        "Cancel all deploys of {place}?",
        "What is queued is cancelled, what is running is taken back; what served before serves.",
        "Cancel deploys",
        "The deploys of {place} are cancelled.",
        is_risky=True,
    ),
}


def order_words(command: TypedCommand) -> OrderWords:
    """Return the words of an order with all its own words."""
    project, stage = command.words[:2]
    named = {
        "project": project,
        "stage": stage,
        "place": f"{project} {stage}",
        "last": command.words[-1],
    }
    words = _ORDER_WORDS[command.verb]
    return OrderWords(
        words.question.format_map(named),
        words.sentence.format_map(named),
        words.button.format_map(named),
        words.done.format_map(named),
        words.is_risky,
    )
