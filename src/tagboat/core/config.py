"""The settings that people change while the server runs, and their defaults."""

from dataclasses import dataclass

from tagboat.core.auto_create import AutoCreate
from tagboat.core.image_glob import ImageGlob
from tagboat.core.ports import Reader

POLL_SCHEDULE = "poll_schedule"
AUTO_CREATE = "auto_create"
AUTO_CREATE_IMAGES = "auto_create_images"
MAX_PROJECTS = "max_projects"
DELIVERIES_KEEP_DAYS = "deliveries_keep_days"
DELIVERIES_KEEP = "deliveries_keep"
IMAGES_KEEP = "images_keep"
HISTORY_KEEP_DAYS = "history_keep_days"
AUDIT_KEEP_DAYS = "audit_keep_days"
BACKUPS_KEEP = "backups_keep"
WEBHOOK_SECRET = "webhook_secret"  # noqa: S105 - the setting's name, not its value
INSTALLATION_ID = "installation_id"
ENGINE_ID = "engine_id"
"""Name of the setting that holds the id of the one engine, where several servers share it."""

BACKUPS_KEPT = 5
"""Default of `backups_keep`."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings that `GET /api/settings` shows.

    `poll_schedule` is the text of a schedule; `auto_create_images` are the texts of globs, or None
    (see `AutoCreate`); beyond `max_projects` (0 to 100,000) no project is made unasked. Deliveries
    are kept for `deliveries_keep_days` days (1 to 3,650), and at most `deliveries_keep` of them
    (100 to 1,000,000). For each stage the images of the last `images_keep` digests (0 to 100) that
    were live stay on the engine; ended deploys stay on record for `history_keep_days` days (1 to
    36,500), and so does the audit for `audit_keep_days`. The last `backups_keep` (0 to 100) backups
    that were made before a migration are kept; 0: none is made.
    """

    poll_schedule: str
    auto_create: bool
    auto_create_images: tuple[str, ...] | None
    max_projects: int
    deliveries_keep_days: int
    deliveries_keep: int
    images_keep: int
    history_keep_days: int
    audit_keep_days: int
    backups_keep: int


def read_config(reader: Reader) -> Config:
    """Return the settings, with defaults for those that were never set."""
    images = reader.setting(AUTO_CREATE_IMAGES)
    return Config(
        poll_schedule=str(reader.setting(POLL_SCHEDULE) or "@every 5m"),
        auto_create=reader.setting(AUTO_CREATE) is not False,
        auto_create_images=tuple(str(text) for text in images)
        if isinstance(images, list)
        else None,
        max_projects=_number_setting(reader, MAX_PROJECTS, 1000),
        deliveries_keep_days=_number_setting(reader, DELIVERIES_KEEP_DAYS, 30),
        deliveries_keep=_number_setting(reader, DELIVERIES_KEEP, 10_000),
        images_keep=_number_setting(reader, IMAGES_KEEP, 3),
        history_keep_days=_number_setting(reader, HISTORY_KEEP_DAYS, 365),
        audit_keep_days=_number_setting(reader, AUDIT_KEEP_DAYS, 365),
        backups_keep=_number_setting(reader, BACKUPS_KEEP, BACKUPS_KEPT),
    )


def _number_setting(reader: Reader, name: str, default: int) -> int:
    return number_or(reader.setting(name), default)


def number_or(value: object, default: int) -> int:
    """Return the number that a setting has, or its default."""
    return value if isinstance(value, int) else default


def read_auto_create(reader: Reader) -> AutoCreate:
    """Return whether projects are made automatically, and for which images."""
    config = read_config(reader)
    if config.auto_create_images is None:
        hosts = frozenset(registry.host for registry in reader.registries())
        return AutoCreate(config.auto_create, None, hosts, config.max_projects)
    globs = tuple(ImageGlob(text) for text in config.auto_create_images)
    return AutoCreate(config.auto_create, globs, most=config.max_projects)
