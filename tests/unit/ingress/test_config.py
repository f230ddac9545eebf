import pytest

from tagboat.core.errors import SettingsError
from tagboat.core.values import replace
from tagboat.ingress.config import ConfigInput, render_config

INPUT = ConfigInput(listen=("127.0.0.1", 7080))


def text_of(wanted: ConfigInput) -> str:
    return render_config(wanted).files["haproxy.cfg"]


def test_the_same_input_gives_the_same_bytes() -> None:
    assert render_config(INPUT) == render_config(INPUT)


@pytest.mark.parametrize(
    "other",
    [
        replace(INPUT, listen=("127.0.0.1", 7081)),
        replace(INPUT, trusted=("10.0.0.0/8",)),
        replace(INPUT, run_as="haproxy"),
        replace(INPUT, lua=False),
        replace(INPUT, tls=False),
        replace(INPUT, hold_s=7),
    ],
)
def test_every_difference_shows_in_the_fingerprint(other: ConfigInput) -> None:
    assert render_config(other).fingerprint != render_config(INPUT).fingerprint


def test_the_text_bears_its_fingerprint() -> None:
    rendered = render_config(INPUT)
    assert f"\n  description {rendered.fingerprint}\n" in rendered.files["haproxy.cfg"]


@pytest.mark.parametrize(
    ("listen", "line"),
    [
        (("127.0.0.1", 80), "bind 127.0.0.1:80"),
        (("::1", 7080), "bind [::1]:7080"),
        (("box.example.com", 1), "bind box.example.com:1"),
    ],
)
def test_where_it_listens(listen: tuple[str, int], line: str) -> None:
    assert f"\n  {line}\n" in text_of(replace(INPUT, listen=listen))


def test_without_lua_a_held_request_is_told_to_come_back() -> None:
    rendered = render_config(replace(INPUT, lua=False))
    assert "lua" not in rendered.files["haproxy.cfg"]
    assert "hold.lua" not in rendered.files
    assert (
        "file restarting.html hdr Cache-Control no-store hdr Retry-After 2"
        in rendered.files["haproxy.cfg"]
    )


def test_without_tls_an_https_app_is_not_there() -> None:
    text = text_of(replace(INPUT, tls=False))
    assert " ssl " not in text
    assert text.count("This HAProxy was built without TLS") == 2


def test_it_becomes_another_user_only_when_told() -> None:
    assert "\n  user " not in text_of(INPUT)
    assert "\n  user haproxy\n  group haproxy\n" in text_of(replace(INPUT, run_as="haproxy"))


def test_nobody_may_be_trusted() -> None:
    assert "acl from_front src 0.0.0.0/32\n" in text_of(replace(INPUT, trusted=()))


@pytest.mark.parametrize("value", ["10.0.0.0/8\n  user root", "a b", "", "10.0.0.0/8;"])
def test_no_value_can_add_a_line(value: str) -> None:
    with pytest.raises(SettingsError, match="neither a host nor a network"):
        render_config(replace(INPUT, trusted=(value,)))
    with pytest.raises(SettingsError, match="neither a host nor a network"):
        render_config(replace(INPUT, listen=(value, 80)))


def test_the_pages_need_nothing_but_themselves() -> None:
    pages = {
        name: text for name, text in render_config(INPUT).files.items() if name.endswith(".html")
    }
    assert len(pages) == 5
    for text in pages.values():
        assert text.startswith("<!doctype html>")
        assert "color-scheme: light dark" in text
        assert "://" not in text
        assert len(text) < 2000
