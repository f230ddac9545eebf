"""The kinds of values that requests bring, each read by the core's own parser."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from tagboat.api import patterns
from tagboat.core.catalog import RegistryKind
from tagboat.core.errors import InvalidValueError, NotFoundError
from tagboat.core.image import (
    DOCKER_HUB,
    MAX_NAME_LENGTH,
    ImageName,
    is_docker_hub,
    parse_image_name,
    parse_tag,
)
from tagboat.core.image_glob import parse_image_glob
from tagboat.core.inspection import MAX_HEALTHCHECK_LENGTH, MAX_PORT, is_healthcheck
from tagboat.core.naming import parse_name
from tagboat.core.schedule import parse_schedule
from tagboat.core.tags import MAX_PATTERN_LENGTH, TagPattern, parse_tag_pattern
from tagboat.registry.trust import trust_context

MAX_ENV = 200
MAX_ENV_VALUE = 32 * 1024  # characters
MAX_DOMAINS = 100
MAX_POSITION = 1_000_000
MAX_FILE = 256 * 1024
"""Characters of a file's text: of certificates, or of a Docker `config.json`."""
_MAX_DOMAIN = 253
_DOCKER_HUB_SITES = frozenset({"hub.docker.com", "docker.com", "www.docker.com"})
"""Where people see Docker Hub, beside the names of its registry."""
_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True, eq=False)  # typing wants what it annotates with to be hashable
class Parsed:
    """Marks a text that `parse` turns into the value, or refuses with InvalidValueError; `schema` tells OpenAPI about it."""

    parse: Callable[[str], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._read, core_schema.str_schema(strict=True)
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", **self.schema}

    def _read(self, text: str) -> Any:  # noqa: ANN401 - whatever `parse` makes of it
        try:
            text.encode()
        except UnicodeEncodeError:
            # JSON can spell half a surrogate pair, which is no text and cannot be stored.
            raise InvalidValueError(
                "has half of a surrogate pair, which is not a character"
            ) from None
        return self.parse(text)


def fits(pattern: str, given: str) -> bool:
    """Whether the whole of `given` fits a pattern of `patterns`."""
    return re.fullmatch(pattern, given) is not None


def text(pattern: str, longest: int, what: str, shortest: int = 0) -> Parsed:
    """A text that fits `pattern` and has `shortest` to `longest` characters; `what` says so to a person."""

    def parse(given: str) -> str:
        if not shortest <= len(given) <= longest or not fits(pattern, given):
            raise InvalidValueError(f"must be {what}, at most {longest} characters")
        return given

    return Parsed(parse, {"pattern": pattern, "minLength": shortest, "maxLength": longest})


def _either(with_host: str, without_host: str, longest: int) -> dict[str, Any]:
    """The JSON schema of an image, whose short forms are completed with Docker Hub's host, which counts."""
    return {
        "anyOf": [
            {"pattern": with_host, "maxLength": longest},
            {"pattern": without_host, "maxLength": longest - len("docker.io/library/")},
        ]
    }


def whole(value: object) -> object:
    """JSON has one kind of number: 5.0 is 5 there, whoever wrote it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(whole)


def _parse_healthcheck(text: str) -> str:
    if not is_healthcheck(text):
        raise InvalidValueError("must be a /path (printable ASCII without spaces), image, or empty")
    return text


def _parse_schedule_text(text: str) -> str:
    return parse_schedule(text).text


def _parse_domain(text: str) -> str:
    if len(text) > _MAX_DOMAIN or not re.fullmatch(patterns.DOMAIN, text):
        raise InvalidValueError("must be a DNS name such as app.example.com")
    return text.lower()


def _parse_registry_url(text: str) -> str:
    site = text.lower().rpartition("://")[2].partition("/")[0].removesuffix(":443")
    if is_docker_hub(site) or site in _DOCKER_HUB_SITES:
        return f"https://{DOCKER_HUB}"
    if len(text) > MAX_NAME_LENGTH or not re.fullmatch(patterns.REGISTRY_URL, text):
        raise InvalidValueError(
            "must be http:// or https:// with a host, a port where needed and, for a Gitea below one, a path; nothing else"
        )
    scheme, _, rest = text.removesuffix("/").removesuffix("/v2").partition("://")
    host, slash, path = rest.partition("/")
    # Images of a registry at TLS's own port are named without it.
    host = host.lower().removesuffix(":443") if scheme == "https" else host.lower()
    return f"{scheme}://{host}{slash}{path}"


def _parse_ca_cert(text: str) -> str:
    if text:
        trust_context(text)
    return text


def _refuse_repeats(values: object) -> object:
    if isinstance(values, list) and any(
        value in values[:place] for place, value in enumerate(values[:MAX_DOMAINS])
    ):
        raise InvalidValueError("names one twice")
    return values


def _merge_repeats(domains: list[str]) -> list[str]:
    """Those that differed in case alone are one."""
    return list(dict.fromkeys(domains))


def _parse_reference(text: str) -> str:
    if not _ID.fullmatch(text):
        raise InvalidValueError(f"there is no registry {text[:80]!r}")
    return text


def _known_form(noun: str, text: str) -> str:
    """An id that no id can be is one that does not exist; the database need not be asked, nor see its characters."""
    if not _ID.fullmatch(text):
        raise NotFoundError(f"there is no {noun} {text[:80]!r}")
    return text


def _or_nothing(text: str) -> str:
    """A filter by an id that no id can be finds nothing."""
    return text if _ID.fullmatch(text) else "none"


ProjectId = Annotated[str, AfterValidator(partial(_known_form, "project"))]
StageId = Annotated[str, AfterValidator(partial(_known_form, "stage"))]
DeployId = Annotated[str, AfterValidator(partial(_known_form, "deploy"))]
InstanceId = Annotated[str, AfterValidator(partial(_known_form, "instance"))]
RegistryId = Annotated[str, AfterValidator(partial(_known_form, "registry"))]
HookId = Annotated[str, AfterValidator(partial(_known_form, "webhook"))]
DeliveryId = Annotated[str, AfterValidator(partial(_known_form, "delivery"))]
IdFilter = Annotated[str, AfterValidator(_or_nothing)]

RegistryReference = Annotated[str, Parsed(_parse_reference, {})]

Name = Annotated[
    str, Parsed(parse_name, {"pattern": patterns.NAME, "minLength": 1, "maxLength": 63})
]
IMAGE_SCHEMA = _either(patterns.IMAGE_WITH_HOST, patterns.IMAGE_WITHOUT_HOST, MAX_NAME_LENGTH)
"""Of an image without tag and digest."""
Image = Annotated[ImageName, Parsed(parse_image_name, IMAGE_SCHEMA)]
REF_SCHEMA = _either(patterns.REF_WITH_HOST, patterns.REF_WITHOUT_HOST, MAX_NAME_LENGTH)
"""Of an image with or without tag and digest; somewhat stricter than need be on the length."""
Tag = Annotated[str, Parsed(parse_tag, {"pattern": patterns.TAG})]
Pattern = Annotated[
    TagPattern,
    Parsed(
        parse_tag_pattern,
        {
            "pattern": patterns.TAG_PATTERN,
            "minLength": 1,
            "maxLength": MAX_PATTERN_LENGTH,
            "description": "A glob with the semantics of Go's path.Match, `semver:` with a range as npm has them, or "
            "`regex:` with an expression in RE2's syntax, of which more is accepted than can be described here.",
        },
    ),
]
Schedule = Annotated[
    str,
    Parsed(
        _parse_schedule_text,
        {
            "pattern": patterns.SCHEDULE,
            "maxLength": 255,
            "description": "Five fields as Vixie cron has them, after `CRON_TZ=Area/City ` where wanted; `@hourly` and its "
            "kin; or `@every` with a duration. More is accepted than can be described here.",
        },
    ),
]
Healthcheck = Annotated[
    str,
    Parsed(
        _parse_healthcheck, {"pattern": patterns.HEALTHCHECK, "maxLength": MAX_HEALTHCHECK_LENGTH}
    ),
]
Port = Annotated[int, Field(ge=0, le=MAX_PORT), _WHOLE]
EnvName = Annotated[str, text(patterns.ENV_NAME, 255, "a name without = and NUL, not empty", 1)]
EnvValue = Annotated[str, text(patterns.NO_NUL, MAX_ENV_VALUE, "a text without NUL")]
Env = Annotated[
    dict[EnvName, EnvValue],
    Field(max_length=MAX_ENV),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": patterns.ENV_NAME, "minLength": 1, "maxLength": 255},
            "additionalProperties": {
                "type": "string",
                "pattern": patterns.NO_NUL,
                "maxLength": MAX_ENV_VALUE,
            },
            "maxProperties": MAX_ENV,
        }
    ),
]
Position = Annotated[int, Field(ge=-MAX_POSITION, le=MAX_POSITION), _WHOLE]
Domain = Annotated[
    str,
    Parsed(_parse_domain, {"pattern": patterns.DOMAIN, "minLength": 1, "maxLength": _MAX_DOMAIN}),
]
Domains = Annotated[
    list[Domain],
    Field(max_length=MAX_DOMAINS, json_schema_extra={"uniqueItems": True}),
    BeforeValidator(_refuse_repeats),
    AfterValidator(_merge_repeats),
]
MaxInstances = Annotated[int, Field(ge=1, le=50), _WHOLE]
HealthcheckHost = Annotated[
    str,
    Parsed(
        lambda text: text and _parse_domain(text),
        {"pattern": patterns.DOMAIN_OR_NONE, "maxLength": _MAX_DOMAIN},
    ),
]
RequestTimeout = Annotated[int, Field(ge=1, le=300), _WHOLE]
HealthTimeout = Annotated[int, Field(ge=1, le=3600), _WHOLE]
DrainTimeout = Annotated[int, Field(ge=0, le=3600), _WHOLE]
ImageGlobs = Annotated[
    list[
        Annotated[
            str,
            Parsed(
                lambda text: parse_image_glob(text).text,
                {"pattern": patterns.IMAGE_GLOB, "minLength": 1, "maxLength": MAX_NAME_LENGTH},
            ),
        ]
    ],
    Field(max_length=100),
]
Kind = Annotated[RegistryKind, Strict(strict=False)]
Title = Annotated[
    str, text(patterns.LINE, 100, "one line of text that begins and ends with no space", 1)
]
RegistryUrl = Annotated[
    str,
    Parsed(_parse_registry_url, {"pattern": patterns.REGISTRY_URL, "maxLength": MAX_NAME_LENGTH}),
]
Username = Annotated[
    str, text(patterns.NO_CONTROLS_NO_COLON, 255, "a text without colon and control characters")
]
CaCert = Annotated[
    str,
    Parsed(
        _parse_ca_cert,
        {
            "pattern": patterns.PEM,
            "maxLength": MAX_FILE,
            "description": "Certificates in PEM, one or more; empty for none. Private keys are refused.",
        },
    ),
]
DockerConfig = Annotated[
    str, text(patterns.NO_NUL, MAX_FILE, "the text of a Docker config.json", 1)
]
MaxProjects = Annotated[int, Field(ge=0, le=100_000), _WHOLE]
KeepDays = Annotated[int, Field(ge=1, le=3650), _WHOLE]
KeepNumber = Annotated[int, Field(ge=100, le=1_000_000), _WHOLE]
KeepImages = Annotated[int, Field(ge=0, le=100), _WHOLE]
KeepHistory = Annotated[int, Field(ge=1, le=36_500), _WHOLE]
HeaderName = Annotated[str, text(patterns.HEADER_NAME, 100, "the name of an HTTP header", 1)]
SignatureSecret = Annotated[str, text(patterns.NO_NUL, 1024, "a text without NUL", 1)]
Password = Annotated[str, text(patterns.NO_NUL, 16 * 1024, "a text without NUL")]
