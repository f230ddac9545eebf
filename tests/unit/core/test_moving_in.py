import pytest

from tagboat.core.moving_in import (
    is_proxy_label,
    looks_secret,
    path_asked,
    pattern_for,
    secret_words,
    traefik_hosts,
    traefik_port,
)
from tagboat.core.tags import parse_tag_pattern


@pytest.mark.parametrize(
    "name",
    [
        *("DB_PASSWORD", "PGPASSWORD", "SECRET_KEY_BASE", "dbPassword", "API_KEY", "apiKey"),
        *("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "SMTP_PASS", "MYSQL_PWD", "SENTRY_DSN"),
        *("JWT_SECRET", "password", "app.auth.token", "CREDENTIALS", "SECRETS", "KEY", "PGPASS"),
        *("CREDS", "SMTP_CREDS"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("MONKEY", "KEYCLOAK_URL", "DB_PASSWORD_FILE", "TOKENIZER", "COMPASS", "PORT", ""),
        *("AUTHOR", "SSL_KEY_PATH", "BYPASS_CACHE", "LOG_LEVEL", "TZ"),
    ],
)
def test_names_of_others(name: str) -> None:
    assert not looks_secret(name)


def test_values_that_are_secrets() -> None:
    assert looks_secret("DATABASE_URL", "postgres://shop:hunter2@db:5432/shop")
    assert looks_secret("REDIS", "redis://:hunter2@cache")
    assert looks_secret("CERT", "-----BEGIN RSA PRIVATE KEY-----\n…")
    for begin in ("ghp_", "glpat-", "xoxb-", "sk_live_", "sk-", "npm_", "AIza", "hvs."):
        assert looks_secret("STRIPE", f"{begin}{'4eC39HqLyjWDarjt' * 2}")
    assert looks_secret("ID", "AKIA" + "ABCDEFGHIJKLMNOP")
    assert looks_secret("SESSION", f"eyJ{'hbGciOiJIUzI1NiJ9'}.eyJ{'zdWIiOiIxMjM0'}.x")
    assert looks_secret("CS", "Server=db;User Id=sa;Password=Hunter22!")
    for plain in (
        *("task-runner-with-a-long-name-of-its-own", "disk-0123456789abcdefgh", "AIza"),
        *("glass-dark-theme-with-blue", "globe-assets-production-eu", "sk-learn-base-2024.01"),
        *("SG.example.internal.production", "pwd=$PWD", "/usr/lib/glibc-hwcaps.x86-64-v3"),
    ):
        assert not looks_secret("NAME", plain)
    assert not looks_secret("DATABASE_URL", "postgres://shop@db:5432/shop")
    assert not looks_secret("URL", "https://example.com/a:b@c")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["redis-server", "--requirepass", "x", "--port", "1"], ["--requirepass"]),
        (["sh", "-c", "DB_PASSWORD=x serve --api-key=y"], ["DB_PASSWORD", "--api-key"]),
        (["serve", "redis://:x@cache"], ["a login in a URL"]),
        (["sh", "-c", 'serve --password "$DB_PASSWORD" --token=$T'], []),
        (["serve", "ghp_" + "a1" * 18, "X=glpat-" + "a1" * 10], ["a token", "X"]),
        (["serve", "--url=/hooks/ghp_" + "a1" * 18], ["--url"]),
        (["mongod", "--auth", "--port", "1"], []),
        (["serve", "--tls-key", "/certs/a.key", "--password-file=x", "--auth=true"], []),
    ],
)
def test_secrets_in_a_command_line(words: list[str], found: list[str]) -> None:
    assert secret_words(words) == found


def test_hosts_that_traefik_routes() -> None:
    labels = {
        "traefik.enable": "true",
        "traefik.http.routers.web.rule": "Host(`Shop.example.com`) || Host(`a.test`, `b.test`)",
        "traefik.http.routers.api.rule": "HostRegexp(`.+`) && !Host(`not.test`) && Path(`/`)",
        "traefik.tcp.routers.db.rule": "HostSNI(`db.test`)",
        "traefik.frontend.rule": "Host:old.test,a.test;PathPrefix:/x",
        "traefik.http.services.web.loadbalancer.server.port": "3000",
    }
    assert traefik_hosts(labels) == ["shop.example.com", "a.test", "b.test", "old.test"]
    assert traefik_port(labels) == 3000
    assert traefik_port({"traefik.port": "8080"}) == 8080
    assert traefik_port({"traefik.port": "web", "other.port": "1"}) is None


def test_labels_of_tools_that_are_replaced() -> None:
    assert is_proxy_label("com.centurylinklabs.watchtower.enable")
    assert is_proxy_label("com.docker.compose.project")
    assert not is_proxy_label("org.opencontainers.image.title")


@pytest.mark.parametrize(
    ("test", "found"),
    [
        (["CMD", "curl", "-f", "http://localhost:3000/up"], (3000, "/up")),
        (["curl -f http://127.0.0.1/ || exit 1"], (80, "/")),
        (["wget -qO- 'http://[::1]:8080/health?full=1' | grep ok"], (8080, "/health?full=1")),
        (["curl", "http://localhost:3000"], (3000, "/")),
        (["curl -fsS http://localhost/up -o /dev/null"], (80, "/up")),
        (["curl", "-u", "admin:x", "http://localhost/up"], None),
        (["curl -fsu admin:x http://localhost/up"], None),
        (["wget --http-user=a --http-password=x http://localhost/up"], None),
        (["curl", "-H", "Authorization: Bearer x", "http://localhost/up"], None),
        (["curl -f http://localhost:$PORT/health"], None),
        (["curl", "http://localhost:99999/up"], None),
        (["curl -sb session=abc http://localhost/up"], None),
        (["curl -X POST http://localhost/up"], None),
        (["curl", "--user-agent", "probe", "-fI", "http://localhost/up"], (80, "/up")),
        (["wget -nv -t1 --spider http://localhost/up || exit 1"], (80, "/up")),
        (["pg_isready", "-U", "shop"], None),
        (["curl", "https://localhost/"], None),
        (["curl", "http://other/up"], None),
        (["echo", "http://localhost/"], None),
    ],
)
def test_paths_that_a_healthcheck_asks(test: list[str], found: tuple[int, str] | None) -> None:
    assert path_asked(test) == found


@pytest.mark.parametrize(
    ("tag", "pattern", "next_one", "other"),
    [
        ("v1.4.0", "semver:1.x", "v1.5.0", "v2.0.0"),
        ("0.3.1", "semver:0.x", "0.4.0", "1.0.0"),
        ("latest", "latest", "latest", "v1.0.0"),
        ("16-alpine", "16-alpine", "16-alpine", "17-alpine"),
        ("16", "16", "16", "17"),
    ],
)
def test_a_pattern_takes_what_is_like_the_tag(
    tag: str, pattern: str, next_one: str, other: str
) -> None:
    made = parse_tag_pattern(pattern_for(tag))
    assert str(made) == pattern
    assert (made.matches(tag), made.matches(next_one), made.matches(other)) == (True, True, False)
