"""The real server with its accounts, and an image that is pushed to it."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from playwright.sync_api import Page, StorageState

from tests.browser.windows import Windows, sign_in
from tests.support.images import push_image
from tests.support.server import Server

PASSWORD = "correct horse battery"
DEPLOY_MS = 60_000
"""A deploy takes seconds; a machine that is busy with other tests may take longer."""


def held_back(cmd: Sequence[str]) -> tuple[str, ...]:
    """The command of an app that begins with `cmd`, a line of the shell, after `House.let_go`.

    Its deploy is under way until then, however long a browser takes to show it.
    """
    *shell, line = cmd
    return (*shell, f"trap 'exit 0' TERM; until [ -e /go ]; do sleep 0.1; done; {line}")


@dataclass(slots=True)
class House:
    """A server with accounts, an image in a registry, and a browser."""

    server: Server
    windows: Windows
    image: str
    sessions: dict[str, StorageState] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its project."""
        return self.image.rpartition("/")[2]

    @property
    def project_path(self) -> str:
        """Where the API has its project."""
        found = self.server.items("/api/projects?limit=200")
        return f"/api/projects/{next(one['id'] for one in found if one['name'] == self.name)}"

    def signed_in(self, name: str, path: str = "/", **options: object) -> Page:
        """A page for an account in a browser of its own."""
        if name not in self.sessions:
            page = self.windows.page("/sign-in")
            sign_in(page, name, PASSWORD)
            self.sessions[name] = page.context.storage_state()
        return self.windows.page(path, storage_state=self.sessions[name], **options)

    def push(self, tag: str, **app: object) -> None:
        """Push a tag of its image, which nobody is told of; the app answers the tag."""
        host, _, repository = self.image.partition("/")
        push_image(host, repository, tag, **{"body": tag, **app})  # type: ignore[arg-type]

    def deploy(self, tag: str, **app: object) -> str:
        """Push a tag, and call the webhook for it; return the deploy's id."""
        self.push(tag, **app)
        return str(self.server.push(f"{self.image}:{tag}")["deploy"])

    def let_go(self, deploy: str) -> None:
        """Let the app of a deploy begin, which was held back."""
        docker = ("docker", "-H", self.server.engine_url)

        def begins() -> bool:
            named = ("ps", "-q", "--filter", f"label=tagboat.deploy={deploy}")
            found = subprocess.run((*docker, *named), capture_output=True, check=True, text=True)
            words = ("exec", found.stdout.strip(), "/bin/sh", "-c", ": > /go")
            done = subprocess.run((*docker, *words), capture_output=True, check=False)
            return done.returncode == 0

        self.server.until(begins, "the container of the deploy")

    def deployed(self, tag: str) -> str:
        """Push a tag, and await that it is live."""
        deploy = self.deploy(tag)
        ended = self.server.ended(deploy)
        assert ended["status"] == "succeeded", ended
        return deploy
