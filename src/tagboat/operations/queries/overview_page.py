"""The page of the overview: one moment of what runs where, and of what needs a person."""

import asyncio

from msgspec import Struct

from tagboat.core.ports import Reader
from tagboat.operations.queries.catalog import StageFilter
from tagboat.operations.queries.matrix import Matrix, MatrixFilter, read_matrix
from tagboat.operations.queries.needs import Needs, low_disks, read_needs, with_disks
from tagboat.operations.services import OperationServices


class OverviewPage(Struct, frozen=True):
    """Projects with their stages, and the needs, as they were after `last_event`, an id."""

    matrix: Matrix
    needs: Needs
    last_event: int


class OverviewPageQuery(Struct, frozen=True):
    """Reads the page, in a number of statements that does not depend on how much there is."""

    services: OperationServices

    async def read(self, wanted: MatrixFilter, most_needs: int | None = None) -> OverviewPage:
        """Return the projects `wanted`, and the first `most_needs` needs, None for all."""
        # Outside of the transaction, which may be run again.
        now = self.services.clock()

        def work(reader: Reader) -> OverviewPage:
            return OverviewPage(
                read_matrix(reader, self.services, wanted, now),
                read_needs(reader, StageFilter(None, None), now, most_needs),
                reader.last_event_id(),
            )

        # In one transaction: on PostgreSQL each costs four round trips by itself.
        page, disks = await asyncio.gather(self.services.store.read(work), low_disks(self.services))
        needs = with_disks(page.needs, disks, most_needs)
        return OverviewPage(page.matrix, needs, page.last_event)
