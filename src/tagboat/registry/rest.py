"""What is remembered of repositories at rest, so that polling one again takes no look at what is on record of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagboat.core.deploy import Instance
from tagboat.core.image import Digest
from tagboat.core.ports import Store, Topic


@dataclass(frozen=True, slots=True)
class Rest:
    """Of a project whose last poll found everything on record: what it saw (see `seen_in`).

    `named` are the tags that patterns of its stages name outright. Kept small: there may be one for each of many thousands.
    """

    seen: bytes
    named: tuple[str, ...]


def seen_in(
    listed: Sequence[str], digests: Mapping[str, Digest], live: Sequence[Instance]
) -> bytes:
    """A digest (16 bytes) of what one poll compares with what is on record."""
    # No tag or digest has a line break in it; two of them end a part.
    running = sorted(f"{instance.tag}\n{instance.digest}" for instance in live)
    parts = (
        "\n".join(listed),
        "\n".join(f"{tag}\n{digest}" for tag, digest in digests.items()),
        "\n".join(running),
    )
    return hashlib.blake2b("\n\n".join(parts).encode(), digest_size=16).digest()


class Rests:
    """Those of all projects, by project id. Nothing is kept where others write to the store.

    All is forgotten when a change is announced that may lead a poll elsewhere: of stages, projects or deploys.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rests: dict[str, Rest] = {}
        self._listening = False
        self.changes = 0
        """How often everything was forgotten: what was read before does not hold after."""

    def listen(self) -> None:
        """Begin to hear what is announced; in the running loop, before anything is kept."""
        if not self._listening:
            self._store.listen(Topic.ROUTES, self._forget_all)
            self._store.listen(Topic.DEPLOYS, self._forget_all)
            self._listening = True

    def get(self, project_id: str) -> Rest | None:
        """That of one project, None if nothing is remembered."""
        return self._rests.get(project_id)

    def keep(self, project_id: str, rest: Rest | None, changes: int) -> None:
        """Remember `rest`, made of what was read when there had been so many `changes`; forget that of before in any case."""
        if (
            rest is None
            or not self._listening
            or not self._store.exclusive
            or changes != self.changes
        ):
            self.forget(project_id)
        elif rest != self._rests.get(
            project_id
        ):  # at rest it is the same from poll to poll, and stays where it is
            self._rests[project_id] = rest

    def forget(self, project_id: str) -> None:
        """Forget that of one project."""
        self._rests.pop(project_id, None)

    def _forget_all(self) -> None:
        self._rests.clear()
        self.changes += 1
