import pytest

from tagboat.core.image import ImageInfo
from tagboat.operations.queries.image_look import ImageLook, TagMatches
from tagboat.web.new_project_words import env_names, found_sentences, matches_sentence


@pytest.mark.parametrize(
    ("matches", "said"),
    [
        (TagMatches(error="it is down"), "The tags cannot be read: it is down."),
        (TagMatches(), "The registry has no tag of this image yet. The first push decides."),
        (TagMatches(tags=1, matching=1), "The only tag matches."),
        (TagMatches(tags=3, matching=3), "All 3 tags match."),
        (TagMatches(tags=3, matching=1), "1 of 3 tags match."),
        (TagMatches(tags=1), "No tag of 1 matches: nothing would be deployed."),
    ],
)
def test_matches(matches: TagMatches, said: str) -> None:
    assert matches_sentence(matches) == said


def test_what_an_image_asks_for() -> None:
    info = ImageInfo(
        tcp_ports=(3000,),
        labels={"tagboat.healthcheck": "/health"},
        env=("PATH=/bin", *(f"V{number}=1" for number in range(10))),
        volumes=("/data",),
    )
    assert found_sentences(ImageLook(matches=TagMatches(), info=info)) == (
        "It listens on port 3000.",
        "It wants to be checked at /health.",
        "It sets V0, V1, V2, V3, V4, V5, V6, V7 and 2 more.",
        "It keeps data in /data: those become lasting volumes.",
    )
    assert found_sentences(ImageLook(matches=TagMatches(), info=ImageInfo())) == (
        "It names no port: without one it gets no address.",
        "It has no health check.",
    )


def test_an_image_that_cannot_be_read() -> None:
    (said,) = found_sentences(ImageLook(matches=TagMatches(), error="it is down"))
    assert said == "The image could not be read: it is down. Its first deploy finds the rest."


def test_names_of_an_image() -> None:
    assert env_names(["PATH=/bin", "NODE_ENV=production", "", "LANG"]) == ("NODE_ENV", "LANG")
