"""The senders understood at the webhook URL, one module each: a pure function from a call to its news."""

from typing import Protocol

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.formats import distribution, gitea, native
from tagboat.webhook.formats.call import Call, News


class Format(Protocol):
    """What each module of a sender has."""

    NAME: str

    def recognises(self, call: Call) -> bool: ...  # noqa: D102 - see the modules
    def read(self, call: Call) -> News: ...  # noqa: D102 - see the modules


FORMATS: tuple[Format, ...] = (gitea, distribution, native)
"""In the order in which they are tried. Gitea before any other that looks at GitHub's header, which it sends too."""


def recognise(call: Call) -> Format:
    """The format of a call; raise InvalidValueError naming what was looked for when no sender's shape fits."""
    for candidate in FORMATS:
        if candidate.recognises(call):
            return candidate
    raise InvalidValueError(
        'no known sender has this shape: looked for "image" (native), "events" (Distribution) and the header X-Gitea-Event; '
        'the simplest call is {"image": "registry/org/app:tag"}'
    )
