import subprocess
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tagboat.core.errors import SettingsError
from tagboat.core.oidc import OidcSettings
from tagboat.core.principal import Role
from tagboat.core.proxies import NO_PROXIES, Proxies, Proxy
from tagboat.core.run import EngineKind
from tagboat.settings import (
    DockerEndpoint,
    IngressKind,
    LogFormat,
    LogLevel,
    RemoteSettings,
    Settings,
    load_remote_settings,
    load_settings,
)

HOME = "/home/ada"
SECRET = "hunter2-correct-horse"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def load(cwd: Path, environ: Mapping[str, str] | None = None, *, is_tty: bool = False) -> Settings:
    return load_settings(
        {"HOME": HOME, "PATH": str(cwd)} | dict(environ or {}), cwd=cwd, is_tty=is_tty
    )


def complaint(cwd: Path, environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(cwd, environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_defaults(cwd: Path) -> None:
    settings = load(cwd, {"TAGBOAT_INGRESS": "none"})
    assert settings == Settings(
        host="127.0.0.1",
        port=7070,
        data_dir=Path("/home/ada/.local/share/tagboat"),
        database_url=None,
        engine=EngineKind.DOCKER,
        docker=DockerEndpoint(url="unix:///var/run/docker.sock"),
        proxies=NO_PROXIES,
        public_url="http://127.0.0.1:7070",
        hosts=(),
        admin_token=None,
        ingress=IngressKind.NONE,
        ingress_is_default=False,
        ingress_is_missing=False,
        ingress_listen=("127.0.0.1", 7080),
        starts_ingress=True,
        ingress_trusted=("127.0.0.0/8", "::1/128"),
        base_domain="localhost",
        bind_roots=(),
        network_pool=IPv4Network("10.112.0.0/14"),
        engine_id="",
        poll_schedule="@every 5m",
        log_format=LogFormat.JSON,
        log_level=LogLevel.INFO,
        oidc=None,
        local_sign_in=True,
    )


def test_everything_set(cwd: Path) -> None:
    settings = load(
        cwd,
        {
            "TAGBOAT_HOST": "0.0.0.0",  # noqa: S104 - a text to be read, nothing listens
            "TAGBOAT_PORT": "8080",
            "TAGBOAT_DATA_DIR": "/var/lib/tagboat/",
            "TAGBOAT_DATABASE_URL": "postgres://boat:pw@db/boat",
            "TAGBOAT_ENGINE": "swarm",
            "TAGBOAT_DOCKER_HOST": "tcp://engine:2376, tcp://other:2376",
            "DOCKER_HOST": "unix:///elsewhere.sock",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": "certs",
            "http_proxy": "proxy:3128",
            "HTTPS_PROXY": "http://ann:p%40ss@127.0.0.9/",
            "https_proxy": "http://lower:1",
            "NO_PROXY": "*",
            "TAGBOAT_PUBLIC_URL": "https://boat.example.com/",
            "TAGBOAT_HOSTS": "Boat.lan, 192.168.1.5:8080,fd00::5",
            "TAGBOAT_ADMIN_TOKEN": SECRET,
            "TAGBOAT_INGRESS": "none",
            "TAGBOAT_INGRESS_LISTEN": "[::1]:80",
            "TAGBOAT_INGRESS_START": "False",
            "TAGBOAT_INGRESS_TRUSTED": "10.1.2.3/16, 192.0.2.7",
            "TAGBOAT_BASE_DOMAIN": "Apps.Example.com",
            "TAGBOAT_BIND_ROOTS": "/srv/data/:/dev/dri",
            "TAGBOAT_NETWORK_POOL": "10.40.0.0/16",
            "TAGBOAT_ENGINE_ID": "AB:CD",
            "TAGBOAT_POLL_SCHEDULE": " CRON_TZ=Europe/Berlin 0 4 * * * ",
            "TAGBOAT_LOG_FORMAT": "console",
            "TAGBOAT_LOG_LEVEL": "warning",
            "TAGBOAT_OIDC_ISSUER": "https://id.example.com",
            "TAGBOAT_OIDC_CLIENT_ID": "tagboat",
            "TAGBOAT_OIDC_ROLES": "admins=admin",
            "TAGBOAT_LOCAL_SIGN_IN": "false",
            "TAGBOAT_URL": "nonsense that only the command line reads",
            "TAGBOAT_TOKEN": "non sense",
        },
    )
    assert settings == Settings(
        host="0.0.0.0",  # noqa: S104 - a text to be read, nothing listens
        port=8080,
        data_dir=Path("/var/lib/tagboat"),
        database_url="postgresql://boat:pw@db/boat",
        engine=EngineKind.SWARM,
        docker=DockerEndpoint(
            url="tcp://engine:2376",
            others=("tcp://other:2376",),
            tls_verify=True,
            cert_path=cwd / "certs",
        ),
        proxies=Proxies(
            http=Proxy("proxy", 3128), https=Proxy("127.0.0.9", 80, "ann", "p@ss"), exempt_all=True
        ),
        public_url="https://boat.example.com",
        hosts=("boat.lan", "192.168.1.5", "fd00::5"),
        admin_token=SECRET,
        ingress=IngressKind.NONE,
        ingress_is_default=False,
        ingress_is_missing=False,
        ingress_listen=("::1", 80),
        starts_ingress=False,
        ingress_trusted=("10.1.0.0/16", "192.0.2.7/32"),
        base_domain="apps.example.com",
        bind_roots=("/srv/data", "/dev/dri"),
        network_pool=IPv4Network("10.40.0.0/16"),
        engine_id="AB:CD",
        poll_schedule="CRON_TZ=Europe/Berlin 0 4 * * *",
        log_format=LogFormat.CONSOLE,
        log_level=LogLevel.WARNING,
        oidc=OidcSettings(
            issuer="https://id.example.com",
            client_id="tagboat",
            name="id.example.com",
            roles=(("admins", Role.ADMIN),),
        ),
        local_sign_in=False,
    )


def test_secrets_are_not_in_the_repr(cwd: Path) -> None:
    environ = {
        "TAGBOAT_ADMIN_TOKEN": SECRET,
        "TAGBOAT_DATABASE_URL": f"postgresql://boat:{SECRET}@db/boat",
    }
    assert SECRET not in repr(load(cwd, environ))
    assert SECRET not in repr(load_remote_settings({"TAGBOAT_TOKEN": SECRET}, cwd=cwd))


class TestNames:
    def test_an_unknown_name_is_named_with_the_nearest_known_one(self, cwd: Path) -> None:
        assert (
            complaint(cwd, {"TAGBOAT_PRT": "1"})
            == "TAGBOAT_PRT is not a setting of Tagboat; did you mean TAGBOAT_PORT?"
        )

    def test_without_a_near_one_the_help_is_named(self, cwd: Path) -> None:
        assert (
            complaint(cwd, {"TAGBOAT_XYZZY": "1"})
            == "TAGBOAT_XYZZY is not a setting of Tagboat; 'tagboat serve --help' lists them all"
        )

    def test_one_in_dotenv_says_where(self, cwd: Path) -> None:
        (cwd / ".env").write_text("TAGBOAT_DATADIR=/x\n")
        assert complaint(cwd, {}).startswith(
            "TAGBOAT_DATADIR in .env is not a setting of Tagboat; did you mean TAGBOAT_DATA_DIR?"
        )

    @pytest.mark.parametrize("name", ["TAGBOAT_PORT_FILE", "TAGBOAT_", "TAGBOAT_port"])
    def test_only_secrets_have_files_and_case_counts(self, cwd: Path, name: str) -> None:
        assert complaint(cwd, {name: ""}).startswith(f"{name} is not a setting")

    def test_other_programs_names_are_their_own(self, cwd: Path) -> None:
        assert load(cwd, {"TAGBOATX": "1", "tagboat_port": "1", "PORT": "1"}).port == 7070

    def test_the_command_line_refuses_them_too(self, cwd: Path) -> None:
        with pytest.raises(SettingsError, match=r"TAGBOAT_TOKN.*TAGBOAT_TOKEN"):
            load_remote_settings({"TAGBOAT_TOKN": "x"}, cwd=cwd)


class TestDotenv:
    def test_only_the_server_reads_it(self, cwd: Path) -> None:
        (cwd / ".env").write_text(
            "TAGBOAT_URL=http://elsewhere\nTAGBOAT_TOKEN=x\nTAGBOAT_DATA_DIR=/x\nTAGBOAT_TYPO=1\n"
        )
        assert load_remote_settings({}, cwd=cwd) == RemoteSettings(url=None, token=None)
        settings = load_settings({"HOME": HOME}, cwd=cwd, is_tty=False, dotenv=False)
        assert settings.data_dir == Path(HOME, ".local/share/tagboat")

    def test_it_is_read_and_the_environment_wins(self, cwd: Path) -> None:
        (cwd / ".env").write_text(
            "# ours\nexport TAGBOAT_PORT=1111\nTAGBOAT_HOST='::1'\nOTHER=${TAGBOAT_PORT}\n"
        )
        settings = load(cwd, {"TAGBOAT_PORT": "2222"})
        assert (settings.host, settings.port, settings.public_url) == (
            "::1",
            2222,
            "http://[::1]:2222",
        )

    def test_an_empty_variable_wins_too_and_means_the_default(self, cwd: Path) -> None:
        (cwd / ".env").write_text("TAGBOAT_PORT=1111\nTAGBOAT_HOST=\n")
        assert load(cwd, {"TAGBOAT_PORT": ""}).listen_url == "http://127.0.0.1:7070"

    def test_values_are_literal(self, cwd: Path) -> None:
        (cwd / ".env").write_text("TAGBOAT_ADMIN_TOKEN=a-long-one-${HOME}-$b\n")
        assert load(cwd).admin_token == "a-long-one-${HOME}-$b"

    def test_a_directory_of_that_name_is_somebodys_virtual_environment(self, cwd: Path) -> None:
        (cwd / ".env").mkdir()
        assert load(cwd).port == 7070

    def test_a_broken_line_about_tagboat_is_named_without_its_value(self, cwd: Path) -> None:
        (cwd / ".env").write_text(f"A=1\nTAGBOAT_ADMIN_TOKEN='{SECRET}\n")
        message = complaint(cwd, {})
        assert "line 2" in message
        assert SECRET not in message

    def test_a_broken_line_about_something_else_is_not_ours(self, cwd: Path) -> None:
        (cwd / ".env").write_text("A='1\nTAGBOAT_PORT=1111\n")
        assert load(cwd).port == 1111

    def test_one_that_is_no_text_is_refused(self, cwd: Path) -> None:
        (cwd / ".env").write_bytes(b"\xff\xfe\x00")
        assert complaint(cwd, {}) == ".env cannot be read: it is not UTF-8 text"


class TestSecretFiles:
    @pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
    def test_the_content_counts_without_its_last_newlines(self, cwd: Path, ending: str) -> None:
        (cwd / "token").write_bytes(f"{SECRET}{ending}".encode())
        assert load(cwd, {"TAGBOAT_ADMIN_TOKEN_FILE": str(cwd / "token")}).admin_token == SECRET

    def test_a_relative_path_and_the_home_directory(self, cwd: Path) -> None:
        (cwd / "url").write_text(f"postgresql://boat:{SECRET}@db/boat\n")
        expected = f"postgresql://boat:{SECRET}@db/boat"
        assert load(cwd, {"TAGBOAT_DATABASE_URL_FILE": "url"}).database_url == expected
        assert (
            load(cwd, {"TAGBOAT_DATABASE_URL_FILE": "~/url", "HOME": str(cwd)}).database_url
            == expected
        )

    @pytest.mark.parametrize("name", ["TAGBOAT_ADMIN_TOKEN", "TAGBOAT_DATABASE_URL"])
    def test_both_are_too_many(self, cwd: Path, name: str) -> None:
        message = complaint(cwd, {name: SECRET, f"{name}_FILE": "token"})
        assert message == f"{name} and {name}_FILE are both set; set only one of them"

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "the file is empty"),
            (b"\n", "the file is empty"),
            (b"\xff", "not UTF-8"),
            (b"two words and some more", "without spaces"),
            (
                b"short",
                "at least 20 characters are expected; 'openssl rand -hex 24' makes such a token",
            ),
            (b"x" * 65_537, "longer than 65536 bytes"),
        ],
    )
    def test_an_unusable_content_is_not_repeated(
        self, cwd: Path, content: bytes, says: str
    ) -> None:
        (cwd / "token").write_bytes(content)
        message = complaint(cwd, {"TAGBOAT_ADMIN_TOKEN_FILE": "token"})
        assert message.startswith("TAGBOAT_ADMIN_TOKEN_FILE cannot be used: ")
        assert says in message
        assert "two words" not in message
        assert "short" not in message

    def test_a_missing_file_is_complained_of_without_its_path(self, cwd: Path) -> None:
        message = complaint(cwd, {"TAGBOAT_ADMIN_TOKEN_FILE": SECRET})
        assert (
            message == "TAGBOAT_ADMIN_TOKEN_FILE cannot be used: "
            "the file cannot be read: No such file or directory"
        )

    def test_a_directory_is_no_file(self, cwd: Path) -> None:
        assert "Is a directory" in complaint(cwd, {"TAGBOAT_ADMIN_TOKEN_FILE": "."})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *[
            ("TAGBOAT_PORT", value, "from 1 to 65535")
            for value in ("0", "65536", "-1", "+80", "8o", "80.0", " 80", "٣")
        ],
        *[
            ("TAGBOAT_HOST", value, "host name or an IP")
            for value in ("http://x", "a b", "::zz", "1.2.3.4:80", "x/y", "a\nb")
        ],
        *[
            ("TAGBOAT_NETWORK_POOL", value, "a range of private addresses from /8 to /24")
            for value in (
                "x",
                "10.0.0.0",
                "10.0.0.0/25",
                "8.8.0.0/16",
                "127.0.0.0/16",
                "169.254.0.0/16",
                "10.1.2.3/16",
                "fd00::/48",
            )
        ],
        ("TAGBOAT_DATA_DIR", "a\0b", "a path"),
        ("TAGBOAT_DATA_DIR", "~nobody-of-that-name/x", "home directory"),
        *[
            ("TAGBOAT_DOCKER_HOST", value, "unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST")
            for value in (
                "docker",
                "unix://docker.sock",
                "tcp://",
                "tcp://h:x",
                "ssh://a:b@h",
                "http://h",
                "tcp://h/p",
                "tcp://h:0",
            )
        ],
        ("TAGBOAT_DOCKER_HOST", "tcp://a:2376, tcp://b:2376", "are for TAGBOAT_ENGINE=swarm"),
        ("DOCKER_HOST", "npipe:////./pipe/docker_engine", "unix:///PATH"),
        ("TAGBOAT_HOSTS", "boat.lan, https://x", "tagboat.lan,192.168.1.5"),
        ("TAGBOAT_HOSTS", "boat.localhost", "is below TAGBOAT_BASE_DOMAIN (localhost)"),
        *[
            ("TAGBOAT_PUBLIC_URL", value, "https://tagboat.example.com")
            for value in (
                "boat.example.com",
                "ftp://x",
                "https://",
                "https://u:p@x",
                "http://x?y",
                "http://x#y",
                "http://x:99999",
                "http://a b",
            )
        ],
        ("TAGBOAT_INGRESS", "HAProxy", "haproxy or none is expected"),
        ("TAGBOAT_INGRESS_START", "no", "true or false is expected"),
        ("TAGBOAT_LOG_FORMAT", "text", "console or json is expected"),
        ("TAGBOAT_LOG_LEVEL", "verbose", "debug, info, warning or error is expected"),
        *[
            ("TAGBOAT_INGRESS_LISTEN", value, "HOST:PORT")
            for value in ("7080", ":7080", "127.0.0.1", "127.0.0.1:0", "*:80", "a:b:1")
        ],
        *[
            ("TAGBOAT_BASE_DOMAIN", value, "domain name")
            for value in (
                "*.x.de",
                "a..b",
                "-a.de",
                "a-.de",
                "a_b.de",
                "127.0.0.1",
                "x.de/",
                "ü.de",
                "a" * 64,
                "x." * 127 + "xx",
                ".",
            )
        ],
        ("TAGBOAT_BIND_ROOTS", "srv", "absolute paths without '..'"),
        ("TAGBOAT_BIND_ROOTS", "/srv:/a/../b", "absolute paths without '..'"),
        ("TAGBOAT_POLL_SCHEDULE", "@reboot", "'@reboot' is not a schedule"),
        ("TAGBOAT_POLL_SCHEDULE", "0 0 30 2 *", "never comes"),
    ],
)
def test_an_unusable_value_names_its_variable_and_what_is_expected(
    cwd: Path, name: str, value: str, says: str
) -> None:
    message = complaint(cwd, {name: value})
    assert message.startswith(f"{name} cannot be used: ")
    assert says in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TAGBOAT_ADMIN_TOKEN", f"{SECRET} {SECRET}"),
        ("TAGBOAT_ADMIN_TOKEN", f"{SECRET}\n"),
        ("TAGBOAT_ADMIN_TOKEN", f"ü{SECRET}"),
        ("TAGBOAT_DATABASE_URL", f"mysql://boat:{SECRET}@db/boat"),
        ("TAGBOAT_DATABASE_URL", f"sqlite:///{SECRET}"),
        ("TAGBOAT_DATABASE_URL", f"postgresql+psycopg://{SECRET}"),
        ("TAGBOAT_DATABASE_URL", SECRET),
        ("TAGBOAT_DATABASE_URL", "postgresql://"),
        ("TAGBOAT_DATABASE_URL", f"postgresql://boat:{SECRET}@db:port/boat"),
        ("TAGBOAT_DATABASE_URL", f"postgresql://boat:{SECRET}@db:/boat"),
        ("TAGBOAT_DATABASE_URL", f"postgresql://boat:{SECRET}@[::1/boat"),
        ("TAGBOAT_DATABASE_URL", f"postgresql://boat:{SECRET}@one:1,two:2/boat"),
        ("TAGBOAT_DATABASE_URL", f"postgresql://boat:a@{SECRET}@db/boat"),
        ("TAGBOAT_DATABASE_URL", f"postgresql://boat:a@b:{SECRET}@db/boat"),
    ],
)
def test_an_unusable_secret_is_not_repeated(cwd: Path, name: str, value: str) -> None:
    message = complaint(cwd, {name: value})
    assert message.startswith(f"{name} cannot be used: ")
    assert SECRET not in message


