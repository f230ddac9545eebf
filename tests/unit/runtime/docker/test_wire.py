import base64
import json
from datetime import UTC, datetime

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.endpoint import loopback_endpoint
from tagboat.core.host_access import Bind, Device, Published
from tagboat.core.image import Digest, parse_image_name
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.docker import image_wire, wire
from tests.support.endpoints import port_of

ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
SPEC = WorkloadSpec(
    name="web", image=f"git.example.com/acme/app@{ONE}", labels={"a": "b"}, env={"X": "1=2"}
)


def test_a_container_is_published_on_loopback_only() -> None:
    body = wire.create_body(
        WorkloadSpec(
            name="web", image="i", labels={}, port=8080, endpoint=loopback_endpoint(40000)
        ),
    )
    assert body["ExposedPorts"] == {"8080/tcp": {}}
    assert body["HostConfig"]["PortBindings"] == {
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40000"}]
    }


def test_a_container_without_port_publishes_none() -> None:
    body = wire.create_body(SPEC)
    assert "ExposedPorts" not in body
    assert "PortBindings" not in body["HostConfig"]


def test_a_container_is_confined_restarted_and_bounded() -> None:
    body = wire.create_body(SPEC)
    assert body["Env"] == ["X=1=2"]
    assert body["HostConfig"] == {
        "RestartPolicy": {"Name": "unless-stopped"},
        "SecurityOpt": ["no-new-privileges"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "PidsLimit": wire.GENEROUS_PIDS,
        "CapDrop": ["NET_RAW", "MKNOD", "AUDIT_WRITE", "SYS_CHROOT", "SETFCAP"],
    }
    assert "LogConfig" not in wire.create_body(SPEC, bounded_log=False)["HostConfig"]


def test_what_is_dropped_as_a_rule_can_be_given_back() -> None:
    host = wire.create_body(replace(SPEC, cap_add=("NET_RAW", "NET_ADMIN")))["HostConfig"]
    assert host["CapAdd"] == ["NET_RAW", "NET_ADMIN"]
    assert host["CapDrop"] == ["MKNOD", "AUDIT_WRITE", "SYS_CHROOT", "SETFCAP"]


def test_the_network_of_a_container_is_its_only_one_from_the_start() -> None:
    body = wire.create_body(
        replace(SPEC, network="net", aliases={"net": ("app",), "other": ("x",)}), address="10.1.2.3"
    )
    assert body["HostConfig"]["NetworkMode"] == "net"
    assert body["NetworkingConfig"] == {
        "EndpointsConfig": {"net": {"Aliases": ["app"], "IPAMConfig": {"IPv4Address": "10.1.2.3"}}}
    }


def test_what_is_not_said_is_left_to_the_image() -> None:
    assert wire.create_body(SPEC).keys() == {"Image", "Labels", "Env", "HostConfig"}


def test_what_is_said_is_passed_on() -> None:
    body = wire.create_body(
        replace(
            SPEC,
            command=("serve", "--port", "1"),
            user="1000:100",
            stop_signal="SIGQUIT",
            stop_timeout_s=0,
        )
    )
    assert (body["Cmd"], body["User"]) == (["serve", "--port", "1"], "1000:100")
    assert (body["StopSignal"], body["StopTimeout"]) == ("SIGQUIT", 0)


def test_volumes_are_the_engines_own_and_have_names() -> None:
    body = wire.create_body(replace(SPEC, volumes={"shop-data": "/data"}))
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "volume", "Source": "shop-data", "Target": "/data"}
    ]


def test_volumes_are_made_with_labels() -> None:
    body = wire.create_body(
        replace(SPEC, volumes={"shop-data": "/data"}, volume_labels={"whose": "shop"})
    )
    assert body["HostConfig"]["Mounts"][0]["VolumeOptions"] == {"Labels": {"whose": "shop"}}


@pytest.mark.parametrize(
    ("entrypoint", "said"), [(None, None), ((), [""]), (("/init", "--"), ["/init", "--"])]
)
def test_an_entrypoint_is_kept_cleared_or_set(
    entrypoint: tuple[str, ...] | None, said: list[str] | None
) -> None:
    assert wire.create_body(replace(SPEC, entrypoint=entrypoint)).get("Entrypoint") == said


