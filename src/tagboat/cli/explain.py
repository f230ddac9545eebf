"""`tagboat explain`."""

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.core.errors import TagboatError


def explain(client: Client, image: str, *, as_json: bool) -> int:
    """Say what a push of the image would do, and why."""
    answer = client.get("/api/explain", image=image)
    if as_json:
        show.as_json(answer)
        return 0
    where = (
        f" in {answer['project']['name']} {answer['stage']['name']}"
        if answer["project"] and answer["stage"]
        else ""
    )
    goes_on = answer["outcome"] in {"queued", "merged", "waiting"}
    missing = (
        " (the registry has no such tag yet)" if goes_on and _is_missing(client, answer) else ""
    )
    show.line(
        f"{answer['image']}:{answer['tag']} would be {answer['outcome']}{where}: {answer['reason']}{missing}"
    )
    if answer["considered"]:
        show.table(
            ("stage", "pattern", "matches"),
            (
                (tried["stage"], tried["pattern"], "yes" if tried["matches"] else "no")
                for tried in answer["considered"]
            ),
        )
    return 0


def _is_missing(client: Client, answer: Answer) -> bool:
    """Whether the registry lists all its tags, and not this one; False where it cannot be asked."""
    try:
        listed = client.get("/api/images/tags", image=answer["image"])
    except TagboatError:
        return False
    return (
        listed["error"] is None and bool(listed["whole"]) and answer["tag"] not in listed["items"]
    )
