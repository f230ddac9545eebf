"""The sentence next to a control that somebody may not use."""

from tagboat.core.principal import Principal, Role


def why_not(principal: Principal | None, needed: Role, project_id: str | None = None) -> str:
    """Return why somebody may not give an order that needs a role, empty if they may.

    With `project_id` it is an order to that project, which may not be one of theirs.
    """
    if principal is None:
        return "Sign in first."
    if not principal.role.includes(needed):
        article = "an" if principal.role is Role.ADMIN else "a"
        return f"You are {article} {principal.role}: ask an admin for the role {needed}."
    if project_id and principal.projects is not None and project_id not in principal.projects:
        return "You may act on other projects only: ask an admin to allow this one."
    return ""
