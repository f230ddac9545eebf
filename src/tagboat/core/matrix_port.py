"""The part of the store's port that the overview of projects and stages is read from."""

from collections.abc import Collection, Sequence
from typing import Protocol

from tagboat.core.catalog import Project


class MatrixReader(Protocol):
    """Reads of projects by what is written in their names, and by the state of their stages."""

    def projects_page(
        self, text: str, among: Collection[str] | None, after: str, limit: int
    ) -> list[Project]:
        """Return projects whose name contains `text`, in any case, by name, beyond `after`.

        Of those with the ids `among`, None for all.
        """

    def deploying_projects(self) -> set[str]:
        """Return the ids of projects that have a queued or running deploy."""

    def held_projects(self) -> set[str]:
        """Return the ids of projects that have a stage on hold."""

    def stage_names(self, limit: int) -> Sequence[tuple[str, int]]:
        """Return the names that most projects have a stage of, with how many have it."""
