"""Differences of configurations and of images, with nothing secret in them."""

from tagboat.core.changes import (
    ChangeKind,
    ConfigChange,
    KeyChanges,
    config_changes,
    env_changes,
    image_changes,
)
from tagboat.core.image import ImageInfo
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import RunConfig, RunOptions

OLD = RunConfig(
    port=80,
    healthcheck="/up",
    env={"A": "1", "B": "2"},
    options=RunOptions(secrets={"TOKEN": "old", "GONE": "x"}, memory=5, command=("a", "b")),
)
NEW = RunConfig(
    port=8080,
    healthcheck="/other",
    env={"A": "1", "B": "3", "C": ""},
    protocol=AppProtocol.H2C,
    options=RunOptions(
        secrets={"TOKEN": "new"}, secret_files={"key": "k"}, init=False, volumes={"data": "/d"}
    ),
)


def test_each_field_of_a_configuration_is_compared_and_secrets_are_masked() -> None:
    assert config_changes(OLD, NEW) == (
        ConfigChange("port", "80", "8080"),
        ConfigChange("protocol", "http", "h2c"),
        ConfigChange("env.B", "2", "3"),
        ConfigChange("env.C", None, ""),
        ConfigChange("secrets.GONE", "***", None),
        ConfigChange("secrets.TOKEN", "***", "***"),
        ConfigChange("secret_files.key", None, "***"),
        ConfigChange("volumes.data", None, "/d"),
        ConfigChange("memory", "5", None),
        ConfigChange("command", '["a", "b"]', None),
        ConfigChange("init", None, "false"),
    )


def test_changes_are_found_where_a_fingerprint_differs_and_only_there() -> None:
    assert config_changes(OLD, OLD) == ()
    changed = RunConfig(
        port=80, healthcheck="", env=OLD.env, options=OLD.options, image_volumes=("/v",)
    )
    assert changed.fingerprint == OLD.fingerprint
    assert config_changes(OLD, changed) == ()


def test_names_of_variables_come_without_values() -> None:
    assert env_changes(OLD, NEW) == KeyChanges(("C",), ("GONE",), ("B", "TOKEN"))
    assert env_changes(None, OLD) == KeyChanges(added=("A", "B", "GONE", "TOKEN"))


def test_the_configuration_of_two_images() -> None:
    old = ImageInfo(exposed=("80/tcp",), volumes=("/a",))
    new = ImageInfo(user="1000", exposed=("80/tcp", "53/udp"), volumes=("/a",), command=("run",))

    assert image_changes(old, old) == ()
    assert image_changes(old, ImageInfo(user="root", exposed=("80/tcp",), volumes=("/a",))) == ()
    assert image_changes(old, new) == (
        ConfigChange("user", "root", "1000"),
        ConfigChange("exposed_ports", '["80/tcp"]', '["80/tcp", "53/udp"]'),
        ConfigChange("command", None, '["run"]'),
    )
    assert [one.kind for one in image_changes(old, new)] == [
        ChangeKind.CHANGED,
        ChangeKind.CHANGED,
        ChangeKind.ADDED,
    ]
    assert ConfigChange("a", "1", None).kind is ChangeKind.REMOVED
