import json
import subprocess

from tagboat.web.ci_snippets import URL_SECRET, Snippet, ci_snippets

SNIPPETS = {one.name: one for one in ci_snippets("git.example.com/acme/shop")}


def _command(snippet: Snippet) -> str:
    """The shell command of a step, which has two lines."""
    lines = snippet.text.splitlines()
    (start,) = (number for number, line in enumerate(lines) if "curl --fail" in line)
    return "\n".join(line.strip() for line in lines[start : start + 2]).removeprefix("run: ")


def test_every_step_sends_the_image_with_its_tag() -> None:
    values = {"GITHUB_REF_NAME": "v1.0.0", "CI_COMMIT_TAG": "v1.0.0", "DRONE_TAG": "v1.0.0"}
    show = 'curl() { printf "%s\\n" "$@"; }\n'
    for name, snippet in SNIPPETS.items():
        done = subprocess.run(
            ["/bin/sh", "-c", show + _command(snippet)],
            env={**values, "URL": "the-url", URL_SECRET: "the-url"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        *_, body, url = done.stdout.splitlines()
        assert json.loads(body) == {"image": "git.example.com/acme/shop:v1.0.0"}, name
        assert url == "the-url", name


def test_the_url_is_always_a_secret_of_the_ci() -> None:
    assert set(SNIPPETS) == {
        "Gitea Actions",
        "GitHub Actions",
        "GitLab CI",
        "Woodpecker",
        "Drone",
        "curl",
    }
    assert not URL_SECRET.startswith("TAGBOAT_")
    assert all(URL_SECRET in one.text and one.where for one in SNIPPETS.values())
