from tagboat.runtime.docker.progress import PullProgress


def layer(name: str, status: str, current: int = 0, total: int = 0) -> dict[str, object]:
    detail = {"current": current, "total": total} if total else {}
    return {"id": name, "status": status, "progressDetail": detail}


def fed(*messages: dict[str, object]) -> PullProgress:
    progress = PullProgress()
    for message in messages:
        progress.feed(message)
    return progress


def test_bytes_and_layers_are_summed_up() -> None:
    progress = fed(
        {"id": "sha256:abc", "status": "Pulling from acme/app"},
        layer("a", "Already exists"),
        layer("b", "Pulling fs layer"),
        layer("c", "Pulling fs layer"),
        layer("b", "Downloading", 5_000_000, 10_000_000),
        layer("c", "Downloading", 2_300_000, 2_300_000),
        layer("c", "Download complete"),
        layer("c", "Pull complete"),
    )
    assert progress.words() == "7.3 MB of 12.3 MB, 2 of 3 layers"


def test_before_the_first_layer_there_is_nothing_to_tell() -> None:
    progress = fed(
        {"status": "Pulling from acme/app", "id": "sha256:abc"},
        {"status": "Digest: sha256:abc"},
        {},
    )
    assert progress.words() == ""
    assert progress.last_news(0.0) is None


def test_small_layers_without_sizes_are_counted() -> None:
    assert (
        fed(layer("a", "Pulling fs layer"), layer("a", "Pull complete")).words() == "1 of 1 layers"
    )


def test_kilobytes() -> None:
    assert fed(layer("a", "Downloading", 1200, 4500)).words() == "1.2 kB of 4.5 kB, 0 of 1 layers"


def test_news_come_at_most_twice_a_second_and_never_twice() -> None:
    progress = fed(layer("a", "Downloading", 1_000_000, 4_000_000))
    assert progress.news(10.0) == "1.0 MB of 4.0 MB, 0 of 1 layers"
    progress.feed(layer("a", "Downloading", 2_000_000, 4_000_000))
    assert progress.news(10.4) is None
    assert progress.news(10.5) == "2.0 MB of 4.0 MB, 0 of 1 layers"
    assert progress.news(12.0) is None


def test_the_end_is_told_whenever_it_comes() -> None:
    progress = fed(layer("a", "Downloading", 1_000_000, 4_000_000))
    assert progress.news(10.0) is not None
    progress.feed(layer("a", "Pull complete"))
    assert progress.news(11.0) is None
    assert progress.last_news(10.1) == "4.0 MB of 4.0 MB, 1 of 1 layers"
    assert progress.last_news(10.2) is None


def test_odd_messages_are_harmless() -> None:
    progress = fed(
        {"id": 7, "status": "Downloading"},
        {"id": "a", "status": "Downloading", "progressDetail": {"current": "x"}},
    )
    assert progress.words() == "0 of 1 layers"
