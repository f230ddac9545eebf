"""One-off commands, with their output as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from tagboat.api.answers import Responses, problems
from tagboat.api.lifecycle_schemas import CommandOrder
from tagboat.api.log_streams import Stopping
from tagboat.api.roles import ADMIN_ONLY
from tagboat.api.services import Ops
from tagboat.api.values import StageId
from tagboat.core.errors import TagboatError
from tagboat.http.event_hub import HEARTBEAT, HEARTBEAT_S
from tagboat.http.stream_response import ClosingStreamResponse
from tagboat.item_streams import items_until
from tagboat.operations.one_offs import StartedCommand

_SERVER_SENT = "text/event-stream"
_OUTPUT: Responses = {
    200: {
        "description": (
            "Server-sent events: `started` with `id` and `container`; `line` with `at` and `text`;"
            " at last `end` with `exit_code`, or `error` with `detail` where it is not known how"
            " the command ended, or it was ended for its time. Closing the connection ends it."
        ),
        "content": {_SERVER_SENT: {}},
    }
}

router = APIRouter(prefix="/api/stages/{stage_id}", tags=["orders"])


@router.post(
    "/runs",
    response_class=StreamingResponse,
    responses={**_OUTPUT, **problems(404, 409, 413, 422)},
    openapi_extra=ADMIN_ONLY,
)
async def run_one_off(
    operations: Ops, stopping: Stopping, stage_id: StageId, body: CommandOrder
) -> StreamingResponse:
    """Run a command once, in the live image and with the configuration of the live instance.

    It gets environment, secrets, networks and volumes as the release command does, in a container
    of its own that is not published, gets no traffic, and is removed at its end. An admin only: it
    can read all secrets of the app.
    """
    started = await operations.one_offs.run(stage_id, body.command, body.timeout_s)
    # nginx would hold lines back until its buffer is full.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    content = _events(started, body.timeout_s, stopping)
    return ClosingStreamResponse(content, media_type=_SERVER_SENT, headers=headers)


async def _events(
    started: StartedCommand, limit_s: int, stopping: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    run = started.run
    yield _block("started", {"id": run.one_off.id, "container": run.one_off.container})
    try:
        async with aclosing(items_until(stopping.wait, started.output(), HEARTBEAT_S)) as items:
            async for line in items:
                yield _block("line", {"at": line.at, "text": line.text}) if line else HEARTBEAT
    except TagboatError as error:
        yield _block("error", {"detail": str(error)})
        return
    # Before the exit code, which it has as well: that of the signal.
    if run.timed_out:
        words = f"the command was still running after {limit_s} s and was ended"
        yield _block("error", {"detail": words})
    elif run.exit_code is None:
        yield _block("error", {"detail": "the server stops, and has ended the command"})
    else:
        yield _block("end", {"exit_code": run.exit_code})


def _block(name: str, data: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
