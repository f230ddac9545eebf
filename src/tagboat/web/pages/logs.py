"""Logs of stages, instances and deploys: as a page, as a file, and as a stream."""

import asyncio
import re

from starlette.responses import PlainTextResponse, Response

from tagboat.core.errors import EngineError
from tagboat.core.moments import written_at
from tagboat.core.values import replace
from tagboat.operations.queries.logs import MAX_TAIL, LogWindow
from tagboat.web.error_pages import sentence_of
from tagboat.web.log_sources import (
    LogSource,
    read_source,
    source_of_deploy,
    source_of_instance,
    source_of_stage,
)
from tagboat.web.log_stream import LogStream
from tagboat.web.log_words import (
    LINES_SHOWN,
    as_file,
    clock_time,
    log_excerpt,
    log_texts,
)
from tagboat.web.routing import PageRouter
from tagboat.web.visits import Visit

_STAGE = "/projects/{project}/{stage}/logs"
_INSTANCE = "/instances/{instance_id}/logs"
_DEPLOY_LOG = "/deploys/{deploy_id}/log"
# The page is needed at night, while the engine may be what hangs.
_PAGE_WITHIN_S = 1.0
_SKIP_DIGITS = 5

router = PageRouter()


@router.page(_STAGE)
async def stage_logs_page(visit: Visit) -> Response:
    """Show the log of a stage that matters now."""
    return await _show_source(visit, await _stage_of(visit))


@router.page(f"{_STAGE}.txt")
async def stage_logs_file(visit: Visit) -> Response:
    """Send the log of a stage as a file."""
    return await _send_file(visit, await _stage_of(visit))


@router.page(f"{_STAGE}/stream")
async def stage_logs_stream(visit: Visit) -> Response:
    """Follow the log of a stage, through its deploys."""
    return _follow_source(visit, await _stage_of(visit))


@router.page(_INSTANCE)
async def instance_logs_page(visit: Visit) -> Response:
    """Show the log of an instance, or what its deploy has kept of it."""
    source = await source_of_instance(visit.operations, visit.path("instance_id"))
    return await _show_source(visit, source)


@router.page(f"{_INSTANCE}.txt")
async def instance_logs_file(visit: Visit) -> Response:
    """Send the log of an instance as a file."""
    source = await source_of_instance(visit.operations, visit.path("instance_id"))
    return await _send_file(visit, source)


@router.page(f"{_INSTANCE}/stream")
async def instance_logs_stream(visit: Visit) -> Response:
    """Follow the log of an instance until its container is gone."""
    return _follow_source(
        visit, await source_of_instance(visit.operations, visit.path("instance_id"))
    )


@router.page(_DEPLOY_LOG)
async def deploy_log_page(visit: Visit) -> Response:
    """Show the log of the container that a deploy has started, also after it was removed."""
    source = await source_of_deploy(visit.operations, visit.path("deploy_id"))
    return await _show_source(visit, source)


@router.page(f"{_DEPLOY_LOG}.txt")
async def deploy_log_file(visit: Visit) -> Response:
    """Send the log of a deploy as a file."""
    source = await source_of_deploy(visit.operations, visit.path("deploy_id"))
    return await _send_file(visit, source)


async def _stage_of(visit: Visit) -> LogSource:
    return await source_of_stage(visit.operations, visit.path("project"), visit.path("stage"))


async def _show_source(visit: Visit, source: LogSource) -> Response:
    searched, asked = visit.query("q"), visit.query("skip")
    # A number of any length is a number: more than there are lines is the same as the first.
    skipped = min(int(asked[:_SKIP_DIGITS]), MAX_TAIL) if re.fullmatch("[0-9]+", asked) else 0
    # A search looks at all that is kept in reach; a page reads no more than it shows.
    most = MAX_TAIL if searched else min(skipped + LINES_SHOWN + 1, MAX_TAIL)
    try:
        async with asyncio.timeout(_PAGE_WITHIN_S):
            source = await read_source(visit.operations, source, LogWindow(most))
    except TimeoutError:
        source = replace(source, about="The engine did not answer in time. Reload the page.")
    except EngineError as error:
        source = replace(source, about=sentence_of(str(error)))
    return visit.show(
        "logs.html",
        {
            "source": source,
            "excerpt": log_excerpt(source.lines, searched, skipped, MAX_TAIL),
            "searched": searched,
            "times": bool(visit.query("times")),
            "long_lines": bool(visit.query("long")),
            "clock_time": clock_time,
            "log_texts": log_texts,
            "written_at": written_at,
        },
    )


async def _send_file(visit: Visit, source: LogSource) -> Response:
    # No limit of time: whoever saves a file waits for it.
    source = await read_source(visit.operations, source, LogWindow(MAX_TAIL))
    headers = {
        "Content-Disposition": f'attachment; filename="{source.file_name}"',
    }
    return PlainTextResponse(as_file(source.lines), headers=headers)


def _follow_source(visit: Visit, source: LogSource) -> Response:
    # Absent for a page that was just opened; a browser that connects again sends it.
    seen = visit.request.headers.get("last-event-id") or None
    return LogStream(visit.operations, source, visit.site.stopping).response(seen)
