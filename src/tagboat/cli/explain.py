"""`tagboat explain`."""

from tagboat.cli import show
from tagboat.cli.client import Client


def explain(client: Client, image: str, *, as_json: bool) -> int:
    """Say what a push of the image would do, and why."""
    answer = client.get("/api/explain", image=image)
    if as_json:
        show.as_json(answer)
        return 0
    where = f" in {answer['project']['name']} {answer['stage']['name']}" if answer["project"] and answer["stage"] else ""
    show.line(f"{answer['image']}:{answer['tag']} would be {answer['outcome']}{where}: {answer['reason']}")
    if answer["considered"]:
        show.table(
            ("stage", "pattern", "matches"),
            ((tried["stage"], tried["pattern"], "yes" if tried["matches"] else "no") for tried in answer["considered"]),
        )
    return 0
