"""API tokens, as admins see them."""

from starlette.responses import Response

from tagboat.api.account_schemas import TokenCreate
from tagboat.core.errors import ConflictError, TagboatError
from tagboat.core.principal import Role
from tagboat.operations.tokens import NewToken
from tagboat.web.form_bodies import as_body, whole_or_text
from tagboat.web.forms import NO_ERRORS, NO_FORM, FormErrors, form_errors
from tagboat.web.pages.users import rights_in
from tagboat.web.paging import PAGE_LENGTH, cut_listing
from tagboat.web.routing import PageRouter
from tagboat.web.session_words import limit_words
from tagboat.web.visits import Visit

_TOKENS = "/tokens"

router = PageRouter()


@router.page(_TOKENS, needs=Role.ADMIN)
async def tokens_page(visit: Visit) -> Response:
    """List the tokens, with the form for one more."""
    return await _show_tokens(visit, NO_ERRORS)


@router.order(_TOKENS, needs=Role.ADMIN)
async def new_token_order(visit: Visit) -> Response:
    """Make a token, and show it this once."""
    days = visit.form.text("expires_in_days")
    given = {**rights_in(visit.form), "expires_in_days": whole_or_text(days) if days else None}
    try:
        body = as_body(TokenCreate, given)
        made = await visit.operations.tokens.create(
            body.name, Role(body.role), body.projects, expires_in_days=body.expires_in_days
        )
    except TagboatError as error:
        return await _show_tokens(visit, form_errors(error, {ConflictError: "name"}))
    # Not the way to another page: a secret must not be kept in a cookie.
    return await _show_tokens(visit, NO_ERRORS, made)


@router.order(f"{_TOKENS}/{{token_id}}/delete", needs=Role.ADMIN)
async def delete_token_order(visit: Visit) -> Response:
    """Delete a token."""
    await visit.operations.tokens.delete(visit.path("token_id"))
    return visit.go(_TOKENS, "The token is deleted. It opens nothing any more.")


async def _show_tokens(visit: Visit, errors: FormErrors, made: NewToken | None = None) -> Response:
    found = await visit.operations.tokens.list(visit.query("after"), PAGE_LENGTH + 1)
    values: dict[str, object] = {
        "listing": cut_listing(visit, found, lambda view: view.token.name_key),
        "made": made,
        "limit_words": limit_words,
    }
    if made is not None:
        # The next token has another name.
        values["form"] = NO_FORM
    return visit.show("tokens.html", values, errors=errors)
