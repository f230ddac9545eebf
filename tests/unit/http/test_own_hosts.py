"""The names that this server answers to, and the pages that are its own."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from tagboat.http.own_hosts import HostCheck, OwnHosts, names_of

pytestmark = pytest.mark.anyio

HOSTS = OwnHosts(
    "https://boat.example.com", names_of(["192.168.1.5", "Boat.lan:80", "fd00::5"]), "apps.test"
)
AT_HOME = OwnHosts("http://127.0.0.1:7070", names_of(["127.0.0.1"]), "localhost")
BELOW = OwnHosts("https://boat.apps.test", frozenset(), "apps.test")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:7070",
        "localhost.",
        "127.0.0.1",
        "127.1.2.3:1",
        "[::1]",
        "[::1]:7070",
        "[::ffff:127.0.0.1]:7070",
        "boat.example.com",
        "Boat.Example.com:443",
        "boat.example.com.:8443",
        "192.168.1.5:7070",
        "boat.lan",
        "[fd00::5]:7070",
    ],
)
def test_own_names(host: str) -> None:
    assert HOSTS.include(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "192.168.1.6",
        "169.254.169.254",
        "boat.example.com.evil.example",
        "evil.example@localhost",
        "localhost/",
        "localhost:7070:7070",
        "localhost, evil.example",
        "[::2]",
        "[::1",
        "127.0.0.1.nip.io",
        "shop-dev.apps.test",
        "apps.test",
        "2130706433",
        "0x7f.1",
        " localhost",
    ],
)
def test_names_of_others(host: str) -> None:
    assert not HOSTS.include(host)


def test_apps_have_the_hosts_below_the_base_domain_except_the_public_url() -> None:
    assert not AT_HOME.include("shop-dev.localhost:7070")
    assert AT_HOME.include("localhost:7070")
    assert BELOW.include("boat.apps.test")
    assert not BELOW.include("shop-dev.apps.test")
    assert not OwnHosts("http://x", frozenset({"shop.apps.test"}), "apps.test").include(
        "shop.apps.test"
    )


@pytest.mark.parametrize(
    ("origin", "host", "ours"),
    [
        ("https://boat.example.com", "boat.example.com", True),
        ("https://boat.example.com", "127.0.0.1:7070", True),  # a front that changes Host
        ("https://boat.example.com:443", "boat.example.com", True),
        ("http://localhost:7070", "localhost:7070", True),
        ("http://localhost", "localhost:80", True),
        ("http://[::1]:7070", "[::1]:7070", True),
        ("https://boat.lan", "boat.lan", True),
        ("http://boat.example.com", "127.0.0.1:7070", False),
        ("http://boat.example.com", "boat.example.com", False),  # made by anybody on the way
        ("http://boat.lan", "boat.lan", False),
        ("http://localhost:7080", "localhost:7070", False),
        ("http://shop-dev.localhost:7070", "localhost:7070", False),
        ("http://127.0.0.1:7070", "localhost:7070", False),
        ("https://evil.example", "evil.example", False),
        ("https://evil.example", "boat.example.com", False),
        ("null", "boat.example.com", False),
        ("", "boat.example.com", False),
        ("file://", "boat.example.com", False),
        ("https://", "", False),
        ("ftp://localhost", "localhost", False),
    ],
)
def test_pages_of_this_server(origin: str, host: str, ours: bool) -> None:
    assert HOSTS.sent(origin, host) is ours


@pytest.mark.parametrize(
    ("path", "hosts", "status"),
    [
        ("/", [b"localhost"], 200),
        ("/", [b"evil.example"], 421),
        ("/", [], 421),
        ("/", [b"localhost", b"localhost"], 421),
        ("/hook/x", [b"evil.example"], 200),
        ("/hook", [b"evil.example"], 421),
        ("/live", [], 200),
        ("/lively", [], 421),
    ],
)
async def test_calls_under_another_name_are_refused_except_where_that_is_usual(
    path: str, hosts: list[bytes], status: int
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "path": path, "headers": [(b"host", host) for host in hosts]}
    await HostCheck(app, HOSTS, ["/hook/", "/live"])(scope, receive, send)
    assert sent[0]["status"] == status