class TestDocker:
    def test_dockers_own_variable_is_the_second_choice(self, cwd: Path) -> None:
        assert load(cwd, {"DOCKER_HOST": "ssh://ada@box:2222"}).docker == DockerEndpoint(
            url="ssh://ada@box:2222"
        )
        both = {"DOCKER_HOST": "ssh://ada@box", "TAGBOAT_DOCKER_HOST": "unix:///run/podman.sock"}
        assert load(cwd, both).docker.url == "unix:///run/podman.sock"

    def test_tcp_without_a_word_about_tls_is_plain(self, cwd: Path) -> None:
        assert load(cwd, {"DOCKER_HOST": "tcp://proxy:2375"}).docker == DockerEndpoint(
            url="tcp://proxy:2375"
        )

    def test_tls_takes_dockers_own_directory_where_there_is_one(self, cwd: Path) -> None:
        environ = {"DOCKER_HOST": "tcp://box:2376", "DOCKER_TLS_VERIFY": "1", "HOME": str(cwd)}
        assert load(cwd, environ).docker == DockerEndpoint(url="tcp://box:2376", tls_verify=True)
        (cwd / ".docker").mkdir()
        (cwd / ".docker" / "ca.pem").touch()
        assert load(cwd, environ).docker.cert_path == cwd / ".docker"

    def test_a_directory_of_certificates_is_reason_enough_for_tls(self, cwd: Path) -> None:
        environ = {
            "DOCKER_HOST": "tcp://box:2376",
            "DOCKER_CERT_PATH": "/certs",
            "DOCKER_TLS_VERIFY": "",
        }
        assert load(cwd, environ).docker == DockerEndpoint(
            url="tcp://box:2376", tls_verify=True, cert_path=Path("/certs")
        )

    def test_a_socket_knows_no_tls(self, cwd: Path) -> None:
        docker = load(cwd, {"DOCKER_CERT_PATH": "/certs", "DOCKER_TLS_VERIFY": "1"}).docker
        assert docker == DockerEndpoint(url="unix:///var/run/docker.sock")


