"""Differences between two configurations or two images, in words that can be shown."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from tagboat.core.image import ImageInfo
from tagboat.core.masking import MASK
from tagboat.core.run import RunConfig, RunOptions

_MAPS = ("volumes", "labels", "extra_hosts", "tmpfs")
_MASKED_MAPS = ("secrets", "secret_files")


class ChangeKind(StrEnum):
    """The kind of a change: a field or key that is new, gone, or has another value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class ConfigChange(Struct, frozen=True):
    """One field with its values as text; None where it is not set.

    Keys of maps are part of the name, as in `env.LOG_LEVEL`. Values of secrets are masked.
    """

    field: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> ChangeKind:
        """The kind of the change."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REMOVED if self.after is None else ChangeKind.CHANGED


class KeyChanges(Struct, frozen=True):
    """Names of environment variables that are new, gone, or have another value. No values."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def config_changes(before: RunConfig, after: RunConfig) -> tuple[ConfigChange, ...]:
    """Return the fields by which containers of `after` are started otherwise than of `before`."""
    # The fields of a fingerprint: a deploy is due for these and for no others.
    found = [
        _field_change("port", before.port, after.port),
        _field_change("protocol", before.protocol.value, after.protocol.value),
        *_map_changes("env", before.env, after.env),
    ]
    for name in RunOptions.__dataclass_fields__:
        old, new = getattr(before.options, name), getattr(after.options, name)
        if name in _MASKED_MAPS:
            found += _map_changes(name, old, new, masked=True)
        elif name in _MAPS:
            found += _map_changes(name, old, new)
        else:
            found.append(_field_change(name, old, new))
    return tuple(change for change in found if change is not None)


def env_changes(before: RunConfig | None, after: RunConfig) -> KeyChanges:
    """Return the names of variables, secret ones included, that differ; None counts as empty."""
    # To an app, a secret is a variable like any other.
    old = {**before.env, **before.options.secrets} if before else {}
    new = {**after.env, **after.options.secrets}
    return KeyChanges(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(key for key in new.keys() & old.keys() if new[key] != old[key])),
    )


def image_changes(before: ImageInfo, after: ImageInfo) -> tuple[ConfigChange, ...]:
    """Return the parts of the configuration of two images that differ."""
    found = [
        _field_change("user", before.user or "root", after.user or "root"),
        _field_change("exposed_ports", before.exposed, after.exposed),
        _field_change("entrypoint", before.entrypoint, after.entrypoint),
        _field_change("command", before.command, after.command),
        _field_change("volumes", before.volumes, after.volumes),
        _field_change("healthcheck", before.healthcheck, after.healthcheck),
    ]
    return tuple(change for change in found if change is not None)


def _field_change(name: str, before: object, after: object) -> ConfigChange | None:
    if before == after:
        return None
    return ConfigChange(name, _value_text(before), _value_text(after))


def _map_changes(
    name: str, before: Mapping[str, str], after: Mapping[str, str], *, masked: bool = False
) -> Sequence[ConfigChange]:
    def shown(values: Mapping[str, str], key: str) -> str | None:
        return None if key not in values else MASK if masked else values[key]

    return [
        ConfigChange(f"{name}.{key}", shown(before, key), shown(after, key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _value_text(value: object) -> str | None:
    """Return a value of an option as text, None where it is not set."""
    # 0 and empty stand for options that are not set; False says something.
    if value is None or (value in ("", 0, ()) and value is not False):
        return None
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if isinstance(value, bool) else str(value)
