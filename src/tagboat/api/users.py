"""Accounts, and the one that calls."""

from http import HTTPStatus

from fastapi import APIRouter

from tagboat.api import schemas
from tagboat.api.account_schemas import (
    MeOut,
    PasswordUpdate,
    SetupLinkOut,
    UserCreate,
    UserOut,
    UserUpdate,
)
from tagboat.api.account_views import show_account, show_refs
from tagboat.api.answers import problems
from tagboat.api.etags import Versioned
from tagboat.api.pagination import Page
from tagboat.api.roles import ADMIN_ONLY, least_role
from tagboat.api.services import Ops
from tagboat.api.values import AccountId
from tagboat.core.principal import Role

router = APIRouter(prefix="/api", tags=["accounts"])


@router.get("/users", responses=problems(422), openapi_extra=ADMIN_ONLY)
async def list_users(operations: Ops, page: Page) -> schemas.PageOut[UserOut]:
    """List the accounts, in order of name."""
    found = await operations.accounts.list(page.after, page.with_next)
    shown, cursor = page.cut(found, lambda view: view.account.name_key)
    return schemas.PageOut(items=[show_account(view) for view in shown], next=cursor)


@router.post(
    "/users",
    status_code=HTTPStatus.CREATED,
    responses=problems(409, 413, 422, 429),
    openapi_extra=ADMIN_ONLY,
)
async def create_user(operations: Ops, body: UserCreate) -> UserOut:
    """Make an account."""
    made = await operations.accounts.create(
        body.name, Role(body.role), body.password, body.projects
    )
    return show_account(made)


@router.post("/users/setup-link", responses=problems(409), openapi_extra=ADMIN_ONLY)
async def create_setup_link(operations: Ops) -> SetupLinkOut:
    """Make a new link for the first account, as long as there is none; older links end."""
    link = await operations.accounts.new_setup_link()
    return SetupLinkOut(url=link.url, expires_at=link.expires_at)


@router.post("/users/{account_id}/sign-in-link", responses=problems(404), openapi_extra=ADMIN_ONLY)
async def create_sign_in_link(operations: Ops, account_id: AccountId) -> SetupLinkOut:
    """Make a link that signs in as an account, once; for calls from the server's machine only."""
    link = await operations.sign_in_links.make(account_id)
    return SetupLinkOut(url=link.url, expires_at=link.expires_at)


@router.get("/users/{account_id}", responses=problems(404), openapi_extra=ADMIN_ONLY)
async def get_user(operations: Ops, version: Versioned, account_id: AccountId) -> UserOut:
    """Return one account."""
    found = await operations.accounts.get(account_id)
    version.mark(found.account)
    return show_account(found)


@router.patch(
    "/users/{account_id}",
    responses=problems(404, 409, 412, 413, 422, 429),
    openapi_extra=ADMIN_ONLY,
)
async def change_user(
    operations: Ops, version: Versioned, account_id: AccountId, body: UserUpdate
) -> UserOut:
    """Change the fields given; they hold from the next request of the account on.

    The last admin keeps its role: 409.
    """
    fields = body.given()
    # The operation takes the core's value; the body has its word.
    if "role" in fields:
        fields["role"] = Role(fields["role"])
    changed = await operations.accounts.change(account_id, fields, version.check)
    version.mark(changed.account)
    return show_account(changed)


@router.delete(
    "/users/{account_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 409, 412),
    openapi_extra=ADMIN_ONLY,
)
async def delete_user(operations: Ops, version: Versioned, account_id: AccountId) -> None:
    """Delete an account with its sessions. The last admin stays: 409."""
    await operations.accounts.delete(account_id, version.check)


@router.post(
    "/users/{account_id}/sign-out",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404),
    openapi_extra=ADMIN_ONLY,
)
async def sign_user_out(operations: Ops, account_id: AccountId) -> None:
    """End all sessions of an account."""
    await operations.sessions.sign_out_everywhere(account_id)


@router.get("/me", responses=problems())
async def get_me(operations: Ops) -> MeOut:
    """Return the one that calls, and its role."""
    found = await operations.accounts.me()
    caller = found.principal
    return MeOut(
        kind=caller.kind,
        id=caller.id,
        name=caller.name,
        role=caller.role,
        projects=show_refs(found.projects),
    )


@router.post(
    "/me/password",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(413, 422, 429),
    openapi_extra=least_role(Role.VIEWER),
)
async def change_own_password(operations: Ops, body: PasswordUpdate) -> None:
    """Give one's own account a new password; its other sessions end. A token has none: 403."""
    await operations.accounts.change_own_password(body.current, body.new)
