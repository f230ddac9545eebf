"""`tagboat adopt`: takes a running container over."""

from typing import Annotated

import typer

from tagboat.cli import show
from tagboat.cli.client import ApiObject
from tagboat.cli.options import JsonOption, YesOption, connect
from tagboat.cli.prompts import confirm
from tagboat.core.errors import TagboatError


def adopt_command(
    container: Annotated[
        str, typer.Argument(metavar="CONTAINER", help="Its name or id, as in 'docker ps'.")
    ],
    *,
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="NAME", help="The project; else named after the image."),
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="NAME", help="The stage; else prod.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="PATTERN", help="Its tag pattern; else by its tag."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="The port of the app; else as published."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Leave out what Tagboat cannot give the app.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a running container over as a project and a stage.

    Image, environment, ports, volumes, networks and limits are carried over. The container goes on
    as it is, and the stage is held: nothing is deployed to it until you do. The first deploy
    replaces the container, which is then stopped and not removed.

    Example: tagboat adopt shop-web-1 --project shop --dry-run
    """
    client = connect()
    wish = {"project": project, "stage": stage, "pattern": pattern, "port": port}
    order: dict[str, object] = {"container": container, "force": force}
    order |= {name: value for name, value in wish.items() if value is not None}
    # Always first, so that people see what they are asked about.
    plan = client.post("/api/adopt", {**order, "dry_run": True})
    if not as_json:
        _show_adoption_plan(plan)
    elif dry_run:
        show.as_json(plan)
    if dry_run:
        return
    if plan["dangers"] and not force:
        raise TagboatError(
            f"{plan['container']} may not work the same: {'; '.join(plan['dangers'])}."
            " Nothing was changed; to leave that out, use --force"
        )
    if not yes and not plan["seamless"]:
        words = " ".join(plan["first_deploy"]) or "The first deploy interrupts the app."
        interrupts = f"the first deploy interrupts {plan['container']}"
        confirm(words, interrupts, can_ask=not as_json)
    # By id: another container may have the name by now.
    adopted = client.post("/api/adopt", {**order, "container": plan["container_id"]})
    (show.as_json if as_json else _show_next)(adopted)


def _show_next(adopted: ApiObject) -> None:
    name, of_stage = adopted["project"]["name"], adopted["stage"]["name"]
    show.line(f"{adopted['container']} is adopted as {name} {of_stage}, which is held.")
    show.line("Next:")
    show.line(f"  tagboat deploy {name} {of_stage} {adopted['tag']} --wait   replace it")
    show.line(f"  tagboat release {name} {of_stage}   let pushes deploy from then on")


def _show_adoption_plan(plan: ApiObject) -> None:
    project, stage = plan["project"], plan["stage"]
    made = "a new project" if project["created"] else "the project that there is"
    show.line(f"{plan['container']} becomes the stage {stage['name']} of {project['name']}, {made}")
    rows: list[tuple[str, object]] = [
        ("image", f"{project['image']}:{plan['tag']}"),
        ("port", project["port"] or "none"),
        ("healthcheck", project["healthcheck"]),
        ("tag_pattern", stage["tag_pattern"]),
        ("domains", ", ".join(stage["domains"])),
        ("env", ", ".join(f"{name}={value}" for name, value in stage["env"].items())),
        ("volumes", ", ".join(f"{name} at {path}" for path, name in stage["volumes"].items())),
        *(
            (
                name,
                ", ".join(map(str, value)) if isinstance(value, list) else show.compact(value),
            )
            for name, value in stage["options"].items()
            if name != "volumes"
        ),
        ("strategy", plan["strategy"]),
        ("reached at", plan["endpoint"] or "nowhere"),
    ]
    for name, value in rows:
        if value != "":
            show.line(f"  {name}: {value}")
    for words in plan["first_deploy"]:
        show.line(words)
    for words in plan["remarks"]:
        show.progress(f"note: {words}")
    for words in plan["dangers"]:
        show.progress(f"left out, which needs --force: {words}")
