"""What a project takes from its image."""

import pytest

from tagboat.core.image import ImageInfo
from tagboat.core.inspection import healthcheck_of, port_of


@pytest.mark.parametrize(
    ("label", "port"),
    [
        ("9000", 9000),
        ("0", 0),
        ("00080", 80),
        ("65535", 65535),
        ("65536", 8080),
        ("-1", 8080),
        ("http", 8080),
        ("", 8080),
        ("\u0668\u0660", 8080),
        ("00000099999999", 8080),
        ("000000" + "9" * 5000, 8080),
    ],
)
def test_a_label_wins_if_it_is_a_port(label: str, port: int) -> None:
    assert port_of(ImageInfo(labels={"tagboat.port": label}, tcp_ports=(9443, 8080))) == port


def test_a_label_as_long_as_a_book_is_no_healthcheck() -> None:
    assert (
        healthcheck_of(ImageInfo(labels={"tagboat.healthcheck": "/" + "x" * 1023}))
        == "/" + "x" * 1023
    )
    assert (
        healthcheck_of(
            ImageInfo(labels={"tagboat.healthcheck": "/" + "x" * 1024}, has_healthcheck=True)
        )
        == "image"
    )
