"""Image references: what is accepted and what it becomes, what is refused and how."""

import re
import string
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.core.errors import InvalidImageRefError
from tagboat.core.image import (
    DOCKER_HUB,
    Digest,
    ImageName,
    ImageRef,
    is_docker_hub,
    is_tag,
    parse_digest,
    parse_image_name,
    parse_image_ref,
    parse_tag,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
HOST = "git.example.com"

GOOD = [
    ("git.example.com/acme/app:v1.2.3", HOST, "acme/app", "v1.2.3"),
    ("git.example.com/acme/app", HOST, "acme/app", "latest"),
    ("git.example.com/app:1", HOST, "app", "1"),
    ("git.example.com/a/b/c/d/e:1", HOST, "a/b/c/d/e", "1"),
    ("git.example.com:5000/acme/app:v1", "git.example.com:5000", "acme/app", "v1"),
    ("git.example.com:5000/acme/app", "git.example.com:5000", "acme/app", "latest"),
    ("git.example.com:443/app:v1", "git.example.com:443", "app", "v1"),
    ("git.example.com:65535/app:v1", "git.example.com:65535", "app", "v1"),
    ("localhost/app:v1", "localhost", "app", "v1"),
    ("localhost:5000/app:v1", "localhost:5000", "app", "v1"),
    ("127.0.0.1:5000/app:v1", "127.0.0.1:5000", "app", "v1"),
    ("registry:5000/app:v1", "registry:5000", "app", "v1"),
    ("[::1]:5000/app:v1", "[::1]:5000", "app", "v1"),
    ("[2001:DB8::1]/app:v1", "[2001:db8::1]", "app", "v1"),
    ("GIT.Example.COM/acme/app:V1", HOST, "acme/app", "V1"),
    ("LOCALHOST/app:v1", "localhost", "app", "v1"),
    ("a-b.example/app:v1", "a-b.example", "app", "v1"),
    ("git.example.com/a.b/c_d/e__f/g---h:v1", HOST, "a.b/c_d/e__f/g---h", "v1"),
    ("nginx", DOCKER_HUB, "library/nginx", "latest"),
    ("nginx:1.27", DOCKER_HUB, "library/nginx", "1.27"),
    ("localhost:5000", DOCKER_HUB, "library/localhost", "5000"),
    ("acme/app:v1", DOCKER_HUB, "acme/app", "v1"),
    ("docker.io/nginx:v1", DOCKER_HUB, "library/nginx", "v1"),
    ("docker.io/acme/app:v1", DOCKER_HUB, "acme/app", "v1"),
    ("index.docker.io/nginx:v1", DOCKER_HUB, "library/nginx", "v1"),
    ("Registry-1.Docker.io/library/nginx:v1", DOCKER_HUB, "library/nginx", "v1"),
    ("registry.hub.docker.com/acme/app:v1", DOCKER_HUB, "acme/app", "v1"),
    ("app:_x", DOCKER_HUB, "library/app", "_x"),
]

BAD = [
    ("", "empty"),
    ("a" * 64, "is the id of an image"),
    ("sha256:" + "a" * 64, "is the id of an image"),
    (":", "not a valid part"),
    (":v1", "not a valid part"),
    ("/app:v1", "not a valid part"),
    ("git.example.com/:v1", "not a valid part"),
    ("git.example.com//app:v1", "not a valid part"),
    ("git.example.com/app/:v1", "not a valid part"),
    ("git.example.com/app:", "not a tag"),
    ("git.example.com/app:v1:v2", "not a tag"),
    ("git.example.com/app:.v1", "not a tag"),
    ("git.example.com/app:-", "not a tag"),
    ("git.example.com/app:v 1", "not a tag"),
    ("git.example.com/app:v1+build", "not a tag"),
    ("git.example.com/app:v1\n", "not a tag"),
    ("git.example.com/app:\uff56\uff11", "not a tag"),
    ("git.example.com/app:v\u0661", "not a tag"),
    ("git.example.com/app\u0661:v1", "not a valid part"),
    ("git.example.com/App:v1", "lower-case"),
    ("Acme/app:v1", "lower-case"),
    ("Nginx", "lower-case"),
    ("git.example.com/-app:v1", "not a valid part"),
    ("git.example.com/app-:v1", "not a valid part"),
    ("git.example.com/a..b:v1", "not a valid part"),
    ("git.example.com/../etc:v1", "not a valid part"),
    ("git.example.com/a___b:v1", "not a valid part"),
    ("git.example.com/a._b:v1", "not a valid part"),
    ("git.example.com/a b:v1", "not a valid part"),
    (" git.example.com/app:v1", "not a registry host"),
    ("git.example.com/app;reboot:v1", "not a valid part"),
    ("git.example.com/$(reboot):v1", "not a valid part"),
    ("git.example.com/app`id`:v1", "not a valid part"),
    ("git.example.com/app|id:v1", "not a valid part"),
    ("git.example.com/app&id:v1", "not a valid part"),
    ("git.example.com/app>x:v1", "not a valid part"),
    ("git.example.com/app'\":v1", "not a valid part"),
    ("git.example.com/app:v1;id", "not a tag"),
    ("git.example.com/app:$(id)", "not a tag"),
    ("git.example.com/app\0:v1", "not a valid part"),
    ("git.example.com/app:v1\0", "not a tag"),
    ("git.example.com\0/app:v1", "not a registry host"),
    ("git.example.com/app:\ud800", "not a tag"),
    ("-git.example.com/app:v1", "not a registry host"),
    ("git-.example.com/app:v1", "not a registry host"),
    ("git..example.com/app:v1", "not a registry host"),
    ("git.example.com./app:v1", "not a registry host"),
    ("git_lab.example.com/app:v1", "not a registry host"),
    ("user:secret@git.example.com/app:v1", "not a digest"),
    ("https://git.example.com/app:v1", "leave out the scheme"),
    ("git.example.com:/app:v1", "not a registry host"),
    ("git.example.com:0/app:v1", "port"),
    ("git.example.com:65536/app:v1", "port"),
    ("git.example.com:123456/app:v1", "not a registry host"),
    ("git.example.com:\u0665\u0660\u0660\u0660/app:v1", "not a registry host"),
    ("git.example.com:http/app:v1", "not a registry host"),
    ("[::1/app:v1", "not a registry host"),
    ("[::1]5000/app:v1", "not a registry host"),
    ("[fe80::1%eth0]/app:v1", "not a registry host"),
    ("::1/app:v1", "not a registry host"),
    (
        "\u212aelvin.example/app:v1",
        "not a registry host",
    ),  # the Kelvin sign, which becomes k in lower case
    ("git.example.com/app:v1@", "not a digest"),
    ("git.example.com/app:v1@sha256:", "not a digest"),
    ("git.example.com/app:v1@" + DIGEST[:-1], "not a digest"),
    ("git.example.com/app:v1@" + DIGEST + "0", "not a digest"),
    ("git.example.com/app:v1@" + DIGEST.replace("b", "B"), "not a digest"),
    ("git.example.com/app:v1@" + DIGEST.replace("b", "g"), "not a digest"),
    ("git.example.com/app:v1@sha512:" + "0" * 128, "not a digest"),
    ("git.example.com/app:v1@" + DIGEST + "@" + DIGEST, "not a digest"),
    ("git.example.com/app@" + DIGEST, "add the tag"),
]


@pytest.mark.parametrize(("text", "host", "path", "tag"), GOOD)
def test_good_references(text: str, host: str, path: str, tag: str) -> None:
    assert parse_image_ref(text) == ImageRef(ImageName(host, path), tag)


@pytest.mark.parametrize(("text", "complaint"), BAD)
def test_bad_references_say_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(InvalidImageRefError, match=complaint):
        parse_image_ref(text)


def test_a_digest_is_kept_beside_the_tag() -> None:
    ref = parse_image_ref(f"{HOST}:5000/acme/app:v1@{DIGEST}")
    assert ref == ImageRef(ImageName(f"{HOST}:5000", "acme/app"), "v1", Digest(DIGEST))
    assert str(ref) == f"{HOST}:5000/acme/app:v1@{DIGEST}"


def test_names_take_no_tag_and_no_digest() -> None:
    assert parse_image_name(f"{HOST}:5000/acme/app") == ImageName(f"{HOST}:5000", "acme/app")
    assert str(parse_image_name("nginx")) == "docker.io/library/nginx"
    for text in (f"{HOST}/acme/app:v1", f"{HOST}/acme/app@{DIGEST}", f"{HOST}/acme/app:"):
        with pytest.raises(InvalidImageRefError, match="without it"):
            parse_image_name(text)


def test_the_last_part_of_a_path() -> None:
    assert parse_image_name(f"{HOST}/acme/app").last_part == "app"
    assert parse_image_name("nginx").last_part == "nginx"


def test_names_of_docker_hub() -> None:
    assert is_docker_hub("docker.io")
    assert is_docker_hub("registry-1.docker.io")
    assert not is_docker_hub("docker.example")


@pytest.mark.parametrize(
    ("prefix", "as_counted"),
    [(f"{HOST}/", f"{HOST}/"), ("", "docker.io/library/"), ("docker.io/", "docker.io/library/")],
)
def test_a_name_has_at_most_255_characters_with_its_host(prefix: str, as_counted: str) -> None:
    fits = "a" * (255 - len(as_counted))
    assert len(str(parse_image_ref(f"{prefix}{fits}").name)) == 255
    with pytest.raises(InvalidImageRefError, match="255"):
        parse_image_ref(f"{prefix}{fits}a")


def test_the_longest_reference_is_not_too_long() -> None:
    longest = f"registry.hub.docker.com/acme/{'a' * 240}:{'v' * 128}@{DIGEST}"
    assert len(str(parse_image_ref(longest).name)) == 255


def test_a_tag_has_at_most_128_characters() -> None:
    assert parse_image_ref(f"{HOST}/app:{'v' * 128}").tag == "v" * 128
    with pytest.raises(InvalidImageRefError, match="129 characters"):
        parse_image_ref(f"{HOST}/app:{'v' * 129}")
    assert is_tag("v" * 128)
    assert not is_tag("v" * 129)


@pytest.mark.parametrize(
    "text", ["", ".v1", "-v1", "v1\n", "v/1", "v:1", "vä", "v1 ", "v\0", "v+1", "\u0663"]
)
def test_what_is_no_tag(text: str) -> None:
    assert not is_tag(text)
    with pytest.raises(InvalidImageRefError, match="not a tag"):
        parse_tag(text)


def test_digests_are_sha256_in_lower_case() -> None:
    assert parse_digest(DIGEST) == DIGEST
    for text in (
        "",
        DIGEST.upper(),
        DIGEST.replace("b", "B"),
        DIGEST[7:],
        DIGEST + "\n",
        "sha256:" + "\u0663" * 64,
    ):
        with pytest.raises(InvalidImageRefError, match="not a digest"):
            parse_digest(text)


@pytest.mark.parametrize(
    "unit", ["a", "a/", "a.", "a-", "A", ":", "@", "/", "[", "\0", "💥", "a:", "sha256:"]
)
def test_a_megabyte_is_refused_in_few_words(unit: str) -> None:
    megabyte = unit * (1_000_000 // len(unit))
    for parse in (parse_image_ref, parse_image_name, parse_tag, parse_digest):
        with pytest.raises(InvalidImageRefError) as caught:
            parse(megabyte)
        assert len(str(caught.value)) < 1200


@given(st.text() | st.text(alphabet="aA0.-_/:@[]\n\0 é\u212a", max_size=30))
def test_any_text_is_parsed_or_refused_by_name(text: str) -> None:
    for parse in (parse_image_ref, parse_image_name):
        with suppress(InvalidImageRefError):
            assert parse(str(parse(text))) == parse(text)


_alnum = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
_label = st.from_regex(
    re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,6}[A-Za-z0-9])?", re.ASCII), fullmatch=True
)
_dotted = st.lists(_label, min_size=2, max_size=4).map(".".join)
_port = st.integers(1, 65535).map(lambda port: f":{port}")
_host = st.builds(
    str.__add__, _dotted | st.just("localhost") | st.just("[::1]"), st.just("") | _port
) | st.builds(str.__add__, _label, _port)
_part = st.builds(
    lambda first, more: first + "".join(more),
    _alnum,
    st.lists(
        st.builds(str.__add__, st.sampled_from([".", "_", "__", "-", "---"]), _alnum), max_size=2
    ),
)
_path = st.lists(_part, min_size=1, max_size=4).map("/".join)
_tag = st.from_regex(re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII), fullmatch=True)
_digest = st.text("0123456789abcdef", min_size=64, max_size=64).map(
    lambda digits: f"sha256:{digits}"
)


@given(_host, _path, _tag, st.none() | _digest)
@settings(deadline=None)
def test_references_come_back_as_they_were_put_together(
    host: str, path: str, tag: str, digest: str | None
) -> None:
    ref = parse_image_ref(f"{host}/{path}:{tag}" + (f"@{digest}" if digest else ""))
    assert ref == ImageRef(ImageName(host.lower(), path), tag, Digest(digest) if digest else None)
    assert parse_image_ref(str(ref)) == ref
    assert parse_image_name(str(ref.name)) == ref.name


def test_an_example_can_be_copied_as_it_stands() -> None:
    with pytest.raises(InvalidImageRefError, match=r"as in 'git\.example\.com/app:v1@sha256:…'$"):
        parse_image_ref(f"git.example.com/app@sha256:{'a' * 64}")
