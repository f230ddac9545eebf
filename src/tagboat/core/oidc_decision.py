"""The decision who may sign in by a provider's claims, with which role and name. Pure functions."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from tagboat.core.accounts import has_only_visible
from tagboat.core.oidc import ANYBODY, OidcSettings
from tagboat.core.principal import Role

_MAX_VALUES = 1_000
"""Values of a claim that are looked at: directories send hundreds of groups."""
_MAX_DISPLAYED_NAME = 100


class WhyNoSignIn(StrEnum):
    """The reason why a person whom the provider knows may not sign in."""

    NO_EMAIL = "no-email"
    EMAIL_NOT_VERIFIED = "email-not-verified"
    DOMAIN_NOT_ALLOWED = "domain-not-allowed"
    CLAIM_MISSING = "claim-missing"
    NO_ROLE = "no-role"


class AdmittedPerson(Struct, frozen=True):
    """A person who may sign in with `role`. `email` is empty if it is not known to be theirs."""

    role: Role
    name: str
    email: str


class RejectedPerson(Struct, frozen=True):
    """A person who may not sign in; `sentence` says why, and what to do about it."""

    reason: WhyNoSignIn
    sentence: str


def decide_sign_in(
    claims: Mapping[str, object], settings: OidcSettings
) -> AdmittedPerson | RejectedPerson:
    """Return the role and name of a person with these claims, or why they may not sign in."""
    if settings.allowed_domains and (refusal := refuse_domain(claims, settings)):
        return refusal
    claim, who = settings.role_claim, settings.name
    # Anybody can write any address into an account that is not verified.
    found = verified_email(claims) if claim == "email" else claim_at(claims, claim)
    role = choose_role(claim_values(found), settings.roles)
    if role is not None:
        name = displayed_name(claims)
        return AdmittedPerson(role, name, verified_email(claims) or "")
    if found is None:
        claim_words = "a verified e-mail address" if claim == "email" else f"the claim '{claim}'"
        return RejectedPerson(
            WhyNoSignIn.CLAIM_MISSING,
            f"{who} did not send {claim_words}, which decides the role in Tagboat. "
            f"An administrator can make {who} send it to Tagboat, add a scope to "
            "TAGBOAT_OIDC_SCOPES, or name another claim in TAGBOAT_OIDC_ROLE_CLAIM.",
        )
    return RejectedPerson(
        WhyNoSignIn.NO_ROLE,
        f"Your account at {who} has no role in Tagboat: no value of its claim '{claim}' is in "
        "TAGBOAT_OIDC_ROLES. Ask an administrator to add one, or to change your groups.",
    )


def refuse_domain(claims: Mapping[str, object], settings: OidcSettings) -> RejectedPerson | None:
    """Return why the e-mail address of a person keeps them out, None if it does not."""
    email, who = claims.get("email"), settings.name
    if not isinstance(email, str) or not email:
        return RejectedPerson(
            WhyNoSignIn.NO_EMAIL,
            f"{who} did not send your e-mail address, and Tagboat accepts only some domains. "
            "Add the address to your account there, and the scope 'email' to TAGBOAT_OIDC_SCOPES.",
        )
    if verified_email(claims) is None:
        return RejectedPerson(
            WhyNoSignIn.EMAIL_NOT_VERIFIED,
            f"{who} has not verified your e-mail address. Verify it there, and sign in again.",
        )
    if email.rpartition("@")[2].lower() in settings.allowed_domains:
        return None
    return RejectedPerson(
        WhyNoSignIn.DOMAIN_NOT_ALLOWED,
        "The domain of your e-mail address may not sign in. "
        "An administrator can add it to TAGBOAT_OIDC_ALLOWED_DOMAINS.",
    )


def choose_role(values: frozenset[str], roles: tuple[tuple[str, Role], ...]) -> Role | None:
    """Return the highest role that the values of the claim give, None for none."""
    given = [role for value, role in roles if value == ANYBODY or value in values]
    # By rank, not by place in the list: whoever adds a rule for all must not take a role away.
    ranks = list(Role)
    return max(given, key=ranks.index, default=None)


def claim_at(claims: Mapping[str, object], name: str) -> object | None:
    """Return the claim `name`, None without it.

    `realm_access.roles` is `roles` in the claim `realm_access`, if no claim has the whole name.
    """
    # Names that are URLs have dots, too.
    if name in claims:
        return claims[name]
    place: object = claims
    for part in name.split("."):
        if not isinstance(place, Mapping) or part not in place:
            return None
        place = place[part]
    return place


def claim_values(claim: object) -> frozenset[str]:
    """Return the values of a claim: a string, a boolean, a list of them, or the keys of an object.

    Anything else has none. A string is one value, even with blanks or commas in it.
    """
    # Before numbers would be looked at: True is one in Python.
    if isinstance(claim, bool):
        return frozenset({str(claim).lower()})
    if isinstance(claim, str):
        # Not split: a group may be called "ops, night shift".
        return frozenset({claim})
    if isinstance(claim, list | Mapping):
        return frozenset(one for one in list(claim)[:_MAX_VALUES] if isinstance(one, str))
    return frozenset()


def verified_email(claims: Mapping[str, object]) -> str | None:
    """Return the e-mail address if the provider says that it is the person's, else None."""
    email = claims.get("email")
    verified = claims.get("email_verified")
    # Some providers send booleans as strings.
    is_verified = verified is True or verified == "true"
    # An address with two @ has its domain at a place on which programs do not agree.
    if not (isinstance(email, str) and is_verified and email.count("@") == 1):
        return None
    return email if email.isprintable() and " " not in email else None


def displayed_name(claims: Mapping[str, object]) -> str:
    """Return the name for the account: user name, e-mail address, full name or subject.

    It is printable, without blanks around it, and has at most 100 characters.
    """
    for name in ("preferred_username", "email", "name", "sub"):
        value = claims.get(name)
        if isinstance(value, str):
            clean = " ".join("".join(c if c.isprintable() else " " for c in value).split())
            if clean and has_only_visible(clean):
                return clean[:_MAX_DISPLAYED_NAME].rstrip()
    return "unnamed"
