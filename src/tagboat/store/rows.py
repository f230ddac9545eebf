"""The values of the core as rows, and back. Their secrets are sealed, each for its own place."""

import base64
import hmac
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

import msgspec

from tagboat.core.catalog import Project, Registry, Stage, Strategy
from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.deploy import Instance
from tagboat.core.endpoint import Endpoint, loopback_endpoint, only_loopback
from tagboat.core.errors import SettingsError
from tagboat.core.generics import T
from tagboat.core.identities import SessionOrigin
from tagboat.core.naming import slug
from tagboat.core.project_webhook import KeyedHash, ProjectWebhook, Signature
from tagboat.core.run import NO_OPTIONS, RunConfig, RunOptions
from tagboat.core.values import field_names
from tagboat.store.cipher import Cipher

SIGNATURE_SETTING = "webhook_signature"
SEALED_SETTINGS = frozenset({WEBHOOK_SECRET})
"""Settings that are secrets themselves."""
REMEMBERED_ROWS = 512
"""Number of rows of a kind, those read last, whose values are remembered."""
# Five pages of the overview; 3 MB at most.
_PLAIN_CONFIG = b'{"port":'
"""First bytes of a configuration that is not sealed. A sealed one begins with a key's id."""

_decode_run = msgspec.json.Decoder(RunOptions).decode
_decode_config = msgspec.json.Decoder(RunConfig).decode
_decode_signature = msgspec.json.Decoder(Signature).decode


