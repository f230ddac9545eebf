"""Connecting senders: the webhook's URL, steps for each sender, and who was heard when."""

from datetime import UTC, datetime

from starlette.responses import Response

from tagboat.core.errors import ConflictError, InvalidValueError, TagboatError
from tagboat.core.events import EventTopic
from tagboat.core.naming import parse_name
from tagboat.core.principal import Role
from tagboat.operations.webhooks import WebhookView
from tagboat.web.ci_snippets import URL_SECRET, ci_snippets
from tagboat.web.connect_words import url_for, wait_words, why_no_url
from tagboat.web.delivery_words import call_tone
from tagboat.web.forms import NO_ERRORS, FormErrors, form_errors, parsed
from tagboat.web.routing import PageRouter
from tagboat.web.sender_steps import SENDER_GUIDES
from tagboat.web.visits import LiveFilter, Visit

_CONNECT_PAGE = "/connect"
_TEST_PAGE = "/connect/test"
_WEBHOOK = "/connect/webhooks/{webhook_id}"
_EXAMPLE = "git.example.com/acme/shop"
_MOST_WEBHOOKS = 50
_LATEST = 253_402_300_799  # the last second of the year 9999

router = PageRouter()


@router.page(_CONNECT_PAGE)
async def connect_page(visit: Visit) -> Response:
    """Show how senders are connected, and when each was heard last."""
    return await _show_connect(visit, NO_ERRORS)


@router.order("/connect/regenerate", needs=Role.ADMIN)
async def regenerate_order(visit: Visit) -> Response:
    """Make a new webhook URL; the old one ends at once."""
    await visit.operations.settings.regenerate_webhook_url()
    return visit.go(
        _CONNECT_PAGE, "There is a new URL. Give it to every sender: the old one is unknown now."
    )


@router.order("/connect/webhooks", needs=Role.ADMIN)
async def add_webhook_order(visit: Visit) -> Response:
    """Make a webhook URL for one project's image, and show it once."""
    try:
        name = parsed("webhook", parse_name, visit.form.text("webhook"))
        project = await visit.operations.connect.project_named(visit.form.text("project"))
        # Unsigned at first: the sender gets its URL before it can be told a secret.
        made = await visit.operations.webhooks.create(project.id, name, None)
    except TagboatError as error:
        return await _show_connect(visit, form_errors(error, {ConflictError: "webhook"}))
    return await _show_connect(visit, NO_ERRORS, made)


@router.order(f"{_WEBHOOK}/rotate", needs=Role.ADMIN)
async def rotate_order(visit: Visit) -> Response:
    """Replace the URL of one project's webhook, and show the new one once."""
    made = await visit.operations.webhooks.rotate(visit.path("webhook_id"))
    return await _show_connect(visit, NO_ERRORS, made)


@router.order(f"{_WEBHOOK}/revoke", needs=Role.ADMIN)
async def revoke_order(visit: Visit) -> Response:
    """Revoke the URL of one project's webhook."""
    view = await visit.operations.catalog.webhook(visit.path("webhook_id"))
    await visit.operations.webhooks.revoke(view.webhook.id)
    return visit.go(
        f"{_CONNECT_PAGE}#webhooks",
        f"The URL {view.webhook.name} of {view.project.name} is revoked: calls of it are 404.",
    )


@router.page(_TEST_PAGE)
async def test_page(visit: Visit) -> Response:
    """Wait for a call, and say when it came."""
    last_event = await visit.last_event()
    after, began = visit.query("after"), _moment(visit.query("began"))
    if began is None:
        # The address keeps what is waited for, so that the page may be loaded again.
        last = await visit.operations.connect.last_call()
        return visit.go(visit.address(after=last, began=str(int(visit.now.timestamp()))))
    calls = await visit.operations.connect.calls_after(after)
    return visit.show(
        "connect_test.html",
        {
            "calls": calls,
            "words": wait_words(calls, began),
            "began": began,
            "tone": call_tone,
        },
        live=LiveFilter(last_event, (EventTopic.DELIVERY,)),
    )


async def _show_connect(
    visit: Visit, errors: FormErrors, made: WebhookView | None = None
) -> Response:
    last_event = await visit.last_event()
    text, registry = visit.query("project"), visit.query("registry")
    operations, principal = visit.operations, visit.principal
    heard = await operations.connect.heard()
    webhooks = await operations.connect.webhooks(text)
    names = [one.registry.name for one in heard.registries if one.registry]
    if registry and registry not in names:
        raise InvalidValueError(f"there is no registry {registry}")
    url = await operations.settings.webhook_url() if visit.may(Role.ADMIN) else None
    return visit.show(
        "connect.html",
        {
            "url": url_for(url.url, registry) if url else "",
            "allows": url.allows if url else "",
            "why_no_url": why_no_url(principal.role) if principal and not url else "",
            "here": _CONNECT_PAGE,
            "registry": registry,
            "registries": names,
            "heard": heard,
            "webhooks": webhooks[:_MOST_WEBHOOKS],
            "more_webhooks": len(webhooks) - _MOST_WEBHOOKS,
            "text": text,
            "made": made,
            "snippets": ci_snippets(_EXAMPLE),
            "secret": URL_SECRET,
            "guides": SENDER_GUIDES,
        },
        errors=errors,
        # A URL that is shown once must not go by itself.
        live=None if made else LiveFilter(last_event, (EventTopic.DELIVERY, EventTopic.REGISTRY)),
    )


def _moment(text: str) -> datetime | None:
    """Return the time of whole seconds since 1970, None for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LATEST))):
        return None
    return datetime.fromtimestamp(min(int(text), _LATEST), UTC)