class TestIngress:
    @pytest.fixture
    def no_system_programs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tagboat.settings._SYSTEM_PROGRAMS", "")

    @pytest.mark.usefixtures("no_system_programs")
    def test_it_follows_from_the_program(self, cwd: Path) -> None:
        assert load(cwd).ingress is IngressKind.NONE
        (cwd / "haproxy").write_text("#!/bin/sh\n")
        (cwd / "haproxy").chmod(0o755)
        assert load(cwd).ingress is IngressKind.HAPROXY
        assert load(cwd, {"TAGBOAT_INGRESS": "none"}).ingress is IngressKind.NONE

    @pytest.mark.usefixtures("no_system_programs")
    def test_asked_for_without_the_program_is_unusable(self, cwd: Path) -> None:
        message = complaint(cwd, {"TAGBOAT_INGRESS": "haproxy"})
        assert (
            message == "TAGBOAT_INGRESS cannot be used: the program haproxy is not found; "
            "install it, or set TAGBOAT_INGRESS=none"
        )


def test_schemes_have_no_case(cwd: Path) -> None:
    settings = load(
        cwd,
        {
            "TAGBOAT_PUBLIC_URL": "HTTPS://Boat.example.com/",
            "TAGBOAT_DOCKER_HOST": "TCP://box:2375",
            "TAGBOAT_DATABASE_URL": "PostgreSQL://boat:pw@db/boat",
        },
    )
    assert settings.public_url == "https://Boat.example.com"
    assert settings.docker.url == "tcp://box:2375"
    assert settings.database_url == "postgresql://boat:pw@db/boat"