def to_row(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the core's dataclasses
    """Return a value without secrets as a row: its fields are named after the columns."""
    row = {name: getattr(value, name) for name in field_names(type(value))}
    if isinstance(value, Instance):
        own = only_loopback(value.endpoints)
        row["host_port"] = own.port if own else 0
        # Servers of before know the port only, and most instances have no more.
        row["endpoints"] = None if own else value.endpoints or None
    return row


def from_row(kind: type[T], row: dict[str, Any]) -> T:
    """Return the value of a row without secrets. Most instances have only their loopback port."""
    if kind is Instance:
        row["endpoints"] = endpoints_of(row.pop("host_port"), row["endpoints"])
    return kind(**row)


def endpoints_of(host_port: int, others: tuple[Endpoint, ...] | None) -> tuple[Endpoint, ...]:
    """Return the endpoints of an instance by its columns."""
    own = loopback_endpoint(host_port)
    return (own,) if own else others or ()


class RowColumns(msgspec.Struct, frozen=True, eq=False):
    """The columns of a table: their names, and what reads the driver's value; None: as it is."""

    names: tuple[str, ...]
    readers: tuple[Callable[[Any], Any] | None, ...]

    def read(self, row: tuple[Any, ...]) -> dict[str, Any]:
        """Return a row as the driver has it by column name, each value read."""
        return {
            name: value if reader is None else reader(value)
            for name, reader, value in zip(self.names, self.readers, row, strict=True)
        }


class SealedRows:
    """Rows of the values that hold secrets.

    Reading raises SettingsError where another key has sealed them. `alone` is True where no other
    server reads what this one writes.
    """

    # Alone, the configuration of a deploy that can hold no secret is written as it is: there may
    # be a million of them. Other servers may be older, and know sealed ones only.

    def __init__(self, cipher: Cipher, *, alone: bool = False) -> None:
        self._cipher = cipher
        self._alone = alone
        # A value follows from its row alone: of a row that is as it was, nothing is parsed or
        # opened again. What has changed is another row, so that none of these can be out of date.
        remember = lru_cache(REMEMBERED_ROWS)
        self.made_project = remember(lambda columns, row: self.project(columns.read(row)))
        self.made_stage = remember(lambda columns, row: self.stage(columns.read(row)))
        self.made_instance = remember(lambda columns, row: from_row(Instance, columns.read(row)))

    def of_project(self, project: Project) -> dict[str, Any]:
        """Return the row of a project."""
        return to_row(project) | {
            "run": self._seal_run(project.run, run_place("project", project.id)),
            "slug": slug(project.name),
        }

    def project(self, row: Mapping[str, Any]) -> Project:
        """Return the project of a row."""
        # Derived from the name.
        fields = {name: value for name, value in row.items() if name != "slug"}
        fields["run"] = self._open_run(row["run"], run_place("project", row["id"]))
        return Project(**fields)

    def of_stage(self, stage: Stage) -> dict[str, Any]:
        """Return the row of a stage."""
        run = self._seal_run(stage.run, run_place("stage", stage.id))
        # Servers of before know no None: for them it is `rolling`.
        strategy, is_given = stage.strategy or Strategy.ROLLING, stage.strategy is not None
        return to_row(stage) | {"strategy": strategy, "strategy_given": is_given, "run": run}

    def stage(self, row: Mapping[str, Any]) -> Stage:
        """Return the stage of a row."""
        run = self._open_run(row["run"], run_place("stage", row["id"]))
        values = {**row, "run": run}
        if not values.pop("strategy_given") and row["strategy"] is Strategy.ROLLING:
            values["strategy"] = None
        return Stage(**values)

    def of_registry(self, registry: Registry) -> dict[str, Any]:
        """Return the row of a registry, with its host, by which it is found."""
        row = to_row(registry) | {"host": registry.host}
        if registry.password is not None:
            row["password"] = self._cipher.seal(registry.password, password_place(registry.id))
        return row

    def registry(self, row: Mapping[str, Any]) -> Registry:
        """Return the registry of a row, its password in the clear."""
        values = {name: value for name, value in row.items() if name != "host"}
        if values["password"] is not None:
            values["password"] = self._cipher.open(values["password"], password_place(values["id"]))
        return Registry(**values)

    def of_hook(self, hook: ProjectWebhook) -> dict[str, Any]:
        """Return the row of a webhook."""
        return to_row(hook) | {
            "signature": hook.signature
            and self._seal_signature(hook.signature, hook_place(hook.id))
        }

    def hook(self, row: Mapping[str, Any]) -> ProjectWebhook:
        """Return the webhook of a row, its signature in the clear."""
        sealed = row["signature"]
        return ProjectWebhook(
            **{**row, "signature": sealed and self._open_signature(sealed, hook_place(row["id"]))}
        )

    def of_config(self, config: RunConfig, deploy_id: str) -> bytes:
        """Return the row of a deploy's configuration, sealed unless it can hold no secret."""
        text = msgspec.json.encode(config)
        return (
            text
            if self._alone and _is_plain(config)
            else self._cipher.seal(text.decode(), config_place(deploy_id))
        )

    def config(self, sealed: bytes, deploy_id: str) -> RunConfig:
        """Return the configuration of a deploy from its row."""
        if is_sealed_config(sealed):
            return _decode_config(self._cipher.open(sealed, config_place(deploy_id)))
        config = _decode_config(sealed)
        # Access to the database alone must not be enough to take over the machine.
        if not _is_plain(config):
            place = config_place(deploy_id)
            raise SettingsError(
                f"a stored configuration ({place}) is not sealed: others changed it"
            )
        return config

    def of_signature(self, signature: Signature) -> str:
        """Return the signature of the global URL for SIGNATURE_SETTING: sealed, in Base64."""
        return base64.b64encode(self._seal_signature(signature, SIGNATURE_SETTING)).decode()

    def signature(self, setting: str) -> Signature:
        """Return the signature of the global URL from the setting SIGNATURE_SETTING."""
        return self._open_signature(base64.b64decode(setting), SIGNATURE_SETTING)

    def of_setting(self, name: str, value: object) -> object:
        """Return the row of a setting: sealed, if it is a secret."""
        if name not in SEALED_SETTINGS:
            return value
        sealed = self._cipher.seal(msgspec.json.encode(value).decode(), setting_place(name))
        found = KeyedHash.of(self._cipher.hash_key(setting_place(name)), str(value))
        return {"sealed": base64.b64encode(sealed).decode(), "hash": found.digest.hex()}

    def setting(self, name: str, value: object) -> object:
        """Return a setting from its row; an earlier release may have stored it unencrypted."""
        if name not in SEALED_SETTINGS or not isinstance(value, dict):
            return value
        opened: object = msgspec.json.decode(
            self._cipher.open(base64.b64decode(value["sealed"]), setting_place(name))
        )
        return opened

    def of_session_origin(self, origin: SessionOrigin) -> dict[str, Any]:
        """Return the origin of a session as a row."""
        place = id_token_place(origin.session_id)
        return to_row(origin) | {"id_token": self._cipher.seal(origin.id_token, place)}

    def session_origin(self, row: dict[str, Any]) -> SessionOrigin:
        """Return the origin of a session."""
        place = id_token_place(row["session_id"])
        return SessionOrigin(**row | {"id_token": self._cipher.open(row["id_token"], place)})

    def keyed_hash(self, place: str, content: bytes) -> str:
        """Return the HMAC-SHA-256 of a content, in hexadecimal, under a key for this place."""
        return hmac.digest(self._cipher.hash_key(place), content, "sha256").hex()

    def setting_hash(self, name: str, value: object) -> KeyedHash | None:
        """Return the hash of a setting that is a secret from its row, None without a value."""
        key = self._cipher.hash_key(setting_place(name))
        # Nothing is opened: loading the cipher's library would double the time of a start.
        if is_sealed_setting(value):
            return KeyedHash(key, bytes.fromhex(value["hash"]))
        secret = self.setting(name, value)
        return None if secret is None else KeyedHash.of(key, str(secret))

    def _seal_run(self, run: RunOptions, place: str) -> bytes | None:
        return (
            None
            if run == NO_OPTIONS
            else self._cipher.seal(msgspec.json.encode(run).decode(), place)
        )

    def _open_run(self, sealed: bytes | None, place: str) -> RunOptions:
        return _decode_run(self._cipher.open(sealed, place)) if sealed else NO_OPTIONS

    def _seal_signature(self, signature: Signature, place: str) -> bytes:
        return self._cipher.seal(msgspec.json.encode(signature).decode(), place)

    def _open_signature(self, sealed: bytes, place: str) -> Signature:
        return _decode_signature(self._cipher.open(sealed, place))


def _is_plain(config: RunConfig) -> bool:
    """Return True where it holds no secrets, and gives a container no more than any other has."""
    return not config.env and config.options == NO_OPTIONS


def run_place(kind: str, key: str) -> str:
    """Return the place of the run options of a project or a stage, which `kind` says."""
    return f"{kind}/{key}/run"


def password_place(registry_id: str) -> str:
    """Return the place of the password of a registry."""
    return f"registry/{registry_id}/password"


def hook_place(hook_id: str) -> str:
    """Return the place of the signature of a webhook."""
    return f"hook/{hook_id}/signature"


def id_token_place(session_id: str) -> str:
    """Return the place of the ID token that a session began with."""
    return f"session/{session_id}/id-token"


def setting_place(name: str) -> str:
    """Return the place of a setting."""
    return f"setting/{name}"


def is_sealed_setting(value: object) -> TypeGuard[dict[str, str]]:
    """Return True for the row of a sealed setting with its hash, as this release stores it."""
    return isinstance(value, dict) and "hash" in value


def is_sealed_config(config: bytes) -> bool:
    """Return True where the row of a deploy's configuration is sealed."""
    return not config.startswith(_PLAIN_CONFIG)


def config_place(deploy_id: str) -> str:
    """Return the place of the configuration of a deploy."""
    return f"deploy/{deploy_id}/config"
