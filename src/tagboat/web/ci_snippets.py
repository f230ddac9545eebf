"""Steps of CI systems that call the webhook after their push, to copy."""

from msgspec import Struct

# Not TAGBOAT_…: commands refuse names that are no settings, and jobs see this one.
URL_SECRET = "WEBHOOK_URL"  # noqa: S105 - the name of the CI's secret that holds the URL
_ACTIONS_STEP = """\
- name: Tell Tagboat
  env:
    URL: ${{ secrets.WEBHOOK_URL }}
  run: |
    curl --fail-with-body -H 'Content-Type: application/json' \\
      -d "{\\"image\\": \\"IMAGE:$GITHUB_REF_NAME\\"}" "$URL"
"""
_GITLAB = """\
tell-tagboat:
  stage: deploy
  image: curlimages/curl
  rules:
    - if: $CI_COMMIT_TAG
  script:
    - |
      curl --fail-with-body -H 'Content-Type: application/json' \\
        -d "{\\"image\\": \\"IMAGE:$CI_COMMIT_TAG\\"}" "$WEBHOOK_URL"
"""
_WOODPECKER = """\
- name: tell-tagboat
  image: curlimages/curl
  environment:
    URL:
      from_secret: WEBHOOK_URL
  commands:
    - |
      curl --fail-with-body -H 'Content-Type: application/json' \\
        -d "{\\"image\\": \\"IMAGE:$CI_COMMIT_TAG\\"}" "$URL"
  when:
    event: [tag]
"""
_CURL = """\
curl --fail-with-body -H 'Content-Type: application/json' \\
  -d '{"image": "IMAGE:v1.0.0"}' "$WEBHOOK_URL"
"""


class Snippet(Struct, frozen=True):
    """A step for a CI system; `where` says where it belongs."""

    name: str
    where: str
    text: str


def ci_snippets(image: str) -> tuple[Snippet, ...]:
    """Return the steps that report a push of `image`, without the URL, which is a secret."""
    steps = (
        ("Gitea Actions", ".gitea/workflows/, after the step that pushes", _ACTIONS_STEP),
        ("GitHub Actions", ".github/workflows/, after the step that pushes", _ACTIONS_STEP),
        ("GitLab CI", ".gitlab-ci.yml, after the job that pushes", _GITLAB),
        ("Woodpecker", ".woodpecker.yaml, under steps", _WOODPECKER),
        ("Drone", ".drone.yml, under steps", _WOODPECKER.replace("CI_COMMIT_TAG", "DRONE_TAG")),
        ("curl", "any shell, after docker push", _CURL),
    )
    return tuple(Snippet(name, where, text.replace("IMAGE", image)) for name, where, text in steps)
