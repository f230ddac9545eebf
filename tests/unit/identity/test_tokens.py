import base64
import hashlib
import hmac
import json
import time

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tagboat.core.errors import IdentityRejectedError
from tagboat.identity.tokens import (
    ALGORITHMS,
    check_id_token,
    check_logout_token,
    key_id,
    verified_claims,
)
from tests.support.openid_provider import LOGOUT_EVENT

RSA = RSAKey.generate_key(2048, {"kid": "one"})
EC = ECKey.generate_key("P-256", {"kid": "two"})
CLAIMS = {"sub": "ada-1"}


def _plain(header: object, claims: object = CLAIMS, signature: str = "") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims)
    ]
    return ".".join([*parts, signature])


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_signatures_with_rsa(alg: str) -> None:
    token = jwt.encode({"alg": alg, "kid": "one"}, CLAIMS, RSA, algorithms=[alg])
    assert key_id(token) == "one"
    assert verified_claims(token, [RSA])[1] == CLAIMS


def test_signatures_with_elliptic_curves() -> None:
    token = jwt.encode({"alg": "ES256"}, CLAIMS, EC)
    assert key_id(token) is None
    # Without an id each key is tried.
    assert verified_claims(token, [RSA, EC])[1] == CLAIMS


def test_no_algorithm_has_a_key_that_others_know() -> None:
    assert not [alg for alg in ALGORITHMS if alg == "none" or alg.startswith("HS")]


@pytest.mark.parametrize(
    "token",
    [
        _plain({"alg": "none"}),
        _plain({"alg": "None"}),
        _plain({"alg": "nOnE", "kid": "one"}),
        _plain({}),
        _plain({"alg": None}),
        _plain({"alg": ["RS256"]}),
        _plain([]),
        _plain("RS256"),
        "",
        "..",
        "a.b",
        "not a token",
        "ä.ö.ü",
        f"{'a' * 70_000}.b.c",
        _plain({"alg": "RS256", "enc": "x"}) + ".d.e",
    ],
)
def test_unsigned_and_malformed_tokens_are_refused(token: str) -> None:
    with pytest.raises(IdentityRejectedError, match="not signed in an accepted way"):
        key_id(token)


def test_the_public_key_is_no_password_for_hmac() -> None:
    unsigned = _plain({"alg": "HS256", "kid": "one"}).removesuffix(".")
    mac = hmac.digest(RSA.as_pem(private=False), unsigned.encode(), hashlib.sha256)
    token = f"{unsigned}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(IdentityRejectedError, match="not signed"):
        key_id(token)
    with pytest.raises(IdentityRejectedError, match="signature"):
        verified_claims(token, [RSA])


def test_a_key_inside_the_token_does_not_count() -> None:
    own = RSAKey.generate_key(2048)
    header = {"alg": "RS256", "kid": "one", "jwk": own.as_dict(private=False)}
    token = jwt.encode(header, CLAIMS, own)
    with pytest.raises(IdentityRejectedError, match="signature"):
        verified_claims(token, [RSA])


def test_a_changed_token_is_refused() -> None:
    head, _, signature = jwt.encode({"alg": "RS256"}, CLAIMS, RSA).split(".")
    body = _plain({}, {"sub": "mallory"}).split(".")[1]
    with pytest.raises(IdentityRejectedError, match="signature"):
        verified_claims(f"{head}.{body}.{signature}", [RSA])


def test_a_key_of_another_kind_is_refused() -> None:
    token = jwt.encode({"alg": "ES256"}, CLAIMS, EC)
    with pytest.raises(IdentityRejectedError, match="signature"):
        verified_claims(token, [RSA])


def test_headers_that_providers_add_are_ignored_but_critical_ones_are_not() -> None:
    parts = [_plain({"alg": "RS256", "pi.atm": "4", "x5c": ["A" * 4_000]}).split(".")[0]]
    assert key_id(f"{parts[0]}.e30.AA") is None
    critical = _plain({"alg": "RS256", "crit": ["exp"], "exp": 1})
    with pytest.raises(IdentityRejectedError, match="signature"):
        verified_claims(critical, [RSA])


def test_the_content_must_be_an_object() -> None:
    with pytest.raises(IdentityRejectedError):
        check_id_token({}, {}, issuer="i", client_id="c", nonce="n", access_token=None)


def test_without_an_access_token_its_hash_does_not_count() -> None:
    now = int(time.time())
    claims = {
        **CLAIMS,
        "iss": "i",
        "aud": "c",
        "nonce": "n",
        "iat": now,
        "exp": now + 9,
        "at_hash": "x",
    }
    subject = check_id_token(
        {"alg": "RS256"}, claims, issuer="i", client_id="c", nonce="n", access_token=None
    )
    assert subject == "ada-1"


def test_a_logout_token_needs_no_end_but_is_not_accepted_for_long() -> None:
    now = int(time.time())
    claims = {
        **CLAIMS,
        "iss": "i",
        "aud": ["c"],
        "iat": now - 599,
        "jti": "1",
        "events": {LOGOUT_EVENT: {}},
    }
    assert check_logout_token({}, claims, issuer="i", client_id="c").subject == "ada-1"
    with pytest.raises(IdentityRejectedError, match="too old"):
        check_logout_token({}, claims | {"iat": now - 602}, issuer="i", client_id="c")
