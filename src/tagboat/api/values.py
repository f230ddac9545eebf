"""Types of values in requests, each read by the core's own parser.

The published schema accepts everything the parser accepts. It has a pattern only where that is
exact; other grammars have a `format` and a description, and an invalid value is a 422.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from msgspec import Struct
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

from tagboat.core.accounts import MAX_ACCOUNT_NAME, parse_account_name
from tagboat.core.catalog import RegistryKind
from tagboat.core.deploy import MAX_NOTE
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
from tagboat.core.naming import MAX_LENGTH, parse_name
from tagboat.core.run_changes import MAX_ENV
from tagboat.core.schedule import parse_schedule
from tagboat.core.tags import MAX_PATTERN_LENGTH, TagPattern, parse_tag_pattern
from tagboat.registry.password_command import split_command
from tagboat.registry.trust import trust_context

Item = TypeVar("Item")

MAX_ENV_VALUE = 32 * 1024  # characters
MAX_DOMAINS = 100
# Positions of any sign sort as text in cursors, with a fixed number of digits.
MAX_POSITION = 1_000_000
MAX_COMMAND = 4096
MAX_FILE = 256 * 1024
"""Characters of a file's text: of certificates, or of a Docker `config.json`."""
# 255 octets on the wire (RFC 1035, section 2.3.4) are 253 characters as text.
MAX_DOMAIN = 253
# PostgreSQL stores no NUL, and processes get no string with one.
NO_NUL = r"^[^\x00]*$"
# A token (RFC 9110, section 5.6.2).
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
# Blanks around a field's value are not part of it (RFC 9110, section 5.5).
HEADER_VALUE = r"^[!-~](?:[ -~]*[!-~])?$"
# A process gets its environment as NAME=VALUE, each ended by NUL (POSIX, chapter 8).
_NOTE = r"^[^\x00-\x08\x0b-\x1f\x7f]*$"  # line feeds and tabs may be in it
ENV_NAME = r"^[^=\x00]+$"
# In Basic authentication, the first colon ends the user's name (RFC 7617, section 2).
_NO_COLON = r"^[^\x00-\x1f\x7f:]*$"
_NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$"
# As the OCI distribution specification has it.
_TAG_TEXT = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
_HEALTHCHECK_PATTERN = r"^(?:image|/[!-~]*)?$"
# A label has at most 63 characters (RFC 1035, section 2.3.1), and may begin with a digit (RFC
# 1123, section 2.1).
_DNS_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME = rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*"
_IPV6_GROUP = r"[0-9A-Fa-f]{1,4}"
_IPV6 = rf"\[(?:(?:{_IPV6_GROUP}:){{7}}{_IPV6_GROUP}|(?:{_IPV6_GROUP}:){{1,6}}:{_IPV6_GROUP}|::1)\]"
_TCP_PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_REGISTRY_URL = re.compile(
    rf"(?i:https?)://(?:{_DNS_NAME}|{_IPV6})(?::(?:{_TCP_PORT}))?(?:/[A-Za-z0-9._~-]+)*/?"
)
# Sites where people see Docker Hub. Its registry has other names, but they are what gets pasted.
_DOCKER_HUB_SITES = frozenset({"hub.docker.com", "docker.com", "www.docker.com"})
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")


