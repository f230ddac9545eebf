"""Containers of others as the engine's answers describe them."""

from typing import Any

from tagboat.core.container_facts import VolumeMount
from tagboat.core.host_access import Bind, Device, Published
from tagboat.runtime.docker.container_wire import container_facts

EVERYWHERE = "0.0.0.0"  # noqa: S104 - as engines have it
IMAGE: dict[str, Any] = {
    "RepoTags": ["shop:v1"],
    "RepoDigests": ["shop@sha256:" + "a" * 64],
    "Config": {"Env": ["PATH=/bin"], "Cmd": ["serve"], "StopSignal": "SIGQUIT"},
}
PLAIN: dict[str, Any] = {
    "Id": "c" * 64,
    "Name": "/web",
    "State": {"Running": True},
    "Config": {"Image": "shop:v1", "Env": ["PATH=/bin", "A=b=c"], "StopSignal": "SIGQUIT"},
    "HostConfig": {
        "NetworkMode": "default",
        "IpcMode": "private",
        "ShmSize": 64 << 20,
        "PidsLimit": -1,
        "Runtime": "runc",
    },
    "NetworkSettings": {"Networks": {"bridge": {}}, "Ports": {"8080/tcp": None}},
    "Mounts": [],
}


def changed(part: str, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {**PLAIN, part: {**PLAIN[part], **values}}


def test_a_plain_container() -> None:
    facts = container_facts(PLAIN, IMAGE)
    assert (facts.name, facts.image, facts.running) == ("web", "shop:v1", True)
    assert (facts.image_names, facts.env) == (("shop:v1",), {"PATH": "/bin", "A": "b=c"})
    assert (facts.networks, facts.published, facts.shm_size, facts.pids) == ((), (), 0, 0)
    assert (facts.stop_signal, facts.dangers, facts.remarks) == ("", (), ())
    assert "b=c" not in repr(facts)


def test_an_answer_with_the_least() -> None:
    facts = container_facts({"Id": "c", "Name": "/x"}, {})
    assert (facts.image, facts.running, facts.env) == ("", False, {})


def test_ports_are_each_told_once() -> None:
    both = [{"HostIp": EVERYWHERE, "HostPort": "80"}, {"HostIp": "::", "HostPort": "80"}]
    loopback = [{"HostIp": "127.0.0.1", "HostPort": "53"}]
    facts = container_facts(
        changed("NetworkSettings", Ports={"8080/tcp": both, "53/udp": loopback, "1/tcp": None}),
        IMAGE,
    )
    assert facts.published == (
        Published(EVERYWHERE, 80, 8080),
        Published("127.0.0.1", 53, 53, "udp"),
    )


def test_mounts_limits_and_rights() -> None:
    mounts = [
        {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True},
        {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": False},
        {"Type": "tmpfs", "Destination": "/t"},
    ]
    facts = container_facts(
        {
            **changed(
                "HostConfig",
                Tmpfs={"/cache": "size=1m"},
                Mounts=[{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 9}}],
                Memory=1 << 30,
                NanoCpus=1_500_000_000,
                PidsLimit=9,
                ShmSize=1 << 20,
                CapAdd=["CAP_NET_ADMIN"],
                ExtraHosts=["db:10.0.0.5", "v6:[::1]"],
                Devices=[{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b"}],
                ReadonlyRootfs=True,
                Init=True,
            ),
            "Mounts": mounts,
        },
        IMAGE,
    )
    assert facts.volumes == (VolumeMount("data", "/data"),)
    assert facts.binds == (Bind("/srv", "/srv", read_only=True),)
    assert facts.tmpfs == {"/cache": "size=1m", "/t": "size=9"}
    assert (facts.memory, facts.cpus, facts.pids, facts.shm_size) == (1 << 30, 1.5, 9, 1 << 20)
    assert facts.extra_hosts == {"db": "10.0.0.5", "v6": "::1"}
    assert facts.devices == (Device("/dev/a", "/dev/b"),)
    assert (facts.read_only, facts.init, facts.cap_add) == (True, True, ("NET_ADMIN",))
    quota = container_facts(changed("HostConfig", CpuQuota=50_000, CpuPeriod=100_000), IMAGE)
    assert quota.cpus == 0.5


def test_what_tagboat_cannot_give_is_named() -> None:
    host = changed(
        "HostConfig",
        Privileged=True,
        PidMode="host",
        IpcMode="container:x",
        Runtime="nvidia",
        DeviceRequests=[{}],
        NetworkMode="host",
        Ulimits=[{}],
        Dns=["1.1.1.1"],
        AutoRemove=True,
    )
    config = {**PLAIN["Config"], "WorkingDir": "/app", "Tty": True}
    facts = container_facts({**host, "Config": config}, IMAGE)
    assert (facts.shares_host, facts.auto_remove) == (True, True)
    assert len(facts.dangers) == 5
    said = "; ".join(facts.remarks)
    for part in ("ulimits", "dns", "working_dir /app", "terminal"):
        assert part in said


def test_other_names_on_networks() -> None:
    named = {"Aliases": ["web", "c" * 12]}
    facts = container_facts(changed("NetworkSettings", Networks={"a": named, "b": None}), IMAGE)
    assert (facts.networks, facts.aliases) == (("a", "b"), ("web",))
