"""Sentences about the server."""

import pytest

from tagboat.core.keeping import Disk
from tagboat.operations.health import SystemHealth
from tagboat.web.messages import Tone
from tagboat.web.server_words import disk_sentence, health_lines, health_sentence, size_words

WELL = {"database": "ok", "engine": "ok", "ingress": "none", "registries": "ok"}


def test_the_worst_is_said_first() -> None:
    assert health_sentence(SystemHealth(WELL))[0] is Tone.OK
    two = SystemHealth({**WELL, "engine": "no answer", "registries": "forge: 401"})
    assert health_sentence(two) == (
        Tone.WAIT,
        "Pushes are accepted, but these need a person: engine, registries.",
    )
    assert health_sentence(SystemHealth({**WELL, "database": "is down"}))[0] is Tone.BAD


def test_each_check_is_in_words() -> None:
    lines = list(health_lines(SystemHealth({**WELL, "engine": "permission denied"})))
    assert [line.name for line in lines] == ["Database", "Engine", "Ingress", "Registries"]
    assert [line.tone for line in lines] == [Tone.OK, Tone.BAD, Tone.PLAIN, Tone.OK]
    assert lines[1].text == "permission denied"


def test_a_full_disk_asks_for_room() -> None:
    assert disk_sentence(Disk("data", "/data", 5 << 30, 10 << 30)) == (
        "5.4 GB of 11 GB are free at /data."
    )
    low = Disk("data", "/data", 1 << 20, 10 << 30)
    assert "Make room" in disk_sentence(low)
    assert health_sentence(SystemHealth(WELL), [low]) == (
        Tone.WAIT,
        "Pushes are accepted, but this needs a person: a disk (data).",
    )


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "size unknown"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_600, "1.0 MB"),
        (61_000_000, "61 MB"),
        (10**18, "1000 PB"),
    ],
)
def test_sizes(count: int | None, shown: str) -> None:
    assert size_words(count) == shown
