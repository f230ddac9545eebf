"""The page of all senders, from what the pages of the server and the tests of the formats know.

`python -m tools.reference` writes it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tagboat.web.ci_snippets import URL_SECRET, ci_snippets
from tagboat.web.sender_steps import SENDER_GUIDES, SenderGuide

ROOT = Path(__file__).parent.parent
SENDERS = ROOT / "docs" / "senders.md"
FIXTURES = ROOT / "tests" / "unit" / "webhook" / "formats" / "fixtures"
EXAMPLES = {
    "gitea": ("gitea/container_created", "Gitea, Forgejo"),
    "ghcr": ("ghcr/package_published", "GitHub (GHCR)"),
    "gitlab": ("distribution/tag_pushed", "Distribution, GitLab self-managed"),
    "distribution": ("distribution/two_tags_of_version_2", "Distribution, GitLab self-managed"),
    "dockerhub": ("dockerhub/push", "Docker Hub"),
    "harbor": ("harbor/push_artifact", "Harbor 1 and 2"),
    "quay": ("quay/push", "Quay"),
    "acr": ("acr/push", "Azure (ACR), its own webhook"),
    "acr-event-grid": ("acr-event-grid/image_pushed", "Azure (ACR), Event Grid"),
    "ecr": ("ecr/push", "Amazon (ECR), EventBridge"),
    "gcr": ("gcr/insert", "Google (GCR, Artifact Registry)"),
    "jfrog": ("jfrog/pushed", "JFrog Artifactory"),
    "nexus": ("nexus/component_created", "Sonatype Nexus"),
    "zot": ("zot/image_updated", "Zot"),
    "aliyun": ("aliyun/push", "Alibaba Cloud (Aliyun)"),
    "keel": ("keel/plain", "Keel"),
    "cloudevents": ("cloudevents/structured", "other CloudEvents"),
}
"""By the key of a sender: a call that it makes, and its row in docs/webhooks.md."""

MORE = {
    "gitea": "webhooks.md#gitea-and-forgejo",
    "acr-event-grid": "webhooks.md#other-senders",
    "ecr": "webhooks.md#other-senders",
}
"""Where a sender's other peculiarities stand, by its key."""
_HEAD = """# Every sender

This page is made from the steps that the page *Connect* of your server shows, where they stand with
your own URL. [Webhooks](webhooks.md) has what is the same for all senders.

The **webhook URL** is what this prints. It contains the secret: treat it as a password.

```sh
tagboat webhook url
```

**Was it heard?** The first command has the last call of each sender and each registry. The second
has every call, what came of it, and why. The page *Connect* waits for a call while you try.

```sh
tagboat webhook heard
tagboat deliveries
```

If a call is not there, it did not arrive, or the secret in its URL was wrong (the sender got 404):
look at the sender's own log. Tagboat polls as well, so that a push is not lost, only later.

## From CI

Keep the URL as the secret `{secret}` of your CI. Add the step after the one that pushes.
"""
_HOSTLESS = """
It does not name the host of its images: with several registries, give it a URL that ends with
`?registry=NAME`. `tagboat webhook url --registry NAME` prints it.
"""


def render_senders() -> str:
    """Return the page as Markdown."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    rows = dict(_rows(text.partition("| sender |")[2].partition("\n\n")[0]))
    snippets = ci_snippets("git.example.com/acme/shop")
    parts = [_HEAD.format(secret=URL_SECRET)]
    for one in snippets:
        kind = "sh" if one.name == "curl" else "yaml"
        parts.append(f"\n### {one.name}\n\nIn {one.where}:\n\n```{kind}\n{one.text}```\n")
    parts += ["\n## From the registry itself\n"]
    parts += [_section(guide, rows) for guide in SENDER_GUIDES]
    return "".join(parts)


def _rows(table: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for line in table.splitlines()[2:]:
        sender, mark, counts = (cell.strip(" *") for cell in line.strip("|").split(" | "))
        yield sender, (mark, counts)


def _section(guide: SenderGuide, rows: dict[str, tuple[str, str]]) -> str:
    case, row = EXAMPLES[guide.key]
    mark, counts = rows[row]
    steps = "".join(f"{number}. {step}\n" for number, step in enumerate(guide.steps, 1))
    text = f"\n### {guide.name}\n\n{steps}"
    if guide.note:
        text += f"\n{guide.note}\n"
    if guide.hostless:
        text += _HOSTLESS
    if guide.key in MORE:
        text += f"\n[More about it]({MORE[guide.key]}).\n"
    text += f"\n*Recognised by:* {mark}. *What counts:* {counts}.\n"
    return text + _example(case)


def _example(case: str) -> str:
    headers = json.loads((FIXTURES / f"{case}.meta.json").read_text())["headers"]
    own = [f"{name}: {value}" for name, value in headers.items() if _tells(name)]
    body = json.dumps(json.loads((FIXTURES / f"{case}.json").read_text()), indent=2)
    sent = "\n".join([*own, *([""] if own else []), body])
    lines = "".join(f"    {line}".rstrip() + "\n" for line in f"```text\n{sent}\n```".splitlines())
    return f'\n??? note "What it sends, for example"\n\n{lines}'


def _tells(header: str) -> bool:
    """Return whether a header says what the call is."""
    return re.fullmatch(r"(?i)x-.*(event|webhook-id).*|ce-.*", header) is not None
