"""Which ingress the server uses, and the HAProxy of before where it uses none."""

from pathlib import Path

import structlog

from tagboat.core.errors import SettingsError, TagboatError
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.none import NoIngress
from tagboat.ingress.process import end_haproxy, our_processes, why_not_free
from tagboat.settings import IngressKind, Settings

_ALL_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104 - only compared
_ONE_ADDRESS = (
    "TAGBOAT_PORT and TAGBOAT_INGRESS_LISTEN name one address, {}: set one of the two to another"
)

log = structlog.get_logger("tagboat.app")


def choose_ingress(settings: Settings) -> HaproxyIngress | NoIngress:
    """Return the ingress that the settings name, or none if it cannot be had, with a warning."""
    directory = settings.data_dir / "ingress"
    if settings.ingress is IngressKind.NONE:
        leave_haproxy(directory, wanted=not settings.ingress_is_missing)
        if settings.ingress_is_missing:
            log.warning(settings.why_no_ingress, action="start")
        return NoIngress(settings.why_no_ingress if settings.ingress_is_missing else "")
    if _is_untried(settings) and (why := why_not_free(settings.ingress_listen)):
        place = "{}:{}".format(*settings.ingress_listen)
        said = (
            f"there is no ingress, because another program has its address {place} ({why}): end "
            "that program, or set TAGBOAT_INGRESS_LISTEN to a free address, and restart Tagboat"
        )
        if _has_own_address(settings):
            said = f"there is no ingress: {_ONE_ADDRESS.format(place)}"
        log.warning(said, action="start")
        return NoIngress(said)
    return HaproxyIngress(
        directory,
        listen=settings.ingress_listen,
        base_domain=settings.base_domain,
        public_url=settings.public_url,
        trusted=settings.ingress_trusted,
        starts=settings.starts_ingress,
    )


def require_two_addresses(settings: Settings) -> None:
    """Raise SettingsError where the ingress would listen on the server's own address."""
    if _has_own_address(settings) and not _is_untried(settings):
        raise SettingsError(_ONE_ADDRESS.format("{}:{}".format(*settings.ingress_listen)))


def _is_untried(settings: Settings) -> bool:
    # Neither asked for nor ever used: a first try of Tagboat need not fail for an ingress.
    return settings.ingress_is_default and not (settings.data_dir / "ingress").exists()


def _has_own_address(settings: Settings) -> bool:
    if settings.ingress is IngressKind.NONE or settings.ingress_listen[1] != settings.port:
        return False
    named = (settings.ingress_listen[0], settings.host)
    theirs, own = ("127.0.0.1" if one == "localhost" else one for one in named)
    # HAProxy's `::` has the addresses of IPv4, too; the server's has not.
    return theirs in {own, "::"} or any(
        one in _ALL_ADDRESSES and (":" in one) == (":" in other)
        for one, other in ((theirs, own), (own, theirs))
    )


def leave_haproxy(directory: Path, *, wanted: bool) -> None:
    """End a HAProxy of before if no ingress is `wanted`; else only warn, as traffic may use it.

    Its routes are not updated any more: after the next deploy they would be wrong.
    """
    try:
        if wanted and end_haproxy(directory):
            log.warning(
                "HAProxy ended: it still ran, and no ingress is wanted any more",
                action="start",
            )
        elif left := our_processes(directory.resolve()):
            log.warning(
                "HAProxy still runs, but its routes are not updated any more: set "
                "TAGBOAT_INGRESS=none to end it, or install HAProxy again",
                action="start",
                pid=left[0],
            )
    except (TagboatError, OSError) as error:
        log.warning("HAProxy not ended", action="start", reason=str(error))
