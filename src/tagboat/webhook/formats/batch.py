"""An array of events, each read as a call of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats.call import Call, News, left_out


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
        whole = _joined(news)
        if not faults:
            return whole
        if not (whole.images or whole.hostless or whole.answer):
            raise InvalidValueError(faults[0])
        return replace(whole, reason=left_out(faults))


def _joined(news: list[News]) -> News:
    images = tuple(image for one in news for image in one.images)
    hostless = tuple(image for one in news for image in one.hostless)
    answer = next((one.answer for one in news if one.answer), None)
    if images or hostless:
        return News(images, next((one.reason for one in news if one.reason and one.images), None), hostless, answer)
    reasons = [one.reason for one in news if one.reason]
    return News((), reasons[0] if len(reasons) == 1 else "no event is the push of a tag", (), answer)
