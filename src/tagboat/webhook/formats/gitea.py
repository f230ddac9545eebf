"""Gitea and Forgejo: the event `package`.

They announce every child manifest of a multi-arch image too, with its digest as the version; the tag follows.
"""

from tagboat.core.image import ImageRef, parse_tag
from tagboat.webhook.formats.call import Call, News, host_of, repository_at, shown, text_at, why_no_image

NAME = "gitea"
MARK = "X-Gitea-Event"


def recognises(call: Call) -> bool:
    """Whether it bears Gitea's or Forgejo's event header; they send `X-GitHub-Event` as well."""
    return "x-gitea-event" in call.headers or "x-forgejo-event" in call.headers


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError when a container package has no usable name."""
    event = call.headers.get("x-gitea-event") or call.headers.get("x-forgejo-event")
    if event != "package":
        return News((), f"the Gitea event {shown(event)} is no package event")
    if call.body.get("action") != "created":
        return News((), f"the package was {shown(call.body.get('action'))}, not 'created'")
    package = call.body.get("package")
    kind = package.get("type") if isinstance(package, dict) else None
    if kind is not None and kind != "container":
        return News((), f"the package is of type {shown(kind)}, not 'container'")
    version = text_at(call.body, "package", "version")
    if reason := why_no_image(version):
        return News((), reason)
    owner = text_at(call.body, "package", "owner", "login")
    name = text_at(call.body, "package", "name")
    host = host_of(text_at(call.body, "package", "html_url"))
    return News((ImageRef(repository_at(host, f"{owner}/{name}".lower()), parse_tag(version)),))
