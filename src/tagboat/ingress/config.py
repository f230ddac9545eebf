"""The content of HAProxy's configuration and its files. Pure: same settings, same bytes.

The routes are not part of it: they are in the map, which changes while HAProxy runs. So HAProxy is
reloaded only when another release of Tagboat writes another text, and when more pools are needed.
"""

import hashlib
import re
from collections.abc import Mapping

from msgspec import Struct

from tagboat.core.errors import SettingsError
from tagboat.ingress import error_pages
from tagboat.ingress.backends import backends
from tagboat.ingress.counting import (
    COUNT_TABLES,
    COUNTING_RULES,
    ENDS_RING,
    ENDS_SECTION,
    HOST_COUNTING,
    INSTANCE_TABLE,
)
from tagboat.ingress.pools import size_of

CONFIG_FILE = "haproxy.cfg"
MAP_FILE = "routes.map"
PID_FILE = "haproxy.pid"
MASTER_SOCKET = "master.sock"

# By default only fronts on this machine are believed.
TRUSTED_FRONTS = ("127.0.0.0/8", "::1")
HOLD_S = 120

_LUA_FILE = "hold.lua"
_UNKNOWN_FILE, _NOT_LIVE_FILE, _RESTARTING_FILE = "unknown.html", "not-live.html", "restarting.html"
_NO_PORT_FILE, _STOPPED_FILE = "no-port.html", "stopped.html"
# A placeholder, because the fingerprint is a hash of the text that it stands in.
_FINGERPRINT = "@FINGERPRINT@"
_BUFFER = 68 * 1024  # 64 KiB, what is reserved for additions (1 KiB), and 500 lines of bookkeeping
_HEADER_LINES = 500
_BIND_LINE = re.compile(r"^  bind \S+:(\d+)$", re.MULTILINE)
_MANY_CLIENTS = 200  # connections a second: so many leave room for as many again, for a minute


class ConfigInput(Struct, frozen=True, kw_only=True):
    """The values that the configuration depends on.

    `listen` is host and port; `trusted` are the networks (CIDR) whose X-Forwarded-* headers are
    believed; `run_as` is the system user that HAProxy becomes, None to keep its own; `lua` and
    `tls` are True if HAProxy was built with them; `hold_s` is the most seconds that a held request
    waits.
    """

    listen: tuple[str, int]
    trusted: tuple[str, ...] = TRUSTED_FRONTS
    run_as: str | None = None
    lua: bool = True
    tls: bool = True
    hold_s: int = HOLD_S


class RenderedConfig(Struct, frozen=True):
    """Files by name, and the fingerprint that a HAProxy reports which has loaded them."""

    files: Mapping[str, str]
    fingerprint: str


def render_config(wanted: ConfigInput, pools: str = "") -> RenderedConfig:
    """Write the texts. Raises SettingsError for values that would break out of their line.

    `pools` is the part with the pools. Of that, the fingerprint has only the number of back ends:
    a running HAProxy is told of servers by commands.
    """
    # They come from the environment: a line feed would begin a directive of somebody's own.
    for value in (wanted.listen[0], *wanted.trusted):
        if not value or not set(value) <= set(
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:/-_"
        ):
            raise SettingsError(f"{value!r} is neither a host nor a network")
    files = {
        CONFIG_FILE: "\n\n".join(
            (
                "# Written by Tagboat, which writes it again: changes made here are lost.",
                _global_section(wanted),
                ENDS_SECTION,
                _DEFAULTS,
                _frontend(wanted),
                backends(tls=wanted.tls),
                COUNT_TABLES,
            )
        ),
        _UNKNOWN_FILE: error_pages.UNKNOWN_HOST,
        _NOT_LIVE_FILE: error_pages.NOT_LIVE,
        _RESTARTING_FILE: error_pages.RESTARTING,
        _NO_PORT_FILE: error_pages.NO_PORT,
        _STOPPED_FILE: error_pages.STOPPED,
    }
    if wanted.lua:
        files[_LUA_FILE] = hold_script(wanted.hold_s)
    # Of everything that HAProxy loads once: pages and script are read at the start, too.
    digest = hashlib.sha256(
        "\0".join(part for item in sorted(files.items()) for part in item).encode()
    )
    fingerprint = f"tagboat-{digest.hexdigest()[:16]}-{size_of(pools)}"
    text = files[CONFIG_FILE].replace(_FINGERPRINT, fingerprint)
    return RenderedConfig({**files, CONFIG_FILE: f"{text}\n{pools}"}, fingerprint)


