"""The bodies of configuration as a file. Secrets are accepted and never shown."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from tagboat.api import run_values, values
from tagboat.api.bodies import RequestModel, ResponseModel, unset, with_tuples, write_only
from tagboat.api.run_schemas import RunModel
from tagboat.core.catalog import DRAIN_TIMEOUT_S, HEALTH_TIMEOUT_S, WATCH_S, RegistryKind
from tagboat.core.config_plan import PlannedAction, PlannedKind, WantedConfig, WantedProject
from tagboat.core.health import REQUEST_TIMEOUT_S

MOST_STAGES = 200


class StageConfig(RunModel):
    """A stage in a configuration file. Fields that are left out have their defaults."""

    tag_pattern: values.PatternText
    position: values.PositionNumber = 0
    auto_deploy: bool = True
    allow_downgrade: bool = False
    max_instances: values.MaxInstances = 1
    engine: run_values.StageEngine | None = None
    replicas: run_values.Replicas = 1
    constraints: run_values.Constraints = Field(default_factory=list)
    domains: values.DomainNames = Field(default_factory=list)
    strategy: run_values.StageStrategy | None = None
    health_timeout_s: values.HealthTimeoutS = HEALTH_TIMEOUT_S
    healthcheck_host: values.HealthcheckHost = ""
    healthcheck_request_timeout_s: values.RequestTimeout = REQUEST_TIMEOUT_S
    watch_s: run_values.WatchSeconds = WATCH_S
    drain_timeout_s: values.DrainTimeoutS = DRAIN_TIMEOUT_S
    ttl_h: run_values.TimeToLive | None = None
    # Left out, a hold stays: a rollback may have set it.
    held: bool = unset()

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of `Stage` that were given."""
        fields = _without_null_maps(self.given(tag_pattern="pattern"))
        return with_tuples(fields)


class ProjectConfig(RunModel):
    """A project in a configuration file, with its stages and the names of its webhook URLs.

    Without `port`, `healthcheck` or `protocol`, the newest image decides it.
    """

    image: values.ImageText
    port: values.PortNumber = unset()
    healthcheck: values.HealthcheckText = unset()
    protocol: run_values.ProjectProtocol = unset()
    registry: values.Title | None = None
    stages: Annotated[dict[values.ObjectName, StageConfig], Field(max_length=MOST_STAGES)] = Field(
        default_factory=dict
    )
    webhooks: list[values.Title] = Field(default_factory=list)

    def to_wanted(self) -> WantedProject:
        """Return the core's value."""
        fields = _without_null_maps(self.given(registry="registry_id"))
        for name in ("stages", "webhooks"):
            fields.pop(name, None)
        stages = {name: stage.to_fields() for name, stage in self.stages.items()}
        return WantedProject(fields, stages, tuple(self.webhooks))


class RegistryConfig(RequestModel):
    """A registry in a configuration file."""

    url: values.RegistryUrl
    kind: values.KindName = RegistryKind.OCI
    username: values.LoginName = ""
    password: values.PasswordText | None = write_only()
    password_command: values.PasswordCommand = ""
    ca_cert: values.CertificatesText = ""


class SettingsConfig(RequestModel):
    """Settings in a configuration file. One that is left out stays as it is."""

    poll_schedule: values.ScheduleText = unset()
    auto_create: bool = unset()
    auto_create_images: values.ImageGlobs | None = unset()
    max_projects: values.MaxProjects = unset()
    deliveries_keep_days: values.KeepDays = unset()
    deliveries_keep: values.KeepNumber = unset()
    images_keep: values.KeepImages = unset()
    history_keep_days: values.KeepHistory = unset()
    audit_keep_days: values.KeepHistory = unset()
    backups_keep: values.KeepBackups = unset()


class ConfigDocument(RequestModel):
    """All configuration, by name. A section that is left out stays as it is.

    A secret that is null stays as it is.
    """

    settings: SettingsConfig | None = None
    registries: dict[values.Title, RegistryConfig] | None = None
    projects: dict[values.ObjectName, ProjectConfig] | None = None

    def to_wanted(self) -> WantedConfig:
        """Return the core's value."""
        return WantedConfig(
            settings=None if self.settings is None else self.settings.given(),
            registries=None
            if self.registries is None
            else {name: one.given() for name, one in self.registries.items()},
            projects=None
            if self.projects is None
            else {name: one.to_wanted() for name, one in self.projects.items()},
        )


class ConfigOrder(RequestModel):
    """A document to compare with or to apply; with `prune`, what it does not name is deleted."""

    document: ConfigDocument
    prune: bool = False


class PlannedFieldOut(ResponseModel):
    """A field that would change. Secrets are `***`, whatever they are."""

    field: str
    before: object
    after: object


class PlannedChangeOut(ResponseModel):
    """One thing to make, change or delete; `name` begins with that of its project."""

    kind: PlannedKind
    action: PlannedAction
    name: str
    fields: list[PlannedFieldOut]


class ConfigPlanOut(ResponseModel):
    """The changes that an apply would make, in their order."""

    changes: list[PlannedChangeOut]


class NotDeletedOut(ResponseModel):
    """A thing that could not be deleted, and the reason. Apply the same again to try again."""

    kind: PlannedKind
    name: str
    reason: str


class AppliedConfigOut(ConfigPlanOut):
    """The changes that were made; `volumes` are still there, with their data."""

    failures: list[NotDeletedOut]
    volumes: list[str]


class ConfigOut(ResponseModel):
    """All configuration, as `ConfigDocument`; secrets are null."""

    settings: Mapping[str, Any]
    registries: Mapping[str, Any]
    projects: Mapping[str, Any]


def _without_null_maps(fields: dict[str, Any]) -> dict[str, Any]:
    """Return `fields` without maps that are null, which say nothing."""
    maps = ("env", "secrets", "secret_files", "volumes", "labels", "extra_hosts", "tmpfs")
    return {name: value for name, value in fields.items() if not (name in maps and value is None)}
