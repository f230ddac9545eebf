"""The URL at which a stage answers through the ingress."""

from dataclasses import dataclass

from tagboat.core.naming import stage_host

_HTTP_PORT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAddresses:
    """`base_domain` is in lower case, `port` where the ingress listens, `public_url` where people reach Tagboat itself.

    A public HTTPS address means that a front terminates TLS on the usual port for every host, the stages' included.
    """

    base_domain: str
    port: int
    public_url: str = ""

    def of(self, project: str, stage: str) -> str:
        """Return `https://HOST` behind such a front, else `http://HOST:PORT`; no port if it is 80."""
        host = stage_host(project, stage, self.base_domain)
        if self.public_url.startswith("https://") and not _is_local(self.base_domain):
            return f"https://{host}"
        return f"http://{host}" if self.port == _HTTP_PORT else f"http://{host}:{self.port}"


def _is_local(domain: str) -> bool:
    return domain == "localhost" or domain.endswith(".localhost")
