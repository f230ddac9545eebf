"""Gitea and Forgejo: the event `package`.

They also announce each child manifest of a multi-arch image, with its digest as the version; the
event of the tag follows.
"""

from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    SkippedImage,
    host_of,
    shown,
    text_at,
)
from tagboat.webhook.formats.image_rules import printable, read_one

NAME = "gitea"
MARK = "X-Gitea-Event"
# Chat types of hooks send the same header with a body of their service instead.
_OF_PACKAGES = frozenset({"action", "package"})
# Fields of which every body of the type Gitea has one.
_OF_ALL = frozenset({"action", "ref", "repository", "sender"})
_CHAT = (
    "it is a chat message: the hook in Gitea is of a type such as Slack or Discord. "
    "Delete it there, and add one of the type Gitea (or Forgejo) with this URL"
)
_TEST = (
    "Gitea's Test delivery sends one too: it only shows that this URL can be reached. "
    "Choose the event Package in the hook, then push an image"
)
_ROOT_URL = (
    "Gitea takes it from ROOT_URL in its app.ini: set that to the address that images are pulled "
    "from"
)


def recognises(call: Call) -> bool:
    """Return whether it has Gitea's or Forgejo's event header; they send GitHub's as well."""
    return "x-gitea-event" in call.headers or "x-forgejo-event" in call.headers


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of a container package is missing."""
    event = call.headers.get("x-gitea-event") or call.headers.get("x-forgejo-event")
    if (_OF_PACKAGES if event == "package" else _OF_ALL).isdisjoint(call.body):
        return ParsedNotification((), _CHAT, needs_you=True)
    if event != "package":
        test = f". {_TEST}" if event == "push" else ""
        return ParsedNotification(
            (), f"the Gitea event {shown(event)} is not a package event{test}"
        )
    action, package = call.body.get("action"), call.body.get("package")
    if action != "created":
        return ParsedNotification((), f"the action is {shown(action)}, not 'created'")
    kind = package.get("type") if isinstance(package, dict) else None
    if kind is not None and kind != "container":
        return ParsedNotification((), f"the package is of type {shown(kind)}, not 'container'")
    owner = text_at(call.body, "package", "owner", "login")
    path = f"{owner}/{text_at(call.body, 'package', 'name')}".lower()
    url, tag = text_at(call.body, "package", "html_url"), text_at(call.body, "package", "version")
    host = host_of(url)
    if not host and not call.registry_host:
        reason = f"package.html_url {shown(url)} names no host; {_ROOT_URL}"
        return read_one(call, SkippedImage(printable(path), reason, needs_you=True))
    return read_one(call, AnnouncedImage(host=host, path=path, tag=tag, hint=_ROOT_URL))
