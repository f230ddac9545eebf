import json
from datetime import UTC, datetime

import pytest

from tagboat.core.errors import NotAnImageError, RegistryProtocolError
from tagboat.core.image import Digest, ImageInfo
from tagboat.registry.manifests import (
    ACCEPT,
    OCI_MANIFEST,
    Index,
    IndexEntry,
    Manifest,
    Platform,
    architecture_of,
    choose,
    digest_of,
    parse_config,
    parse_manifest,
    read_digest,
)

CONFIG_TYPES = (
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
)
A, B, C, D = (Digest("sha256:" + letter * 64) for letter in "abcd")
AMD64, ARM64, UNKNOWN = (
    Platform("linux", "amd64"),
    Platform("linux", "arm64"),
    Platform("unknown", "unknown"),
)


def test_all_four_types_are_accepted() -> None:
    assert len(ACCEPT.split(", ")) == 4
    assert all("v1+json" in part or "v2+json" in part for part in ACCEPT.split(", "))


def test_digest_of_nothing_is_the_well_known_one() -> None:
    assert (
        digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


@pytest.mark.parametrize(
    "text",
    [None, "", "sha256:ab", "sha512:" + "a" * 128, "SHA256:" + "a" * 64, "sha256:" + "G" * 64],
)
def test_a_digest_header_that_is_none(text: str | None) -> None:
    assert read_digest(text) is None


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "amd64"),
        ("AMD64", "amd64"),
        ("aarch64", "arm64"),
        ("arm64", "arm64"),
        ("armv7l", "arm"),
        ("s390x", "s390x"),
        ("", "amd64"),
    ],
)
def test_architecture(machine: str, expected: str) -> None:
    assert architecture_of(machine) == expected


def test_a_manifest() -> None:
    assert parse_manifest(
        json.dumps({"config": {"digest": A}, "layers": []}).encode(), "r/x"
    ) == Manifest(A)


def test_an_index() -> None:
    listed = [
        {"digest": A, "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": B, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": C},
        {"digest": D, "platform": "nonsense"},
    ]
    expected = Index(
        (IndexEntry(A, AMD64), IndexEntry(B, UNKNOWN), IndexEntry(C, None), IndexEntry(D, None))
    )
    assert parse_manifest(json.dumps({"manifests": listed}).encode(), "r/x") == expected


def with_layers(*types: object) -> dict[str, object]:
    """A manifest with the configuration of an image, and layers of these types."""
    config = {"digest": A, "mediaType": "application/vnd.oci.image.config.v1+json"}
    return {"config": config, "layers": [{"digest": B, "mediaType": one} for one in types]}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"schemaVersion": 1, "fsLayers": []},
        {"config": {}},
        {"config": {"digest": "sha256:short"}},
        {"config": {"digest": 5}},
        {"manifests": [{}]},
        {"manifests": [None]},
    ],
)
def test_what_is_no_manifest_is_an_error_that_names_it(content: object) -> None:
    with pytest.raises(RegistryProtocolError, match="r/x:v1"):
        parse_manifest(json.dumps(content).encode(), "r/x:v1")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([IndexEntry(A, ARM64), IndexEntry(B, AMD64)], B),
        ([IndexEntry(A, UNKNOWN), IndexEntry(B, AMD64)], B),
        ([IndexEntry(A, None), IndexEntry(B, AMD64)], B),
        ([IndexEntry(A, UNKNOWN), IndexEntry(B, None)], B),
        ([IndexEntry(A, Platform("windows", "amd64")), IndexEntry(B, ARM64)], B),
        ([IndexEntry(A, Platform("windows", "amd64"))], A),
    ],
)
def test_choose_on_amd64(entries: list[IndexEntry], expected: Digest) -> None:
    assert choose(Index(tuple(entries)), "amd64", "r/x").digest == expected


def test_choose_on_another_machine() -> None:
    index = Index((IndexEntry(A, AMD64), IndexEntry(B, ARM64)))
    assert choose(index, "arm64", "r/x").digest == B
    assert choose(index, "riscv64", "r/x").digest == A


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (
            {"config": {"digest": A, "mediaType": "application/vnd.cncf.helm.config.v1+json"}},
            "vnd.cncf.helm.config",
        ),
        (
            {"config": {"digest": A, "mediaType": "application/vnd.oci.empty.v1+json"}},
            "vnd.oci.empty",
        ),
        (
            {"config": {"digest": A, "mediaType": "application/vnd.wasm.config.v0+json"}},
            "vnd.wasm.config",
        ),
        (
            {"config": {"digest": A, "mediaType": "application/vnd.buildkit.cacheconfig.v0"}},
            "vnd.buildkit.cacheconfig",
        ),
        ({"config": {"digest": A, "mediaType": ["nonsense"]}}, "nonsense"),
        (with_layers("application/vnd.dev.cosign.simplesigning.v1+json"), "simplesigning"),
        (with_layers("application/vnd.in-toto+json"), "in-toto"),
        (with_layers("application/wasm", "application/wasm"), "wasm"),
        ({"config": {"digest": A}, "artifactType": "application/spdx+json"}, "spdx"),
        ({"manifests": [{"digest": A}], "artifactType": "application/vnd.example"}, "vnd.example"),
        ({"schemaVersion": 1, "fsLayers": []}, "schema 1"),
    ],
)
def test_what_is_not_an_image_is_named(content: object, kind: str) -> None:
    with pytest.raises(NotAnImageError, match=f"r/x is not a container image: .*{kind}"):
        parse_manifest(json.dumps(content).encode(), "r/x")


