"""`tagboat deliveries`: the webhook's log."""

from urllib.parse import quote

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, Answer, Client

_LOOKED_AT = 200
_COLUMNS = ("id", "received", "sender", "webhook", "status", "outcome")
_SKIPPED_COLUMNS = ("skipped", "why")
_PUSH_COLUMNS = ("image", "tag", "outcome", "project", "stage", "deploy", "why")


def deliveries(client: Client, *, limit: int, as_json: bool) -> int:
    """List the newest calls, and what came of them."""
    items = client.get("/api/deliveries", limit=limit)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(_COLUMNS, map(_row, items))
    else:
        show.line("Nobody has called the webhook yet ('tagboat webhook url' shows it).")
    return 0


def show_delivery(client: Client, delivery: str, *, as_json: bool) -> int:
    """Show one call with its headers and body, and what came of each of its pushes."""
    answer = client.get(_path(delivery))
    if as_json:
        show.as_json(answer)
        return 0
    which = (
        "the URL for all images" if answer["hook"] is None else f"the webhook {_webhook(answer)}"
    )
    received, took = show.when(answer["received_at"]), f"{answer['took_ms']:.1f} ms"
    show.line(
        f"{answer['sender']} called {which} at {received}; answered {answer['status']} in {took}"
    )
    show.line(_told(answer))
    if answer["pushes"]:
        show.line("")
        show.table(_PUSH_COLUMNS, map(_push_row, answer["pushes"]))
    _show_skipped(answer)
    if answer["headers"]:
        show.line("")
        show.line("\n".join(f"{name}: {value}" for name, value in answer["headers"].items()))
    if answer["body"]:
        show.line("")
        show.line(answer["body"])
    if answer["truncated"]:
        show.progress("of the body only the beginning was kept")
    return 0


def redeliver(client: Client, delivery: str, *, as_json: bool) -> int:
    """Have the server take one call in once more."""
    receipt = client.post(f"{_path(delivery)}/redeliver", timeout_s=LONG_TIMEOUT_S)
    if as_json:
        show.as_json(receipt)
        return 0
    if receipt["pushes"]:
        show.table(_PUSH_COLUMNS, map(_push_row, receipt["pushes"]))
    else:
        show.line(f"nothing to push: {receipt.get('reason') or 'it names no image'}")
    _show_skipped(receipt)
    return 0


def needing_you(client: Client) -> list[Answer]:
    """Of each sender at each URL the newest call, where that says what a person has to do about the sender."""
    newest: dict[tuple[str, str], Answer] = {}
    for item in client.get("/api/deliveries", limit=_LOOKED_AT)["items"]:
        newest.setdefault((item["sender"], _webhook(item)), item)
    return [item for item in newest.values() if item.get("needs_you")]


def _show_skipped(answer: Answer) -> None:
    if skipped := answer.get("skipped"):
        show.line("")
        show.table(_SKIPPED_COLUMNS, ((one["image"], one["reason"]) for one in skipped))


def _path(delivery: str) -> str:
    return f"/api/deliveries/{quote(delivery, safe='', errors='replace')}"


def _row(item: Answer) -> tuple[object, ...]:
    return (
        item["id"],
        show.when(item["received_at"]),
        item["sender"],
        _webhook(item),
        item["status"],
        _told(item),
    )


def _push_row(push: Answer) -> tuple[object, ...]:
    project, stage = push["project"], push["stage"]
    return (
        push["image"],
        push["tag"],
        push["outcome"],
        project and project["name"],
        stage and stage["name"],
        push["deploy"],
        push["reason"],
    )


def _webhook(item: Answer) -> str:
    """The webhook's name; in brackets where it has none."""
    if item["hook"] is None:
        return "(all)"
    return item["hook"]["name"] or "(revoked)"


def _told(item: Answer) -> str:
    """The outcome and why. A single push's sentence has its outcome in it."""
    if len(item["pushes"]) == 1 or not item["reason"]:
        return item["reason"] or str(item["outcome"])
    return f"{item['outcome']}: {item['reason']}"
