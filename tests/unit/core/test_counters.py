import threading

from tagboat.core.counters import Counters


def test_counts_by_name_and_labels_whatever_their_order() -> None:
    counters = Counters()
    counters.count("calls_total", status="2xx", kind="a")
    counters.count("calls_total", kind="a", status="2xx")
    counters.count("calls_total", kind="a", status="4xx")
    counters.count("polls_total")

    assert counters.read() == {
        ("calls_total", (("kind", "a"), ("status", "2xx"))): 2,
        ("calls_total", (("kind", "a"), ("status", "4xx"))): 1,
        ("polls_total", ()): 1,
    }


def test_a_counter_made_ready_counts_the_same() -> None:
    counters = Counters()
    count = counters.counter("calls_total", status="2xx", kind="a")
    count()
    count()
    counters.count("calls_total", kind="a", status="2xx")

    assert counters.read() == {("calls_total", (("kind", "a"), ("status", "2xx"))): 3}


def test_what_was_read_does_not_change() -> None:
    counters = Counters()
    counters.count("calls_total")
    before = counters.read()
    counters.count("calls_total")

    assert before == {("calls_total", ()): 1}


def test_loses_nothing_between_threads() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(2000):
            counters.count("calls_total")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counters.read() == {("calls_total", ()): 8000}
