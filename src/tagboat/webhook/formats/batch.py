"""An array of events, each read as a call."""

from collections.abc import Callable

from msgspec import Struct

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Call, ParsedNotification
from tagboat.webhook.formats.image_rules import merge_parsed


class EventBatch(Struct):
    """An array as a format: `NAME` is the first event's sender, `parts` are (reader, call)."""

    NAME: str
    parts: tuple[tuple[Callable[[Call], ParsedNotification], Call], ...]

    def read(self, _call: Call) -> ParsedNotification:
        """Merge what all events announce; raise InvalidValueError if none can be used."""
        news: list[ParsedNotification] = []
        faults: list[str] = []
        for place, (read, part) in enumerate(self.parts):
            try:
                news.append(read(part))
            except InvalidValueError as error:
                faults.append(f"item {place}: {error}")
        return merge_parsed(news, faults, "no event is the push of a tag")
