"""Amazon's Elastic Container Registry through SNS: EventBridge's event inside a notification.

SNS first asks whether the subscription is wanted, with a URL that a person has to open. Tagboat
opens no URL that a caller gives.
"""

import re

from tagboat.webhook.formats import ecr, ecr_cloudevents
from tagboat.webhook.formats.call import Call, ParsedNotification, at, json_of, shown

NAME = "ecr-sns"
MARK = "Type with TopicArn"
_TYPES = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")
# Printable ASCII without spaces after the host: a person will copy the URL from a sentence.
_AMAZON_URL = re.compile(
    r"https://sns\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?(?:[/?][!-~]*)?", re.ASCII
)


def recognises(call: Call) -> bool:
    """Return whether it is one of the three messages of SNS."""
    return "TopicArn" in call.body and call.body.get("Type") in _TYPES


def read(call: Call) -> ParsedNotification:
    """Read the call; raise InvalidValueError where a field of the event inside is missing."""
    if call.body["Type"] == "SubscriptionConfirmation":
        url = at(call.body, "SubscribeURL")
        ask = "Amazon SNS asks whether this subscription is wanted"
        if isinstance(url, str) and _AMAZON_URL.fullmatch(url):
            return ParsedNotification(
                (), f"{ask}; no pushes arrive before you open {url}", needs_you=True
            )
        reason = f"{ask}, but its SubscribeURL is not one of Amazon's: do not open it"
        return ParsedNotification((), reason, needs_you=True)
    if call.body["Type"] == "UnsubscribeConfirmation":
        return ParsedNotification(
            (), "Amazon SNS has ended this subscription; it will send no more pushes"
        )
    text = call.body.get("Message")
    inner = Call({}, json_of(text) if isinstance(text, str) else None, call.registry_host)
    if isinstance(inner.body, dict) and ecr.recognises(inner):
        return ecr.read(inner)
    if isinstance(inner.body, dict) and ecr_cloudevents.recognises(inner):
        return ecr_cloudevents.read(inner)
    return ParsedNotification(
        (), f"the Message of the topic {shown(call.body['TopicArn'])} is not an ECR event"
    )
