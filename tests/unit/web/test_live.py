"""Which events make an open page read itself again."""

from datetime import UTC, datetime

import pytest

from tagboat.core.events import Event, EventTopic
from tagboat.web.live import PageFilter

TOPICS = {EventTopic.STAGE, EventTopic.DELIVERY}


@pytest.mark.parametrize(
    ("topics", "topic", "project", "wanted"),
    [
        (TOPICS, EventTopic.STAGE, "shop", True),
        (TOPICS, EventTopic.STAGE, "docs", False),
        (TOPICS, EventTopic.DELIVERY, None, True),
        (TOPICS, EventTopic.POLL, "shop", False),
        ({EventTopic.STAGE}, EventTopic.DELIVERY, None, False),
    ],
)
def test_a_page_of_a_project_hears_of_calls_if_it_names_them(
    topics: set[EventTopic], topic: EventTopic, project: str | None, wanted: bool
) -> None:
    event = Event(
        id=1,
        topic=topic,
        subject="x",
        at=datetime.now(UTC),
        project_id=project,
        stage_id=None,
        deploy_id=None,
        state={},
    )
    assert PageFilter(topics, "shop").matches(event) is wanted
