from typing import Any

import pytest

from tagboat.core.adoption import (
    AdoptionPlan,
    AdoptionWish,
    handover_words,
    is_seamless,
    plan_adoption,
)
from tagboat.core.catalog import Strategy
from tagboat.core.container_facts import ContainerFacts, VolumeMount
from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import ConflictError
from tagboat.core.host_access import Bind, Device, Published
from tagboat.core.image import ImageInfo
from tagboat.core.values import replace

DIGEST = "sha256:" + "a" * 64
INFO = ImageInfo(
    tcp_ports=(8080,),
    labels={"of": "image"},
    env=("PATH=/bin", "LANG=C"),
    entrypoint=("/run",),
    command=("serve",),
    volumes=("/var/lib/data",),
)
FACTS = ContainerFacts(
    id="c" * 64,
    name="shop-web-1",
    image="git.example.com/acme/shop:v1.4.0",
    running=True,
    image_names=("git.example.com/acme/shop:v1.4.0",),
    image_digests=(f"git.example.com/acme/shop@{DIGEST}",),
    info=INFO,
    labels={"of": "image"},
    env={"PATH": "/bin", "LANG": "C"},
    entrypoint=("/run",),
    command=("serve",),
    published=(Published("0.0.0.0", 80, 8080),),  # noqa: S104 - as engines have it
)


def planned(wish: AdoptionWish | None = None, **facts: Any) -> AdoptionPlan:  # noqa: ANN401 - any fact
    return plan_adoption(replace(FACTS, **facts), wish or AdoptionWish())


def test_a_plain_container_needs_nothing_that_its_image_says() -> None:
    plan = planned()
    assert plan.project == {"name": "shop", "port": 8080}
    assert plan.stage == {"name": "prod", "tag_pattern": "semver:1.x"}
    assert (str(plan.image), plan.tag, plan.digest) == (
        "git.example.com/acme/shop",
        "v1.4.0",
        DIGEST,
    )
    assert plan.endpoint == Endpoint("127.0.0.1", 80)
    assert (plan.dangers, plan.remarks, plan.secrets) == ((), (), {})


def test_a_person_s_choices_go_first() -> None:
    wish = AdoptionWish(project="store", stage="live", pattern="v*", port=9000)
    plan = planned(wish)
    assert plan.project == {"name": "store", "port": 9000}
    assert plan.stage == {"name": "live", "tag_pattern": "v*"}
    assert plan.endpoint is None


def test_all_that_differs_from_the_image_is_carried_over() -> None:
    plan = planned(
        labels={
            "of": "image",
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "team": "a",
            "tagboat.port": "1",
            "traefik.http.routers.w.rule": "Host(`shop.test`)",
        },
        env={"PATH": "/bin", "LANG": "de", "DB_PASSWORD": "hunter2", "TOKEN": ""},
        command=("work", "--api-key=hunter2"),
        user="1000",
        stop_signal="SIGINT",
        stop_timeout_s=30,
        memory=1 << 30,
        cpus=1.5,
        pids=100,
        shm_size=1 << 20,
        init=True,
        read_only=True,
        cap_add=("NET_ADMIN",),
        tmpfs={"/cache": ""},
        devices=(Device("/dev/kvm", "/dev/kvm"),),
        binds=(Bind("/srv/x", "/x", read_only=True),),
        extra_hosts={"db": "10.0.0.5"},
        networks=("shop_default",),
        aliases=("cache", "shop-web-1", "web"),
        volumes=(
            VolumeMount("shop_media", "/media"),
            VolumeMount("f" * 64, "/var/lib/data"),
            VolumeMount("other", "/ro", read_only=True),
        ),
    )
    assert plan.stage == {
        "name": "prod",
        "tag_pattern": "semver:1.x",
        "user": "1000",
        "stop_signal": "SIGINT",
        "stop_timeout_s": 30,
        "memory": 1 << 30,
        "cpus": 1.5,
        "pids": 100,
        "shm_size": 1 << 20,
        "init": True,
        "read_only": True,
        "cap_add": ["NET_ADMIN"],
        "tmpfs": {"/cache": ""},
        "devices": ["/dev/kvm:/dev/kvm:rwm"],
        "binds": ["/srv/x:/x:ro"],
        "extra_hosts": {"db": "10.0.0.5"},
        "networks": ["shop_default"],
        "labels": {"team": "a"},
        "command": ["work", "--api-key=hunter2"],
        "entrypoint": "image",
        "volumes": {"media": "/media", "other": "/ro"},
        "env": {"LANG": "de", "TOKEN": ""},
        "domains": ["shop.test"],
    }
    assert plan.secrets == {"DB_PASSWORD": "hunter2"}
    assert "hunter2" not in repr(replace(plan, stage={}))
    assert plan.adopted_volumes == {
        "media": "shop_media",
        "other": "other",
        "/var/lib/data": "f" * 64,
    }
    said = "; ".join(plan.remarks)
    for part in ("/ro was read-only", "not by web, cache; --project web keeps", "(--api-key)"):
        assert part in said
    assert "labels of Traefik" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("entrypoint", "command", "said"),
    [
        (("/run",), ("work",), {"entrypoint": "image", "command": ["work"]}),
        (("/other",), ("a",), {"entrypoint": ["/other"], "command": ["a"]}),
        (("/other",), (), {"entrypoint": ["/other"]}),
        (("",), ("a",), {"command": ["a"]}),
        (("/run",), ("serve",), {}),
    ],
)
def test_command_lines(
    entrypoint: tuple[str, ...], command: tuple[str, ...], said: dict[str, Any]
) -> None:
    stage = planned(entrypoint=entrypoint, command=command).stage
    assert {name: stage[name] for name in ("entrypoint", "command") if name in stage} == said


