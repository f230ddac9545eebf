"""What is sealed of the rows, and what need not be."""

import msgspec
import pytest

from tagboat.core.errors import SettingsError
from tagboat.core.run import RunConfig, RunOptions
from tagboat.core.values import replace
from tagboat.store.cipher import Cipher
from tagboat.store.rows import SealedRows

KEY = bytes(32)
ALONE, BESIDE_OTHERS = SealedRows(Cipher(KEY), alone=True), SealedRows(Cipher(KEY))
PLAIN = RunConfig(port=8080, healthcheck="/health", env={}, image_volumes=("/data",))
GIVEN = [
    replace(PLAIN, env={"PASSWORD": "hunter2"}),
    replace(PLAIN, options=RunOptions(secrets={"PASSWORD": "hunter2"})),
]


def test_a_configuration_without_anything_secret_is_kept_as_it_is() -> None:
    kept = ALONE.of_config(PLAIN, "d1")
    assert b'"port":8080' in kept
    assert ALONE.config(kept, "d1") == PLAIN
    assert BESIDE_OTHERS.config(kept, "d1") == PLAIN


@pytest.mark.parametrize("config", GIVEN)
def test_one_that_may_hold_secrets_is_sealed(config: RunConfig) -> None:
    kept = ALONE.of_config(config, "d1")
    assert b"hunter2" not in kept
    assert b"8080" not in kept
    assert ALONE.config(kept, "d1") == config


def test_where_an_older_server_may_read_it_every_one_is_sealed() -> None:
    kept = BESIDE_OTHERS.of_config(PLAIN, "d1")
    assert b"8080" not in kept
    assert ALONE.config(kept, "d1") == PLAIN


@pytest.mark.parametrize("config", GIVEN)
def test_one_that_somebody_has_put_there_unsealed_is_refused(config: RunConfig) -> None:
    with pytest.raises(SettingsError, match="is not sealed"):
        ALONE.config(msgspec.json.encode(config), "d1")
