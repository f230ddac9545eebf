"""The bodies of registries. A password is accepted and never shown."""

from tagboat.api import values
from tagboat.api.bodies import RequestModel, ResponseModel, unset, write_only
from tagboat.core.catalog import RegistryKind


class RegistryCreate(RequestModel):
    """A new registry. The password is not verified; `test` does that."""

    name: values.Title
    url: values.RegistryUrl
    kind: values.KindName = RegistryKind.OCI
    username: values.LoginName = ""
    password: values.PasswordText | None = None
    password_command: values.PasswordCommand | None = None
    docker_config: values.DockerConfigText = write_only()
    ca_cert: values.CertificatesText = ""


class RegistryUpdate(RequestModel):
    """Changes to a registry."""

    name: values.Title = unset()
    url: values.RegistryUrl = unset()
    kind: values.KindName = unset()
    username: values.LoginName = unset()
    password: values.PasswordText | None = None
    password_command: values.PasswordCommand | None = None
    docker_config: values.DockerConfigText = write_only()
    ca_cert: values.CertificatesText = unset()


class RegistryOut(ResponseModel):
    """A registry, without its password."""

    id: str
    name: str
    url: str
    kind: RegistryKind
    username: str
    has_password: bool
    password_command: str | None
    ca_cert: str
    login_service: str | None


class CheckOut(ResponseModel):
    """One check of a registry."""

    name: str
    ok: bool
    detail: str


class RegistryTestOut(ResponseModel):
    """The result of a registry's test."""

    ok: bool
    checks: list[CheckOut]


class ImageChoicesOut(ResponseModel):
    """Names to choose from. `whole` is false if there are more.

    On an `error`, in words, nothing is listed.
    """

    items: list[str]
    whole: bool
    error: str | None
