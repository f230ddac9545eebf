"""The progress of a pull, in words, out of the engine's messages."""

from collections.abc import Mapping

from msgspec import Struct

INTERVAL_S = 0.5

_MEGABYTE = 1_000_000

_ARRIVED = frozenset({"Download complete", "Extracting", "Pull complete", "Already exists"})
_READY = frozenset({"Pull complete", "Already exists"})
_LAYER_STATUSES = _ARRIVED | {"Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum"}


class _Layer(Struct):
    current: int = 0
    total: int = 0
    ready: bool = False


class PullProgress:
    """Sums up the messages of one pull (Docker Engine API, ImageCreate)."""

    def __init__(self) -> None:
        self._layers: dict[str, _Layer] = {}
        self._told_at: float | None = None
        self._told = ""

    def feed(self, message: Mapping[str, object]) -> None:
        """Take the next message; those that are of no layer are ignored."""
        layer_id, status = message.get("id"), message.get("status")
        if not isinstance(layer_id, str) or status not in _LAYER_STATUSES:
            return
        layer = self._layers.setdefault(layer_id, _Layer())
        if status == "Downloading":
            # What the engine leaves out counts as 0.
            found = message.get("progressDetail")
            detail = found if isinstance(found, Mapping) else {}
            current, total = detail.get("current"), detail.get("total")
            layer.current = current if isinstance(current, int) else 0
            layer.total = total if isinstance(total, int) and total > 0 else 0
        elif status in _ARRIVED:
            layer.current = layer.total
            layer.ready = status in _READY

    def news(self, now: float) -> str | None:
        """Return words for `now` (seconds), None without news or half a second after the last."""
        if self._told_at is not None and now - self._told_at < INTERVAL_S:
            return None
        if all(layer.ready for layer in self._layers.values()):
            # The engine names layers one by one: those seen so far may be all it had already, and
            # the work still to come.
            return None
        return self.last_news(now)

    def last_news(self, now: float) -> str | None:
        """Return the words to tell at the end, None when they have been told."""
        words = self.words()
        if words in {"", self._told}:
            return None
        self._told, self._told_at = words, now
        return words

    def words(self) -> str:
        """Return `12.3 MB of 40.1 MB, 3 of 5 layers` or so; empty before a layer is known."""
        if not self._layers:
            return ""
        current = sum(layer.current for layer in self._layers.values())
        total = sum(layer.total for layer in self._layers.values())
        ready = sum(layer.ready for layer in self._layers.values())
        layers = f"{ready} of {len(self._layers)} layers"
        return f"{_size(current)} of {_size(total)}, {layers}" if total else layers


def _size(count: int) -> str:
    return f"{count / _MEGABYTE:.1f} MB" if count >= _MEGABYTE else f"{count / 1000:.1f} kB"
