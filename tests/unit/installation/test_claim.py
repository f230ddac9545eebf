import pytest

from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id
from tagboat.installation.claim import claim_installation


def test_an_installation_is_claimed_once_at_a_time() -> None:
    installation = new_id()
    claim = claim_installation(installation)
    claim_installation(new_id()).close()
    with pytest.raises(SettingsError, match="runs on this machine with another data directory"):
        claim_installation(installation)
    claim.close()
    claim_installation(installation).close()
