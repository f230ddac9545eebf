"""The sentences that ask before an order is carried out, and say that it was."""

from dataclasses import dataclass

from tagboat.web.typed_commands import TypedCommand, Verb


@dataclass(frozen=True, slots=True)
class OrderWords:
    """The question of an order, what will happen, the text of its button, and what is said after.

    `is_risky` is True where something is taken back or stopped.
    """

    question: str
    sentence: str
    button: str
    done: str
    is_risky: bool = False


def order_words(command: TypedCommand) -> OrderWords:
    """Return the words of an order with all its own words."""
    project, stage = command.words[:2]
    place = f"{project} {stage}"
    last = command.words[-1]
    match command.verb:
        case Verb.DEPLOY:
            return OrderWords(
                f"Deploy {last} to {place}?",
                "What is live keeps serving until the new one is healthy.",
                f"Deploy {last}",
                f"{last} is queued.",
            )
        case Verb.ROLLBACK:
            return OrderWords(
                f"Roll back {place}?",
                "What was live before serves again, with the configuration it had, and the stage is"
                " held: pushes wait until it is released.",
                "Roll back",
                f"Rolling back. The stage {stage} is held.",
                is_risky=True,
            )
        case Verb.PROMOTE:
            return OrderWords(
                f"Promote {project} from {stage} to {last}?",
                f"Exactly the digest that is live in {stage} is deployed to {last}.",
                f"Promote to {last}",
                f"Promoted from {stage}.",
            )
        case Verb.HOLD:
            return OrderWords(
                f"Hold {place}?",
                "Pushes and polls deploy nothing there until it is released. What is live keeps"
                " serving.",
                "Hold",
                f"{place} is held.",
            )
        case Verb.RELEASE:
            return OrderWords(
                f"Release {place}?",
                "Pushes and polls deploy again, starting with the newest push during the hold.",
                "Release",
                f"{place} is released.",
            )
        case _:
            return OrderWords(
                f"Cancel all deploys of {place}?",
                "What is queued is cancelled, what is running is taken back; what served before"
                " serves.",
                "Cancel deploys",
                f"The deploys of {place} are cancelled.",
                is_risky=True,
            )
