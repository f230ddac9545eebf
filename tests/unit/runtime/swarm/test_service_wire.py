import pytest

from tagboat.core.errors import EngineError
from tagboat.core.host_access import Device, Published
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.swarm.service_wire import (
    REPLICAS_LABEL,
    StoredFile,
    refuse_unknown,
    service_body,
    service_name,
)

IMAGE = "git.example.com/acme/app@sha256:" + "1" * 64
SPEC = WorkloadSpec(name="shop-prod-1a2b", image=IMAGE, labels={"tagboat.managed": "true"})


def body(spec: WorkloadSpec, *files: StoredFile) -> dict[str, object]:
    names = [name for name in (spec.network, *spec.networks) if name]
    return service_body(spec, files, [f"id-of-{name}" for name in names], attempt="a1")


def test_a_service_has_no_task_before_it_is_started() -> None:
    made = service_body(replace(SPEC, replicas=3), (), (), attempt="a1")
    assert made["Mode"] == {"Replicated": {"Replicas": 0}}
    assert made["Labels"][REPLICAS_LABEL] == "3"
    assert made["TaskTemplate"]["ContainerSpec"]["Labels"] == {"tagboat.managed": "true"}


def test_the_node_chooses_the_port_and_no_virtual_address_is_used() -> None:
    made = service_body(replace(SPEC, port=8080), (), (), attempt="a1")
    port = {"Protocol": "tcp", "TargetPort": 8080, "PublishMode": "host"}
    assert made["EndpointSpec"] == {"Mode": "dnsrr", "Ports": [port]}


def test_what_ends_is_started_again_unless_it_runs_once() -> None:
    for spec, condition in ((SPEC, "any"), (replace(SPEC, restarts=False), "none")):
        made = service_body(spec, (), (), attempt="a1")
        assert made["TaskTemplate"]["RestartPolicy"]["Condition"] == condition


def test_values_of_variables_are_no_templates() -> None:
    made = service_body(replace(SPEC, env={"X": "{{.Node.ID}} {{"}), (), (), attempt="a1")
    assert made["TaskTemplate"]["ContainerSpec"]["Env"] == ['X={{"{{"}}.Node.ID}} {{"{{"}}']


@pytest.mark.parametrize(
    ("entrypoint", "command", "given"),
    [
        (None, (), {}),
        (None, ("a",), {"Args": ["a"]}),
        ((), ("a", "b"), {"Command": ["a", "b"]}),
        (("e",), ("a",), {"Command": ["e"], "Args": ["a"]}),
    ],
)
def test_command_lines(
    entrypoint: tuple[str, ...] | None, command: tuple[str, ...], given: dict[str, list[str]]
) -> None:
    spec = replace(SPEC, entrypoint=entrypoint, command=command)
    made = service_body(spec, (), (), attempt="a1")["TaskTemplate"]["ContainerSpec"]
    assert {name: made[name] for name in ("Command", "Args") if name in made} == given


def test_limits_constraints_and_mounts() -> None:
    spec = replace(
        SPEC,
        memory=64 << 20,
        cpus=0.5,
        constraints=("node.hostname==n1",),
        volumes={"data": "/data"},
        tmpfs={"/cache": "size=2m,mode=1777"},
        shm_size=1 << 20,
        extra_hosts={"db": "10.0.0.5"},
        stop_timeout_s=3,
    )
    template = service_body(spec, (), (), attempt="a1")["TaskTemplate"]
    assert template["Resources"]["Limits"] == {
        "MemoryBytes": 64 << 20,
        "NanoCPUs": 500_000_000,
        "Pids": 4096,
    }
    assert template["Placement"] == {"Constraints": ["node.hostname==n1"]}
    container = template["ContainerSpec"]
    assert {one["Target"]: one.get("TmpfsOptions") for one in container["Mounts"]} == {
        "/data": None,
        "/cache": {"SizeBytes": 2 << 20, "Mode": 0o1777},
        "/dev/shm": {"SizeBytes": 1 << 20, "Mode": 0o1777},  # noqa: S108 - of a container
    }
    assert container["Hosts"] == ["10.0.0.5 db"]
    assert container["StopGracePeriod"] == 3_000_000_000


@pytest.mark.parametrize(
    ("options", "mount"),
    [
        ("", {"TmpfsOptions": {}}),
        ("size=4096", {"TmpfsOptions": {"SizeBytes": 4096}}),
        ("size=3k", {"TmpfsOptions": {"SizeBytes": 3 << 10}}),
        ("size=1g,mode=0700", {"TmpfsOptions": {"SizeBytes": 1 << 30, "Mode": 0o700}}),
        ("size=64m,ro", {"TmpfsOptions": {"SizeBytes": 64 << 20}, "ReadOnly": True}),
        ("ro,nosuid,rw", {"TmpfsOptions": {}}),
    ],
)
def test_options_of_a_tmpfs_are_passed_on_as_they_are(
    options: str, mount: dict[str, object]
) -> None:
    refuse_unknown(replace(SPEC, tmpfs={"/t": options}))
    made = service_body(replace(SPEC, tmpfs={"/t": options}), (), (), attempt="a1")
    (found,) = made["TaskTemplate"]["ContainerSpec"]["Mounts"]
    assert found == {"Type": "tmpfs", "Target": "/t", **mount}


def test_files_are_secrets_and_configs() -> None:
    secret = StoredFile("s1", "tagboat-1", "/run/secrets/key", is_secret=True)
    config = StoredFile("c1", "tagboat-2", "/etc/app.conf", is_secret=False)
    made = service_body(SPEC, (secret, config), (), attempt="a1")
    container = made["TaskTemplate"]["ContainerSpec"]
    assert [one["File"]["Name"] for one in container["Secrets"]] == ["key"]
    assert [one["SecretID"] for one in container["Secrets"]] == ["s1"]
    assert [one["File"]["Name"] for one in container["Configs"]] == ["/etc/app.conf"]


def test_networks_have_their_aliases() -> None:
    spec = replace(SPEC, network="own", networks=("more",), aliases={"own": ("shop-prod", "shop")})
    template = body(spec)["TaskTemplate"]
    assert isinstance(template, dict)
    assert template["Networks"] == [
        {"Target": "id-of-own", "Aliases": ["shop-prod", "shop"]},
        {"Target": "id-of-more", "Aliases": []},
    ]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(SPEC, devices=(Device("/dev/dri", "/dev/dri"),)), "devices"),
        (replace(SPEC, publish=(Published("127.0.0.1", 53, 53),)), "0.0.0.0:53:53"),
        (replace(SPEC, files={"/etc/empty": ""}), "/etc/empty is empty"),
        (replace(SPEC, tmpfs={"/t": "mode=700,uid=1000"}), "no option uid=1000 for /t"),
    ],
)
def test_what_services_cannot_do_is_refused(spec: WorkloadSpec, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        refuse_unknown(spec)


def test_names_fit_and_stay_apart() -> None:
    assert service_name("shop-prod-1a2b") == "shop-prod-1a2b"
    assert service_name("x" * 25) == "x" * 25, "ids stay as they are"
    long = service_name("a" * 80)
    assert len(long) <= 63
    assert long != service_name("a" * 81)
    assert service_name("a.b") != service_name("a-b")
    assert "." not in service_name("a.b")
