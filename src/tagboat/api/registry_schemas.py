"""Registries, and what came of testing one, field by field. A password is taken in and never shown."""

from tagboat.api import values
from tagboat.api.bodies import Answer, Asked, unset, write_only
from tagboat.core.catalog import RegistryKind


class RegistryAsked(Asked):
    """A registry to be known. It is not asked whether the password is right: that is what `test` is for.

    `docker_config` is the text of a Docker `config.json`, from which username and password for the URL's host are taken.
    `ca_cert` are certificate authorities (PEM) that are trusted beside the system's.
    """

    name: values.Title
    url: values.RegistryUrl
    kind: values.Kind = RegistryKind.OCI
    username: values.Username = ""
    password: values.Password | None = None
    docker_config: values.DockerConfig = write_only()
    ca_cert: values.CaCert = ""


class RegistryChange(Asked):
    """What to change of a registry. A password of null clears it, an empty `ca_cert` the certificate authorities."""

    name: values.Title = unset()
    url: values.RegistryUrl = unset()
    kind: values.Kind = unset()
    username: values.Username = unset()
    password: values.Password | None = None
    docker_config: values.DockerConfig = write_only()
    ca_cert: values.CaCert = unset()


class Registry(Answer):
    """Where images live. The password is never shown.

    `login_service` is where it was first accepted for a token (`https://HOST[:PORT]`), null before that; it goes nowhere else
    until a test of the registry has confirmed another.
    """

    id: str
    name: str
    url: str
    kind: RegistryKind
    username: str
    has_password: bool
    ca_cert: str
    login_service: str | None


class CheckResult(Answer):
    """One thing looked at."""

    name: str
    ok: bool
    detail: str


class TestResult(Answer):
    """What came of testing a registry."""

    ok: bool
    checks: list[CheckResult]


class ChoiceOut(Answer):
    """Names to choose from. `whole` is false if there are more.

    On an `error`, in words, nothing is listed.
    """

    items: list[str]
    whole: bool
    error: str | None
