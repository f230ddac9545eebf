"""The names of this server: calls under any other are refused, and pages of others do not count.

A foreign page can point a name of its own at this server's address, and its visitors' browsers then
take our answers for its own (DNS rebinding). They still send that name as Host.
"""

import re
from collections.abc import Collection, Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from tagboat.http.client_address import read_address
from tagboat.http.problem import problem, send_problem

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/@\s]+)(?::([0-9]{0,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SHOWN = 80


class OwnHosts(Struct, frozen=True):
    """The hosts under which this server may be called, at any port; loopback always is one.

    `public_url` is the URL of the setting; `names` are further hosts, in lower case. Hosts below
    `base_domain` are the apps', except that of the public URL.
    """

    public_url: str
    names: frozenset[str]
    base_domain: str

    def include(self, host: str) -> bool:
        """Return whether the value of a header `Host` names this server."""
        name = _split_host(host)[0]
        if name == urlsplit(self.public_url).hostname:
            return True
        if not name or name.endswith(f".{self.base_domain}"):
            return False
        return name in self.names or _is_loopback_name(name)

    def sent(self, origin: str, host: str) -> bool:
        """Return whether a page at `origin` (RFC 6454) is of this server, called as `host`."""
        scheme, separator, authority = origin.lower().partition("://")
        if not separator or scheme not in _DEFAULT_PORTS:
            return False
        public_scheme, _, public = self.public_url.lower().partition("://")
        if scheme == public_scheme and _same_host(authority, public.partition("/")[0], scheme):
            return True
        # Who has a name with TLS is called without it behind its front, but its pages are not:
        # anybody on the way can make one that comes without.
        if scheme != public_scheme == "https" and not _is_loopback_name(_split_host(host)[0]):
            return False
        return self.include(host) and _same_host(authority, host, scheme)


class HostCheck:
    """Answers 421 to calls under a name that is not this server's.

    `exempt` are paths, or their beginnings where they end with a slash, that are called under any
    name: they answer without a token, or with a secret in the path, and a browser that is misled
    gains nothing there.
    """

    def __init__(self, app: ASGIApp, hosts: OwnHosts, exempt: Iterable[str]) -> None:
        self._app = app
        self._hosts = hosts
        paths = frozenset(exempt)
        self._paths = paths
        self._beginnings = tuple(one for one in paths if one.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        path = scope.get("path", "")
        is_exempt = path in self._paths or path.startswith(self._beginnings)
        if scope["type"] != "http" or is_exempt:
            await self._app(scope, receive, send)
            return
        named = [value for name, value in scope["headers"] if name == b"host"]
        host = named[0].decode("latin-1") if len(named) == 1 else ""
        if self._hosts.include(host):
            await self._app(scope, receive, send)
            return
        shown = "".join(one for one in host[:_LONGEST_SHOWN] if one.isprintable())
        status = HTTPStatus.MISDIRECTED_REQUEST
        detail = (
            f"this server is not called {shown!r}; if it is, add that name to TAGBOAT_HOSTS, or set"
            " TAGBOAT_PUBLIC_URL, and restart Tagboat"
        )
        await send_problem(send, status, problem(status, detail))


def names_of(hosts: Collection[str]) -> frozenset[str]:
    """Return the hosts as `OwnHosts` compares them: in lower case, without ports."""
    return frozenset(name for host in hosts if (name := _split_host(host)[0]))


def _is_loopback_name(name: str) -> bool:
    # RFC 6761, section 6.3: this name never leaves the machine.
    if name == "localhost":
        return True
    address = read_address(name)
    return address is not None and address.is_loopback


def _split_host(host: str) -> tuple[str, str]:
    """Return name and port of a header `Host`; an empty name where it cannot be read."""
    # An IPv6 address outside of a header has no brackets.
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    found = _HOST.fullmatch(host)
    if not found:
        return "", ""
    name = found[1].strip("[]").lower()
    # The dot of the root is the same name.
    return name.removesuffix("."), found[2] or ""


def _same_host(one: str, other: str, scheme: str) -> bool:
    default = str(_DEFAULT_PORTS[scheme])
    (name, port), (other_name, other_port) = _split_host(one), _split_host(other)
    return bool(name) and (name, port or default) == (other_name, other_port or default)
