"""All that is not as the documents have it, when their commands are run: each with its reason."""

import re
from dataclasses import dataclass

from tests.documents.registries import PASSWORD
from tests.documents.shell import YES

EMPTY = frozenset(
    {
        "README.md",
        "docs/index.md",
        "docs/installing.md",
        "docs/moving-in.md",
        "docs/guides/first-project.md",
        "docs/guides/monorepos.md",
        "docs/guides/stages.md",
    }
)
"""Pages for a reader whose server knows nothing yet. All others find projects and deploys."""

BEFORE = {"docs/guides/stages.md": "tagboat projects create git.example.com/acme/shop"}
"""What the reader of a page has done before, if the page says so."""

PLACES = {
    "IMAGE:TAG": "git.example.com/acme/shop:v1.4.0",
    "IMAGE": "{image}",
    "PROJECT": "shop",
    "STAGE": "{stage}",
    "TAG": "v1.4.0",
    "--port N": "--port 8080",
    "DEPLOY": "{deploy}",
    "ID": "{delivery}",
    "registries test NAME": "registries test forge",
    "--registry NAME": "--registry forge",
    "--domain NAME": "--domain shop.example.com",
    "webhook rotate shop NAME": "webhook rotate shop ci",
    "users create NAME": "users create eva",
    "users delete NAME": "users delete ben",
    "tokens create NAME": "tokens create deploys",
    "users reset-password NAME": "users reset-password ada",
    "users sign-out NAME": "users sign-out ada",
    "users sign-in-link NAME": "users sign-in-link ada",
    "backup FILE": "backup tagboat.tar.gz",
    "--export FILE": "--export audit.jsonl",
    "settings set NAME VALUE": "settings set images_keep 4",
    "sign KIND shop NAME": "sign hmac-sha256 shop ci",
    "import compose FILE": "import compose compose.yaml",
    "Bearer TOKEN": "Bearer {token}",
    "URL/api": "{url}/api",
    "/backup/": "",
    "/var/lib/tagboat": "{data_dir}",
}
"""What stands for a reader's own name or place, and what it is here; the longest first."""

ANSWERS = {
    "tagboat registries add": PASSWORD,
    "tagboat users create": PASSWORD,
    "tagboat users reset-password": PASSWORD,
    "tagboat secrets set": PASSWORD,
    "tagboat webhook sign": PASSWORD,
    "tagboat adopt": YES,
    "tagboat stages delete": YES,
    "tagboat users delete": YES,
    "tagboat webhook regenerate": YES,
    "tagboat webhook rotate": YES,
}
"""What a command asks its reader, who types it or confirms."""

FAILS = {
    "tagboat diff": "exit code 1 if anything would change",
}
"""Commands that may exit with 1, and where the page says so."""

ENDLESS = {
    "/api/events": "goes on until its reader ends it",
}
"""Commands that are ended after two seconds, and must not have ended before."""


@dataclass(frozen=True)
class Elsewhere:
    """Commands that cannot be run in this scene: why, and the test that runs them for real."""

    begins: str
    reason: str
    test: str


