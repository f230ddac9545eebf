"""Refusals of the engine: its status and words, turned into errors of the tree.

Most failures of the engine differ only in their text, so the texts known to matter are
listed here, once. Statuses are those of the Docker Engine API; 900 is aiodocker's own for "no
connection", 0 an error inside a pull's stream.
"""

import re
from collections.abc import Callable
from http import HTTPStatus

from aiodocker import DockerError

from tagboat.core.errors import (
    DiskFullError,
    EndpointTakenError,
    EngineDeniedError,
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
    NameTakenError,
    NetworkNotFoundError,
)
from tagboat.core.image import ImageName, docker_trust_file

NO_CONNECTION = 900
_LONGEST_SAID = 500

_DISK_FULL = re.compile(r"no space left on device", re.IGNORECASE)
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use", re.IGNORECASE)
_NAME_TAKEN = re.compile(r"is already in use by container", re.IGNORECASE)
_BEING_REMOVED = re.compile(r"dead or marked for removal", re.IGNORECASE)
_OTHER_PROCESSOR = re.compile(r"exec format error", re.IGNORECASE)
_BAD_REFERENCE = re.compile(r"invalid reference format", re.IGNORECASE)
_NETWORK_GONE = re.compile(r"network (\S+) not found", re.IGNORECASE)
_OTHER_VERSION = re.compile(r"client version \S+ is too (new|old)", re.IGNORECASE)
# Answers of a proxy in front of the engine while the engine itself cannot be reached.
_BAD_GATEWAY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)

_UNREAD = re.compile(r"error parsing HTTP (\d{3}) response body: .*?: \"(.*)\"", re.DOTALL)
"""For an error whose body is not a registry's, the engine says why it is not JSON, and quotes it.

Not what its status means.
"""
_HTML_PAGE = re.compile(r"(?:\\[nrt]|\s)*<")

_RUNTIME_PREAMBLE = re.compile(
    r"^.*?(?=exec: \"|error mounting |error setting cgroup config|Bind for |listen tcp)", re.DOTALL
)
# The engine repeats the variable with its value, which may be a secret.
_ENVIRONMENT = re.compile(r"(invalid environment variable):.*", re.DOTALL | re.IGNORECASE)
# Addresses of proxies and mirrors may have a password in them.
_USERINFO = re.compile(r"(\b[a-z]+://)[^/@\s]+@")
# Storage behind registries is often reached by addresses with a signature in the query.
_QUERY = re.compile(r"(\bhttps?://[^\s?\"']+)\?[^\s\"']*")


def _retryable(message: str) -> EngineError:
    """Return an error of the registry's making, not of the engine's, that may pass by itself."""
    error = EngineError(message)
    error.retryable = True
    return error


