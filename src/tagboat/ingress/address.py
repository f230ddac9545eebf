"""The URL at which a stage answers through the ingress."""

from msgspec import Struct

from tagboat.core.naming import stage_host

_HTTP_PORT = 80


class StageAddresses(Struct, frozen=True, kw_only=True):
    """The addresses of stages. `base_domain` is in lower case, `port` is the ingress's.

    `public_url` is Tagboat's own address. If it is HTTPS, a front terminates TLS on the usual port
    for every host, those of the stages included.
    """

    base_domain: str
    port: int
    public_url: str = ""

    def of(self, project: str, stage: str) -> str:
        """Return `https://HOST` behind such a front, else `http://HOST:PORT`, without port 80."""
        host = stage_host(project, stage, self.base_domain)
        # No front has a certificate for names below localhost.
        is_local = self.base_domain == "localhost" or self.base_domain.endswith(".localhost")
        if self.public_url.startswith("https://") and not is_local:
            return f"https://{host}"
        return f"http://{host}" if self.port == _HTTP_PORT else f"http://{host}:{self.port}"
