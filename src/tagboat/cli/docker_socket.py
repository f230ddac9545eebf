"""Two questions of `tagboat doctor` to a Docker engine on this machine, without the server.

Written by hand: docs/decisions/0027-the-engine-asked-by-hand.md says why.
"""

import json
import socket
from pathlib import Path

from tagboat.core.errors import EngineError, EngineUnavailableError

_ENGINE_TIMEOUT_S = 5.0
# Another program may own the socket and answer without end.
_MAX_ENGINE_ANSWER_BYTES = 1 << 20


def ping_engine(path: Path) -> None:
    """Check that a Docker engine answers on the socket at `path`. Raises EngineError."""
    if _get_from_socket(path, "/_ping") != b"OK":
        raise EngineError(f"{path} is not the socket of a Docker engine")


def engine_root_dir(path: Path) -> Path:
    """Return where the engine keeps images and containers, as it reports it itself.

    Raises EngineError.
    """
    try:
        return Path(json.loads(_get_from_socket(path, "/info"))["DockerRootDir"])
    except (ValueError, KeyError, TypeError):
        raise EngineError(f"the engine at {path} does not report its data directory") from None


def _get_from_socket(path: Path, target: str) -> bytes:
    # http.client loads half of the e-mail library, which no other command needs.
    import http.client

    from tagboat.runtime.docker.unreachable import why_unreachable

    # The name is only for the Host header.
    connection = http.client.HTTPConnection("localhost", timeout=_ENGINE_TIMEOUT_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(_ENGINE_TIMEOUT_S)
        connection.sock.connect(str(path))
        connection.request("GET", target)
        return connection.getresponse().read(_MAX_ENGINE_ANSWER_BYTES)
    except TimeoutError:
        raise EngineUnavailableError(
            f"the engine at {path} did not answer within {_ENGINE_TIMEOUT_S:.0f} s. "
            "Does 'docker version' answer?"
        ) from None
    except OSError as error:
        why = why_unreachable(error, path) or error.strerror or str(error)
        raise EngineUnavailableError(f"cannot connect to the engine at {path}: {why}") from None
    except http.client.HTTPException:
        raise EngineError(f"{path} is not the socket of a Docker engine") from None
    finally:
        connection.close()
