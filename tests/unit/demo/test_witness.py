"""The demo's client counts truly: what it was answered, and what it was not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from demo.server import page
from demo.waiting import await_value, free_port
from demo.witness import Witness


class _App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 502 if self.path == "/broken" else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(f"asked for {self.headers['Host']}\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@contextmanager
def _app() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _App)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_page_is_asked_for_by_a_name_that_no_resolver_needs_to_know() -> None:
    with _app() as port:
        assert (
            page(f"http://hello-dev.localhost:{port}/") == f"asked for hello-dev.localhost:{port}"
        )


def test_answers_are_counted_since_the_last_look() -> None:
    with _app() as port, Witness(f"http://a.localhost:{port}") as witness:
        first = await_value(
            lambda: witness.seen() if witness._seen.asked else None, 10, "an answer"
        )
        assert first.answers.keys() == {f"asked for a.localhost:{port}"}
        assert first.asked == first.answers.total() > 0
        assert first.lost == 0
        await_value(lambda: witness._seen.asked or None, 10, "another answer")
    assert witness.seen().asked > 0
    assert witness.seen().asked == 0


def test_an_error_is_a_lost_request_and_so_is_silence() -> None:
    with _app() as port, Witness(f"http://a.localhost:{port}/broken") as witness:
        seen = await_value(lambda: witness.seen() if witness._seen.asked else None, 10, "an answer")
    assert seen.losses == {"HTTP Error 502: Bad Gateway": seen.asked}
    with Witness(f"http://a.localhost:{free_port()}") as witness:
        seen = await_value(lambda: witness.seen() if witness._seen.asked else None, 10, "a refusal")
    assert seen.lost == seen.asked > 0
