import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.registry.docker_config import DockerLogin, login_for


def auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


def config(**auths: object) -> str:
    return json.dumps({"auths": auths})


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("registry.example.com", "registry.example.com"),
        ("registry.example.com", "https://Registry.example.com/"),
        ("https://registry.example.com", "registry.example.com"),
        ("https://registry.example.com/v1/", "registry.example.com"),
        ("registry.example.com/v2/", "registry.example.com"),
        ("http://registry.example.com:5000/v2", "registry.example.com:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://index.docker.io/v1/", "https://registry-1.docker.io"),
        ("docker.io", "index.docker.io"),
        ("https://git.example.com/git", "https://git.example.com/git/"),
    ],
)
def test_hosts_are_found_as_docker_writes_them(key: str, host: str) -> None:
    text = config(**{"other.example.com": auth("me:other"), key: auth("ci:se:cret")})
    assert login_for(text, host) == DockerLogin("ci", "se:cret")


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        (auth("ci:secret"), DockerLogin("ci", "secret")),
        (auth("ci:secret\0\0"), DockerLogin("ci", "secret")),
        (auth("ci:pässword"), DockerLogin("ci", "pässword")),
        ({"auth": "Y2k6\nc2VjcmV0"}, DockerLogin("ci", "secret")),
        (
            {"username": "ci", "password": "secret", "email": "x@example.com"},
            DockerLogin("ci", "secret"),
        ),
        ({"username": "ci", "password": "secret", **auth("me:older")}, DockerLogin("ci", "secret")),
        (
            {**auth("00000000-0000-0000-0000-000000000000:"), "identitytoken": "eyJ"},
            DockerLogin("<token>", "eyJ"),
        ),
    ],
)
def test_entries(entry: dict[str, str], login: DockerLogin) -> None:
    assert login_for(config(**{"r.example.com": entry}), "r.example.com") == login


def test_the_oldest_form_of_the_file_has_no_auths() -> None:
    assert (
        login_for(
            json.dumps({"https://index.docker.io/v1/": auth("ci:secret")}), "docker.io"
        ).username
        == "ci"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON: give the whole text of ~/.docker/config.json"),
        ("[]", "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        ("x" * 300_000, "more than 262144 characters"),
        ('{"auths": []}', "`auths` in the Docker config is not a JSON object"),
        ("{}", "has no login for r.example.com; it has none at all"),
        (
            config(**{"a.example.com": {}, "b.example.com:5000": {}}),
            "it has logins for a.example.com, b.example.com:5000",
        ),
        (
            config(**{f"{name}.example.com": {} for name in "abcdefg"}),
            "d.example.com, e.example.com …",
        ),
        (
            config(**{"r.example.com": {}}),
            "names r.example.com, but has no username and password for it",
        ),
        (config(**{"r.example.com": auth("ci:")}), "but has no username and password"),
        (
            config(**{"r.example.com": {"auth": "%%%"}}),
            "`auth` for r.example.com in the Docker config is not base64",
        ),
        (config(**{"r.example.com": auth("no colon")}), "is not base64 of username:password"),
        (config(**{"r.example.com/acme": auth("ci:secret")}), "has no login for r.example.com"),
        ('{"credsStore": "../evil"}', "names a credential helper that cannot be one"),
        ('{"credHelpers": {"r.example.com": "a b"}}', "a credential helper that cannot be one"),
        ('{"credHelpers": {"r.example.com": 5}}', "a credential helper that cannot be one"),
        ('{"credHelpers": {"other.example.com": "ecr-login"}}', "has none at all"),
    ],
)
def test_what_is_missing_is_said(text: str, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words) as caught:
        login_for(text, "r.example.com")
    assert "ci:secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("config_", "helper"),
    [
        ({"credsStore": "desktop", "auths": {"r.example.com": {}}}, "desktop"),
        ({"credsStore": "secretservice"}, "secretservice"),
        ({"credHelpers": {"r.example.com": "ecr-login"}}, "ecr-login"),
        ({"credHelpers": {"https://R.example.com": "gcr"}, "credsStore": "pass"}, "gcr"),
        ({"credHelpers": {"r.example.com": "gcr"}, "auths": {"r.example.com": auth("a:b")}}, "gcr"),
    ],
)
def test_a_credential_helper_is_a_command(config_: dict[str, object], helper: str) -> None:
    command = f"docker-credential-{helper} get"
    assert login_for(json.dumps(config_), "r.example.com") == DockerLogin("", "", command)


def test_a_stored_login_counts_before_the_helper_for_all() -> None:
    text = json.dumps({"credsStore": "pass", "auths": {"r.example.com": auth("ci:secret")}})
    assert login_for(text, "r.example.com") == DockerLogin("ci", "secret")


def test_a_login_beside_a_helper_counts() -> None:
    text = json.dumps(
        {"credHelpers": {"gcr.io": "gcloud"}, "auths": {"r.example.com": auth("ci:secret")}}
    )
    assert login_for(text, "r.example.com") == DockerLogin("ci", "secret")


def test_no_login_shows_its_password() -> None:
    assert "secret" not in repr(login_for(config(r=auth("ci:secret")), "r"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["auths", "auth", "r", "credHelpers"]), inner)
    ),
    max_leaves=15,
)


@given(_JSON)
def test_whatever_it_holds_it_is_a_login_or_an_error(value: object) -> None:
    try:
        login_for(json.dumps(value), "r")
    except InvalidValueError as error:
        assert str(error)  # noqa: PT017 - either end is right
