"""A service of a Compose file as a project of a configuration file. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tagboat.core.catalog import HEALTH_TIMEOUT_S
from tagboat.core.compose_mounts import MountImport
from tagboat.core.compose_parts import ComposeNote, ComposeSurroundings, told_apart
from tagboat.core.compose_reasons import NO_OPTION, REASONS, SAME_ANYWAY, SILENT
from tagboat.core.compose_values import (
    SAME_OPTIONS,
    as_bool,
    as_list,
    as_number,
    as_pairs,
    as_seconds,
    as_text,
    as_texts,
    as_words,
    parse_compose_port,
)
from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageName, parse_image_name, parse_image_ref
from tagboat.core.interpolation import SecretText, holds_secret
from tagboat.core.moving_in import (
    is_proxy_label,
    looks_secret,
    path_asked,
    pattern_for,
    secret_words,
    traefik_hosts,
    traefik_port,
)
from tagboat.core.run import KEEP_ENTRYPOINT

# A rule for all paths is none.
_WHOLE_HOST = re.compile(r"Path(?:Prefix)?\(`/`\)")
_HEALTH_KEYS = frozenset({"test", "disable", "interval", "start_period", "retries"})
_DEPLOY_LIMITS = {"memory": "mem_limit", "cpus": "cpus", "pids": "pids_limit"}


class ServiceImport:
    """The proposal for one service.

    `project` and `stage` are as in a configuration file, `secret_values` the values of its secrets,
    `file_variables` those of variables that become secret files, `tag` the tag that the file names,
    and `notes` say what is not carried over. Raises InvalidValueError without a usable image.
    """

    def __init__(
        self, service: str, body: Mapping[str, Any], surroundings: ComposeSurroundings
    ) -> None:
        self.service = service
        self.notes: list[ComposeNote] = []
        self.project: dict[str, Any] = {}
        self.stage: dict[str, Any] = {}
        self.secret_values: dict[str, str] = {}
        self.file_variables: dict[str, str] = {}
        self.tag = ""
        self._around = surroundings
        mounts = MountImport(self.project, surroundings, self.note)
        self._app_port: int | None = None
        self._carriers: Mapping[str, Callable[[Any], None]] = {
            "healthcheck": self.carry_healthcheck,
            "volumes": mounts.carry_volumes,
            "tmpfs": mounts.carry_tmpfs,
            "networks": self.carry_networks,
            "secrets": self.carry_secrets,
            "deploy": self.carry_deploy,
            "pids_limit": self.carry_pids,
            "extra_hosts": self.carry_extra_hosts,
        }
        # In this order: a health check is told from others by the port, and the port may stand in a
        # label.
        self.image = self.carry_image(body)
        labels = self._try("labels", self.carry_labels, body.get("labels")) or {}
        self._try("ports", lambda _: self.carry_ports(body, labels), None)
        self.carry_domains(labels)
        for key, value in body.items():
            self._carry(key, value)
        self._try("environment", lambda _: self.carry_environment(body), None)
        self._try("command", lambda _: self.carry_command(body), None)
        if self.project.get("read_only") and self.project.get("secret_files"):
            del self.project["read_only"]
            self.note("read_only", "the engine puts no secret_files into a read-only container")

    def note(self, key: str, reason: str) -> None:
        """Note something about a key of the service."""
        self.notes.append(ComposeNote(self.service, key, reason))

    def _try(self, key: str, carry: Callable[[Any], Any], value: object) -> Any:  # noqa: ANN401
        try:
            return carry(value)
        except InvalidValueError as error:
            self.note(key, str(error))
            return None

    def _carry(self, key: str, value: object) -> None:
        """Carry over a key that stands by itself, or note why not."""
        carry = self._carriers.get(key)
        if key in SILENT or key in _TOGETHER or key.startswith("x-") or value is None:
            return
        # A key that is carried over as it is would be written in the clear.
        if holds_secret(value):
            self.note(key, "has the value of a variable that looks like a secret; set it yourself")
        elif same := SAME_OPTIONS.get(key):
            self._try(key, lambda given: self.project.update({same[0]: same[1](given)}), value)
        elif carry is not None:
            self._try(key, carry, value)
        # What is switched off or empty, or is what Tagboat does, is nothing that anybody misses.
        # To Python, 0 is False, but here it is a value; and YAML may read `no` as a boolean.
        elif (value is not False or key == "restart") and value not in (
            *([], {}, ""),
            *SAME_ANYWAY.get(key, ()),
        ):
            self.note(key, REASONS.get(key, NO_OPTION))

    def carry_image(self, body: Mapping[str, Any]) -> ImageName:
        """Carry over the image, and a tag pattern by its tag."""
        given = body.get("image")
        if not given:
            reason = "has no image; Tagboat deploys images from a registry"
            raise InvalidValueError(f"{reason}: build it in your CI" if "build" in body else reason)
        text = as_text(given)
        name, at, _ = text.partition("@")
        # A colon before the last slash belongs to a port.
        last = name.rpartition("/")[2]
        if at:
            self.note("image", "the digest is not carried over: Tagboat resolves tags")
        if at and ":" not in last:
            image, pattern = parse_image_name(name), "*"
        else:
            ref = parse_image_ref(name)
            image, pattern, self.tag = ref.name, pattern_for(ref.tag), ref.tag
        self.project["image"] = str(image)
        self.stage["tag_pattern"] = pattern
        return image

    def carry_labels(self, value: object) -> dict[str, str]:
        """Carry over the labels, and return all of them."""
        labels = {name: text or "" for name, text in as_pairs(value or {}).items()}
        if hidden := [
            name
            for name, text in labels.items()
            if holds_secret(text)
            or (not is_proxy_label(name) and text and looks_secret(name, text))
        ]:
            self.note("labels", f"{', '.join(hidden)}: the value looks like a secret")
            labels = {name: text for name, text in labels.items() if name not in hidden}
        # Traefik would go on to route to the new container, past the ingress.
        kept = {name: text for name, text in labels.items() if not is_proxy_label(name)}
        if own := [name for name in kept if name.startswith("tagboat.")]:
            self.note(
                "labels", f"{', '.join(own)}: names that begin with tagboat. are Tagboat's own"
            )
        kept = {name: text for name, text in kept.items() if name not in own}
        if kept:
            self.project["labels"] = kept
        if len(kept) + len(own) < len(labels):
            self.note("labels", "those of Traefik, Watchtower and similar: Tagboat does their work")
        return labels

    def carry_ports(self, body: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        """Carry over the port of the app: Tagboat publishes no other by itself."""
        published, exposed = (
            [
                port
                for entry in as_list(body.get(key) or [])
                if (port := self._try(key, parse_compose_port, entry))
            ]
            for key in ("ports", "expose")
        )
        # What Traefik leads to is the app's, whatever else is published; else the first is.
        tcp = [one.port for one in (*published, *exposed) if one.protocol == "tcp"]
        app = traefik_port(labels) or next(iter(tcp), None)
        if app is not None:
            self.project["port"] = self._app_port = app
        for one in published:
            if one.port != app or one.protocol != "tcp":
                words = "is not the port of the app: if it is needed, add it to publish"
                self.note("ports", f"{one} {words}")
            elif one.host:
                words = "use the address of the stage, or its domain"
                self.note("ports", f"clients of the port {one.host} {words}")

    def carry_domains(self, labels: Mapping[str, str]) -> None:
        """Carry over the hosts that Traefik routes to the service."""
        if hosts := traefik_hosts(labels):
            self.stage["domains"] = hosts
            rules = (text for name, text in labels.items() if name.endswith(".rule"))
            if any("Path" in _WHOLE_HOST.sub("", text) for text in rules):
                self.note("labels", "Tagboat routes whole hosts, not paths")

    def carry_environment(self, body: Mapping[str, Any]) -> None:
        """Carry over the variables, secret ones apart; `environment` goes before `env_file`."""
        env: dict[str, str] = {}
        # As Compose has it: a later file wins, and `environment` over all files.
        for one in as_list(body.get("env_file") or []):
            path = as_text(one.get("path") if isinstance(one, dict) else one)
            required = not isinstance(one, dict) or as_bool(one.get("required", True))
            if isinstance(one, dict) and one.get("format"):
                self.note("env_file", f"{path}: the format is not read; variables are replaced")
            found = self._around.read_env_file(path)
            if found is None and required:
                self.note("env_file", f"{path} cannot be read; its variables are missing")
            env.update(found or {})
        for name, value in as_pairs(body.get("environment") or {}).items():
            known = self._around.variables.get(name)
            if value is None and known is None:
                self.note("environment", f"{name} has no value, and the variable is not set")
            else:
                env[name] = value if value is not None else str(known)
        plain: dict[str, str] = {}
        for name, text in env.items():
            # An empty value says more about the app than it hides.
            is_secret = bool(text) and (isinstance(text, SecretText) or looks_secret(name, text))
            (self.secret_values if is_secret else plain)[name] = text
        if plain:
            self.project["env"] = plain

    def carry_command(self, body: Mapping[str, Any]) -> None:
        """Carry over the command line: a new entrypoint drops the CMD of the image."""
        for key in ("command", "entrypoint"):
            if holds_secret(body.get(key)):
                raise InvalidValueError(
                    f"{key} has the value of a variable that looks like a secret"
                )
        command = as_words(body.get("command"))
        if named := secret_words([*as_words(body.get("entrypoint")), *command]):
            raise InvalidValueError(
                f"has what looks like a secret ({', '.join(named)}); let a shell read it from a"
                " variable that is a secret of the stage"
            )
        if body.get("entrypoint") is not None:
            # An empty one removes the image's own, as a command alone does here.
            if entrypoint := as_words(body["entrypoint"]):
                self.project["entrypoint"] = entrypoint
        elif command:
            # Compose's command is CMD only; Tagboat's is the whole command line without this.
            self.project["entrypoint"] = KEEP_ENTRYPOINT
        if command:
            self.project["command"] = command
        elif body.get("command") is not None and "entrypoint" not in self.project:
            self.note("command", "it is empty, and the image's own is used: Tagboat cannot drop it")
        elif body.get("entrypoint") is not None and "entrypoint" not in self.project:
            self.note("entrypoint", "it is empty, and the image's own is used without a command")

    def carry_healthcheck(self, value: object) -> None:
        """Carry over a test that asks a path of the app, or that there is none."""
        if not isinstance(value, dict):
            raise InvalidValueError("must be a map")
        words = as_texts(value.get("test") or [])
        if as_bool(value.get("disable", False)) or words[:1] == ["NONE"]:
            self.project["healthcheck"] = ""
            return
        if words:
            asked = path_asked(words)
            # A test of another port is no test of what requests are routed to.
            if asked is not None and asked[0] == (self._app_port or asked[0]):
                self.project["port"] = self._app_port = asked[0]
                self.project["healthcheck"] = asked[1]
            else:
                self.note(
                    "healthcheck",
                    "Tagboat asks a path of the app's port, or runs the HEALTHCHECK of the image:"
                    " set healthcheck to a path, or build the test into the image",
                )
        if more := sorted(value.keys() - _HEALTH_KEYS):
            self.note("healthcheck", f"{', '.join(more)}: Tagboat asks at its own pace")
        # Until then Compose calls the container `starting`, not `unhealthy`.
        needs = as_seconds(value.get("start_period", "0s")) + as_seconds(
            value.get("interval", "0s")
        ) * as_number(value.get("retries", 3))
        if needs > HEALTH_TIMEOUT_S:
            self.stage["health_timeout_s"] = min(int(needs), 3600)

    def carry_networks(self, value: object) -> None:
        """Carry over networks, by the names that they have on the engine."""
        options = value if isinstance(value, dict) else dict.fromkeys(as_texts(value))
        for name, own in options.items():
            if isinstance(own, dict) and own:
                said = ", ".join((*own, *as_texts(own.get("aliases") or [])))
                self.note("networks", f"{name}: {said}: others find the app by its project's name")
            known = self._around.networks.get(name)
            top = known if isinstance(known, dict) else {}
            given = top.get("name")
            if more := told_apart(top):
                self.note("networks", f"{name}: {', '.join(more)}: create the network with them")
            if top.get("external"):
                self.join(as_text(given or name))
            # One service alone has nobody to reach there, and a network of its own anyway.
            elif self._around.several:
                self.join(as_text(given or f"{self._around.project}_{name}"))

    def join(self, network: str) -> None:
        """Put the app on a network of the engine."""
        networks = self.project.setdefault("networks", [])
        if network not in networks:
            networks.append(network)

    def carry_secrets(self, value: object) -> None:
        """Carry over secrets that are files or variables here, as files in the container."""
        for entry in as_list(value):
            source = as_text(entry.get("source") if isinstance(entry, dict) else entry)
            target = as_text(entry.get("target") or source if isinstance(entry, dict) else source)
            top = self._around.secrets.get(source) or {}
            place = top if isinstance(top, dict) else {}
            # Tagboat writes them to /run/secrets only, where Compose has them by default.
            if "/" in target or not (place.get("file") or place.get("environment")):
                self.note("secrets", f"{source} has no file here that could be read")
                continue
            if isinstance(entry, dict) and (more := sorted(entry.keys() - {"source", "target"})):
                self.note("secrets", f"{source}: {', '.join(more)}: Tagboat has no option for it")
            path = as_text(place.get("file") or "")
            # Whole: nobody knows where the proposal will be saved.
            ref = f"file:{self._around.absolute(path)}"
            if not path:
                name = as_text(place["environment"])
                self.file_variables[name] = self._around.variables.get(name, "")
                ref = f"env:{name}"
            self.project.setdefault("secret_files", {})[target] = ref

    def carry_deploy(self, value: object) -> None:
        """Carry over the limits, which newer files have here."""
        if not isinstance(value, dict):
            raise InvalidValueError("must be a map")
        resources = value.get("resources")
        limits = resources.get("limits") if isinstance(resources, dict) else None
        if isinstance(limits, dict):
            for key, limit in limits.items():
                # Both forms may be there; Compose wants them to be equal.
                if key in _DEPLOY_LIMITS and limit:
                    self._carry(_DEPLOY_LIMITS[key], limit)
                elif limit:
                    self.note("deploy", f"resources.limits.{key}: {NO_OPTION}")
        if isinstance(resources, dict) and (more := sorted(resources.keys() - {"limits"})):
            self.note("deploy", f"resources.{', '.join(more)}: Tagboat sets limits only")
        if value.get("replicas") not in (None, *SAME_ANYWAY["scale"]):
            self.note("deploy", f"replicas: {REASONS['scale']}")
        placement = value.get("placement")
        given = placement.get("constraints") if isinstance(placement, dict) else None
        if isinstance(placement, dict) and isinstance(given, list):
            # Compose has spaces around the operator, Tagboat has none.
            wanted = json.dumps(["".join(as_text(one).split()) for one in given])
            self.note("deploy", f"placement: on a swarm, set constraints of the stage: {wanted}")
            placement = {key: value for key, value in placement.items() if key != "constraints"}
        carried = value | {"placement": placement, "resources": None, "replicas": None}
        if others := sorted(key for key in carried if carried[key]):
            self.note("deploy", f"{', '.join(others)}: Tagboat deploys in its own way")

    def carry_pids(self, value: object) -> None:
        """Carry over the limit of processes."""
        # Docker's words for no limit.
        if as_text(value) not in {"0", "-1"}:
            self.project["pids"] = int(as_number(value))

    def carry_extra_hosts(self, value: object) -> None:
        """Carry over addresses of hosts."""
        pairs = as_pairs(value, ":=").items()
        if bare := [name for name, address in pairs if not address]:
            self.note("extra_hosts", f"{', '.join(bare)} has no address")
        hosts = {name: str(address).strip("[]") for name, address in pairs if address}
        if hosts:
            self.project["extra_hosts"] = hosts


# Carried over before or after the others, because they depend on one another.
_TOGETHER: Sequence[str] = (
    *("labels", "ports", "expose", "environment", "env_file", "command", "entrypoint"),
)
