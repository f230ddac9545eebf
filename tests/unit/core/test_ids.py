from datetime import UTC, datetime

from tagboat.core.ids import IdSequence, made_at


def test_ids_rise_with_the_clock_and_where_it_stands_still_or_goes_back() -> None:
    times = [1000, 1001, 1001, 500, 1002, 2000]
    sequence = IdSequence(iter(times).__next__)
    made = [sequence.next() for _ in times]
    assert made == sorted(made)
    assert [int(each[:16], 16) for each in made] == [1000, 1001, 1002, 1003, 1004, 2000]
    assert {len(each) for each in made} == {24}


def test_ids_follow_those_that_a_clock_ahead_has_made() -> None:
    ahead, sequence = IdSequence(lambda: 10**18).next(), IdSequence(lambda: 5)
    sequence.go_on_from(ahead)
    for other in ("0" * 24, "i1", ""):
        sequence.go_on_from(other)
    assert sequence.next() > ahead


def test_an_id_says_when_it_was_made() -> None:
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert made_at(IdSequence(lambda: int(noon.timestamp()) * 10**9 + 999).next()) == noon
    assert made_at("f" * 24) is not None
    for other in ("i1", "", "x" * 24, "0" * 25):
        assert made_at(other) is None
