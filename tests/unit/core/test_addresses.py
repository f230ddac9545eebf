import pytest

from tagboat.core.addresses import is_disguised, is_link_local, is_public


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_what_is_link_local(host: str) -> None:
    assert is_link_local(host)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "169.253.0.1", "localhost", ""],
)
def test_what_is_not(host: str) -> None:
    assert not is_link_local(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_what_is_public(host: str) -> None:
    assert is_public(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "0.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *(
            "::",
            "::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "ff02::1",
        ),
        *("localhost", "git.example.com", ""),
    ],
)
def test_what_is_not_public(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0x7f.1",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "7.",
    ],
)
def test_numbers_in_disguise(host: str) -> None:
    assert is_disguised(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "::1",
        "fe80::1%1",
        "localhost",
        "1.example.com",
        "10.0.0.1.nip.io",
        "0xab.de",
        "",
    ],
)
def test_what_is_no_disguise(host: str) -> None:
    assert not is_disguised(host)
