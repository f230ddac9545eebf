"""Globs over image names, for the setting `auto_create_images`."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import DOCKER_HUB, MAX_NAME_LENGTH, ImageName

# Brackets may contain an IPv6 address only: there are no character classes.
_ALLOWED = re.compile(
    r"(?:\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\](?::[0-9]{1,5})?/)?[\w.:*?-]+(?:/[\w.:*?-]+)*", re.ASCII
)
_GLOB_TOKENS = re.compile(r"\*\*|\*|\?|[^*?]+")
# Compared directly: many servers then never load RE2.
_ANYTHING = "**"
_WILD = frozenset("*?[]")
_WILDCARDS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True)
class ImageGlob:
    """A glob: `**` matches anything, `*` anything except `/`, `?` one character except `/`.

    Other characters stand for themselves. A glob that begins with neither host nor wildcard is on
    Docker Hub, as in image names: `nginx` matches `docker.io/library/nginx`, `acme/*` the images in
    `docker.io/acme`. Hosts are compared without case.
    """

    text: str

    def matches(self, image: ImageName) -> bool:
        """Return whether the glob matches the whole name with its host."""
        return self.text == _ANYTHING or self._compiled.fullmatch(str(image)) is not None

    @cached_property
    def _compiled(self) -> Any:  # noqa: ANN401 - re2 ships no types
        import re2  # noqa: PLC0415 - 2 MB that many servers never need

        # RE2, because it matches in linear time.
        return re2.compile(
            "".join(
                _WILDCARDS.get(token) or re2.escape(token)
                for token in _GLOB_TOKENS.findall(self._full)
            )
        )

    @property
    def _full(self) -> str:
        first, slash, rest = self.text.partition("/")
        if not slash:
            return (
                self.text
                if "**" in first or set(first) <= _WILD
                else f"{DOCKER_HUB}/library/{first}"
            )
        if "." in first or ":" in first or first.lower() == "localhost":
            return f"{first.lower()}/{rest}"
        return self.text if _WILD & set(first) else f"{DOCKER_HUB}/{self.text}"


def parse_image_glob(text: str) -> ImageGlob:
    """Return `text` as a glob; raise InvalidValueError if no image name can match its syntax.

    It has at most 255 characters.
    """
    if not text or len(text) > MAX_NAME_LENGTH or not _ALLOWED.fullmatch(text):
        raise InvalidValueError(
            f"{text[:80]!r} is not an image glob: image names with '*' (not across '/'), '**' "
            f"(across) and '?', at most {MAX_NAME_LENGTH} characters, such as "
            "git.example.com/acme/*"
        )
    return ImageGlob(text)
