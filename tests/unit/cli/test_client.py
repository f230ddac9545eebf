"""The client of the API, and every way in which a server can disappoint it."""

import socket
from threading import Thread

import pytest

from tagboat import __version__
from tagboat.cli.client import Client, is_this_machine
from tagboat.cli.client_errors import StaleVersionError
from tagboat.cli.context import ServerAddress
from tagboat.core.errors import NotFoundError, TagboatError
from tests.unit.cli.fake_server import TOKEN, FakeServer, Said, page, problem


@pytest.fixture
def client(server: FakeServer) -> Client:
    return Client(ServerAddress(server.url, TOKEN, "TAGBOAT_URL"))


def complaint(client: Client, server: FakeServer, said: object) -> str:
    server.answers["GET /api/thing"] = said
    with pytest.raises(TagboatError) as caught:
        client.get("/api/thing")
    return str(caught.value)


def test_a_request_carries_token_and_name(client: Client, server: FakeServer) -> None:
    client.health()
    headers = server.asked[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"].startswith("tagboat/")


def test_a_list_is_followed_to_its_end(client: Client, server: FakeServer) -> None:
    server.answers["GET /api/things"] = [
        page({"n": 1}, following="a/b+c"),
        page(following="z"),
        page({"n": 2}),
    ]
    assert client.items("/api/things", stage="s1") == [{"n": 1}, {"n": 2}]
    asked = [asked.query for asked in server.asked]
    first = {"limit": "200", "stage": "s1"}
    assert asked == [first, first | {"cursor": "a/b+c"}, first | {"cursor": "z"}]


def test_a_post_without_a_body_has_none(client: Client, server: FakeServer) -> None:
    server.answers["POST /api/thing"] = {}
    client.post("/api/thing")
    assert server.asked[0].body is None
    assert server.asked[0].headers["content-length"] == "0"


def test_a_problem_is_told_in_its_own_words(client: Client, server: FakeServer) -> None:
    assert complaint(client, server, problem(409, "There is one.")) == "There is one."
    assert (
        complaint(client, server, problem(503, "The database is out of reach."))
        == "The database is out of reach."
    )


def test_one_field_is_not_told_twice_and_several_are_told_each(
    client: Client, server: FakeServer
) -> None:
    one = {"field": "tag", "message": "too long"}
    two = {"field": "force", "message": "no bool"}
    assert complaint(client, server, problem(422, "tag: too long", errors=[one])) == "tag: too long"
    said = complaint(
        client, server, problem(422, "2 values cannot be used: tag, force", errors=[one, two])
    )
    assert said == "2 values cannot be used: tag, force (tag: too long; force: no bool)"


def test_not_found_is_an_error_of_its_own_that_says_where(
    client: Client, server: FakeServer
) -> None:
    server.answers["GET /x"] = problem(404, "There is nothing at this address.")
    as_new = f"and is the server as new as this command ({__version__})?"
    with pytest.raises(NotFoundError) as caught:
        client.get("/x", q="1")
    assert (
        str(caught.value) == f"there is nothing at {server.url}/x. Is TAGBOAT_URL right, {as_new}"
    )


def test_a_server_in_the_clear_is_told_from_one_that_is_away(server: FakeServer) -> None:
    url = server.url.replace("http://", "https://")
    with pytest.raises(TagboatError, match="does not use TLS. Must TAGBOAT_URL begin with http://"):
        Client(ServerAddress(url, TOKEN, "TAGBOAT_URL")).health()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_no_tagboat_gives(client: Client, server: FakeServer, body: bytes) -> None:
    said = complaint(client, server, Said(body))
    assert said == f"{server.url} is not a Tagboat server. Check TAGBOAT_URL"


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"detail": "x", "errors": [1]}']
)
def test_an_error_that_no_tagboat_gives(client: Client, server: FakeServer, body: bytes) -> None:
    said = complaint(client, server, Said(body, 502))
    assert said == f"the server at {server.url} answered 502 Bad Gateway. Is TAGBOAT_URL right?"


def test_a_field_that_is_missing_is_told(client: Client, server: FakeServer) -> None:
    server.answers["GET /api/things"] = {"something": "else"}
    with pytest.raises(
        TagboatError, match="the answer has no field 'items'. Is it a Tagboat server"
    ):
        client.items("/api/things")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(client: Client, server: FakeServer, status: int) -> None:
    """It would carry the token elsewhere, and make a GET of a POST."""
    said = complaint(
        client, server, Said(b"", status, {"location": "https://other.example/api/thing"})
    )
    assert (
        said == f"{server.url} redirects to https://other.example/api/thing. "
        "Set TAGBOAT_URL to the server itself"
    )
    assert len(server.asked) == 1


def test_an_answer_cut_short(client: Client, server: FakeServer) -> None:
    said = complaint(
        client, server, Said(b'{"a":', 200, {"content-length": "100", "connection": "close"})
    )
    assert "is not a Tagboat server" in said
    said = complaint(
        client, server, Said(b'{"a":', 500, {"content-length": "100", "connection": "close"})
    )
    assert "answered 500" in said


def test_a_server_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TagboatError, match="did not answer within 0 s"):
            Client(ServerAddress(url, None, "TAGBOAT_URL")).post("/api/thing", timeout_s=0.1)


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0", b""])
def test_what_does_not_speak_http(noise: bytes) -> None:
    def speak() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(noise)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=speak)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TagboatError, match="not a Tagboat server|cannot connect"):
            Client(ServerAddress(url, None, "TAGBOAT_URL")).get("/api/thing")
        thread.join()


def test_loopback_is_asked_without_a_proxy(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert Client(ServerAddress(server.url, TOKEN, "TAGBOAT_URL")).health()["status"] == "ok"


def test_others_are_asked_through_the_proxy(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # Through a proxy the whole URL is asked for, of which the fake takes the path.
    assert (
        Client(ServerAddress("http://tagboat.invalid", TOKEN, "TAGBOAT_URL")).health()["status"]
        == "ok"
    )


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("app.localhost", True),
        ("127.example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_whatis_this_machine(host: str, loopback: bool) -> None:
    assert is_this_machine(host) is loopback


def test_the_token_is_not_in_the_text_of_a_server() -> None:
    assert TOKEN not in repr(ServerAddress("http://127.0.0.1:9", TOKEN, "TAGBOAT_URL"))


def test_a_version_goes_with_what_was_read_and_comes_back_with_the_change(
    client: Client, server: FakeServer
) -> None:
    server.answers |= {
        "GET /api/thing": Said({"n": 1}, headers={"etag": '"one"'}),
        "PATCH /api/thing": [{"n": 2}, problem(412, "it was changed since you read it: n")],
    }
    assert client.get_versioned("/api/thing") == ({"n": 1}, '"one"')
    assert client.patch("/api/thing", {}, version='"one"') == {"n": 2}
    assert server.asked[-1].headers["if-match"] == '"one"'
    with pytest.raises(StaleVersionError, match="it was changed since you read it: n"):
        client.patch("/api/thing", {})
    assert "if-match" not in server.asked[-1].headers


def test_a_parameter_may_have_several_values(client: Client, server: FakeServer) -> None:
    server.answers["GET /api/thing"] = lambda _, asked: {"query": dict(asked.query)}
    # The fake keeps the last of them.
    assert client.get("/api/thing", status=("a", "b"), limit=3) == {
        "query": {"status": "b", "limit": "3"}
    }
