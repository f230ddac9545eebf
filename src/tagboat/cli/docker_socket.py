"""Asking a Docker engine on this machine the two things `tagboat doctor` wants to know, without the server's help."""

import http.client
import json
import socket
from pathlib import Path

from tagboat.core.errors import EngineError, EngineUnavailableError

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 20


def ping(path: Path) -> None:
    """Return if a Docker engine answers on the socket at `path`; else raise EngineError."""
    if _get(path, "/_ping") != b"OK":
        raise EngineError(f"what answers at {path} is not a Docker engine")


def root_dir(path: Path) -> Path:
    """Where the engine keeps images and containers, as it sees it itself; raise EngineError."""
    try:
        return Path(json.loads(_get(path, "/info"))["DockerRootDir"])
    except (ValueError, KeyError, TypeError):
        raise EngineError(f"the engine at {path} does not say where it keeps its data") from None


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


def _get(path: Path, target: str) -> bytes:
    connection = _SocketConnection(path)
    from tagboat.runtime.docker.unreachable import why_unreachable

    try:
        connection.request("GET", target)
        return connection.getresponse().read(_MOST_BYTES)
    except TimeoutError:
        raise EngineUnavailableError(
            f"the engine at {path} did not answer within {_TIMEOUT_S:.0f} s; does 'docker version' answer?"
        ) from None
    except OSError as error:
        why = why_unreachable(error, path) or error.strerror or str(error)
        raise EngineUnavailableError(f"the engine at {path} cannot be reached: {why}") from None
    except http.client.HTTPException:
        raise EngineError(f"what answers at {path} is not a Docker engine") from None
    finally:
        connection.close()
