import re

from tagboat.core.oidc import OidcSettings, SignInAttempt
from tagboat.core.principal import Role


def test_each_attempt_has_values_of_its_own_that_do_not_reveal_its_secret() -> None:
    one, other = SignInAttempt.begin(), SignInAttempt.begin()
    values = [
        value
        for attempt in (one, other)
        for value in (attempt.secret, attempt.state, attempt.nonce, attempt.code_verifier)
    ]
    assert len(set(values)) == 8
    assert one.secret not in repr(one)


def test_the_verifier_is_one_of_rfc_7636() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", SignInAttempt.begin().code_verifier)


def test_an_attempt_is_the_same_wherever_its_secret_is() -> None:
    attempt = SignInAttempt.begin()
    again = SignInAttempt(attempt.secret)
    assert again.owns(attempt.state)
    assert (again.nonce, again.code_verifier) == (attempt.nonce, attempt.code_verifier)


def test_an_attempt_does_not_own_the_state_of_another() -> None:
    attempt = SignInAttempt.begin()
    for state in ("", attempt.nonce, SignInAttempt.begin().state, attempt.state + "x", "ä"):
        assert not attempt.owns(state)


def test_the_client_secret_is_in_no_repr() -> None:
    settings = OidcSettings(
        issuer="https://id.example.com",
        client_id="tagboat",
        client_secret="correct-horse",
        name="id.example.com",
        roles=(("*", Role.VIEWER),),
    )
    assert "horse" not in repr(settings)