def pools_in(fingerprint: str) -> int:
    """Return how many back ends for pools a HAProxy with this fingerprint has."""
    size = fingerprint.removeprefix("tagboat-").partition("-")[2]
    # One of an earlier release has none, and does not say so.
    return int(size) if size.isdecimal() else 0


def bound_port(config: str) -> int | None:
    """Return the port that a configuration listens on, None if it names none."""
    match = _BIND_LINE.search(config)
    return int(match[1]) if match else None


def _global_section(wanted: ConfigInput) -> str:
    lines = [
        "global",
        f"  description {_FINGERPRINT}",
        "  # Without it HAProxy reserves memory for as many connections as the system allows",
        "  # files, which may be a billion.",
        "  fd-hard-limit 65536",
        "  hard-stop-after 24h",
        "  # Heads of requests and answers up to 64 KiB, with room for what is added to them;",
        "  # cookies and tokens grow.",
        f"  tune.bufsize {_BUFFER}",
        f"  tune.http.maxhdr {_HEADER_LINES}",
    ]
    if wanted.run_as:
        lines += [f"  user {wanted.run_as}", f"  group {wanted.run_as}"]
    if wanted.lua:
        # One state for each thread: with `lua-load` all threads share one, and its lock.
        lines.append(f"  lua-load-per-thread {_LUA_FILE}")
    return "\n".join(lines)


_DEFAULTS = f"""\
defaults base
  mode http
  timeout connect 5s
  timeout http-request 15s
  # Longer than fronts keep an idle connection (Caddy two minutes): the sender of requests must be
  # the first to close.
  timeout http-keep-alive 150s
  timeout client 1h
  timeout server 1h
  timeout tunnel 24h
  # After a reload the old process answers one more request on an idle connection, instead of
  # closing it while the client sends.
  option idle-close-on-response
  option redispatch
  retries 3
  # Events of a stream are small, and each is wanted at once: without it they wait up to 200 ms.
  option http-no-delay
  # Many apps read X_Forwarded_For and X-Forwarded-For as one: headers whose name has more than
  # letters, digits and `-` are deleted.
  option http-restrict-req-hdr-names delete
  # An app learns that its client has gone, and a drain does not wait for it. A client that closes
  # its half of the connection while it waits counts as gone.
  option abortonclose
  # A client's connection keeps its own to the app. Shared, each of the four tries could meet one
  # that the app has just closed.
  http-reuse never
  # A line only for each request that did not end well: building it is what counts them.
  option dontlog-normal
  option dontlognull
  log ring@{ENDS_RING} format raw local0"""


def answer_page(status: int, file: str, state: str, more: str = "") -> str:
    """Return the rule that answers with a page where the host's entry in the map is `state`."""
    # Not to be stored: the next deploy makes it wrong.
    return (
        f'  http-request return status {status} content-type "text/html; charset=utf-8"'
        f" file {file} hdr Cache-Control no-store{more} if {{ var(txn.way) -m str {state} }}"
    )


# A pool that this process lacks must not lead back to this address: nobody listens at port 1.
_DESTINATION = """\
  http-request set-var(txn.pool) var(txn.way),word(3,/)
  acl pooled var(txn.pool) -m beg b
  http-request set-dst-port var(txn.port) unless pooled
  http-request set-dst-port int(1) if pooled"""
# Without TLS, the back end for https says what is missing.
_BUT_HTTPS = " !{ var(txn.protocol) -m str https }"


