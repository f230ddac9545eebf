"""`tagboat deliveries`: the webhook's log."""

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject
from tagboat.cli.list_group import ListGroup
from tagboat.cli.options import JsonOption, LimitOption, connect
from tagboat.core.errors import NotFoundError

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
DeliveryArg = Annotated[
    str,
    typer.Argument(metavar="ID", help="The delivery's id.", autocompletion=complete.delivery_ids),
]
_PUSH_COLUMNS = ("image", "tag", "outcome", "project", "stage", "deploy", "why")


@app.callback()
def deliveries_group(
    ctx: typer.Context, *, limit: LimitOption = 20, as_json: JsonOption = False
) -> None:
    """List the newest calls of the webhook and their results.

    For each call: the sender, the answer, and why, in one sentence.
    """
    if ctx.invoked_subcommand is None:
        deliveries_list(limit=limit, as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def deliveries_list(*, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """List the newest calls and their results."""
    items = connect().get("/api/deliveries", limit=limit)["items"]
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("id", "received", "sender", "webhook", "status", "outcome"),
            (
                (
                    item["id"],
                    show.timestamp(item["received_at"]),
                    item["sender"],
                    _webhook_name(item),
                    item["status"],
                    _format_outcome(item),
                )
                for item in items
            ),
        )
    else:
        show.line("Nobody has called the webhook yet ('tagboat webhook url' shows its URL).")


@app.command("show")
def deliveries_show(delivery: DeliveryArg, *, as_json: JsonOption = False) -> None:
    """Show one call whole: what was sent, and the result of each push."""
    # Senders write headers and bodies; show.py removes what would steer a terminal.
    answer = _call_delivery(delivery, connect().get)
    if as_json:
        show.as_json(answer)
        return
    name = _webhook_name(answer)
    which = "the URL for all images" if answer["hook"] is None else f"the webhook {name}"
    received, took = show.timestamp(answer["received_at"]), f"{answer['took_ms']:.1f} ms"
    show.line(
        f"{answer['sender']} called {which} at {received}; answered {answer['status']} in {took}"
    )
    show.line(_format_outcome(answer))
    if answer["pushes"]:
        show.line("")
        show.table(_PUSH_COLUMNS, map(_push_row, answer["pushes"]))
    _show_skipped(answer)
    headers = "\n".join(f"{name}: {value}" for name, value in answer["headers"].items())
    for part in filter(None, (headers, answer["body"])):
        show.line("")
        show.line(part)
    if answer["truncated"]:
        show.progress("only the beginning of the body was kept")


@app.command("redeliver")
def deliveries_redeliver(delivery: DeliveryArg, *, as_json: JsonOption = False) -> None:
    """Process one call again, as if it arrived now."""
    client = connect()
    receipt = _call_delivery(
        delivery, lambda path: client.post(f"{path}/redeliver", timeout_s=LONG_TIMEOUT_S)
    )
    if as_json:
        show.as_json(receipt)
        return
    if receipt["pushes"]:
        show.table(_PUSH_COLUMNS, map(_push_row, receipt["pushes"]))
    else:
        show.line(f"nothing to push: {receipt.get('reason') or 'it names no image'}")
    _show_skipped(receipt)


def _show_skipped(answer: ApiObject) -> None:
    # Servers of older releases do not say what they skipped.
    if skipped := answer.get("skipped"):
        show.line("")
        show.table(("skipped", "why"), ((one["image"], one["reason"]) for one in skipped))


def _call_delivery(delivery: str, call: Callable[[str], ApiObject]) -> ApiObject:
    """Return the answer of `call` for the path of a delivery's id."""
    try:
        return call(f"/api/deliveries/{quote(delivery, safe='', errors='replace')}")
    except NotFoundError:
        raise NotFoundError(
            f"there is no delivery {delivery}; 'tagboat deliveries' shows their ids"
        ) from None


def _push_row(push: ApiObject) -> tuple[object, ...]:
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


def _webhook_name(item: ApiObject) -> str:
    if item["hook"] is None:
        return "(all)"
    # A call is kept longer than the webhook that it came by.
    return item["hook"]["name"] or "(revoked)"


def _format_outcome(item: ApiObject) -> str:
    # The sentence about a single push already has the outcome in it.
    if len(item["pushes"]) == 1 or not item["reason"]:
        return item["reason"] or str(item["outcome"])
    return f"{item['outcome']}: {item['reason']}"
