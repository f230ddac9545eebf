"""How many values are sent by statements of few sizes."""

import pytest

from tagboat.store.bulk import SIZES, chunks


@pytest.mark.parametrize("count", [0, 1, 2, 3, 31, 32, 33, 64, 100])
def test_all_are_sent_in_their_order_by_statements_that_there_are(count: int) -> None:
    found = list(chunks(range(count)))
    assert [value for chunk in found for value in chunk] == list(range(count))
    assert {len(chunk) for chunk in found} <= set(SIZES)
    assert len(found) <= count // SIZES[0] + len(SIZES) - 1
