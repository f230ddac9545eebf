"""The command that does what each operation of the API does."""

from dataclasses import dataclass
from pathlib import Path

from tests.unit.cli.fake_server import HOOK, REGISTRY, VOLUME, FakeServer, page


@dataclass(frozen=True)
class OperationCommand:
    """A command line, and what is piped into it. `{tmp}` stands for an empty directory.

    `listed_by` is the operation that it calls instead, whose answer has the same in it.
    """

    line: str
    piped: str = ""
    listed_by: str = ""


_YAML = "settings: {auto_create: true}\n"
_BY_OPERATION = {
    "get_health": "status",
    "get_overview": "status",
    "list_projects": "projects list",
    "create_project": "projects create acme/app",
    "get_project": "env set app A=1",
    "change_project": "projects edit app --port 1",
    "delete_project": "projects delete app --yes",
    "list_tags": "projects tags app",
    "preview_pattern": "stages preview app *",
    "poll_all_projects": "poll",
    "poll_project": "poll app",
    "list_all_stages": "stages list",
    "list_stages": "projects show app",
    "create_stage": "stages add app qa --pattern *",
    "get_stage": "env unset app dev LOG_LEVEL",
    "change_stage": "stages edit app dev --position 1",
    "delete_stage": "stages delete app dev --yes",
    "read_stage_log": "logs app dev",
    "create_deploy": "deploy app dev v1",
    "follow_events": "deploy app dev v1 --wait",
    "list_deploys": "deploys list",
    "get_deploy": "deploys show d1",
    "show_deploy_changes": "deploys changes d1",
    "roll_back": "rollback app dev",
    "show_rollback": "rollback app dev --preview",
    "promote": "promote app dev dev",
    "preview_promotion": "promote app dev dev --preview",
    "cancel_deploy": "cancel d1",
    "cancel_stage": "cancel app dev",
    "hold_stage": "hold app dev",
    "restart_stage": "restart app dev",
    "stop_stage": "stop app dev",
    "start_stage": "start app dev",
    "run_one_off": "run app dev -- true",
    "adopt_container": "adopt web --yes",
    "release_stage": "release app dev",
    "list_stage_history": "stages history app dev",
    "list_pending_changes": "stages pending app dev",
    "list_instances": "instances list",
    "read_logs": "instances logs i1",
    "list_registries": "registries list",
    "create_registry": "registries add Ours https://git.example.com",
    "change_registry": "registries change Ours --name Theirs",
    "delete_registry": "registries remove Ours --yes",
    "check_registry": "registries test Ours",
    "list_images": "images Ours",
    "list_image_tags": "tags acme/app",
    "list_hooks": "webhook list",
    "create_hook": "webhook add app forge",
    "change_hook": "webhook rename app ci forge",
    "rotate_hook": "webhook rotate app ci --yes",
    "revoke_hook": "webhook revoke app ci --yes",
    "list_deliveries": "deliveries list",
    "get_delivery": "deliveries show v1",
    "redeliver": "deliveries redeliver v1",
    "list_heard": "webhook heard",
    "explain_push": "explain acme/app:v1",
    "get_settings": "settings list",
    "change_settings": "settings set images_keep 4",
    "get_webhook": "webhook url",
    "get_webhook_signature": "webhook signature",
    "delete_webhook_signature": "webhook unsign",
    "regenerate_webhook": "webhook regenerate --yes",
    "get_config": "export",
    "get_config_schema": "export --schema",
    "list_users": "users list",
    "create_setup_link": "users setup-link",
    "create_sign_in_link": "users sign-in-link Anna",
    "change_user": "users edit Anna --role admin",
    "delete_user": "users delete Anna --yes",
    "sign_user_out": "users sign-out Anna",
    "get_me": "whoami",
    "list_tokens": "tokens list",
    "create_token": "tokens create deploys",
    "delete_token": "tokens delete ci --yes",
    "list_audit": "audit",
    "export_audit": "audit --export {tmp}/audit.jsonl",
    "get_disk": "volumes",
}
OPERATION_COMMANDS = {name: OperationCommand(line) for name, line in _BY_OPERATION.items()} | {
    "set_webhook_signature": OperationCommand("webhook sign hmac-sha256", "a long secret"),
    "plan_config_change": OperationCommand("diff -", _YAML),
    "apply_config": OperationCommand("apply -", _YAML),
    "create_user": OperationCommand("users create Berta", "correct horse battery"),
    "get_registry": OperationCommand("registries show Ours", listed_by="list_registries"),
    "get_hook": OperationCommand("webhook show app ci", listed_by="list_hooks"),
    "get_user": OperationCommand("users show Anna", listed_by="list_users"),
    "get_token": OperationCommand("tokens list", listed_by="list_tokens"),
}
WITHOUT_COMMAND = {
    "get_liveness": "for orchestrators; `status` says more",
    "get_readiness": "for orchestrators; `status` says more",
    "get_metrics": "for Prometheus",
    "ask_ingress": "for the front on the same machine",
    "call_webhook": "for senders; `explain` shows the outcome, `poll` and `deploy` bring it about",
    "change_own_password": "for a session of the pages; `users reset-password` does it here",
}
"""Operations that no person orders, each with its reason."""


def words_of(command: OperationCommand, directory: Path) -> list[str]:
    """Return the words of a command, with `directory` for `{tmp}`."""
    return command.line.replace("{tmp}", str(directory)).split(" ")


def with_all_things(server: FakeServer) -> None:
    """Let the fake have one of each thing that commands look for by its name."""
    server.answers |= {
        "GET /api/registries": page(REGISTRY),
        "GET /api/projects/p1/webhooks": page(HOOK),
        "GET /api/disk": {
            "disks": [],
            "taken": {"images": 1, "images_bytes": 1, "volumes": [VOLUME]},
        },
    }
