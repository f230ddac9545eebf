"""Gitea and Forgejo: the event `package`.

They announce every child manifest of a multi-arch image too, with its digest as the version; the tag follows.
"""

from tagboat.core.image import ImageRef, parse_image_name, parse_tag
from tagboat.webhook.formats.call import Call, News, host_of, shown, text_at

NAME = "gitea"


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
    if version.startswith("sha256:"):
        return News((), "the package version is a digest: part of an image whose tag comes with a call of its own")
    owner = text_at(call.body, "package", "owner", "login")
    name = text_at(call.body, "package", "name")
    host = host_of(text_at(call.body, "package", "html_url"))
    return News((ImageRef(parse_image_name(f"{host}/{owner}/{name}".lower()), parse_tag(version)),))
