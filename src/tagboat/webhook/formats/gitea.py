"""Gitea and Forgejo: the event `package`.

They announce every child manifest of a multi-arch image too, with its digest as the version; the tag follows.
"""

from tagboat.webhook.formats.call import Announced, Call, News, Skipped, host_of, shown, text_at
from tagboat.webhook.formats.judge import printable, read_one

NAME = "gitea"
MARK = "X-Gitea-Event"
_OF_PACKAGES = frozenset({"action", "package"})
_OF_ALL = frozenset({"action", "ref", "repository", "sender"})
"""Fields of which every body of the type Gitea has one."""
_CHAT = (
    "it is a chat message: the hook in Gitea is of a type such as Slack or Discord. "
    "Delete it there, and add one of the type Gitea (or Forgejo) with this URL"
)
_TEST = (
    "Gitea's Test delivery sends one too: it shows that this URL can be reached, and nothing of packages. "
    "Choose the event Package in the hook, then push an image"
)
_ROOT_URL = (
    "Gitea has it from ROOT_URL in its app.ini: set that to the address that images are pulled from"
)


def recognises(call: Call) -> bool:
    """Whether it bears Gitea's or Forgejo's event header; they send `X-GitHub-Event` as well."""
    return "x-gitea-event" in call.headers or "x-forgejo-event" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of a container package is missing."""
    event = call.headers.get("x-gitea-event") or call.headers.get("x-forgejo-event")
    if (_OF_PACKAGES if event == "package" else _OF_ALL).isdisjoint(call.body):
        return News((), _CHAT, needs_you=True)
    if event != "package":
        test = f". {_TEST}" if event == "push" else ""
        return News((), f"the Gitea event {shown(event)} is not a package event{test}")
    return read_one(call, _image(call))


def _image(call: Call) -> Announced | Skipped | str:
    action, package = call.body.get("action"), call.body.get("package")
    if action != "created":
        return f"the action is {shown(action)}, not 'created'"
    kind = package.get("type") if isinstance(package, dict) else None
    if kind is not None and kind != "container":
        return f"the package is of type {shown(kind)}, not 'container'"
    owner, name = (
        text_at(call.body, "package", "owner", "login"),
        text_at(call.body, "package", "name"),
    )
    url, tag = text_at(call.body, "package", "html_url"), text_at(call.body, "package", "version")
    host, path = host_of(url), f"{owner}/{name}".lower()
    if not host and not call.registry_host:
        return Skipped(
            printable(path),
            f"package.html_url {shown(url)} names no host; {_ROOT_URL}",
            needs_you=True,
        )
    return Announced(host=host, path=path, tag=tag, hint=_ROOT_URL)
