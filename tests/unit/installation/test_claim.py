import pytest

from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id
from tagboat.installation.claim import claim_installation


def test_an_installation_is_claimed_once_at_a_time() -> None:
    installation = new_id()
    claim = claim_installation(installation)
    claim_installation(new_id()).close()
    with pytest.raises(SettingsError, match="runs on this machine with other data"):
        claim_installation(installation)
    claim.close()
    claim_installation(installation).close()


def test_servers_on_one_database_share_a_claim_and_no_copy_runs_beside_any_of_them() -> None:
    installation = new_id()
    first, second = (claim_installation(installation, "one") for _ in range(2))
    for claim in (first, second):
        for other in ("two", "on", ""):
            with pytest.raises(SettingsError, match="runs on this machine with other data"):
                claim_installation(installation, other)
        claim.close()
    first = claim_installation(installation, "one", "r1")
    claim_installation(installation, "one", "r2").close()
    with pytest.raises(SettingsError, match="has the id r1 of this one: its data directory is a"):
        claim_installation(installation, "one", "r1")
    first.close()
    copy = claim_installation(installation, "two")
    with pytest.raises(SettingsError):
        claim_installation(installation, "one")
    copy.close()
