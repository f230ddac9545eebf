"""The core's values as rows, and back: what is secret in them is sealed, each at a place of its own."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from tagboat.core.catalog import Project, Registry, Stage, Strategy
from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.deploy import Instance
from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.errors import SettingsError
from tagboat.core.generics import T
from tagboat.core.project_webhook import ProjectWebhook, Signature
from tagboat.core.run import NO_OPTIONS, RunConfig, RunOptions
from tagboat.store.cipher import Cipher

SIGNATURE_SETTING = "webhook_signature"
SEALED_SETTINGS = frozenset({WEBHOOK_SECRET})
"""Settings that are secrets themselves."""
_PLAIN = b'{"port":'
"""How a configuration begins that is not sealed. What is sealed begins with the key's id and chance."""

_decode_run = msgspec.json.Decoder(RunOptions).decode
_decode_config = msgspec.json.Decoder(RunConfig).decode
_decode_signature = msgspec.json.Decoder(Signature).decode


def to_row(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any of the core's dataclasses
    """A value without secrets as a row: its fields are named after the columns."""
    row = {name: getattr(value, name) for name in type(value).__dataclass_fields__}
    if isinstance(value, Instance):
        endpoint = row.pop("endpoint")
        row["host_port"] = endpoint.port if endpoint else 0
    return row


def from_row(kind: type[T], row: dict[str, Any]) -> T:
    """Return the value of a row without secrets. Instances are on record by their loopback port."""
    if kind is Instance:
        row["endpoint"] = loopback_endpoint(row.pop("host_port"))
    return kind(**row)


class SealedRows:
    """Those of the values that hold secrets. Reading raises SettingsError where another key has sealed them.

    Where no other server reads what this one writes (`alone`), a deploy's configuration that can hold no secret is written as
    it is: there may be a million of them. Others may be older, and know of sealed ones only.
    """

    def __init__(self, cipher: Cipher, *, alone: bool = False) -> None:
        self._cipher = cipher
        self._alone = alone

    def of_project(self, project: Project) -> dict[str, Any]:
        """The row of a project."""
        return to_row(project) | {
            "run": self._seal_run(project.run, run_place("project", project.id))
        }

    def project(self, row: Mapping[str, Any]) -> Project:
        """The project of a row."""
        return Project(
            **{**row, "run": self._open_run(row["run"], run_place("project", row["id"]))}
        )

    def of_stage(self, stage: Stage) -> dict[str, Any]:
        """The row of a stage."""
        run = self._seal_run(stage.run, run_place("stage", stage.id))
        return to_row(stage) | _strategy_row(stage.strategy) | {"run": run}

    def stage(self, row: Mapping[str, Any]) -> Stage:
        """The stage of a row."""
        run = self._open_run(row["run"], run_place("stage", row["id"]))
        values = {name: value for name, value in row.items() if name != "strategy_given"}
        return Stage(**{**values, "strategy": _strategy(row), "run": run})

    def of_registry(self, registry: Registry) -> dict[str, Any]:
        """The row of a registry, which has its host besides, to be found by."""
        row = to_row(registry) | {"host": registry.host}
        if registry.password is not None:
            row["password"] = self._cipher.seal(registry.password, password_place(registry.id))
        return row

    def registry(self, row: Mapping[str, Any]) -> Registry:
        """The registry of a row, its password in the clear."""
        values = {name: value for name, value in row.items() if name != "host"}
        if values["password"] is not None:
            values["password"] = self._cipher.open(values["password"], password_place(values["id"]))
        return Registry(**values)

    def of_hook(self, hook: ProjectWebhook) -> dict[str, Any]:
        """The row of a hook."""
        return to_row(hook) | {
            "signature": hook.signature
            and self._seal_signature(hook.signature, hook_place(hook.id))
        }

    def hook(self, row: Mapping[str, Any]) -> ProjectWebhook:
        """The hook of a row, its signature in the clear."""
        sealed = row["signature"]
        return ProjectWebhook(
            **{**row, "signature": sealed and self._open_signature(sealed, hook_place(row["id"]))}
        )

    def of_config(self, config: RunConfig, deploy_id: str) -> bytes:
        """What a deploy starts its containers with, sealed unless it can hold no secret."""
        text = msgspec.json.encode(config)
        return (
            text
            if self._alone and _is_plain(config)
            else self._cipher.seal(text.decode(), config_place(deploy_id))
        )

    def config(self, sealed: bytes, deploy_id: str) -> RunConfig:
        """What a deploy starts its containers with."""
        if is_sealed_config(sealed):
            return _decode_config(self._cipher.open(sealed, config_place(deploy_id)))
        config = _decode_config(sealed)
        if not _is_plain(
            config
        ):  # whoever can write into the database alone must not get at the machine by it
            raise SettingsError(
                f"a stored configuration ({config_place(deploy_id)}) is not sealed: it was changed by others"
            )
        return config

    def of_signature(self, signature: Signature) -> str:
        """The signature of the global URL, as the setting SIGNATURE_SETTING holds it: sealed, in Base64."""
        return base64.b64encode(self._seal_signature(signature, SIGNATURE_SETTING)).decode()

    def signature(self, setting: str) -> Signature:
        """The signature of the global URL, of the setting SIGNATURE_SETTING."""
        return self._open_signature(base64.b64decode(setting), SIGNATURE_SETTING)

    def of_setting(self, name: str, value: object) -> object:
        """A setting as it is on record: sealed, if it is a secret."""
        if name not in SEALED_SETTINGS:
            return value
        sealed = self._cipher.seal(msgspec.json.encode(value).decode(), setting_place(name))
        return {"sealed": base64.b64encode(sealed).decode()}

    def setting(self, name: str, value: object) -> object:
        """A setting of what is on record, where an earlier release has left its secrets in the clear."""
        if name not in SEALED_SETTINGS or not isinstance(value, dict):
            return value
        opened: object = msgspec.json.decode(
            self._cipher.open(base64.b64decode(value["sealed"]), setting_place(name))
        )
        return opened

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
    """Whether it holds neither secrets nor what gives a container more than any other has."""
    return not config.env and config.options == NO_OPTIONS


def _strategy_row(strategy: Strategy | None) -> dict[str, object]:
    """A strategy of None is `rolling` to servers that know no other word for it."""
    return {"strategy": strategy or Strategy.ROLLING, "strategy_given": strategy is not None}


def _strategy(row: Mapping[str, Any]) -> Strategy | None:
    strategy: Strategy = row["strategy"]
    return strategy if row["strategy_given"] or strategy is not Strategy.ROLLING else None


def run_place(kind: str, key: str) -> str:
    """Where the run options of a project or a stage (`kind`) are sealed for."""
    return f"{kind}/{key}/run"


def password_place(registry_id: str) -> str:
    """Where the password of a registry is sealed for."""
    return f"registry/{registry_id}/password"


def hook_place(hook_id: str) -> str:
    """Where the signature of a hook is sealed for."""
    return f"hook/{hook_id}/signature"


def setting_place(name: str) -> str:
    """Where a setting is sealed for."""
    return f"setting/{name}"


def is_sealed_config(config: bytes) -> bool:
    """Whether the configuration of a deploy, as it is on record, is sealed."""
    return not config.startswith(_PLAIN)


def config_place(deploy_id: str) -> str:
    """Where the configuration of a deploy is sealed for."""
    return f"deploy/{deploy_id}/config"
