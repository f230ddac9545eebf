"""An array of events, each read as a call of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Call, News
from tagboat.webhook.formats.judge import joined


@dataclass(slots=True)
class Batch:
    """Read in the place of a format. `NAME` is the sender of the first event; `parts` are each event's reader and call."""

    NAME: str
    parts: tuple[tuple[Callable[[Call], News], Call], ...]

    def read(self, _call: Call) -> News:
        """All events' news as one; raise InvalidValueError where no event is of use and one could not be read."""
        news: list[News] = []
        faults: list[str] = []
        for place, (read, part) in enumerate(self.parts):
            try:
                news.append(read(part))
            except InvalidValueError as error:
                faults.append(f"item {place}: {error}")
        return joined(news, faults, "no event is the push of a tag")
