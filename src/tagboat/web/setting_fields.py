"""The fields of the forms of projects and stages: names, labels, help, and kinds of values."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from tagboat.core.catalog import Strategy
from tagboat.core.protocol import AppProtocol
from tagboat.core.run import EngineKind
from tagboat.web import setting_texts as texts

YES_NO = (("yes", "yes"), ("no", "no"))
UNSET_YES_NO = (("", "not set"), *YES_NO)
# Said as who decides: the API's `port_set` is a yes or no that means nothing to a person.
_BY_IMAGE = (("no", "the newest image"), ("yes", "this form"))


class FieldKind(Struct, frozen=True):
    """A kind of values: how they are shown and read, and with what a form asks for them.

    `widget` is `line`, `area` or `choice`; `empty` is the value of an empty text, unless `read`
    decides about that, too.
    """

    show: Callable[[Any], str]
    read: Callable[[str], Any]
    widget: str = "line"
    empty: Any = None
    reads_empty: bool = False


TEXT = FieldKind(str, str, empty="")
WHOLE = FieldKind(texts.show_number, texts.read_whole, reads_empty=True)
OPTIONAL = FieldKind(texts.show_number, texts.read_whole)
LIMIT = FieldKind(texts.show_nonzero, texts.read_whole, empty=0)
CPUS = FieldKind(texts.show_nonzero, texts.read_number, empty=0.0)
AMOUNT = FieldKind(texts.show_amount, str, empty=0)
WORDS = FieldKind(texts.show_words, texts.read_words, empty=[])
ENTRYPOINT = FieldKind(texts.show_words, texts.read_entrypoint, empty=[])
LINES = FieldKind(texts.show_lines, texts.read_lines, "area", [])
MAP = FieldKind(texts.show_map, texts.read_map, "area", {})
SWITCH = FieldKind(texts.show_switch, texts.read_switch, "choice", reads_empty=True)
CHOICE = FieldKind(lambda value: str(value or ""), str, "choice")


class SettingField(Struct, frozen=True):
    """One field. `name` is that of the API; `required` says so to people, the API demands it."""

    name: str
    label: str
    kind: FieldKind
    help: str = ""
    options: tuple[tuple[str, str], ...] = ()
    required: bool = False


class FieldGroup(Struct, frozen=True):
    """Fields under one heading.

    `folded` ones are opened by those who need them; of `optional` ones it is said how many are set.
    """

    title: str
    fields: tuple[SettingField, ...]
    folded: bool = False
    optional: bool = False


_NAME_FIELD = SettingField(
    "name",
    "Name",
    TEXT,
    "Lower-case letters, digits, '.', '_' and '-'. Addresses and pages follow from it.",
    required=True,
)
_ENV_FIELD = SettingField(
    "env",
    "Variables, one NAME=VALUE on each line",
    MAP,
    "Everybody who may read sees them: secrets have a place of their own below. A value with line "
    'feeds stands in double quotes, as "one\\ntwo".',
)
_RUN = FieldGroup(
    "How it runs",
    (
        SettingField("command", "Command", WORDS, "In place of that of the image."),
        SettingField(
            "entrypoint",
            "Entrypoint",
            ENTRYPOINT,
            "Words in place of that of the image; image keeps it, and commands are its arguments.",
        ),
        SettingField(
            "release_command",
            "Release command",
            WORDS,
            "Runs once to its end before the new instance starts, such as a migration.",
        ),
        SettingField("release_timeout_s", "Seconds it may run", OPTIONAL, "Empty: 3600."),
        SettingField("user", "User", TEXT, "A name or number, then ':' and a group if wanted."),
        SettingField("memory", "Memory", AMOUNT, "Such as 512m or 1.5g; empty for no limit."),
        SettingField("cpus", "Processors", CPUS, "Such as 1.5; empty for no limit."),
        SettingField("pids", "Processes", LIMIT, "Empty for no limit."),
        SettingField("shm_size", "Shared memory", AMOUNT, "Size of /dev/shm, such as 256m."),
        SettingField("stop_signal", "Stop signal", TEXT, "Empty: that of the image."),
        SettingField("stop_timeout_s", "Seconds to stop", OPTIONAL, "Then it is killed."),
        SettingField("init", "Init process", SWITCH, options=UNSET_YES_NO),
        SettingField(
            "read_only",
            "Read-only file system",
            SWITCH,
            "Only volumes and tmpfs can be written to.",
            UNSET_YES_NO,
        ),
    ),
    folded=True,
    optional=True,
)
_PLACE = FieldGroup(
    "Storage, network and host",
    (
        SettingField("volumes", "Volumes", MAP, "One NAME=/path on each line. They last."),
        SettingField(
            "tmpfs", "Temporary file systems", MAP, "/path=OPTIONS, such as /tmp=size=64m."
        ),
        SettingField("binds", "Folders of the machine", LINES, "/host/path:/path[:ro]"),
        SettingField("networks", "More networks", LINES, "Names, one on each line."),
        SettingField("extra_hosts", "Addresses by name", MAP, "db=10.0.0.1, or =host-gateway."),
        SettingField("publish", "More ports", LINES, "[HOST_IP:]HOST_PORT:PORT[/udp]"),
        SettingField("devices", "Devices", LINES, "/dev/ttyUSB0[:/path[:rwm]]"),
        SettingField("cap_add", "Capabilities", LINES, "Such as NET_ADMIN."),
        SettingField("labels", "Labels of the container", MAP),
        SettingField("image_labels", "Labels of the image, too", SWITCH, options=UNSET_YES_NO),
    ),
    folded=True,
    optional=True,
)
_SHARED = (FieldGroup("Environment", (_ENV_FIELD,)), _RUN, _PLACE)

PROJECT_GROUPS = (
    FieldGroup(
        "Image",
        (
            _NAME_FIELD,
            SettingField(
                "image",
                "Image, without a tag",
                TEXT,
                "With another image, all tags count as unknown again.",
                required=True,
            ),
            SettingField("registry", "Registry", CHOICE),
            SettingField("port", "Port", WHOLE, "Where the app listens; 0 for none."),
            SettingField("port_set", "The port is set by", SWITCH, options=_BY_IMAGE),
            SettingField(
                "healthcheck",
                "Health check",
                TEXT,
                "/path for HTTP, image for the HEALTHCHECK of the image, empty for the port.",
            ),
            SettingField(
                "healthcheck_set", "The health check is set by", SWITCH, options=_BY_IMAGE
            ),
            SettingField(
                "protocol",
                "Protocol of the app",
                CHOICE,
                options=tuple((one.value, one.value) for one in AppProtocol),
            ),
            SettingField("protocol_set", "The protocol is set by", SWITCH, options=_BY_IMAGE),
        ),
    ),
    *_SHARED,
)
STAGE_GROUPS = (
    FieldGroup(
        "Which tags",
        (
            _NAME_FIELD,
            SettingField(
                "tag_pattern",
                "Tag pattern",
                TEXT,
                "v* or main-*; semver:>=1.0.0; regex:v[0-9]+. The first stage that matches wins.",
                required=True,
            ),
            SettingField(
                "position", "Position", WHOLE, "Stages are tried in this order, then by name."
            ),
            SettingField(
                "auto_deploy",
                "Deploy pushes that match",
                SWITCH,
                "no: they wait until a person deploys them.",
                YES_NO,
            ),
            SettingField(
                "allow_downgrade",
                "Deploy older tags, too",
                SWITCH,
                "A poll never goes back otherwise.",
                YES_NO,
            ),
        ),
    ),
    FieldGroup(
        "Addresses",
        (SettingField("domains", "Domains", LINES, "More than its own, one on each line."),),
    ),
    FieldGroup(
        "Going live",
        (
            SettingField("max_instances", "Tags live side by side", WHOLE),
            SettingField(
                "engine",
                "Engine",
                CHOICE,
                "Docker Swarm needs an engine that is a manager of a swarm.",
                (
                    ("", "of the server"),
                    (EngineKind.DOCKER.value, "Docker"),
                    (EngineKind.SWARM.value, "Docker Swarm"),
                ),
            ),
            SettingField("replicas", "Replicas", WHOLE, "More than 1 needs Docker Swarm."),
            SettingField(
                "constraints",
                "Placement constraints",
                LINES,
                "Nodes of Docker Swarm that fit, such as node.labels.zone==a; one on each line.",
            ),
            SettingField(
                "strategy",
                "Strategy",
                CHOICE,
                "recreate stops the old instance first; automatic does so only if the stage has "
                "volumes, writable folders of the machine, or more ports.",
                (("", "automatic"), *((one.value, one.value) for one in Strategy)),
            ),
            SettingField("health_timeout_s", "Seconds to become healthy", WHOLE),
            SettingField(
                "healthcheck_host", "Host of health checks", TEXT, "Empty: the first domain."
            ),
            SettingField("healthcheck_request_timeout_s", "Seconds for one health check", WHOLE),
            SettingField(
                "watch_s", "Seconds to watch", WHOLE, "Then the old instance gets no more requests."
            ),
            SettingField("drain_timeout_s", "Seconds for open requests", WHOLE),
            SettingField("ttl_h", "Hours an instance may live", OPTIONAL, "Empty for no limit."),
        ),
        folded=True,
    ),
    *_SHARED,
)


class ShownField(Struct, frozen=True):
    """A field as a form shows it.

    `text` is what stands in it, `was` what is saved; `error` says what is wrong with it.
    """

    field: SettingField
    text: str
    was: str
    error: str = ""
    options: tuple[tuple[str, str], ...] = ()


class ShownGroup(Struct, frozen=True):
    """A group as a form shows it; it is `open` where something in it differs or is wrong."""

    group: FieldGroup
    fields: tuple[ShownField, ...]
    open: bool

    @property
    def given(self) -> int:
        """How many of its fields are set."""
        return sum(1 for one in self.fields if one.text)


def shown_groups(
    groups: tuple[FieldGroup, ...],
    saved: Mapping[str, str],
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    options: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType({}),
) -> tuple[ShownGroup, ...]:
    """Return the groups with the texts `typed` where there are any, else those `saved`."""

    def shown(one: SettingField) -> ShownField:
        choices = options.get(one.name, one.options)
        text = typed.get(one.name, saved[one.name])
        return ShownField(one, text, saved[one.name], errors.get(one.name, ""), choices)

    def grouped(group: FieldGroup) -> ShownGroup:
        fields = tuple(map(shown, group.fields))
        return ShownGroup(group, fields, any(one.error or one.text != one.was for one in fields))

    return tuple(map(grouped, groups))
