from bench.fronts import Told, read

SAID = """
Failed requests:        {failed}
   (Connect: 0, Receive: 0, Length: {failed}, Exceptions: 0)
{bad}Requests per second:    3034.55 [#/sec] (mean)
"""


def test_what_failed_is_both_what_was_cut_and_what_was_refused() -> None:
    assert read(SAID.format(failed=0, bad="")) == Told(3034.55, 0)
    assert read(SAID.format(failed=2, bad="Non-2xx responses:      1199\n")) == Told(3034.55, 1201)
