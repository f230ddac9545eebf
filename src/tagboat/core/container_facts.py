"""Facts about a container that somebody else has made, in no runtime's own words."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from tagboat.core.host_access import Bind, Device, Published
from tagboat.core.image import ImageInfo


class VolumeMount(Struct, frozen=True):
    """A volume of the runtime, called `name`, that is mounted at `target`."""

    name: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """A container and its image.

    `image` is the image as the container was made of it; `image_names` are the tags (`NAME:TAG`)
    and `image_digests` the digests (`NAME@DIGEST`) that it bears now, and `info` describes it. The
    values are those of the container, the image's own among them; 0, empty and None are no limit,
    or the runtime's default. `healthcheck` are the words of its test. `published` are its ports on
    the host, `aliases` its other names on networks. `shares_host` is True where it uses the network
    of the host or of another container.

    `auto_remove` is True where the runtime removes it, and its volumes without a name, once it is
    stopped.

    `dangers` are words for what the app may need and no option can give it; `remarks` for what is
    different afterwards. `own` is True for the container that this process runs in.
    """

    id: str
    name: str
    image: str
    running: bool
    image_names: tuple[str, ...] = ()
    image_digests: tuple[str, ...] = ()
    info: ImageInfo = field(default_factory=ImageInfo)
    labels: Mapping[str, str] = field(default_factory=dict)
    # Not in `repr`: secrets are among them.
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    healthcheck: tuple[str, ...] = ()
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    published: tuple[Published, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    binds: tuple[Bind, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    networks: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    shares_host: bool = False
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    shm_size: int = 0
    init: bool | None = None
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    auto_remove: bool = False
    dangers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    own: bool = False
