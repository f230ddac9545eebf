import threading

from tagboat.core.tally import Tally


def test_counts_by_name_and_labels_whatever_their_order() -> None:
    tally = Tally()
    tally.count("calls_total", status="2xx", kind="a")
    tally.count("calls_total", kind="a", status="2xx")
    tally.count("calls_total", kind="a", status="4xx")
    tally.count("polls_total")

    assert tally.read() == {
        ("calls_total", (("kind", "a"), ("status", "2xx"))): 2,
        ("calls_total", (("kind", "a"), ("status", "4xx"))): 1,
        ("polls_total", ()): 1,
    }


def test_a_counter_made_ready_counts_the_same() -> None:
    tally = Tally()
    count = tally.counter("calls_total", status="2xx", kind="a")
    count()
    count()
    tally.count("calls_total", kind="a", status="2xx")

    assert tally.read() == {("calls_total", (("kind", "a"), ("status", "2xx"))): 3}


def test_what_was_read_does_not_change() -> None:
    tally = Tally()
    tally.count("calls_total")
    before = tally.read()
    tally.count("calls_total")

    assert before == {("calls_total", ()): 1}


def test_loses_nothing_between_threads() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(2000):
            tally.count("calls_total")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tally.read() == {("calls_total", ()): 8000}