ELSEWHERE = (
    Elsewhere(
        "tagboat serve",
        "runs already, and until it is ended",
        "tests/acceptance/test_start.py::test_ready_is_one_line_and_a_signal_the_end",
    ),
    Elsewhere(
        "tagboat edge",
        "runs until it is ended, and needs PostgreSQL and HAProxy",
        "tests/acceptance/test_edge.py::test_a_switch_waits_for_an_edge_that_does_not_follow",
    ),
    Elsewhere(
        "tagboat ingress run",
        "runs until it is ended, and needs HAProxy",
        "tests/integration/test_ingress_run.py::test_servers_come_and_go_and_lead_the_one_haproxy",
    ),
    Elsewhere(
        "tagboat ingress stop",
        "needs HAProxy",
        "tests/integration/test_ingress_run.py::test_status_and_stop",
    ),
    Elsewhere(
        "tagboat login",
        "is for another machine than the server's",
        "tests/integration/test_account_commands.py::"
        "test_the_first_admin_is_made_on_the_servers_machine",
    ),
    Elsewhere(
        "tagboat logout",
        "forgets what `tagboat login` has kept",
        "tests/integration/test_account_commands.py::"
        "test_the_first_admin_is_made_on_the_servers_machine",
    ),
    Elsewhere(
        "tagboat users setup-link",
        "is refused once there is an account",
        "tests/integration/test_account_commands.py::"
        "test_the_first_admin_is_made_on_the_servers_machine",
    ),
    Elsewhere(
        "tagboat restore",
        "needs an empty data directory without a server",
        "tests/integration/test_backup.py::test_a_database_in_use_is_restored_with_its_secrets",
    ),
    Elsewhere(
        "tagboat uninstall",
        "needs a stopped server and a Docker engine",
        "tests/acceptance/test_moving.py::"
        "test_every_live_stage_comes_up_elsewhere_and_nothing_is_left_at_the_end",
    ),
    Elsewhere(
        "tagboat rotate-key",
        "needs a stopped server",
        "tests/contract/test_rotation.py::test_all_can_be_read_after_it_and_by_the_new_key_alone",
    ),
    Elsewhere(
        "tagboat adopt CONTAINER",
        "is the form of what the page has with a name",
        "tests/acceptance/test_adopting.py::test_a_container_is_replaced_without_a_lost_request",
    ),
    Elsewhere(
        "tagboat adopt shop-db-1",
        "is for one more container, with data",
        "tests/acceptance/test_adopting.py::test_an_app_with_data_keeps_it",
    ),
    Elsewhere(
        "tagboat adopt shop-web-8f3c2a1",
        "is for a container of Kamal's",
        "tests/acceptance/test_adopting.py::test_a_container_is_replaced_without_a_lost_request",
    ),
    Elsewhere(
        "apt install",
        "installs packages on the machine",
        "tests/integration/test_wheel.py::test_it_serves_its_pages_and_finds_nothing_wrong",
    ),
    Elsewhere(
        "pipx install",
        "installs the wheel of a release",
        "tests/integration/test_wheel.py::test_it_serves_its_pages_and_finds_nothing_wrong",
    ),
    Elsewhere(
        "useradd",
        "makes a user of the machine",
        "tests/unit/test_contrib.py::test_systemd_finds_nothing_to_say_of_it",
    ),
    Elsewhere(
        "cp /opt/pipx",
        "changes the machine's services",
        "tests/integration/test_wheel.py::test_the_wheel_has_every_file_of_the_package",
    ),
    Elsewhere(
        "systemctl",
        "changes the machine's services",
        "tests/unit/test_contrib.py::test_systemd_finds_nothing_to_say_of_it",
    ),
    Elsewhere(
        "docker network create",
        "is the engine's own; it is there already",
        "tests/acceptance/test_run_options.py::"
        "test_everything_of_the_machine_that_may_be_given_is_there",
    ),
    Elsewhere(
        "docker swarm",
        "makes a swarm of the machine",
        "tests/acceptance/test_swarm.py::"
        "test_two_replicas_are_updated_and_lose_a_node_without_a_lost_request",
    ),
    Elsewhere(
        "tagboat stages edit shop prod --set replicas",
        "needs a swarm",
        "tests/acceptance/test_swarm.py::"
        "test_two_replicas_are_updated_and_lose_a_node_without_a_lost_request",
    ),
    Elsewhere(
        "tagboat stages edit shop prod --set 'constraints",
        "needs a swarm",
        "tests/acceptance/test_swarm.py::test_an_app_with_data_needs_one_node_and_stays_on_it",
    ),
    Elsewhere(
        "docker tag",
        "is the engine's own",
        "tests/acceptance/test_push_to_running.py::test_the_registrys_own_notification_deploys",
    ),
    Elsewhere(
        "docker push",
        "is the engine's own",
        "tests/acceptance/test_push_to_running.py::test_the_registrys_own_notification_deploys",
    ),
    Elsewhere(
        "docker compose",
        "needs the image of Tagboat, and an engine",
        "tests/image/test_compose.py::test_it_is_this_version_and_finds_nothing_wrong",
    ),
)

_BECOMES = re.compile(r"^sudo (-u \w+ )?(\w+=\S+ )*")


def elsewhere(typed: str) -> Elsewhere | None:
    """Return where a command is run, if it cannot be here."""
    own = _BECOMES.sub("", typed)
    return next((row for row in ELSEWHERE if own.startswith(row.begins)), None)


def filled_in(typed: str, found: dict[str, str]) -> str:
    """Return a command with names of this scene; `found` are those that change."""
    for place, here in PLACES.items():
        edge = r"\b" if place.isupper() else ""
        typed = re.sub(f"{edge}{re.escape(place)}{edge}", here, typed)
    for name, value in found.items():
        typed = typed.replace(f"{{{name}}}", value)
    return typed
