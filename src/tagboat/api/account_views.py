"""Accounts and tokens as the API shows them."""

from collections.abc import Iterable

from tagboat.api.account_schemas import TokenOut, UserOut
from tagboat.api.schemas import RefOut
from tagboat.operations.rights import AccountView, ProjectRef, TokenView


def show_account(view: AccountView) -> UserOut:
    """Return an account."""
    account = view.account
    return UserOut(
        id=account.id,
        name=account.name,
        role=account.role,
        projects=show_refs(view.projects),
        has_password=account.password is not None,
        created_at=account.created_at,
        signed_in_at=account.signed_in_at,
    )


def show_token(view: TokenView) -> TokenOut:
    """Return a token, without its secret."""
    token = view.token
    return TokenOut(
        id=token.id,
        name=token.name,
        role=token.role,
        projects=show_refs(view.projects),
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        used_at=token.used_at,
    )


def show_refs(projects: Iterable[ProjectRef] | None) -> list[RefOut] | None:
    """Return the projects of a limit, None for all."""
    if projects is None:
        return None
    return [RefOut(id=one.id, name=one.name) for one in projects]
