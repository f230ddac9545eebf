"""The rights of accounts and tokens: their projects, by id or name."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from tagboat.core.accounts import Account, ApiToken
from tagboat.core.errors import FieldError
from tagboat.core.ports import Reader


class ProjectRef(Struct, frozen=True):
    """The id and name of a project."""

    id: str
    name: str


class AccountView(Struct, frozen=True):
    """An account, and the projects that it is limited to; None for all."""

    account: Account
    projects: tuple[ProjectRef, ...] | None


class TokenView(Struct, frozen=True):
    """A token, and the projects that it is limited to; None for all."""

    token: ApiToken
    projects: tuple[ProjectRef, ...] | None


def find_projects(reader: Reader, references: Collection[str] | None) -> tuple[str, ...] | None:
    """Return the ids of projects given by id or name, sorted; None stays None, for all.

    Raises FieldError for one that does not exist, and for none at all.
    """
    if references is None:
        return None
    if not references:
        # An empty list could mean none or all, and one of them is dangerous.
        raise FieldError("projects", "name at least one project, or give null for all")
    by_id = reader.projects_by_id(references)
    found = set(by_id)
    for reference in references:
        # Ids go first: they do not change their meaning when a project is renamed.
        if reference in by_id:
            continue
        project = reader.project_by_name(reference)
        if project is None:
            raise FieldError("projects", f"there is no project {reference[:80]!r}")
        found.add(project.id)
    return tuple(sorted(found))


def account_views(reader: Reader, accounts: Sequence[Account]) -> list[AccountView]:
    """Return accounts with the names of their projects."""
    names = _names(reader, (one.projects for one in accounts))
    return [AccountView(one, project_refs(one.projects, names)) for one in accounts]


def token_views(reader: Reader, tokens: Sequence[ApiToken]) -> list[TokenView]:
    """Return tokens with the names of their projects."""
    names = _names(reader, (one.projects for one in tokens))
    return [TokenView(one, project_refs(one.projects, names)) for one in tokens]


def project_refs(
    project_ids: Iterable[str] | None, names: Mapping[str, str]
) -> tuple[ProjectRef, ...] | None:
    """Return the projects by name, without those that were deleted."""
    if project_ids is None:
        return None
    # Ids of deleted projects stay in the limit: without them, it could become one to all.
    found = (ProjectRef(key, names[key]) for key in project_ids if key in names)
    return tuple(sorted(found, key=lambda one: one.name))


def _names(reader: Reader, limits: Iterable[Iterable[str] | None]) -> dict[str, str]:
    wanted = {key for one in limits for key in one or ()}
    return {key: one.name for key, one in reader.projects_by_id(wanted).items()} if wanted else {}