def test_ports() -> None:
    other = Published("0.0.0.0", 9090, 9090)  # noqa: S104 - as engines have it
    plan = planned(published=(other, *FACTS.published))
    assert (plan.project["port"], plan.published) == (8080, (9090, 80))
    assert "set publish to 0.0.0.0:9090:9090/tcp" in plan.remarks[0]
    assert planned(published=(other,)).project["port"] == 9090
    assert planned(published=(Published("10.0.0.1", 80, 8080),)).endpoint is None
    assert planned(published=(), info=replace(INFO, tcp_ports=())).project == {"name": "shop"}
    label = {"traefik.http.services.w.loadbalancer.server.port": "3000"}
    assert planned(labels=label).project["port"] == 3000
    assert planned(AdoptionWish(port=0), labels=label).project["port"] == 0


def test_healthchecks() -> None:
    of_image = ("CMD", "true")
    info = replace(INFO, healthcheck=of_image)
    assert "healthcheck" not in planned(info=info, healthcheck=of_image).project
    assert planned(healthcheck=("NONE",)).project["healthcheck"] == ""
    asks = ("CMD-SHELL", "curl -f http://localhost:8080/up")
    assert planned(healthcheck=asks).project["healthcheck"] == "/up"
    other = planned(healthcheck=("CMD", "pg_isready"))
    assert "healthcheck" not in other.project
    assert "HEALTHCHECK is not the image's" in other.remarks[0]


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"labels": {"tagboat.managed": "true"}}, "Tagboat has made it"),
        ({"labels": {"com.docker.swarm.service.id": "x"}}, "a service of Docker Swarm"),
        (
            {"labels": {"io.kubernetes.pod.name": "x"}, "image": "localhost:5000/shop:v1"},
            "'tagboat projects create localhost:5000/shop'",
        ),
        (
            {"auto_remove": True, "volumes": (VolumeMount("f" * 64, "/data"),)},
            "run the container again without --rm",
        ),
        ({"own": True}, "Tagboat itself runs"),
        ({"running": False}, "docker start shop-web-1"),
        ({"image": "sha256:" + "b" * 64, "image_names": ()}, "no name with a tag"),
        ({"image": f"git.example.com/acme/shop@{DIGEST}", "image_names": ()}, "no name with a tag"),
        ({"image_digests": ()}, "docker push git.example.com/acme/shop:TAG"),
        ({"image_digests": (f"docker.io/acme/shop@{DIGEST}",)}, "built on this machine"),
    ],
)
def test_what_cannot_be_taken_over(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ConflictError) as caught:
        planned(**facts)
    assert says in str(caught.value)


def test_the_tag_is_found_where_the_container_names_another() -> None:
    pinned = planned(image=f"git.example.com/acme/shop:v1.4.0@{DIGEST}")
    assert pinned.tag == "v1.4.0"
    by_id = planned(image="sha256:" + "b" * 64)
    assert (str(by_id.image), by_id.tag) == ("git.example.com/acme/shop", "v1.4.0")
    for local in ("b" * 12, "shop:local"):
        named = planned(image=local, image_names=("shop:local", *FACTS.image_names))
        assert (str(named.image), named.tag) == ("git.example.com/acme/shop", "v1.4.0")


def test_dangers() -> None:
    plan = planned(dangers=("it is privileged",), shares_host=True)
    assert plan.dangers[0] == "it is privileged"
    assert "network of the host" in plan.dangers[1]
    named = planned(auto_remove=True, volumes=(VolumeMount("shop_data", "/data"),))
    assert "cannot be started again" in named.dangers[0]


def words(plan: AdoptionPlan, strategy: Strategy, *, routes_traffic: bool = True) -> str:
    return " ".join(handover_words(plan, strategy, routes_traffic=routes_traffic))


def test_what_the_first_deploy_does_is_said() -> None:
    plan = planned()
    assert is_seamless(plan, Strategy.ROLLING, routes_traffic=True)
    seamless = words(plan, Strategy.ROLLING)
    assert "loses no request that comes through the ingress" in seamless
    assert "Clients of port 80 of this machine" in seamless
    down = words(replace(plan, stop_s=30), Strategy.RECREATE)
    assert "up to 30 s to stop" in down
    assert "requests through the ingress wait" in down
    hidden = plan.without_endpoint("it does not answer")
    assert "answers 503" in words(hidden, Strategy.ROLLING)
    assert hidden.remarks == ("it does not answer",)
    assert "There is no ingress" in words(plan, Strategy.ROLLING, routes_traffic=False)
    for other in (
        is_seamless(plan, Strategy.RECREATE, routes_traffic=True),
        is_seamless(plan, Strategy.ROLLING, routes_traffic=False),
        is_seamless(hidden, Strategy.ROLLING, routes_traffic=True),
    ):
        assert not other
