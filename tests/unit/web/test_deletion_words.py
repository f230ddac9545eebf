"""What is said about volumes after a deletion."""

from tagboat.core.keeping import LeftVolumes
from tagboat.web.deletion_words import volumes_left_words


def test_volumes_are_named_the_first_few() -> None:
    assert volumes_left_words(LeftVolumes()) == ""
    assert volumes_left_words(LeftVolumes(removed=("a",))) == "Its volumes are deleted: a."
    some = LeftVolumes(kept=("b (on n1)",), removed=("a",))
    assert (
        volumes_left_words(some) == "Its volumes are kept: b (on n1). Its volumes are deleted: a."
    )
    many = tuple("abcdef")
    assert volumes_left_words(LeftVolumes(kept=many)) == (
        "Its volumes are kept: a, b, c, d and 2 more."
    )
