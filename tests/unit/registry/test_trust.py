import ssl
from pathlib import Path

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.registry import trust
from tagboat.registry.trust import TrustContexts, trust_context
from tests.support.private_ca import PrivateCa


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return PrivateCa(tmp_path_factory.mktemp("ca")).pem


def test_what_is_trusted_comes_on_top_of_what_the_system_trusts_and_nothing_is_unchecked(
    pem: str,
) -> None:
    context = trust_context(f"# Müllers CA\n{pem}\r\n{pem}")
    assert (
        context.cert_store_stats()["x509_ca"]
        >= ssl.create_default_context().cert_store_stats()["x509_ca"] + 1
    )
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "is not in PEM: it must begin with -----BEGIN CERTIFICATE-----"),
        (
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "cannot be read: whole PEM blocks are expected",
        ),
        ("-----BEGIN CERTIFICATE-----\n", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nü\n-----END CERTIFICATE-----\n", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----" + "A" * 300_000, "has more than 262144 characters"),
    ],
)
def test_what_is_no_certificate(text: str, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        trust_context(text)


def test_a_private_key_is_sent_back_unread(tmp_path: Path, pem: str) -> None:
    key = PrivateCa(tmp_path).issue("x").key.read_text()
    with pytest.raises(
        InvalidValueError, match="comes with a private key: leave the key out"
    ) as caught:
        trust_context(pem + key)
    assert key.splitlines()[1] not in str(caught.value)


def test_one_context_for_one_text_so_that_connections_are_used_again(pem: str) -> None:
    default = ssl.create_default_context()
    contexts = TrustContexts(default)
    assert contexts.get("") is contexts.get(" \n") is default
    assert contexts.get(pem) is contexts.get(pem)
    assert contexts.get(pem) is not contexts.get(pem + "\n")


def test_no_more_contexts_are_kept_than_are_of_use(
    monkeypatch: pytest.MonkeyPatch, pem: str
) -> None:
    monkeypatch.setattr(trust, "_MAX_CONTEXTS", 1)
    contexts = TrustContexts(None)
    first = contexts.get(pem)
    contexts.get(pem + "\n")
    assert contexts.get(pem) is not first
