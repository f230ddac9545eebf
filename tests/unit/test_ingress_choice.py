"""Which ingress the server uses: an address of its own."""

from pathlib import Path

import pytest

from tagboat.core.errors import SettingsError
from tagboat.ingress.none import NoIngress
from tagboat.ingress_choice import choose_ingress, require_two_addresses
from tagboat.settings import Settings, load_settings
from tests.support.ports import free_port


def settings_for(tmp_path: Path, **environ: str) -> Settings:
    own = {"TAGBOAT_DATA_DIR": str(tmp_path / "data"), "TAGBOAT_INGRESS": "haproxy"}
    return load_settings({**own, **environ}, cwd=tmp_path, is_tty=False)


@pytest.mark.parametrize(
    ("host", "listen"),
    [
        ("127.0.0.1", "127.0.0.1:7070"),
        ("localhost", "127.0.0.1:7070"),
        ("127.0.0.1", "0.0.0.0:7070"),
        ("0.0.0.0", "192.0.2.1:7070"),  # noqa: S104 - only compared
        ("::1", "[::]:7070"),
        ("::", "[::1]:7070"),
        ("127.0.0.1", "[::]:7070"),
    ],
)
def test_one_address_for_both_is_refused(tmp_path: Path, host: str, listen: str) -> None:
    settings = settings_for(tmp_path, TAGBOAT_HOST=host, TAGBOAT_INGRESS_LISTEN=listen)
    with pytest.raises(SettingsError, match=r"name one address, .*:7070: set one of the two"):
        require_two_addresses(settings)


@pytest.mark.parametrize(
    ("host", "listen", "ingress"),
    [
        ("127.0.0.1", "127.0.0.1:7080", "haproxy"),
        ("127.0.0.1", "127.0.0.2:7070", "haproxy"),
        ("0.0.0.0", "[::1]:7070", "haproxy"),  # noqa: S104 - only compared
        ("::", "0.0.0.0:7070", "haproxy"),
        ("127.0.0.1", "127.0.0.1:7070", "none"),
    ],
)
def test_two_addresses_are_not(tmp_path: Path, host: str, listen: str, ingress: str) -> None:
    named = {"TAGBOAT_INGRESS": ingress, "TAGBOAT_INGRESS_LISTEN": listen}
    require_two_addresses(settings_for(tmp_path, TAGBOAT_HOST=host, **named))


def test_the_default_is_only_warned_of_until_it_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagboat.ingress_choice.why_not_free", lambda _: "Address already in use")
    data = {"TAGBOAT_DATA_DIR": str(tmp_path), "TAGBOAT_PORT": "7080"}
    settings = load_settings(data, cwd=tmp_path, is_tty=False)
    require_two_addresses(settings)
    chosen = choose_ingress(settings)
    assert isinstance(chosen, NoIngress)
    assert chosen.why == (
        "there is no ingress: TAGBOAT_PORT and TAGBOAT_INGRESS_LISTEN name one address,"
        " 127.0.0.1:7080: set one of the two to another"
    )
    data["TAGBOAT_PORT"] = str(free_port())
    chosen = choose_ingress(load_settings(data, cwd=tmp_path, is_tty=False))
    assert isinstance(chosen, NoIngress)
    assert "another program has its address 127.0.0.1:7080 (" in chosen.why
    (tmp_path / "ingress").mkdir()
    with pytest.raises(SettingsError, match="name one address"):
        require_two_addresses(settings)
