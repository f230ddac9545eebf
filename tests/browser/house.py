"""The real server with its accounts, and an image that is pushed to it."""

from dataclasses import dataclass, field

from playwright.sync_api import Page, StorageState

from tests.browser.windows import Windows, sign_in
from tests.support.images import push_image
from tests.support.server import Server

PASSWORD = "correct horse battery"
DEPLOY_MS = 60_000
"""A deploy takes seconds; a machine that is busy with other tests may take longer."""


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

    def deployed(self, tag: str) -> str:
        """Push a tag, and await that it is live."""
        deploy = self.deploy(tag)
        ended = self.server.ended(deploy)
        assert ended["status"] == "succeeded", ended
        return deploy
