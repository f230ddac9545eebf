"""The address of an engine, as a person gives it, parsed once."""

from enum import StrEnum
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from tagboat.core.errors import InvalidValueError

LOCAL_SOCKET = "unix:///var/run/docker.sock"

_PLAIN_PORT, _TLS_PORT = 2375, 2376


class EngineTransport(StrEnum):
    """How the engine is spoken to.

    `tls` is HTTPS with the certificates of a directory, or the system's.
    """

    UNIX = "unix"
    PLAIN = "plain"
    TLS = "tls"
    SSH = "ssh"


class EngineAddress(Struct, frozen=True, kw_only=True):
    """A parsed address. `shown` is fit for people: no user, no password.

    `base_url` is what API paths are joined to; `socket` is the Unix socket (of the far side for
    ssh, None for its default); `certificates` is the directory with ca.pem, cert.pem and key.pem.
    """

    transport: EngineTransport
    shown: str
    base_url: str = "http://localhost"
    socket: Path | None = None
    certificates: Path | None = None
    ssh_destination: tuple[str, ...] = ()


def parse_engine_address(
    url: str | None, *, cert_path: Path | None = None, tls_verify: bool = False
) -> EngineAddress:
    """Parse `unix://`, `tcp://`, `http://`, `https://` or `ssh://`; None is the local socket.

    Raises InvalidValueError.

    `tcp://` becomes HTTPS when `cert_path` (DOCKER_CERT_PATH) is given or `tls_verify`
    (DOCKER_TLS_VERIFY) is set; the certificate is then always verified.
    """
    text = url or LOCAL_SOCKET
    parts = urlsplit(text)
    if parts.scheme == "unix" and not parts.netloc and parts.path:
        return EngineAddress(transport=EngineTransport.UNIX, shown=text, socket=Path(parts.path))
    if parts.scheme == "ssh" and parts.hostname:
        return _ssh(parts)
    if parts.scheme in {"tcp", "http", "https"} and parts.hostname and parts.path in {"", "/"}:
        tls = parts.scheme == "https" or (
            parts.scheme == "tcp" and (cert_path is not None or tls_verify)
        )
        place = f"{_host_of(parts)}:{_port(parts) or (_TLS_PORT if tls else _PLAIN_PORT)}"
        return EngineAddress(
            transport=EngineTransport.TLS if tls else EngineTransport.PLAIN,
            shown=f"tcp://{place}",
            # Never tcp://: aiodocker speaks plaintext there even when it is given a TLS context.
            base_url=f"{'https' if tls else 'http'}://{place}",
            certificates=cert_path if tls else None,
        )
    raise InvalidValueError(
        f"{parts.scheme or 'an address without a scheme'} is not a way to reach a Docker engine; "
        "give unix:///path/to/docker.sock, tcp://HOST:PORT or ssh://USER@HOST"
    )


def _ssh(parts: SplitResult) -> EngineAddress:
    port = _port(parts)
    destination = [
        *(["-l", parts.username] if parts.username else []),
        *(["-p", str(port)] if port else []),
    ]
    # After `--` no host can become an option of ssh, such as one that begins with a dash.
    return EngineAddress(
        transport=EngineTransport.SSH,
        shown=f"ssh://{_host_of(parts)}" + (f":{port}" if port else ""),
        socket=Path(parts.path) if parts.path not in {"", "/"} else None,
        ssh_destination=(*destination, "--", parts.hostname or ""),
    )


def _host_of(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise InvalidValueError(
            f"the port of the Docker engine's address cannot be used: {error}"
        ) from None
