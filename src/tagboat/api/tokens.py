"""API tokens."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import schemas
from tagboat.api.account_schemas import CreatedTokenOut, TokenCreate, TokenOut
from tagboat.api.account_views import show_token
from tagboat.api.answers import problems
from tagboat.api.pagination import Page
from tagboat.api.roles import ADMIN_ONLY
from tagboat.api.services import Ops
from tagboat.api.values import TokenId
from tagboat.core.principal import Role

router = APIRouter(prefix="/api/tokens", tags=["accounts"])


@router.get("", responses=problems(422), openapi_extra=ADMIN_ONLY)
async def list_tokens(operations: Ops, page: Page) -> schemas.PageOut[TokenOut]:
    """List the tokens without their secrets, in order of name."""
    found = await operations.tokens.list(page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.token.name_key)
    return schemas.PageOut(items=[show_token(view) for view in shown], next=cursor)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=problems(409, 413, 422),
    openapi_extra=ADMIN_ONLY,
)
async def create_token(operations: Ops, body: TokenCreate) -> CreatedTokenOut:
    """Make a token. It is shown only here."""
    made = await operations.tokens.create(
        body.name,
        Role(body.role),
        body.projects,
        expires_at=body.expires_at,
        expires_in_days=body.expires_in_days,
    )
    return CreatedTokenOut(**dict(show_token(made.view)), token=made.secret)


@router.get("/{token_id}", responses=problems(404), openapi_extra=ADMIN_ONLY)
async def get_token(operations: Ops, token_id: TokenId) -> TokenOut:
    """Read one token, without its secret."""
    return show_token(await operations.tokens.read(token_id))


@router.delete(
    "/{token_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404),
    openapi_extra=ADMIN_ONLY,
)
async def delete_token(operations: Ops, token_id: TokenId) -> None:
    """Delete a token; it opens nothing from the next call on."""
    await operations.tokens.delete(token_id)
