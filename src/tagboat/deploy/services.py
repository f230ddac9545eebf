"""The collaborators of a deploy, put together once at the start of the server."""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct, field

from tagboat.core.counters import Counters
from tagboat.core.host_access import no_host_path
from tagboat.core.ports import Store, TagSource
from tagboat.core.runtime import Runtime
from tagboat.deploy.places import Places
from tagboat.deploy.traffic import Traffic


class DeployServices(Struct, frozen=True):
    """The collaborators of every deploy.

    `installation` is the label of the workloads that this installation has made. Stages have their
    addresses below `base_domain`; people reach them by `front_proto`, `http` or `https`.
    `host_path` resolves a path of the runtime's machine, or raises InvalidValueError where
    containers may not have it. `places` limits how many deploys work at once: those that only wait
    give theirs back.
    """

    store: Store
    runtime: Runtime
    tag_source: TagSource
    traffic: Traffic
    clock: Callable[[], datetime]
    installation: str
    counters: Counters
    base_domain: str = "localhost"
    front_proto: str = "http"
    host_path: Callable[[str], str] = no_host_path
    places: Places = field(default_factory=Places)
