"""The least role that each route needs."""

from typing import Any

from fastapi.routing import APIRoute

from tagboat.core.principal import Role

_ROLE = "x-role"


def least_role(role: Role) -> dict[str, Any]:
    """Return what a route declares as `openapi_extra` that needs another role than the usual.

    A route that declares none needs a viewer to read and an admin for everything else. It is
    published as `x-role`.
    """
    return {_ROLE: role.value}


# Said where a route could be thought to be for all who may read.
ADMIN_ONLY = least_role(Role.ADMIN)


def needed_role(route: APIRoute, method: str) -> Role:
    """Return the least role that a route needs for a method."""
    declared = (route.openapi_extra or {}).get(_ROLE)
    if declared is not None:
        return Role(declared)
    return Role.VIEWER if method in {"GET", "HEAD"} else Role.ADMIN


def publish_role(operation: dict[str, Any], method: str) -> None:
    """Put the least role of a route into its OpenAPI description."""
    operation.setdefault(_ROLE, (Role.VIEWER if method == "get" else Role.ADMIN).value)
