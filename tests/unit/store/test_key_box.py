import json

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.store.key_box import lock_key, unlock_key

KEY = bytes(range(32))


def test_the_passphrase_opens_it_and_no_other_does() -> None:
    box = lock_key(KEY, "correct horse")
    assert unlock_key(box, "correct horse") == KEY
    assert KEY.hex() not in box
    for wrong in ("", "Correct horse", "correct horse "):
        with pytest.raises(InvalidValueError, match="the passphrase is wrong"):
            unlock_key(box, wrong)
    assert lock_key(KEY, "correct horse") != box


@pytest.mark.parametrize(
    "change",
    [
        {"n": 1 << 40},
        {"n": 1000},
        {"n": 0},
        {"n": "many"},
        {"r": 1 << 20},
        {"kdf": "none"},
        {"salt": 1},
        {"nonce": "?"},
    ],
)
def test_one_that_asks_for_too_much_is_not_tried(change: dict[str, object]) -> None:
    box = json.loads(lock_key(KEY, "x")) | change
    with pytest.raises(InvalidValueError, match="does not know"):
        unlock_key(json.dumps(box), "x")


@pytest.mark.parametrize("box", ["", "{}", "[]", "null"])
def test_what_is_no_box_is_refused(box: str) -> None:
    with pytest.raises(InvalidValueError):
        unlock_key(box, "x")