def test_a_terminal_is_logged_to_in_console_format_unless_said_otherwise(cwd: Path) -> None:
    assert load(cwd, is_tty=True).log_format is LogFormat.CONSOLE
    assert load(cwd, {"TAGBOAT_LOG_FORMAT": "json"}, is_tty=True).log_format is LogFormat.JSON


class TestRemote:
    def test_nothing_set(self, cwd: Path) -> None:
        remote = load_remote_settings({}, cwd=cwd)
        assert (remote.url, remote.token) == (None, None)

    def test_both_set_whatever_the_server_would_say(self, cwd: Path) -> None:
        (cwd / "token").write_text(f"{SECRET}\n")
        environ = {
            "TAGBOAT_URL": "https://boat.example.com/sub/",
            "TAGBOAT_TOKEN_FILE": "token",
            "TAGBOAT_PORT": "x",
        }
        remote = load_remote_settings(environ, cwd=cwd)
        assert (remote.url, remote.token) == ("https://boat.example.com/sub", SECRET)

    @pytest.mark.parametrize("name", ["TAGBOAT_URL", "TAGBOAT_TOKEN"])
    def test_unusable(self, cwd: Path, name: str) -> None:
        with pytest.raises(SettingsError, match=f"{name} cannot be used") as caught:
            load_remote_settings({name: f"{SECRET} {SECRET}"}, cwd=cwd)
        assert SECRET not in str(caught.value)


