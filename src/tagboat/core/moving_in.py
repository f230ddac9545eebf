"""Guesses about apps that ran elsewhere before: secrets, domains, health checks and patterns."""

import re
from collections.abc import Iterable, Mapping

from tagboat.core.image import HIGHEST_PORT

_NAME_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# Parts of one word, such as PGPASSWORD, and whole words: MONKEY is not a key.
_SECRET_PARTS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "APIKEY", "ACCESSKEY", "PRIVATEKEY")
_SECRET_WORDS = frozenset(
    {
        *("KEY", "KEYS", "PASS", "PWD", "PW", "TOKEN", "TOKENS", "CREDENTIAL", "CREDENTIALS"),
        *("DSN", "SALT", "AUTH", "PEPPER", "REQUIREPASS", "MASTERAUTH", "PGPASS", "DBPASS"),
        *("CRED", "CREDS"),
    }
)
# A name that ends so is that of a place: the secret is in the file.
_NAMES_OF_PLACES = frozenset({"FILE", "PATH", "DIR"})
# As in a connection string.
_NAMED_PASSWORD = re.compile(
    r"(?<![-\w])(?:password|passwd|pwd)\s*=\s*[^\s;$][^\s;]{2,}", re.IGNORECASE
)
_LOGIN_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@\s:]*:[^/@\s]+@")
# Tokens that their makers let tools recognise: forges, clouds, shops, and JSON Web Tokens.
_KNOWN_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[oprsu]_|[rs]k_(?:live|test)_|whsec_|hf_|npm_|dop_v1_|shp(?:at|ss)_"
    r"|sk-(?:[a-z0-9]+-)*)[A-Za-z0-9_]{20,}"
    r"|(?<![A-Za-z0-9])(?:gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent|oas)-|github_pat_|dckr_pat_|AIza"
    r"|xox[abeoprs]-|xapp-|hvs\.|AGE-SECRET-KEY-|pypi-|SG\.[A-Za-z0-9_-]{16,}\.)[A-Za-z0-9_-]{20,}"
    r"|(?<![A-Za-z0-9])A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."
)
# The value of an option that is no secret itself: a path, a variable of a shell, a switch.
_NOT_SECRET = re.compile(r"[-/$].*|true|false|yes|no|on|off|")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_SECRET_VALUES = (_LOGIN_IN_URL, _NAMED_PASSWORD, _PRIVATE_KEY, _KNOWN_TOKEN)
_RULE_LABEL = re.compile(r"traefik\.(?:http\.routers\.[^.]+|frontend)\.rule")
_PORT_LABEL = re.compile(r"traefik\.(?:http\.services\.[^.]+\.loadbalancer\.server\.)?port")
# Not HostRegexp, HostSNI or !Host.
_HOST_CALL = re.compile(r"(?<![A-Za-z!])Host\(([^)]*)\)")
_QUOTED = re.compile(r"[`\"']([^`\"']+)[`\"']")
_OLD_RULE = re.compile(r"(?:^|;)\s*Host:\s*([^;]+)")
_ASKS_ITSELF = re.compile(
    r"\bhttp://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?![\w:$.-])"
    r"(?P<path>/[^\s\"'`;|&)]*)?"
)
_ASKERS = re.compile(r"\b(?:curl|wget)\b")
# Without them the app would answer otherwise: a login, a cookie, a body, another method.
_ASKS_MORE = re.compile(
    r"\s-[a-zA-Z]*[bdEFnuX](?=[\s'\"=]|$)"
    r"|\s--(?:user|http-user|http-password|oauth2-bearer|cert|cookie|netrc|request|json|form"
    r"|data[a-z-]*|post-[a-z]+|method|body-[a-z]+)(?=[\s'\"=]|$)"
    r"|\b(?i:authorization|cookie|[a-z-]*(?:key|token))\s*:"
)
_VERSION = re.compile(r"v?(0|[1-9][0-9]{0,8})\.[0-9]+\.[0-9]+", re.ASCII)


def looks_secret(name: str, value: str = "") -> bool:
    """Return whether an environment variable is likely to be a secret, by its name or value."""
    # Words, also of camel case: a part of a word, such as KEY in MONKEY, says nothing.
    words = [word.upper() for word in _NAME_WORDS.findall(name)]
    if any(one.search(value) for one in _SECRET_VALUES):
        return True
    if not words or words[-1] in _NAMES_OF_PLACES:
        return False
    return any(
        word in _SECRET_WORDS
        or word.endswith("TOKEN")
        or any(part in word for part in _SECRET_PARTS)
        for word in words
    )


def secret_words(words: Iterable[str]) -> list[str]:
    """Return the names of what looks like a secret in a command line, each once, and no value."""
    found: dict[str, None] = {}
    option = ""
    # Split again: a script for a shell is one word.
    for part in " ".join(words).split():
        word = part.strip("\"';")
        name, given, value = word.partition("=")
        if _LOGIN_IN_URL.search(word):
            found["a login in a URL"] = None
        elif _KNOWN_TOKEN.search(word):
            found[name if given else "a token"] = None
        elif option and not _NOT_SECRET.fullmatch(word):
            found[option] = None
        elif given and looks_secret(name) and not _NOT_SECRET.fullmatch(value.strip("\"'")):
            found[name] = None
        option = word if word.startswith("-") and not given and looks_secret(word) else ""
    return list(found)


def traefik_hosts(labels: Mapping[str, str]) -> list[str]:
    """Return the hosts that Traefik routes by these labels, in order, each once."""
    found: list[str] = []
    for name, rule in labels.items():
        if _RULE_LABEL.fullmatch(name):
            for call in _HOST_CALL.findall(rule):
                found += _QUOTED.findall(call)
            for names in _OLD_RULE.findall(rule):
                found += [one.strip() for one in names.split(",")]
    return list(dict.fromkeys(host.lower() for host in found if host))


def traefik_port(labels: Mapping[str, str]) -> int | None:
    """Return the port to which Traefik routes by these labels, None where they name none."""
    ports = (value for name, value in labels.items() if _PORT_LABEL.fullmatch(name))
    return next((int(port) for port in ports if port.isascii() and port.isdigit()), None)


def is_proxy_label(name: str) -> bool:
    """Return whether a label is for a tool that Tagboat replaces: Traefik, Watchtower, Compose."""
    tools = ("traefik.", "com.centurylinklabs.watchtower", "com.docker.compose.", "wud.", "diun.")
    return name.startswith(tools)


def path_asked(test: Iterable[str]) -> tuple[int, str] | None:
    """Return the port and path that a HEALTHCHECK asks of its own container, None for another test.

    One that logs in, or sends more than a GET, is another test. `test` are the words after CMD or
    CMD-SHELL.
    """
    # Also where the words are one string for a shell, with what it does on a failure.
    line = " ".join(test)
    asked = _ASKS_ITSELF.search(line)
    if asked is None or not _ASKERS.search(line) or _ASKS_MORE.search(line):
        return None
    port = int(asked["port"] or 80)
    return (port, asked["path"] or "/") if 0 < port <= HIGHEST_PORT else None


def pattern_for(tag: str) -> str:
    """Return a cautious tag pattern for a stage in which `tag` runs.

    A version gives its major version: the next one may need a person. Any other tag is itself.
    """
    # Two numbers, as in `postgres:16.3`, are no version: they often name a line of releases.
    version = _VERSION.fullmatch(tag)
    return f"semver:{version[1]}.x" if version else tag
