"""The webhook, and the names for programs that embed it."""

from tagboat.core.image import ImageInfo, parse_image_ref
from tagboat.core.ports import DeployTriggerer, ImageInspector
from tagboat.webhook.handler import WebhookHandler
from tagboat.webhook.secret import ensure_webhook_secret, regenerate_webhook_secret

__all__ = [
    "DeployTriggerer",
    "ImageInfo",
    "ImageInspector",
    "WebhookHandler",
    "ensure_webhook_secret",
    "parse_image_ref",
    "regenerate_webhook_secret",
]
