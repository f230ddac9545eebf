import pytest

from tagboat.core.protocol import AppProtocol, protocol_of, spoken
from tagboat.core.run import RunConfig


@pytest.mark.parametrize(
    ("label", "protocol"),
    [
        (None, "http"),
        ("h2c", "h2c"),
        ("https", "https"),
        ("http", "http"),
        ("H2C", "h2c"),
        ("gopher", "http"),
        ("", "http"),
    ],
)
def test_a_label_names_the_protocol(label: str | None, protocol: str) -> None:
    assert protocol_of({} if label is None else {"tagboat.protocol": label}) == protocol


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x28", AppProtocol.HTTPS),
        (
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
            AppProtocol.HTTPS,
        ),
        (
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\n"
                b"<center>The plain HTTP request was sent to HTTPS port</center>"
            ),
            AppProtocol.HTTPS,
        ),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", AppProtocol.H2C),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", AppProtocol.H2C),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\nthis page is about an HTTPS server", None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"", None),
    ],
)
def test_what_an_answer_gives_away(answer: bytes, found: AppProtocol | None) -> None:
    assert spoken(answer) is found


def test_another_protocol_is_another_configuration_and_http_is_the_one_of_before() -> None:
    plain = RunConfig(port=1, healthcheck="", env={})
    assert (
        plain.fingerprint
        == RunConfig(port=1, healthcheck="/other", env={}).fingerprint
        == "5f46ca5f8d6d48b0"
    )
    assert (
        len(
            {
                RunConfig(port=1, healthcheck="", env={}, protocol=protocol).fingerprint
                for protocol in AppProtocol
            }
        )
        == 3
    )
