"""The places that the bar at the top leads to, by role."""

from msgspec import Struct

from tagboat.core.principal import Role


class NavigationEntry(Struct, frozen=True):
    """A place: its path, name, icon, the least role that sees it, and other paths of it."""

    path: str
    name: str
    icon: str
    needs: Role = Role.VIEWER
    also: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Return whether the page at `path` belongs to this place."""
        # Every path begins with it; projects and stages belong to it.
        if self.path == "/":
            return path == "/" or path.startswith(("/projects", "/new-project"))
        return any(path == one or path.startswith(f"{one}/") for one in (self.path, *self.also))


# As many as fit next to one another at the bottom of a phone.
_ENTRIES = (
    NavigationEntry("/", "Overview", "house"),
    NavigationEntry("/deploys", "Deploys", "rocket"),
    NavigationEntry("/deliveries", "Deliveries", "inbox"),
    NavigationEntry("/registries", "Registries", "database"),
    NavigationEntry(
        "/settings", "Settings", "settings", Role.ADMIN, ("/server", "/users", "/tokens", "/audit")
    ),
)


def navigation_for(role: Role) -> tuple[NavigationEntry, ...]:
    """Return the places that a role sees."""
    return tuple(entry for entry in _ENTRIES if role.includes(entry.needs))