def _frontend(wanted: ConfigInput) -> str:
    hold = "\n  http-request lua.hold if { var(txn.way) -m str held }" if wanted.lua else ""
    host, port = wanted.listen
    in_map = f"var(txn.host),map_str({MAP_FILE},unknown)"
    forwarded_host = "{ req.hdr(x-forwarded-host) -m found }"
    one_forwarded_for = "{ req.fhdr_cnt(x-forwarded-for) eq 1 }"
    no_tls = "" if wanted.tls else _BUT_HTTPS
    # A connection that is to become a WebSocket must stay (RFC 6455, section 4.1).
    no_upgrade = "!{ req.hdr(upgrade) -m found }"
    return f"""\
frontend web
  bind {f"[{host}]" if ":" in host else host}:{port}

  # The map says PORT[/PROTOCOL] or INSTANCE/PROTOCOL/POOL, `held`, `none`, `portless`, `stopped`.
  http-request set-var(txn.way) str(unknown)
  http-request set-var(txn.host) req.hdr(host),host_only,lower,rtrim(.)
  http-request set-var(txn.way) {in_map} if {{ var(txn.host) -m found }}
{HOST_COUNTING}{hold}
{answer_page(404, _UNKNOWN_FILE, "unknown")}
{answer_page(503, _NOT_LIVE_FILE, "none", " hdr Retry-After 10")}
{answer_page(503, _NO_PORT_FILE, "portless")}
{answer_page(503, _STOPPED_FILE, "stopped")}
{answer_page(503, _RESTARTING_FILE, "held", " hdr Retry-After 2")}

  # Only a trusted front is believed about the client.
  acl from_front src {" ".join(wanted.trusted) or "0.0.0.0/32"}
  acl has_proto req.hdr(x-forwarded-proto) -m found
  acl has_port req.hdr(x-forwarded-port) -m found
  http-request del-header x-forwarded- -m beg unless from_front
  http-request del-header forwarded unless from_front
  http-request del-header x-real-ip unless from_front
  http-request set-header X-Forwarded-Port %[dst_port] if !has_port !has_proto
  http-request set-header X-Forwarded-Proto http unless has_proto
  http-request set-header X-Forwarded-Host %[req.hdr(host)] unless {forwarded_host}
  # Appended to the line that is there: many apps read only the first of several.
  http-request set-var(txn.for) req.fhdr(x-forwarded-for) if {one_forwarded_for}
  http-request add-header X-Forwarded-For %[src] unless {{ var(txn.for) -m found }}
  http-request set-header X-Forwarded-For "%[var(txn.for)], %[src]" if {{ var(txn.for) -m found }}

  http-request set-var(txn.port) var(txn.way),word(1,/)
  http-request set-var(txn.protocol) var(txn.way),word(2,/)
  # Counted by port or instance until the last byte: so Tagboat knows when an instance is drained.
  http-request track-sc0 var(txn.port) table {INSTANCE_TABLE}
{_DESTINATION}

  # The side that closes a connection keeps its port busy for a minute. When a client leaves, that
  # would be the engine's proxy, which has no more than some 28,000 ports to an app. So the app is
  # to close after what may be a client's only request, and after each while many clients come and
  # go.
  http-request set-header Connection close if {{ http_first_req }} {no_upgrade}
  http-request set-header Connection close if {{ fe_sess_rate gt {_MANY_CLIENTS} }} {no_upgrade}
  acl repeatable method GET HEAD OPTIONS
  use_backend %[var(txn.pool)] if pooled{no_tls}
  use_backend h2c if {{ var(txn.protocol) -m str h2c }}
  use_backend repeatable_https if {{ var(txn.protocol) -m str https }} repeatable
  use_backend once_https if {{ var(txn.protocol) -m str https }}
  use_backend repeatable if repeatable
  default_backend once

{COUNTING_RULES}"""


# A backend cannot hold requests: without a usable server HAProxy answers 503 at once, whatever its
# `timeout queue` (decision 0007).
def hold_script(hold_s: int) -> str:
    """Return the Lua script that lets a request wait, for `hold_s` seconds at most."""
    return f"""\
-- Written by Tagboat. Lets a request wait while the map says that its host is held.
local routes = Map.new("{MAP_FILE}", Map._str)

core.register_action("hold", {{"http-req"}}, function(txn)
  local host = txn:get_var("txn.host")
  local last = core.now().sec + {hold_s}
  local way = "held"
  while way == "held" and core.now().sec < last do
    core.msleep(50)
    way = routes:lookup(host) or "unknown"
  end
  txn:set_var("txn.way", way)
end, 0)
"""