def test_what_is_given_of_the_machine() -> None:
    host = wire.create_body(
        replace(
            SPEC,
            tmpfs={"/cache": "size=1m"},
            binds=(Bind("/srv/a", "/a", read_only=True),),
            devices=(Device("/dev/a", "/dev/b", "r"),),
            extra_hosts={"db": "::1", "gw": "host-gateway"},
            shm_size=1 << 20,
            init=False,
            read_only=True,
            cap_add=("NET_ADMIN",),
        )
    )["HostConfig"]
    assert host["Tmpfs"] == {"/cache": "size=1m"}
    assert host["Mounts"] == [
        {"Type": "bind", "Source": "/srv/a", "Target": "/a", "ReadOnly": True}
    ]
    assert host["Devices"] == [
        {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}
    ]
    assert host["ExtraHosts"] == ["db:::1", "gw:host-gateway"]
    assert (host["ShmSize"], host["Init"], host["ReadonlyRootfs"], host["CapAdd"]) == (
        1 << 20,
        False,
        True,
        ["NET_ADMIN"],
    )
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert "Privileged" not in host


def test_further_ports_are_published_beside_its_own() -> None:
    publish = (Published("0.0.0.0", 80, 8080), Published("127.0.0.1", 53, 53, "udp"))  # noqa: S104 - nothing listens
    body = wire.create_body(
        replace(SPEC, port=8080, endpoint=loopback_endpoint(40000), publish=publish)
    )
    assert body["ExposedPorts"] == {"8080/tcp": {}, "53/udp": {}}
    assert body["HostConfig"]["PortBindings"] == {
        "8080/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "40000"},
            {"HostIp": "0.0.0.0", "HostPort": "80"},  # noqa: S104 - nothing listens
        ],
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
    }


def test_volumes_that_nobody_asked_for_are_told_from_others() -> None:
    answer = {
        "Id": "1",
        "Name": "/web",
        "State": {},
        "HostConfig": {"Mounts": [{"Type": "volume", "Source": "mine", "Target": "/mine"}]},
        "Mounts": [
            {"Type": "volume", "Name": "mine", "Destination": "/mine"},
            {"Type": "volume", "Name": "f00", "Destination": "/data"},
            {"Type": "bind", "Source": "/srv", "Destination": "/srv"},
        ],
    }
    assert wire.container_status(answer).unasked_volumes == {"/data": "f00"}
    assert (
        wire.container_status(
            {"Id": "1", "Name": "/web", "State": {}, "Mounts": None}
        ).unasked_volumes
        == {}
    )


def test_the_volumes_of_an_image() -> None:
    assert image_wire.image_info(
        {"Config": {"Volumes": {"/data/": {}, "/a": {}}}}, "nginx"
    ).volumes == (
        "/a",
        "/data",
    )
    assert image_wire.image_info({"Config": {"Volumes": None}}, "nginx").volumes == ()


def test_limits() -> None:
    host = wire.create_body(replace(SPEC, memory=64 << 20, cpus=0.29, pids=20))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert (host["NanoCpus"], host["PidsLimit"]) == (290_000_000, 20)


def test_a_container_run_once_is_not_started_again() -> None:
    assert wire.create_body(replace(SPEC, restarts=False))["HostConfig"]["RestartPolicy"] == {
        "Name": "no"
    }


def test_files_and_networks_are_no_part_of_it() -> None:
    assert wire.create_body(
        replace(SPEC, files={"/run/secrets/key": "k"}, networks=("db",))
    ) == wire.create_body(SPEC)


def test_endings_are_asked_for_by_label() -> None:
    assert json.loads(wire.endings_filter({"a": "b", "c": ""})) == {
        "type": ["container"],
        "event": ["die", "stop", "destroy", "pause", "unpause", "health_status"],
        "label": ["a=b", "c="],
    }


def test_a_restarting_container_is_not_running() -> None:
    # Docker says Running and Restarting at once.
    status = wire.container_status(
        {
            "Id": "f" * 64,
            "Name": "/web",
            "RestartCount": 4,
            "State": {"Running": True, "Restarting": True, "ExitCode": 137, "OOMKilled": True},
        }
    )
    assert (status.running, status.restarting, status.restarts, status.exit_code) == (
        False,
        True,
        4,
        137,
    )
    assert status.oom_killed
    assert (status.name, status.health, dict(status.labels), port_of(status)) == (
        "web",
        None,
        {},
        0,
    )


@pytest.mark.parametrize(
    ("health", "read"),
    [({"Status": "healthy"}, "healthy"), ({"Status": "none"}, None), ({}, None), (None, None)],
)
def test_health(health: dict[str, str] | None, read: str | None) -> None:
    status = wire.container_status({"Id": "1", "Name": "/web", "State": {"Health": health}})
    assert status.health == read


