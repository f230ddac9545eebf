"""The bodies of the settings, and of the webhook's URL."""

from tagboat.api import values
from tagboat.api.bodies import RequestModel, ResponseModel, unset


class SettingsOut(ResponseModel):
    """The settings that change while the server runs."""

    poll_schedule: str
    auto_create: bool
    auto_create_images: list[str] | None
    max_projects: int
    deliveries_keep_days: int
    deliveries_keep: int
    images_keep: int
    history_keep_days: int
    audit_keep_days: int
    backups_keep: int


class SettingsUpdate(RequestModel):
    """Changes to the settings."""

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


class WebhookUrlOut(ResponseModel):
    """The URL that senders call. It contains the secret."""

    url: str
    allows: str