@pytest.mark.parametrize(
    "types",
    [
        (),
        ("application/vnd.oci.image.layer.v1.tar+gzip",),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip",),
        ("application/vnd.oci.image.layer.nydus.blob.v1", "application/vnd.example"),
        (None,),
        ("",),
        (5,),
    ],
)
def test_an_image_has_a_layer_of_an_image_or_of_unknown_type(types: tuple[object, ...]) -> None:
    content = with_layers(*types)
    assert parse_manifest(json.dumps(content).encode(), "r/x:v1") == Manifest(A)


@pytest.mark.parametrize("layers", [5, "text", [None], [[]]])
def test_odd_layers_make_no_image_something_else(layers: object) -> None:
    content = {"config": {"digest": A}, "layers": layers}
    assert parse_manifest(json.dumps(content).encode(), "r/x:v1") == Manifest(A)


@pytest.mark.parametrize("media_type", [None, "", *CONFIG_TYPES])
def test_an_image_is_known_by_its_configuration(media_type: str | None) -> None:
    assert parse_manifest(
        json.dumps({"config": {"digest": A, "mediaType": media_type}}).encode(), "r/x"
    ) == Manifest(A)


def test_layers_and_caches_in_an_index_are_not_followed() -> None:
    listed = [
        {"digest": A, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"},
        {"digest": B, "mediaType": "application/vnd.buildkit.cacheconfig.v0"},
        {"digest": C, "mediaType": OCI_MANIFEST},
        {"digest": D, "mediaType": 5},
    ]
    assert parse_manifest(json.dumps({"manifests": listed}).encode(), "r/x") == Index(
        (IndexEntry(C, None),)
    )


def test_of_labels_only_our_own_are_taken_and_none_is_endless() -> None:
    labels = {
        "tagboat.port": "80",
        "tagboat.healthcheck": "/" + "x" * 4_000_000,
        "org.opencontainers.image.title": "x",
        "a": 5,
    }
    assert info({"Labels": labels}).labels == {"tagboat.port": "80"}


@pytest.mark.parametrize("entries", [(), (IndexEntry(A, UNKNOWN),)])
def test_an_index_of_attestations_only_is_an_error(entries: tuple[IndexEntry, ...]) -> None:
    with pytest.raises(
        NotAnImageError, match="r/x is not a container image: it is an index without any image"
    ):
        choose(Index(entries), "amd64", "r/x")


def info(config: object, **rest: object) -> ImageInfo:
    return parse_config(json.dumps({"config": config, **rest}).encode(), A, "r/x")


@pytest.mark.parametrize(
    ("exposed", "ports"),
    [
        ({"8080/tcp": {}, "80/tcp": {}, "53/udp": {}}, (80, 8080)),
        ({"9000": {}, "7000/TCP": {}}, (7000, 9000)),
        (
            {
                "0/tcp": {},
                "65536/tcp": {},
                "x/tcp": {},
                "1-5/tcp": {},
                "٣/tcp": {},
                "": {},
                "99999999999": {},
            },
            (),
        ),
        (None, ()),
        (["80/tcp"], ()),
    ],
)
def test_ports(exposed: object, ports: tuple[int, ...]) -> None:
    assert info({"ExposedPorts": exposed}).tcp_ports == ports


@pytest.mark.parametrize(
    ("healthcheck", "expected"),
    [
        ({"Test": ["CMD", "true"]}, True),
        ({"Test": ["CMD-SHELL", "true"], "Interval": 5}, True),
        ({"Test": ["NONE"]}, False),
        ({"Test": []}, False),
        ({"Test": "true"}, False),
        ({"Test": [{}]}, False),
        ({"Interval": 5}, False),
        (None, False),
        ("yes", False),
    ],
)
def test_healthcheck(healthcheck: object, *, expected: bool) -> None:
    assert info({"Healthcheck": healthcheck}).has_healthcheck is expected


def test_labels() -> None:
    assert info({"Labels": {"tagboat.port": "80", "odd": 5}}).labels == {"tagboat.port": "80"}
    assert info({"Labels": None}).labels == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24T12:00:00.123456789Z", datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-24T13:00:00+01:00", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        (5, None),
        (None, None),
    ],
)
def test_created(text: object, expected: datetime | None) -> None:
    assert info({}, created=text).created == expected


def test_the_digest_is_that_of_the_reference() -> None:
    assert info(None).digest == A
    assert info("nonsense") == ImageInfo(digest=A)


@pytest.mark.parametrize("body", [b"", b"[]", b"null"])
def test_a_configuration_that_is_none_is_an_error(body: bytes) -> None:
    with pytest.raises(RegistryProtocolError, match="r/x"):
        parse_config(body, A, "r/x")


@pytest.mark.parametrize(
    ("declared", "volumes"),
    [
        ({"/data": {}, "/a/": {}}, ("/a", "/data")),
        (None, ()),
        ({}, ()),
        (["/data"], ()),
        ({"data": {}}, ()),
    ],
)
def test_volumes(declared: object, volumes: tuple[str, ...]) -> None:
    assert info({"Volumes": declared}).volumes == volumes


def test_the_environment_of_an_image() -> None:
    assert info({"Env": ["A=1", 2, "B="]}).env == ("A=1", "B=")
    assert info({"Env": "A=1"}).env == ()
