"""`tagboat explain`, `tagboat poll` and `tagboat webhook`."""

import sys
from urllib.parse import quote

from tagboat.cli import show
from tagboat.cli.client import Client
from tagboat.cli.names import find_project
from tagboat.core.errors import TagboatError


def explain(client: Client, image: str, *, as_json: bool) -> int:
    """Say what a push of the image would do, and why."""
    answer = client.get(f"/api/explain?image={quote(image, safe='')}")
    if as_json:
        show.as_json(answer)
        return 0
    where = f" in {answer['project']['name']} {answer['stage']['name']}" if answer["project"] and answer["stage"] else ""
    show.line(f"{answer['image']}:{answer['tag']} would be {answer['outcome']}{where}: {answer['reason']}")
    if answer["considered"]:
        show.table(
            ("stage", "pattern", "matches"),
            ((item["stage"], item["pattern"], "yes" if item["matches"] else "no") for item in answer["considered"]),
        )
    return 0


def poll(client: Client, project: str | None, *, as_json: bool) -> int:
    """Poll one project, or all."""
    wanted = [find_project(client, project)] if project else client.items("/api/projects")
    reports = []
    for item in wanted:
        show.progress(f"polling {item['image']}")
        reports.append({"project": item["name"], **client.post(f"/api/projects/{item['id']}/poll")})
    if as_json:
        show.as_json(reports)
    else:
        show.table(
            ("project", "new tags", "deploys", "note"),
            (
                (
                    report["project"],
                    ", ".join(report["new_tags"]),
                    ", ".join(report["deploys"]),
                    report["error"] or ("first poll: tags are recorded, nothing is deployed" if report["first_poll"] else ""),
                )
                for report in reports
            ),
        )
    return 1 if any(report["error"] for report in reports) else 0


def webhook_url(client: Client, *, as_json: bool) -> int:
    """Show the secret URL."""
    answer = client.get("/api/settings/webhook")
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])
    return 0


def webhook_regenerate(client: Client, *, sure: bool, as_json: bool) -> int:
    """Make a new secret URL; the old one stops working at once."""
    if not sure:
        if not sys.stdin.isatty():
            raise TagboatError("the old URL would stop working at once; say --yes if that is meant")
        if input("The old URL stops working at once. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
            return 1
    answer = client.post("/api/settings/webhook/regenerate")
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])
    return 0