def test_a_port_the_engine_chose_is_found() -> None:
    status = wire.container_status(
        {
            "Id": "1",
            "Name": "/web",
            "State": {},
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
            "NetworkSettings": {
                "Ports": {"443/tcp": None, "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]}
            },
        }
    )
    assert port_of(status) == 32768


def test_the_stop_timeout_is_the_containers_own() -> None:
    assert wire.stop_timeout_s({"Config": {"StopTimeout": 0}}) == 0
    assert wire.stop_timeout_s({"Config": {}}) == 10


@pytest.mark.parametrize(
    ("config", "ports"),
    [
        ({"ExposedPorts": {"8080/tcp": {}, "53/udp": {}, "443": {}, "9/sctp": {}}}, (443, 8080)),
        ({"ExposedPorts": None}, ()),
        (None, ()),
    ],
)
def test_tcp_ports(config: dict[str, object] | None, ports: tuple[int, ...]) -> None:
    assert image_wire.image_info({"Config": config}, "nginx").tcp_ports == ports


@pytest.mark.parametrize(
    ("healthcheck", "has"),
    [
        ({"Test": ["CMD", "true"]}, True),
        ({"Test": ["NONE"]}, False),
        ({"Test": []}, False),
        ({}, False),
        (None, False),
    ],
)
def test_healthcheck(healthcheck: dict[str, object] | None, has: bool) -> None:
    assert (
        image_wire.image_info({"Config": {"Healthcheck": healthcheck}}, "nginx").has_healthcheck
        is has
    )


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("yesterday", None),
    ],
)
def test_created(text: str | None, created: datetime | None) -> None:
    assert image_wire.image_info({"Created": text}, "nginx").created == created


@pytest.mark.parametrize(
    ("ref", "digests", "own"),
    [
        ("nginx", [f"nginx@{ONE}"], ONE),
        (f"docker.io/library/nginx@{ONE}", [f"nginx@{ONE}"], ONE),
        ("docker.io/acme/app:v1", [f"acme/app@{ONE}"], ONE),
        (
            "git.example.com:3000/acme/app:v1",
            [f"acme/app@{ONE}", f"git.example.com:3000/acme/app@{TWO}"],
            TWO,
        ),
        (f"nginx@{TWO}", [f"nginx@{ONE}", f"nginx@{TWO}"], TWO),
        ("nginx:v1", [f"other@{ONE}"], None),
        ("nginx:v1", [], None),
        (f"sha256:{'3' * 64}", [f"nginx@{ONE}", "<none>@<none>"], None),
    ],
)
def test_the_digest_is_that_of_the_same_repository(
    ref: str, digests: list[str], own: Digest | None
) -> None:
    assert image_wire.own_digest(ref, digests) == own


def registry(username: str, password: str | None = None) -> Registry:
    url = "https://git.example.com"
    return Registry(
        id="1", name="mine", url=url, kind=RegistryKind.OCI, username=username, password=password
    )


def decoded(header: str | None) -> object:
    assert header is not None
    return json.loads(base64.urlsafe_b64decode(header))


def test_a_login_is_for_the_host_of_the_image() -> None:
    header = image_wire.registry_auth(
        parse_image_name("git.example.com/acme/app"), registry("me", "p:w/ü")
    )
    assert decoded(header) == {
        "username": "me",
        "password": "p:w/ü",
        "serveraddress": "git.example.com",
    }


def test_docker_hub_wants_its_historic_address() -> None:
    header = image_wire.registry_auth(parse_image_name("nginx"), registry("me", "secret"))
    assert decoded(header) == {
        "username": "me",
        "password": "secret",
        "serveraddress": "https://index.docker.io/v1/",
    }


def test_without_password_the_pull_is_anonymous() -> None:
    assert image_wire.registry_auth(parse_image_name("nginx"), None) is None
    assert image_wire.registry_auth(parse_image_name("nginx"), registry("me")) is None


def test_an_identity_token_goes_as_one() -> None:
    registry = Registry(
        id="1",
        name="hub",
        url="https://git.example.com",
        kind=RegistryKind.OCI,
        username="<token>",
        password="t",
    )
    auth = image_wire.registry_auth(parse_image_name("git.example.com/acme/app"), registry)
    assert auth is not None
    assert json.loads(base64.urlsafe_b64decode(auth)) == {
        "identitytoken": "t",
        "serveraddress": "git.example.com",
    }


@pytest.mark.parametrize(
    ("ended", "began", "since", "until"),
    [
        # It runs again, and: it has ended again after a run of eight seconds.
        ("2026-11-29T10:00:05Z", "2026-11-29T10:00:06Z", 4, 7),
        ("2026-11-29T10:00:14Z", "2026-11-29T10:00:06Z", 13, 15),
    ],
)
def test_the_last_death_is_looked_for_where_it_was(
    ended: str, began: str, since: int, until: int
) -> None:
    hour = int(datetime(2026, 11, 29, 10, tzinfo=UTC).timestamp())
    asked = wire.last_death({"Id": "c1", "State": {"FinishedAt": ended, "StartedAt": began}})
    assert asked is not None
    assert (asked["since"], asked["until"]) == (str(hour + since), str(hour + until))
