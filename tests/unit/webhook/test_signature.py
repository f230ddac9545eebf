"""Signatures, as the senders make them."""

import hmac

import pytest

from tagboat.core.project_webhook import Signature, SignatureKind
from tagboat.webhook.signature import is_signed

BODY = b'{"action": "created"}'
SECRET = "a shared secret"
SHA256 = Signature(kind=SignatureKind.HMAC_SHA256, secret=SECRET)
SHA1 = Signature(kind=SignatureKind.HMAC_SHA1, secret=SECRET)


def signed(algorithm: str, body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


@pytest.mark.parametrize(
    ("signature", "headers"),
    [
        (SHA256, {"x-gitea-signature": signed("sha256")}),
        (SHA256, {"x-forgejo-signature": signed("sha256")}),
        (SHA256, {"x-hub-signature-256": f"sha256={signed('sha256')}"}),
        (SHA256, {"x-hub-signature-256": f"sha256={signed('sha256').upper()}"}),
        (SHA256, {"x-gitea-signature": "", "x-hub-signature-256": f"sha256={signed('sha256')}"}),
        (SHA256, {"x-jfrog-event-auth": signed("sha256")}),
        (SHA1, {"x-nexus-webhook-signature": signed("sha1")}),
        (SHA1, {"x-hub-signature": f"sha1={signed('sha1')}"}),
        (
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"),
            {"authorization": SECRET},
        ),
        (
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"),
            {"authorization": f"Bearer {SECRET}"},
        ),
        (
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"),
            {"authorization": f" {SECRET}\t "},
        ),
        (
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="x-jfrog-event-auth"),
            {"x-jfrog-event-auth": SECRET},
        ),
    ],
)
def test_what_is_signed(signature: Signature, headers: dict[str, str]) -> None:
    assert is_signed(signature, headers, BODY)


@pytest.mark.parametrize(
    ("signature", "headers"),
    [
        (SHA256, {}),
        (SHA256, {"x-gitea-signature": ""}),
        (SHA256, {"x-gitea-signature": signed("sha256", secret="another")}),
        (SHA256, {"x-gitea-signature": signed("sha256", b"another body")}),
        (SHA256, {"x-gitea-signature": signed("sha256")[:-1]}),
        (SHA256, {"x-nexus-webhook-signature": signed("sha1")}),
        (SHA256, {"x-hub-signature": f"sha1={signed('sha1')}"}),
        (SHA1, {"x-gitea-signature": signed("sha256")}),
        (SHA256, {"authorization": SECRET}),
        (SHA256, {"x-gitea-signature": "\udcff"}),
        (Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"), {}),
        (
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"),
            {"authorization": "Bearer"},
        ),
        (
            Signature(kind=SignatureKind.HEADER, secret=SECRET, header="authorization"),
            {"x-jfrog-event-auth": SECRET},
        ),
    ],
)
def test_what_is_not(signature: Signature, headers: dict[str, str]) -> None:
    assert not is_signed(signature, headers, BODY)


def test_of_a_form_the_whole_or_its_payload_may_be_signed() -> None:
    form = b"payload=%7B%22action%22%3A+%22created%22%7D"
    for over in (form, BODY):
        assert is_signed(SHA256, {"x-gitea-signature": signed("sha256", over)}, form, BODY)


def test_the_secret_is_in_no_repr() -> None:
    assert SECRET not in repr(SHA256)
