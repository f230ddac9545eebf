import threading

import pytest

from tagboat.core.counters import DURATION_BOUNDS_S, Counters


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


def test_a_counter_made_ready_begins_at_zero() -> None:
    counters = Counters()
    counters.counter("calls_total", status="2xx")
    assert counters.read() == {("calls_total", (("status", "2xx"),)): 0}


def test_durations_are_counted_by_their_bounds() -> None:
    counters = Counters()
    for seconds in (0.0, 0.1, 0.2, 4000.0):
        counters.observe("step_seconds", seconds, step="pull")
    counters.observe("step_seconds", 1.0, step="check")

    found = counters.durations()
    pulled = found["step_seconds", (("step", "pull"),)]
    assert pulled.at_most == (2, *(3,) * (len(DURATION_BOUNDS_S) - 1))
    assert pulled.number == 4
    assert pulled.sum_s == pytest.approx(4000.3)
    checked = found["step_seconds", (("step", "check"),)]
    assert (checked.at_most[2:4], checked.number) == ((0, 1), 1)


def test_the_last_measured_value_counts() -> None:
    counters = Counters()
    assert counters.value("images_bytes") == 0
    counters.set("images_bytes", 5)
    counters.set("images_bytes", 7)
    assert counters.value("images_bytes") == 7
