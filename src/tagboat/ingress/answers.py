"""The answers of all workers together, which never become fewer while Tagboat runs."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from tagboat.core.request_counts import CodeClasses


class AnswersByHost:
    """The answers by host, of the workers that run and of those that have ended."""

    def __init__(self) -> None:
        self._of_ended: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._last: Mapping[int, Mapping[str, CodeClasses]] = {}

    def update(self, found: Mapping[int, Mapping[str, CodeClasses]]) -> Mapping[str, CodeClasses]:
        """Take over the counts by worker, and return the sums by host.

        Answers that a worker gave between its last count and its end are missing.
        """
        for worker, hosts in self._last.items():
            if worker not in found:
                for host, classes in hosts.items():
                    self._of_ended[host].update(classes)
        self._last = found
        sums = defaultdict(Counter, {host: Counter(one) for host, one in self._of_ended.items()})
        for hosts in found.values():
            for host, classes in hosts.items():
                sums[host].update(classes)
        return sums