class Parsed(Struct, frozen=True, eq=False):  # typing requires annotations to be hashable
    """A string that `parse` turns into the value, or refuses with InvalidValueError.

    `schema` is how OpenAPI describes it.
    """

    parse: Callable[[str], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def read(given: str) -> Any:  # noqa: ANN401 - the result of `parse`
            try:
                given.encode()
            except UnicodeEncodeError:
                # JSON can spell half a surrogate pair, which cannot be stored.
                raise InvalidValueError(
                    "has half of a surrogate pair, which is not a character"
                ) from None
            return self.parse(given)

        return core_schema.no_info_after_validator_function(
            read, core_schema.str_schema(strict=True)
        )

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", **self.schema}


def fits(pattern: str, given: str) -> bool:
    """Return whether the whole of `given` fits `pattern`."""
    # Not `match`: in Python, `$` also fits before a line feed at the end.
    return re.fullmatch(pattern, given) is not None


def text(pattern: str, longest: int, what: str, shortest: int = 0) -> Parsed:
    """Return the type of strings that fit `pattern` and have `shortest` to `longest` characters.

    `what` names them in the error.
    """
    length = f"{shortest} to {longest}" if shortest else f"at most {longest}"

    def parse(given: str) -> str:
        # Its length first: the pattern is not tried on a megabyte.
        if not shortest <= len(given) <= longest or not fits(pattern, given):
            raise InvalidValueError(f"must be {what}, {length} characters")
        return given

    return Parsed(parse, {"pattern": pattern, "minLength": shortest, "maxLength": longest})


def whole(value: object) -> object:
    """Return 5 for 5.0: JSON has one kind of number, and some clients write all with a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def in_digits(given: object) -> object:
    """Return `given` unless it is a text that Python takes for a number, and no one else does.

    Those have underscores, blanks or digits of other scripts. Raises InvalidValueError.
    """
    if isinstance(given, str) and not re.fullmatch("-?[0-9]+", given, re.ASCII):
        raise InvalidValueError("must be a whole number, in digits")
    return given


def without_repeats(values: list[Item]) -> list[Item]:
    """Return each of `values` once, in their order."""
    return list(dict.fromkeys(values))


def parse_dns_name(given: str) -> str:
    """Return `given` in lower case if it is a DNS name; else raise InvalidValueError."""
    if len(given) > MAX_DOMAIN or not re.fullmatch(_DNS_NAME, given):
        raise InvalidValueError("must be a DNS name such as app.example.com")
    return given.lower()


def parse_registry_url(given: str) -> str:
    """Return the URL of a registry as it is stored; raise InvalidValueError."""
    site = given.lower().rpartition("://")[2].partition("/")[0].removesuffix(":443")
    if is_docker_hub(site) or site in _DOCKER_HUB_SITES:
        return f"https://{DOCKER_HUB}"
    if len(given) > MAX_NAME_LENGTH or not _REGISTRY_URL.fullmatch(given):
        raise InvalidValueError(
            "must be http:// or https:// with a host and, if needed, a port. A path is only for "
            "a Gitea that is installed below one"
        )
    # /v2 is where the API of every registry is: people paste it along with the address.
    scheme, _, rest = given.removesuffix("/").removesuffix("/v2").partition("://")
    scheme = scheme.lower()
    host, slash, path = rest.partition("/")
    # Images of a registry at TLS's own port are named without it.
    host = host.lower().removesuffix(":443") if scheme == "https" else host.lower()
    return f"{scheme}://{host}{slash}{path}"


def check_healthcheck(given: str) -> str:
    """Return `given` if it is a health check; else raise InvalidValueError."""
    if not is_healthcheck(given):
        raise InvalidValueError("must be a /path (printable ASCII without spaces), image, or empty")
    return given


def parse_password_command(given: str) -> str:
    """Return a command line without blanks around it, empty for none."""
    command = given.strip()
    if len(given) > MAX_COMMAND or any(not one.isprintable() for one in command):
        raise InvalidValueError(f"must be one line of at most {MAX_COMMAND} characters")
    if command:
        split_command(command)
    return command


def check_certificates(given: str) -> str:
    """Return `given` if it is empty or certificates in PEM; else raise InvalidValueError."""
    if given:
        trust_context(given)
    return given


def refuse_repeats(values: object) -> object:
    """Return `values` if no two are the same; else raise InvalidValueError."""
    # A list beyond the limit is refused anyway: comparing all its pairs would take long.
    if isinstance(values, list) and any(
        value in values[:place] for place, value in enumerate(values[:MAX_DOMAINS])
    ):
        raise InvalidValueError("names one twice")
    return values


def check_registry_reference(given: str) -> str:
    """Return `given` if it has the form of an id; else raise InvalidValueError."""
    if not _OBJECT_ID.fullmatch(given):
        raise InvalidValueError(f"there is no registry {given[:80]!r}")
    return given


def _id_of(noun: str) -> AfterValidator:
    # A string that no id looks like does not exist: the database need not be asked, nor see it.
    def check(given: str) -> str:
        if not _OBJECT_ID.fullmatch(given):
            raise NotFoundError(f"there is no {noun} {given[:80]!r}")
        return given

    return AfterValidator(check)


ProjectId = Annotated[str, _id_of("project")]
StageId = Annotated[str, _id_of("stage")]
DeployId = Annotated[str, _id_of("deploy")]
InstanceId = Annotated[str, _id_of("instance")]
RegistryId = Annotated[str, _id_of("registry")]
HookId = Annotated[str, _id_of("webhook")]
DeliveryId = Annotated[str, _id_of("delivery")]
AccountId = Annotated[str, _id_of("account")]
TokenId = Annotated[str, _id_of("token")]
IdFilter = Annotated[
    str, AfterValidator(lambda given: given if _OBJECT_ID.fullmatch(given) else "none")
]
"""A filter by id. One that no id looks like finds nothing."""

RegistryReference = Annotated[str, Parsed(check_registry_reference, {})]

ObjectName = Annotated[
    str, Parsed(parse_name, {"pattern": _NAME_PATTERN, "minLength": 1, "maxLength": MAX_LENGTH})
]
IMAGE_SCHEMA: Mapping[str, Any] = {
    "format": "image-name",
    "minLength": 1,
    "maxLength": MAX_NAME_LENGTH,
}
"""The published schema of an image without tag and digest."""
ImageText = Annotated[ImageName, Parsed(parse_image_name, IMAGE_SCHEMA)]
REF_SCHEMA: Mapping[str, Any] = {"format": "image-reference", "minLength": 1}
"""The published schema of an image with or without tag and digest."""
SearchText = Annotated[str, text(NO_NUL, 128, "a text without NUL")]
NoteText = Annotated[str, text(_NOTE, MAX_NOTE, "a text without control characters")]
TagText = Annotated[str, Parsed(parse_tag, {"pattern": _TAG_TEXT})]
PatternText = Annotated[
    TagPattern,
    Parsed(
        parse_tag_pattern,
        {"format": "tag-pattern", "minLength": 1, "maxLength": MAX_PATTERN_LENGTH},
    ),
]
PatternQuery = Annotated[
    str,
    Parsed(
        lambda given: parse_tag_pattern(given).text,
        {"format": "tag-pattern", "minLength": 1, "maxLength": MAX_PATTERN_LENGTH},
    ),
]
"""A pattern that stays text: FastAPI takes no other values in a query."""
ScheduleText = Annotated[
    str,
    Parsed(
        lambda given: parse_schedule(given).text,
        {"format": "schedule", "minLength": 1, "maxLength": 255},
    ),
]
HealthcheckText = Annotated[
    str,
    Parsed(
        check_healthcheck, {"pattern": _HEALTHCHECK_PATTERN, "maxLength": MAX_HEALTHCHECK_LENGTH}
    ),
]
PortNumber = Annotated[int, Field(ge=0, le=MAX_PORT), BeforeValidator(whole)]
EnvName = Annotated[str, text(ENV_NAME, 255, "a name without = and NUL", 1)]
EnvValue = Annotated[str, text(NO_NUL, MAX_ENV_VALUE, "a string without NUL")]


def nullable_map_schema(names: str, longest: int) -> WithJsonSchema:
    """Return the published schema of a map of strings that is merged: null removes a name."""
    string = {"type": "string", "pattern": NO_NUL, "maxLength": longest}
    return map_schema(names, 255, {"anyOf": [string, {"type": "null"}]}, MAX_ENV)


def map_schema(names: str, longest_name: int, value: dict[str, Any], most: int) -> WithJsonSchema:
    """Return the published schema of an object: `names` is a pattern, `most` their number."""
    return WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": names, "minLength": 1, "maxLength": longest_name},
            "additionalProperties": value,
            "maxProperties": most,
        }
    )


Env = Annotated[
    dict[EnvName, EnvValue | None],
    Field(max_length=MAX_ENV),
    nullable_map_schema(ENV_NAME, MAX_ENV_VALUE),
]
PositionNumber = Annotated[int, Field(ge=-MAX_POSITION, le=MAX_POSITION), BeforeValidator(whole)]
DomainName = Annotated[
    str,
    Parsed(parse_dns_name, {"pattern": f"^{_DNS_NAME}$", "minLength": 1, "maxLength": MAX_DOMAIN}),
]
DomainNames = Annotated[
    list[DomainName],
    Field(max_length=MAX_DOMAINS, json_schema_extra={"uniqueItems": True}),
    BeforeValidator(refuse_repeats),
    AfterValidator(without_repeats),  # names that differ in case alone are one
]
MaxInstances = Annotated[int, Field(ge=1, le=50), BeforeValidator(whole)]
HealthcheckHost = Annotated[
    str,
    Parsed(
        lambda given: given and parse_dns_name(given),
        {"pattern": f"^(?:{_DNS_NAME})?$", "maxLength": MAX_DOMAIN},
    ),
]
RequestTimeout = Annotated[int, Field(ge=1, le=300), BeforeValidator(whole)]
HealthTimeoutS = Annotated[int, Field(ge=1, le=3600), BeforeValidator(whole)]
DrainTimeoutS = Annotated[int, Field(ge=0, le=3600), BeforeValidator(whole)]
ImageGlobs = Annotated[
    list[
        Annotated[
            str,
            Parsed(
                lambda given: parse_image_glob(given).text,
                {"format": "image-glob", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
            ),
        ]
    ],
    Field(max_length=100),
]
KindName = Annotated[RegistryKind, Strict(strict=False)]
Title = Annotated[
    str,
    Parsed(parse_account_name, {"format": "title", "minLength": 1, "maxLength": MAX_ACCOUNT_NAME}),
]
RegistryUrl = Annotated[
    str,
    Parsed(
        parse_registry_url, {"format": "registry-url", "minLength": 1, "maxLength": MAX_NAME_LENGTH}
    ),
]
LoginName = Annotated[str, text(_NO_COLON, 255, "a string without colon and control characters")]
CertificatesText = Annotated[
    str, Parsed(check_certificates, {"format": "pem-certificates", "maxLength": MAX_FILE})
]
DockerConfigText = Annotated[str, text(NO_NUL, MAX_FILE, "the content of a Docker config.json", 1)]
MaxProjects = Annotated[int, Field(ge=0, le=100_000), BeforeValidator(whole)]
KeepDays = Annotated[int, Field(ge=1, le=3650), BeforeValidator(whole)]
KeepNumber = Annotated[int, Field(ge=100, le=1_000_000), BeforeValidator(whole)]
KeepImages = Annotated[int, Field(ge=0, le=100), BeforeValidator(whole)]
KeepBackups = Annotated[int, Field(ge=0, le=100), BeforeValidator(whole)]
KeepHistory = Annotated[int, Field(ge=1, le=36_500), BeforeValidator(whole)]
HeaderName = Annotated[str, text(HEADER_NAME, 100, "the name of an HTTP header", 1)]
SignatureSecret = Annotated[str, text(NO_NUL, 1024, "a string without NUL", 1)]
PasswordCommand = Annotated[
    str, Parsed(parse_password_command, {"format": "command-line", "maxLength": MAX_COMMAND})
]
PasswordText = Annotated[str, text(NO_NUL, 16 * 1024, "a string without NUL")]
