"""Which ingress the server uses, and the HAProxy of before where it uses none."""

from pathlib import Path

import structlog

from tagboat.core.errors import TagboatError
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.none import NoIngress
from tagboat.ingress.process import end_haproxy, our_processes, why_not_free
from tagboat.settings import IngressKind, Settings

log = structlog.get_logger("tagboat.app")


def choose_ingress(settings: Settings) -> HaproxyIngress | NoIngress:
    """Return the ingress that the settings name, or none if it cannot be had, with a warning."""
    directory = settings.data_dir / "ingress"
    if settings.ingress is IngressKind.NONE:
        leave_haproxy(directory, wanted=not settings.ingress_is_missing)
        if settings.ingress_is_missing:
            log.warning(settings.why_no_ingress, action="start")
        return NoIngress(settings.why_no_ingress if settings.ingress_is_missing else "")
    if (
        settings.ingress_is_default
        and not directory.exists()
        and (why := why_not_free(settings.ingress_listen))
    ):
        # It was neither asked for nor ever used: a first try of Tagboat need not fail for that.
        place = "{}:{}".format(*settings.ingress_listen)
        said = (
            f"there is no ingress, because another program has its address {place} ({why}): end "
            "that program, or set TAGBOAT_INGRESS_LISTEN to a free address, and restart Tagboat"
        )
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
