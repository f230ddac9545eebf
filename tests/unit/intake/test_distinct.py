from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.image import Digest, ImageName, ImageRef
from tagboat.core.push import Push, Source
from tagboat.intake.distinct import distinct

ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)


def push(tag: str, digest: Digest | None = None, path: str = "acme/app") -> Push:
    return Push(ImageRef(ImageName("git.example.com", path), tag, digest), Source.WEBHOOK)


def test_the_same_image_and_tag_is_one_push_in_the_place_of_the_first() -> None:
    assert distinct([push("v1"), push("v2"), push("v1")]) == (push("v1"), push("v2"))


def test_the_one_that_names_a_digest_is_preferred() -> None:
    assert distinct([push("v1"), push("v1", ONE), push("v1")]) == (push("v1", ONE),)


def test_two_digests_are_none_for_nobody_can_tell_which_is_the_newer() -> None:
    assert distinct([push("v1", ONE), push("v1", TWO)]) == (push("v1"),)
    assert distinct([push("v1", ONE), push("v1"), push("v1", TWO), push("v2", TWO)]) == (
        push("v1"),
        push("v2", TWO),
    )


def test_another_image_or_another_case_is_another_push() -> None:
    pushes = [push("v1"), push("v1", path="acme/other"), push("V1")]
    assert distinct(pushes) == tuple(pushes)


@given(
    st.lists(
        st.builds(
            push,
            tag=st.sampled_from("abc"),
            digest=st.sampled_from([None, ONE, TWO]),
            path=st.sampled_from("xy"),
        )
    )
)
def test_every_image_and_tag_is_there_once_and_doing_it_again_changes_nothing(
    pushes: list[Push],
) -> None:
    kept = distinct(pushes)
    assert distinct(kept) == kept
    keys = [(one.image.name, one.image.tag) for one in kept]
    assert keys == list(dict.fromkeys((one.image.name, one.image.tag) for one in pushes))
