"""The audit: who changed what, from where."""

from urllib.parse import urlencode

from starlette.responses import Response

from tagboat.api.audit import AUDIT_PATH, audit_key, audit_place
from tagboat.core.audit import AuditAction, AuditEntry
from tagboat.core.errors import FieldError
from tagboat.core.principal import Role
from tagboat.operations.queries.audit import AuditQuestion
from tagboat.web.audit_words import action_words, actor_words, change_words, subject_words
from tagboat.web.forms import NO_ERRORS, form_errors
from tagboat.web.paging import PAGE_LENGTH, Listing, cut_listing
from tagboat.web.routing import PageRouter
from tagboat.web.visits import Visit

_FILTERS = ("actor", "action", "project", "since", "until")

router = PageRouter()


@router.page("/audit", needs=Role.ADMIN)
async def audit_page(visit: Visit) -> Response:
    """Show who changed what, newest first, by the filters in the address."""
    asked = {name: text for name in _FILTERS if (text := visit.query(name))}
    errors = NO_ERRORS
    listing: Listing[AuditEntry] = Listing((), None, None)
    try:
        found = await visit.operations.audit.entries(
            AuditQuestion(**asked), audit_place(visit.query("after")), PAGE_LENGTH + 1
        )
        listing = cut_listing(visit, found, audit_key)
    except FieldError as error:
        errors = form_errors(error, {})
    return visit.show(
        "audit.html",
        {
            "listing": listing,
            "asked": {name: visit.query(name) for name in _FILTERS},
            "is_filtered": bool(asked),
            "actions": tuple(AuditAction),
            "export": f"{AUDIT_PATH}/export" + (f"?{urlencode(asked)}" if asked else ""),
            "action_words": action_words,
            "actor_words": actor_words,
            "change_words": change_words,
            "subject_words": subject_words,
        },
        errors=errors,
    )
