"""`tagboat explain`."""

from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client import ApiObject, Client
from tagboat.cli.options import JsonOption, connect
from tagboat.core.errors import TagboatError


def explain_command(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE:TAG", help="Such as git.example.com/acme/app:v1.2.3.")
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Explain what a push would do, and why.

    Nothing is changed. Every stage that was tried is shown, up to the one that matches.
    """
    client = connect()
    answer = client.get("/api/explain", image=image)
    if as_json:
        show.as_json(answer)
        return
    where = (
        f" in {answer['project']['name']} {answer['stage']['name']}"
        if answer["project"] and answer["stage"]
        else ""
    )
    # Asking the registry takes a second: only if the tag would be deployed.
    would_deploy = answer["outcome"] in {"queued", "merged", "waiting"}
    missing = would_deploy and _is_missing_in_registry(client, answer)
    show.line(
        f"{answer['image']}:{answer['tag']} would be {answer['outcome']}{where}: "
        f"{answer['reason']}{' (the registry has no such tag yet)' if missing else ''}"
    )
    if answer["considered"]:
        show.table(
            ("stage", "pattern", "matches"),
            (
                (tried["stage"], tried["pattern"], "yes" if tried["matches"] else "no")
                for tried in answer["considered"]
            ),
        )


def _is_missing_in_registry(client: Client, answer: ApiObject) -> bool:
    """Return whether the registry lists all its tags without this one; False if unknown."""
    try:
        listed = client.get("/api/images/tags", image=answer["image"])
    # An explanation without this hint is still right.
    except TagboatError:
        return False
    return (
        listed["error"] is None and bool(listed["whole"]) and answer["tag"] not in listed["items"]
    )
