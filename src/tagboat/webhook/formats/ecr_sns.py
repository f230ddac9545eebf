"""Amazon's Elastic Container Registry through SNS: EventBridge's event as a text inside a notification.

Before the first one SNS asks whether the subscription is wanted, by a URL that somebody has to open. Tagboat opens no URL that
a caller gives.
"""

import re
from urllib.parse import urlsplit

from tagboat.webhook.formats import ecr, ecr_cloudevents
from tagboat.webhook.formats.call import Call, News, at, json_of, shown

NAME = "ecr-sns"
MARK = "Type with TopicArn"
_TYPES = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")
_AMAZON = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?", re.ASCII)


def recognises(call: Call) -> bool:
    """Whether it is one of the three messages of SNS."""
    return "TopicArn" in call.body and call.body.get("Type") in _TYPES


def read(call: Call) -> News:
    """Read the call; raise InvalidValueError where a field of the event inside is missing."""
    if call.body["Type"] == "SubscriptionConfirmation":
        return News((), _wanted(call), needs_you=True)
    if call.body["Type"] == "UnsubscribeConfirmation":
        return News(
            (), "Amazon SNS has ended this subscription, and no more pushes will come by it"
        )
    text = call.body.get("Message")
    inner = Call({}, json_of(text) if isinstance(text, str) else None, call.registry_host)
    if isinstance(inner.body, dict) and ecr.recognises(inner):
        return ecr.read(inner)
    if isinstance(inner.body, dict) and ecr_cloudevents.recognises(inner):
        return ecr_cloudevents.read(inner)
    return News((), f"the Message of the topic {shown(call.body['TopicArn'])} is not an ECR event")


def _wanted(call: Call) -> str:
    url = at(call.body, "SubscribeURL")
    if not isinstance(url, str) or not _is_amazons(url):
        return (
            "Amazon SNS asks whether this subscription is wanted, "
            "but its SubscribeURL is not one of Amazon's: do not open it"
        )
    return (
        f"Amazon SNS asks whether this subscription is wanted; no pushes come before you open {url}"
    )


def _is_amazons(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme == "https"
            and bool(_AMAZON.fullmatch(parts.netloc))
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        return False
