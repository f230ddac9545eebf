"""Fingerprints are used as long as they are true, and only while nobody else writes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from tagboat.core.image import Digest
from tagboat.core.ports import Store, Topic
from tagboat.polling.fingerprints import FingerprintCache, PollFingerprint, fingerprint_digest

DIGEST = Digest("sha256:" + "a" * 64)
FINGERPRINT = PollFingerprint(fingerprint_digest(["v1"], {"v1": DIGEST}, []), ("latest",))


@dataclass
class Announcements:
    """As much of a store as the cache sees."""

    exclusive: bool = True
    callbacks: dict[Topic, Callable[[], None]] = field(default_factory=dict)

    def listen(self, topic: Topic, callback: Callable[[], None]) -> None:
        assert topic not in self.callbacks
        self.callbacks[topic] = callback


def cache_of(store: Announcements) -> FingerprintCache:
    return FingerprintCache(cast("Store", store))


def test_nothing_is_kept_before_announcements_are_heard() -> None:
    cache = cache_of(Announcements())
    cache.put("p", FINGERPRINT, cache.generation)
    assert cache.get("p") is None


@pytest.mark.parametrize("topic", [Topic.ROUTES, Topic.DEPLOYS])
def test_a_change_of_stages_or_deploys_clears_it_and_makes_older_records_stale(
    topic: Topic,
) -> None:
    store = Announcements()
    cache = cache_of(store)
    cache.listen()
    cache.listen()
    read_in = cache.generation
    cache.put("p", FINGERPRINT, read_in)
    assert cache.get("p") == FINGERPRINT
    store.callbacks[topic]()
    assert cache.get("p") is None
    cache.put("p", FINGERPRINT, read_in)
    assert cache.get("p") is None


def test_nothing_is_kept_where_other_servers_write() -> None:
    store = Announcements()
    cache = cache_of(store)
    cache.listen()
    cache.put("p", FINGERPRINT, cache.generation)
    store.exclusive = False
    cache.put("p", FINGERPRINT, cache.generation)
    assert cache.get("p") is None


def test_none_removes_the_previous_one() -> None:
    cache = cache_of(Announcements())
    cache.listen()
    cache.put("p", FINGERPRINT, cache.generation)
    cache.put("p", None, cache.generation)
    assert cache.get("p") is None


def test_tags_and_digests_are_not_mixed_up() -> None:
    assert (
        len(
            {
                fingerprint_digest(["a", "b"], {}, []),
                fingerprint_digest(["a"], {"b": DIGEST}, []),
                fingerprint_digest(["b", "a"], {}, []),
                fingerprint_digest(["ab"], {}, []),
            }
        )
        == 4
    )
