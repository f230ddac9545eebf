"""Fingerprints of repositories without news: polling one again reads nothing else of its record."""

import hashlib
from collections.abc import Mapping, Sequence

from msgspec import Struct

from tagboat.core.deploy import Instance
from tagboat.core.image import Digest
from tagboat.core.ports import Store, Topic


class PollFingerprint(Struct, frozen=True):
    """A poll that found nothing new: the `digest` of what it saw (see `fingerprint_digest`).

    `named` are the tags that patterns of the project's stages name literally. Kept small: there
    may be one for each of many thousands of projects.
    """

    digest: bytes
    named: tuple[str, ...]


def fingerprint_digest(
    listed: Sequence[str], digests: Mapping[str, Digest], live: Sequence[Instance]
) -> bytes:
    """Return a hash (16 bytes) of everything that one poll compares with the record."""
    # No tag or digest contains a line break, so one separates entries and two separate sections.
    # Sorted, because the store promises no order of instances.
    running = sorted(f"{instance.tag}\n{instance.digest}" for instance in live)
    sections = (
        "\n".join(listed),
        "\n".join(f"{tag}\n{digest}" for tag, digest in digests.items()),
        "\n".join(running),
    )
    return hashlib.blake2b("\n\n".join(sections).encode(), digest_size=16).digest()


class FingerprintCache:
    """Fingerprints by project id. Stays empty while other servers write to the store.

    It is cleared when a change of stages, projects or deploys is announced, since the next poll may
    then decide differently.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fingerprints: dict[str, PollFingerprint] = {}
        self._listening = False
        self.generation = 0
        """Number of times the cache was cleared. Records read in an older generation are stale."""

    def listen(self) -> None:
        """Subscribe to announcements, once. Needs a running loop; nothing is cached before."""
        if not self._listening:
            self._store.listen(Topic.ROUTES, self.clear)
            self._store.listen(Topic.DEPLOYS, self.clear)
            self._listening = True

    def get(self, project_id: str) -> PollFingerprint | None:
        """Return the fingerprint of a project, None if there is none."""
        return self._fingerprints.get(project_id)

    def put(self, project_id: str, fingerprint: PollFingerprint | None, generation: int) -> None:
        """Replace the fingerprint of a project by one whose record was read in `generation`.

        None, and a fingerprint that is stale, only remove the previous one.
        """
        # Another server may change the record without an announcement here.
        usable = self._listening and self._store.exclusive and generation == self.generation
        if fingerprint is None or not usable:
            self.forget(project_id)
        # An equal one stays: the object in place is long-lived, a new one would fragment memory.
        elif fingerprint != self._fingerprints.get(project_id):
            self._fingerprints[project_id] = fingerprint

    def forget(self, project_id: str) -> None:
        """Remove the fingerprint of a project."""
        self._fingerprints.pop(project_id, None)

    def clear(self) -> None:
        """Remove all fingerprints and begin a new generation."""
        self._fingerprints.clear()
        self.generation += 1
