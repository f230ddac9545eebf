import pytest

from tagboat.core.proxies import NO_PROXIES, Proxies, Proxy, parse_exemptions, parse_proxy

PLAIN = Proxy("plain", 80)
TLS = Proxy("tls", 3128)


def proxies(exempt: str = "") -> Proxies:
    exempt_all, exemptions = parse_exemptions(exempt)
    return Proxies(PLAIN, TLS, exempt_all, exemptions)


def test_which_one() -> None:
    assert proxies().of("http", "git.example.com") == PLAIN
    assert proxies().of("https", "git.example.com") == TLS
    assert Proxies(http=PLAIN).of("https", "git.example.com") is None
    assert NO_PROXIES.of("http", "git.example.com") is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "reg.localhost",
        "127.0.0.1",
        "127.9.8.7",
        "::1",
        "::ffff:127.0.0.1",
    ],
)
def test_this_machine_is_asked_directly(host: str) -> None:
    assert proxies().of("http", host) is None


@pytest.mark.parametrize(
    ("exempt", "host", "port"),
    [
        ("*", "git.example.com", None),
        ("a, *", "git.example.com", None),
        ("example.com", "example.com", None),
        ("example.com", "git.example.com", None),
        ("EXAMPLE.com", "GIT.example.COM", None),
        ("example.com.", "git.example.com.", None),
        (".example.com", "git.example.com", None),
        ("*.example.com", "git.example.com", None),
        ("a.b,git.example.com", "git.example.com", None),
        ("a.b git.example.com", "git.example.com", None),
        ("git.example.com:443", "git.example.com", None),
        ("git.example.com:5000", "git.example.com", 5000),
        ("10.1.2.3", "10.1.2.3", None),
        ("10.1.2.3:5000", "10.1.2.3", 5000),
        ("10.0.0.0/8", "10.1.2.3", None),
        ("10.0.0.1/8", "10.1.2.3", None),
        ("fd00::/8", "fd00::1", None),
        ("[fd00::1]:5000", "fd00::1", 5000),
        ("[fd00::1]", "fd00::1", None),
    ],
)
def test_what_is_exempt(exempt: str, host: str, port: int | None) -> None:
    assert proxies(exempt).of("https", host, port) is None


@pytest.mark.parametrize(
    ("exempt", "host", "port"),
    [
        ("", "git.example.com", None),
        (",, ,.", "git.example.com", None),
        (".example.com", "example.com", None),
        ("*.example.com", "example.com", None),
        ("example.com", "notexample.com", None),
        ("example.com", "example.com.evil.net", None),
        ("git.example.com:5000", "git.example.com", None),
        ("git.example.com:5000", "git.example.com", 443),
        ("10.0.0.0/8", "11.1.2.3", None),
        ("10.0.0.0/8", "10.example.com", None),
        ("10.1.2.3:5000", "10.1.2.3", 5001),
        ("10.0.0.0/99", "10.1.2.3", None),
    ],
)
def test_what_is_not(exempt: str, host: str, port: int | None) -> None:
    assert proxies(exempt).of("https", host, port) == TLS


def test_reading_one() -> None:
    assert parse_proxy("") is None
    assert parse_proxy(" http://Proxy.Example.com:3128/ ") == Proxy("proxy.example.com", 3128)
    assert parse_proxy("proxy:8080") == Proxy("proxy", 8080)
    assert parse_proxy("[::1]:8080") == Proxy("::1", 8080)
    assert parse_proxy("http://a%3Ab:p%40s@proxy") == Proxy("proxy", 80, "a:b", "p@s")


def test_its_password_is_in_no_text() -> None:
    proxy = parse_proxy("http://ann:hush@proxy:3128")
    assert str(proxy) == "proxy:3128"
    assert "hush" not in repr(proxy) + repr(Proxies(http=proxy))
    assert str(parse_proxy("[::1]:8080")) == "[::1]:8080"


@pytest.mark.parametrize(
    "text",
    [
        "socks5://proxy",
        "https://proxy",
        "http://",
        "http://pro xy",
        "http://proxy:0",
        "http://proxy:x",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        parse_proxy(text)