_PULL_REFUSALS: tuple[tuple[re.Pattern[str], Callable[[str], EngineError], str], ...] = (
    (_DISK_FULL, DiskFullError, "the engine's disk is full; it could not pull {image}: {said}"),
    (
        re.compile(r"toomanyrequests|too many requests|rate limit", re.IGNORECASE),
        _retryable,
        (
            "the registry {host} refuses more pulls for now; wait, or give it a login that may pull"
            " more. The engine said: {said}"
        ),
    ),
    (
        re.compile(
            # Not `permission denied`, which is about files of the engine's machine.
            r"unauthorized|(?<!permission )denied|authentication required|no basic auth credentials"
            r"|incorrect username or password|403 forbidden",
            re.IGNORECASE,
        ),
        EngineDeniedError,
        (
            "the registry {host} refused the login, or has no {path}; check its user and password."
            " The engine said: {said}"
        ),
    ),
    (
        re.compile(r"x509: certificate signed by unknown authority", re.IGNORECASE),
        EngineError,
        (
            "the engine, whose trust is its own, does not know the authority behind the certificate"
            " of the registry {host}:"
            " write the authority's to {trust} on the engine's machine. The engine said: {said}"
        ),
    ),
    (
        re.compile(r"x509:", re.IGNORECASE),
        EngineError,
        (
            "the engine does not take the certificate of the registry {host}; its name, its dates"
            " or its use do not fit: {said}"
        ),
    ),
    (
        re.compile(r"server gave HTTP response to HTTPS client", re.IGNORECASE),
        EngineError,
        (
            "the engine asks the registry {host} by TLS, which that does not speak; name it in the"
            " engine's"
            ' /etc/docker/daemon.json: {{"insecure-registries": ["{host}"]}}. The engine said:'
            " {said}"
        ),
    ),
    (
        re.compile(r"failed to register layer", re.IGNORECASE),
        EngineError,
        (
            "the engine cannot unpack a layer of {image}; is it compressed with zstd? That needs"
            " Docker 23 or newer: update"
            " the engine, or build the image with gzip. The engine said: {said}"
        ),
    ),
    (
        re.compile(
            r"connection refused|connection reset|time-?d? ?out|deadline exceeded|no such host"
            r"|no route to host|unreachable"
            r"|temporary failure|server misbehaving|\bEOF\b|context canceled",
            re.IGNORECASE,
        ),
        _retryable,
        (
            "the engine could not reach the registry {host}; is it up, and in reach of the engine?"
            " The engine said: {said}"
        ),
    ),
    (
        re.compile(r"\bHTTP 5\d\d\b|status.* 5\d\d\b", re.IGNORECASE),
        _retryable,
        (
            "the registry {host}, or a proxy before it, is out of order for now. The engine said:"
            " {said}"
        ),
    ),
    (
        re.compile(r"verification failed for digest|unexpected commit digest", re.IGNORECASE),
        _retryable,
        (
            "what the registry {host} sent is not what its digest names; did a proxy answer in its"
            " place? The engine said: {said}"
        ),
    ),
    (
        re.compile(r"unsupported media type", re.IGNORECASE),
        EngineError,
        (
            "{image} is not a container image but, say, a chart or a build's cache; push it"
            " elsewhere. The engine said: {said}"
        ),
    ),
    (
        re.compile(
            r"error unmarshall?ing content|unable to decode token response|unexpected media type",
            re.IGNORECASE,
        ),
        EngineError,
        (
            "the registry {host} did not answer like one; is a proxy in its place, or a login page?"
            " The engine said: {said}"
        ),
    ),
    (
        re.compile(r"missing signature key", re.IGNORECASE),
        EngineError,
        (
            "what the registry {host} sent is not what {image} was: its manifest, or the header"
            " Docker-Content-Digest, was"
            " changed on the way; is a proxy in front of it? The engine said: {said}"
        ),
    ),
    (
        re.compile(r"no matching manifest for", re.IGNORECASE),
        EngineError,
        (
            "{image} is not built for the engine's machine: build it for that, too (docker buildx"
            " build --platform), and push"
            " it again. The engine said: {said}"
        ),
    ),
    (
        re.compile(r"unknown blob|blob unknown", re.IGNORECASE),
        EngineNotFoundError,
        (
            "the registry {host} has the image, but not all of its parts; push it again. The engine"
            " said: {said}"
        ),
    ),
    (
        re.compile(r"not found|manifest unknown|name unknown", re.IGNORECASE),
        EngineNotFoundError,
        "the registry {host} has no such image: {said}",
    ),
)
"""The meanings of a failed pull; the first pattern that matches counts: pattern, error, sentence.

A refused login says "not found" as well.
"""


