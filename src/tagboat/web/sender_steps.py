"""How each registry is told to call the webhook by itself."""

from msgspec import Struct


class SenderGuide(Struct, frozen=True):
    """The steps for a sender; what is between backticks is code.

    `hostless` is True for those that do not name the host of their images.
    """

    key: str
    name: str
    steps: tuple[str, ...]
    note: str = ""
    hostless: bool = False


_SIGNED = "With a “Secret” there, demand it here: `tagboat webhook sign hmac-sha256`."
SENDER_GUIDES = (
    SenderGuide(
        "gitea",
        "Gitea and Forgejo",
        (
            (
                "Open Settings → Webhooks of the organisation or user that owns the package, and"
                " add one of the type Gitea (or Forgejo)."
            ),
            "Target URL: the webhook URL. Content type: `application/json`.",
            "Trigger on: custom events, only “Package”.",
            "Push an image. “Test delivery” sends no package, so that it proves only the way.",
        ),
        "For all owners at once: Site administration → Integrations → Webhooks, as a system "
        "webhook. If Tagboat has a private address, allow it in `ALLOWED_HOST_LIST` of the section "
        f"`[webhook]` in `app.ini`. {_SIGNED}",
    ),
    SenderGuide(
        "ghcr",
        "GitHub (GHCR)",
        (
            "Open Settings → Webhooks of the repository or organisation, and add one.",
            "Payload URL: the webhook URL. Content type: `application/json`.",
            "Let me select individual events: “Packages” and “Registry packages”.",
        ),
        _SIGNED,
    ),
    SenderGuide(
        "gitlab",
        "GitLab, self-managed",
        (
            (
                "In `gitlab.rb`, add to `registry['notifications']`: `{ 'name' => 'tagboat', 'url'"
                " => 'URL', 'timeout' => '5s', 'threshold' => 5, 'backoff' => '10s' }`."
            ),
            "Run `gitlab-ctl reconfigure`.",
        ),
        "gitlab.com has no such notifications: use the step for GitLab CI.",
    ),
    SenderGuide(
        "distribution",
        "Distribution (registry:2)",
        (
            (
                "In `config.yml`, add to `notifications.endpoints`: `- name: tagboat`, `url: URL`, "
                "`timeout: 5s`, `threshold: 5`, `backoff: 10s`."
            ),
            "Restart the registry.",
        ),
    ),
    SenderGuide(
        "dockerhub",
        "Docker Hub",
        (
            "Open the repository → Webhooks.",
            "Give it a name, and the webhook URL. It calls at each push.",
        ),
        "Docker Hub never repeats a call; polling finds what it could not deliver.",
    ),
    SenderGuide(
        "harbor",
        "Harbor",
        (
            "Open the project → Webhooks → New webhook.",
            "Notify type: `http`. Event type: “Artifact pushed”. Endpoint URL: the webhook URL.",
        ),
        "With an “Auth Header” there, demand it here: `tagboat webhook sign header --header "
        "Authorization`.",
    ),
    SenderGuide(
        "quay",
        "Quay",
        (
            "Open the repository → Settings → Events and notifications → Create notification.",
            "Event: “Push to repository”. Method: “Webhook POST”. URL: the webhook URL.",
        ),
    ),
    SenderGuide(
        "acr",
        "Azure (ACR)",
        (
            "Open the registry → Webhooks → Add.",
            "Service URI: the webhook URL. Actions: “push”.",
        ),
    ),
    SenderGuide(
        "acr-event-grid",
        "Azure (ACR), through Event Grid",
        (
            "Open the registry → Events → Event subscription.",
            "Event schema: “Event Grid Schema”. Event types: “Image pushed”.",
            "Endpoint type: “Web hook”, with the webhook URL. The handshake is answered by itself.",
        ),
        "Its CloudEvents schema is not supported.",
    ),
    SenderGuide(
        "ecr",
        "Amazon (ECR), through EventBridge",
        (
            "Make an API destination with the webhook URL and the method POST.",
            (
                'Make a rule with the pattern `{"source": ["aws.ecr"], "detail-type": '
                '["ECR Image Action"]}` and that destination as its target.'
            ),
        ),
        "Through SNS it works as well: open the address for confirmation that Tagboat then shows "
        "on the overview.",
    ),
    SenderGuide(
        "gcr",
        "Google (Artifact Registry, GCR)",
        (
            "Make the Pub/Sub topic `gcr` in the project of the registry.",
            "Add a subscription to it: delivery type “Push”, endpoint: the webhook URL.",
        ),
    ),
    SenderGuide(
        "jfrog",
        "JFrog Artifactory",
        (
            "Open Administration → General → Webhooks → New webhook.",
            "URL: the webhook URL. Events: “Docker: Tag was pushed”, for the repositories wanted.",
        ),
        "With a “Secret token” there, demand it here: `tagboat webhook sign header --header "
        "X-JFrog-Event-Auth`; with signed payloads: `tagboat webhook sign hmac-sha256`.",
    ),
    SenderGuide(
        "nexus",
        "Sonatype Nexus",
        (
            "Open System → Capabilities → Create capability → “Webhook: Repository”.",
            "Repository: the Docker repository. Event types: “component”. URL: the webhook URL.",
        ),
        "With a “Secret Key” there, demand it here: `tagboat webhook sign hmac-sha1`.",
        hostless=True,
    ),
    SenderGuide(
        "zot",
        "Zot",
        (
            (
                "In its configuration, set `extensions.events.enable` to `true`, and add to "
                '`extensions.events.sinks`: `{"type": "http", "address": "URL"}`.'
            ),
            "Restart it.",
        ),
        hostless=True,
    ),
    SenderGuide(
        "aliyun",
        "Alibaba Cloud (Aliyun)",
        (
            "Open the repository → Trigger → Create.",
            "Trigger URL: the webhook URL. Trigger: “all”.",
        ),
    ),
    SenderGuide(
        "keel",
        "Scripts written for Keel",
        ('Send `{"name": "HOST/NAME", "tag": "v1.0.0"}` to the webhook URL, as before to Keel.',),
    ),
    SenderGuide(
        "cloudevents",
        "Anything with CloudEvents",
        (
            "Send an event whose type names a push, such as `container.push`, to the webhook URL.",
            "Its data names the image and the tag.",
        ),
    ),
)
