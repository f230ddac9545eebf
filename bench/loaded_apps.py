"""The apps under load: one that is deployed repeatedly, and two that must not be affected."""

from demo.sample_image import SampleApp, build_image, push

_SLOW = """#!/bin/sh
sleep "$QUERY_STRING"
printf 'Content-Type: text/plain\\r\\nContent-Length: 5\\r\\n\\r\\nslept'
"""
_UPLOAD = """#!/bin/sh
length=$(head -c "$CONTENT_LENGTH" | wc -c)
printf 'Content-Type: text/plain\\r\\nContent-Length: %d\\r\\n\\r\\n%s' "${#length}" "$length"
"""
# The handshake of RFC 6455, then an echo of text messages of four bytes, which reach it masked: ten
# bytes each.
_WEBSOCKET = """#!/bin/sh
while read -r name value && [ "${#name}" -gt 1 ]; do
  case "$name" in [Ss]ec-[Ww]eb[Ss]ocket-[Kk]ey:) key=${value%?} ;; esac
done
[ -n "$key" ] || exit
hash=$(printf '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' "$key" | sha1sum | cut -c1-40)
printf 'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n'
printf 'Sec-WebSocket-Accept: %s\\r\\n\\r\\n' "$(printf '%s' "$hash" | xxd -r -p | base64)"
while text=$(head -c 10 | tail -c 4) && [ -n "$text" ]; do printf '\\201\\004%s' "$text"; done
"""
# An event each 30 ms, as a language model's tokens come; each says when it was sent.
_EVENTS = """#!/bin/sh
while read -r line && [ "${#line}" -gt 1 ]; do :; done
printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nConnection: close\\r\\n\\r\\n'
while echo | busybox ts 'data: %.s'; do sleep 0.03; done
"""
_TELL = ("/bin/sh", "-c", "trap 'exit 0' TERM; nc -ll -p $PORT -e /www/events & wait")
_LISTEN = ("/bin/sh", "-c", "trap 'exit 0' TERM; nc -ll -p $PORT -e /www/websocket & wait")
PAGE = "hello"


def push_loaded(registry_host: str, repository: str, tag: str) -> None:
    """Push an app with the paths `/`, `/cgi-bin/slow?SECONDS` and `/cgi-bin/upload`.

    They answer `PAGE`, after so many seconds, and with the number of bytes received.

    On SIGTERM it ends at once, as most apps do that nobody has taught better.
    """
    programs = {
        "www/cgi-bin/slow": _SLOW,
        "www/cgi-bin/upload": f"{_UPLOAD}# {repository} {tag}\n",
    }  # a layer of its own
    app = SampleApp(body=PAGE, labels={"tagboat.healthcheck": "/health"}, programs=programs)
    push(registry_host, repository, tag, build_image(app))


def push_websocket(registry_host: str, repository: str, tag: str) -> None:
    """Push an app that takes nothing but WebSockets and sends back each message of four bytes."""
    app = SampleApp(cmd=_LISTEN, programs={"www/websocket": _WEBSOCKET})
    push(registry_host, repository, tag, build_image(app))


def push_events(registry_host: str, repository: str, tag: str) -> None:
    """Push an app that answers with a stream of events, each 30 ms: `data: ` and the time."""
    app = SampleApp(cmd=_TELL, programs={"www/events": _EVENTS})
    push(registry_host, repository, tag, build_image(app))