def test_importing_the_settings_brings_none_of_the_big_libraries() -> None:
    big = [
        "aiohttp",
        "asyncio",
        "dotenv",
        "fastapi",
        "pydantic",
        "sqlalchemy",
        "structlog",
    ]
    program = (
        f"import sys, tagboat.settings; print([name for name in {big} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "value",
    ["socks5://u:hush@proxy:1080", "https://u:hush@proxy", "http://", "http://u:hush@proxy:port"],
)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy"])
def test_a_proxy_that_cannot_be_used(cwd: Path, name: str, value: str) -> None:
    said = complaint(cwd, {"TAGBOAT_INGRESS": "none", name: value})
    assert said.startswith(f"{name} cannot be used: http://HOST:PORT")
    assert "hush" not in said


@pytest.mark.parametrize(
    ("environ", "exposed"),
    [
        ({}, False),
        ({"DOCKER_HOST": "tcp://10.0.0.5:2375"}, True),
        ({"DOCKER_HOST": "tcp://engine:2375"}, True),
        ({"DOCKER_HOST": "tcp://10.0.0.5:2376", "DOCKER_TLS_VERIFY": "1"}, False),
        ({"DOCKER_HOST": "tcp://127.0.0.1:2375"}, False),
        ({"DOCKER_HOST": "tcp://[::1]:2375"}, False),
        ({"DOCKER_HOST": "tcp://localhost"}, False),
        ({"DOCKER_HOST": "ssh://me@engine"}, False),
    ],
)
def test_whether_secrets_cross_the_network_in_the_clear(
    cwd: Path, environ: dict[str, str], *, exposed: bool
) -> None:
    assert load(cwd, {"TAGBOAT_INGRESS": "none", **environ}).docker.is_exposed is exposed
