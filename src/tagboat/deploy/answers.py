"""The answers of each stage, which never become fewer while Tagboat runs."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from tagboat.core.request_counts import CodeClasses


class AnswersByStage:
    """Adds up the answers by host for the stages that owned the hosts at the time."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._sums: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def own(self, owners: Mapping[str, str]) -> None:
        """Take over the id of the stage that owns each host.

        Hosts that are not in `owners` stay with their last owner: it may have answered since the
        last count.
        """
        self._owners |= owners

    def is_moved_by(self, owners: Mapping[str, str]) -> bool:
        """Return whether a host goes from one stage to another with `owners`."""
        return any(self._owners.get(host, owner) != owner for host, owner in owners.items())

    def update(self, found: Mapping[str, CodeClasses]) -> Mapping[str, CodeClasses]:
        """Take over the counts by host, and return the sums by the stages' ids."""
        for host, classes in found.items():
            # Of a stage that was deleted before Tagboat was started.
            if (stage_id := self._owners.get(host)) is None:
                continue
            counted = Counter(classes)
            self._sums[stage_id].update(counted - self._seen[host])
            self._seen[host] |= counted
        return {stage_id: Counter(classes) for stage_id, classes in self._sums.items()}