def refusal(error: DockerError, doing: str) -> EngineError:
    """Return the error for a call that failed while `doing` (`start web-1`)."""
    said = clean(error.message)
    # For the words that alone do not tell what to do.
    hint = ""
    if _OTHER_PROCESSOR.search(said):
        hint = (
            "; the image is built for another processor than the engine's: build it for that one"
            " (docker build --platform)"
        )
    elif _BAD_REFERENCE.search(said) and "[" in doing:
        hint = (
            "; engines before Docker 23 know no IPv6 address in an image's name: give the registry"
            " a name, and use that"
        )
    text = f"the engine could not {doing}: {said}{hint}"
    # First, because a full disk comes under several statuses.
    if _DISK_FULL.search(said):
        return DiskFullError(f"the engine's disk is full; it could not {doing}: {said}")
    if _PORT_TAKEN.search(said):
        return EndpointTakenError(text)
    if error.status == HTTPStatus.CONFLICT and _NAME_TAKEN.search(said):
        return NameTakenError(text)
    if error.status == HTTPStatus.NOT_FOUND or _BEING_REMOVED.search(said):
        gone = _NETWORK_GONE.search(said)
        return no_network(gone[1], doing) if gone else EngineNotFoundError(text)
    if error.status in _BAD_GATEWAY or other_version(error):
        return EngineUnavailableError(text)
    return EngineError(text)


def no_network(network: str, doing: str) -> NetworkNotFoundError:
    """Return the error for a network that was needed while `doing`, and is not there."""
    return NetworkNotFoundError(
        f"the engine could not {doing}: it has no network {network}; make it with: docker network"
        f" create {network}"
    )


def pull_refusal(error: DockerError, image: ImageName, secret: str | None = None) -> EngineError:
    """Return the error for a pull of `image` that failed.

    `secret` is a text that must not be repeated.
    """
    said = clean(
        _UNREAD.sub(_by_status, error.message.replace(secret, "***") if secret else error.message)
    )
    # Without the words that name the image: a repository may well be called `acme/timeout`.
    marks = tuple(image.path + mark for mark in ",@:")
    words = [one for one in said.split() if f"/{image.path}" not in one]
    judged = " ".join(one for one in words if not one.startswith(marks))
    for pattern, make, sentence in _PULL_REFUSALS:
        if pattern.search(judged):
            trust = docker_trust_file(image.host)
            return make(
                sentence.format(
                    image=image, host=image.host, path=image.path, trust=trust, said=said
                )
            )
    return refusal(DockerError(error.status, said), f"pull {image}")


def login_refusal(error: DockerError, host: str, secret: str | None) -> EngineError:
    """Return the error for the engine's login at the registry `host` that failed.

    `secret` must not be repeated.
    """
    said = clean(error.message.replace(secret, "***") if secret else error.message)
    for pattern, make, sentence in _PULL_REFUSALS:
        # Those that speak of an image have nothing to say here.
        if pattern.search(said) and "{image}" not in sentence and "{path}" not in sentence:
            return make(sentence.format(host=host, trust=docker_trust_file(host), said=said))
    return EngineError(f"the registry {host} refused the engine's login. The engine said: {said}")


def other_version(error: DockerError) -> bool:
    """Return whether the engine no longer speaks the API version that was agreed on.

    It was replaced by another release.
    """
    return (
        error.status == HTTPStatus.BAD_REQUEST and _OTHER_VERSION.search(error.message) is not None
    )


def clean(message: str) -> str:
    """Return the engine's words on one line, without preamble, credentials or variables' values."""
    text = " ".join("".join(char if char.isprintable() else " " for char in message).split())
    text = _RUNTIME_PREAMBLE.sub("", text).removesuffix(": unknown")
    text = _ENVIRONMENT.sub(r"\1", text)
    text = _QUERY.sub(r"\1", _USERINFO.sub(r"\1", text))
    return text if len(text) <= _LONGEST_SAID else text[:_LONGEST_SAID] + "…"


def _by_status(unread: re.Match[str]) -> str:
    """Return words for an `_UNREAD` answer by its status, with its body unless it is a page."""
    status, body = int(unread[1]), unread[2]
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
    said = f"HTTP {status} {phrase}, not in a registry's words; did a proxy answer in its place?"
    return said if not body or _HTML_PAGE.match(body) else f"{said} It said: {body}"
