import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import SettingsError
from tagboat.store.cipher import KEY_BYTES, Cipher, load_or_make_key

KEY, OTHER_KEY = bytes(range(KEY_BYTES)), bytes(reversed(range(KEY_BYTES)))
PLACE = "registry/1/password"


@given(secret=st.text(st.characters(codec="utf-8")), place=st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens_at_its_place(secret: str, place: str) -> None:
    cipher = Cipher(KEY)
    assert cipher.open(cipher.seal(secret, place), place) == secret


def test_the_secret_is_not_among_what_is_stored_and_two_seals_differ() -> None:
    cipher = Cipher(KEY)
    one, two = cipher.seal("hunter2", PLACE), cipher.seal("hunter2", PLACE)
    assert b"hunter2" not in one
    assert one != two


def test_another_key_does_not_open_it() -> None:
    sealed = Cipher(KEY).seal("hunter2", PLACE)
    with pytest.raises(SettingsError, match="another key") as raised:
        Cipher(OTHER_KEY).open(sealed, PLACE)
    assert PLACE in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_secret_moved_to_another_place_does_not_open() -> None:
    cipher = Cipher(KEY)
    with pytest.raises(SettingsError):
        cipher.open(cipher.seal("hunter2", PLACE), "registry/2/password")


@pytest.mark.parametrize("length", [0, 1, 4, 5, 11, 15, 16, 17, 31, 32])
def test_a_truncated_secret_does_not_open(length: int) -> None:
    cipher = Cipher(KEY)
    with pytest.raises(SettingsError):
        cipher.open(cipher.seal("hunter2", PLACE)[:length], PLACE)


@given(place=st.integers(4, 34), bit=st.integers(0, 7))
def test_a_flipped_bit_does_not_open(place: int, bit: int) -> None:
    cipher = Cipher(KEY)
    sealed = bytearray(cipher.seal("hunter2", PLACE))
    sealed[place] ^= 1 << bit
    with pytest.raises(SettingsError):
        cipher.open(bytes(sealed), PLACE)


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    key = load_or_make_key(path)
    assert len(key) == KEY_BYTES
    assert load_or_make_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_two_keys_differ(tmp_path: Path) -> None:
    assert load_or_make_key(tmp_path / "one.key") != load_or_make_key(tmp_path / "two.key")


def test_a_draft_that_a_crash_left_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "encryption.key.new").write_text("abc")
    assert len(load_or_make_key(tmp_path / "encryption.key")) == KEY_BYTES


@pytest.mark.parametrize("content", ["", "not hexadecimal", "ab" * 31, "ab" * 33])
def test_an_unusable_key_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "encryption.key"
    path.write_text(content)
    with pytest.raises(
        SettingsError,
        match="encryption.key is not 64 hexadecimal digits; restore it from a backup$",
    ):
        load_or_make_key(path)
    assert path.read_text() == content


def test_a_key_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(SettingsError, match="is not 64 hexadecimal digits"):
        load_or_make_key(path)
