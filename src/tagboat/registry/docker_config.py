"""Credentials from a Docker `config.json`, as `docker login` and `podman login` write it."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import DOCKER_HUB, is_docker_hub
from tagboat.registry.endpoint import IDENTITY_TOKEN_USER
from tagboat.registry.password_command import HELPER_PREFIX

_MAX_CONFIG_TEXT = 256 * 1024
_MAX_SHOWN_HOSTS = 5
# It becomes the name of a program: nothing in it may mean anything else.
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class DockerLogin:
    """Username and password for a registry; the username of an identity token is `<token>`.

    Where a credential helper keeps them, both are empty, and `command` asks it.
    """

    username: str
    password: str = field(repr=False)
    command: str = ""


def login_for(text: str, host: str) -> DockerLogin:
    """Return the login for `host` (with its port, or a registry's URL) in a `config.json`.

    Docker Hub has several names, `https://index.docker.io/v1/` among them. A credential helper for
    this host counts first, that for all hosts last. Raises InvalidValueError that says what is
    missing, without any secret.
    """
    if len(text) > _MAX_CONFIG_TEXT:
        raise InvalidValueError(
            f"the Docker config has more than {_MAX_CONFIG_TEXT} characters; is it the right file?"
        )
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValueError(
            "the Docker config is not JSON: give the whole text of ~/.docker/config.json"
        ) from None
    if not isinstance(config, dict):
        raise InvalidValueError(
            "the Docker config is not a JSON object: give the whole text of ~/.docker/config.json"
        )
    wanted = _auth_host(host)
    auths = logins_in(config)
    helpers = config.get("credHelpers")
    for key, helper in helpers.items() if isinstance(helpers, dict) else ():
        if _auth_host(key) == wanted:
            return helper_login(helper)
    is_known = False
    for key, entry in auths.items():
        path = key.strip().rpartition("://")[2].partition("/")[2].strip("/")
        # Podman also has keys for a part of a registry only, such as `quay.io/acme`.
        is_namespace = "://" not in key and path not in {"", "v1", "v2"}
        if _auth_host(key) == wanted and not is_namespace:
            is_known = True
            if (login := login_of(entry, wanted)) is not None:
                return login
    if config.get("credsStore"):
        return helper_login(config["credsStore"])
    raise no_login(auths, wanted, is_known=is_known)


def helper_login(name: object) -> DockerLogin:
    """Return the login that the credential helper `name` keeps. Raises InvalidValueError."""
    if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
        raise InvalidValueError("the Docker config names a credential helper that cannot be one")
    return DockerLogin("", "", f"{HELPER_PREFIX}{name} get")


def logins_in(config: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    """Return the logins by the name they were made for. Raises InvalidValueError."""
    auths = config.get("auths")
    # The oldest form of the file (`.dockercfg`) has them at the top.
    if auths is None and not any(name in config for name in ("credsStore", "credHelpers")):
        auths = {
            key: entry
            for key, entry in config.items()
            if isinstance(entry, dict) and "auth" in entry
        }
    if auths is not None and not isinstance(auths, dict):
        raise InvalidValueError("`auths` in the Docker config is not a JSON object")
    return {key: entry for key, entry in (auths or {}).items() if isinstance(entry, dict)}


def _auth_host(name: str) -> str:
    """Return the host of a key of `auths`: it may be a URL, and may end in `/v1/` or `/v2/`."""
    host = name.strip().rpartition("://")[2].partition("/")[0].lower()
    return DOCKER_HUB if is_docker_hub(host) else host


def login_of(entry: Mapping[str, object], host: str) -> DockerLogin | None:
    """Return the login of an entry, None if it has none. Raises InvalidValueError."""
    identity_token = entry.get("identitytoken")
    if isinstance(identity_token, str) and identity_token:
        return DockerLogin(IDENTITY_TOKEN_USER, identity_token)
    username, password = entry.get("username"), entry.get("password")
    if isinstance(username, str) and isinstance(password, str) and password:
        return DockerLogin(username, password)
    auth = entry.get("auth")
    if not isinstance(auth, str) or not auth.strip():
        return None
    try:
        pair = base64.b64decode("".join(auth.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        pair = ""
    username, colon, password = pair.partition(":")
    if not colon:
        raise InvalidValueError(
            f"`auth` for {host} in the Docker config is not base64 of username:password"
        )
    # Docker pads some with NULs.
    password = password.strip("\0")
    return DockerLogin(username, password) if password else None


def no_login(auths: Mapping[str, object], host: str, *, is_known: bool) -> InvalidValueError:
    """Return the error that says which logins there are."""
    if is_known:
        return InvalidValueError(
            f"the Docker config names {host}, but has no username and password for it"
        )
    hosts = sorted({_auth_host(key) for key in auths})
    shown = ", ".join(hosts[:_MAX_SHOWN_HOSTS]) + (" …" if len(hosts) > _MAX_SHOWN_HOSTS else "")
    has = f"it has logins for {shown}" if hosts else "it has none at all"
    return InvalidValueError(f"the Docker config has no login for {host}; {has}")
