"""Files of services: those that no service uses are removed."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tagboat.runtime.swarm.files import FILE_OF_LABEL, SwarmFiles
from tagboat.runtime.swarm.managers import SwarmManagers
from tests.unit.runtime.swarm.calls import Calls

pytestmark = pytest.mark.anyio


def file(name: str, service: str | None, age_min: int) -> dict[str, Any]:
    made = datetime.now(UTC) - timedelta(minutes=age_min)
    labels = {FILE_OF_LABEL: service} if service else {}
    return {"ID": name, "CreatedAt": made.isoformat(), "Spec": {"Name": name, "Labels": labels}}


async def test_only_old_files_of_services_that_are_gone_are_removed() -> None:
    calls = Calls(
        {
            "secrets": [file("used", "shop", 60), file("left", "gone", 60), file("new", "next", 1)],
            "configs": [file("theirs", None, 60), file("left too", "gone", 60)],
        }
    )
    await SwarmFiles(cast("SwarmManagers", calls)).sweep({"tagboat.managed": "true"}, {"shop"})
    assert [call[:2] for call in calls.changes] == [
        ("DELETE", "secrets/left"),
        ("DELETE", "configs/left too"),
    ]
