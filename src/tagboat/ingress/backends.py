"""The part of HAProxy's configuration with the apps, for each protocol they speak. Pure."""

# On the same machine, with a certificate that nobody else sees: nothing can verify it.
TLS_TO_APP = " ssl verify none sni var(txn.host) alpn h2,http/1.1"


def backends(*, tls: bool) -> str:
    """Return the back ends: `repeatable` and `once`, both for https too, and `h2c`.

    `tls` is False if HAProxy was built without TLS.
    """
    https = (
        (_repeatable("_https", TLS_TO_APP), _once("_https", TLS_TO_APP))
        if tls
        else (_no_tls("repeatable"), _no_tls("once"))
    )
    return "\n\n".join((_repeatable("", ""), _once("", ""), *https, _H2C))


# In all of them `127.0.0.1:+0` is the port that the front end has set with `set-dst-port`.
def _repeatable(name: str, server: str) -> str:
    return f"""\
# An app may close an idle connection just as the next request comes over it. What can be repeated
# is sent again on a new one (RFC 9112, section 9.3.1).
backend repeatable{name}
  retry-on conn-failure empty-response
  server app 127.0.0.1:+0{server}"""


def _once(name: str, server: str) -> str:
    return f"""\
# What must not happen twice gets a new connection each, on which that cannot happen.
backend once{name}
  option http-server-close
  retry-on conn-failure
  server app 127.0.0.1:+0{server}"""


def _no_tls(name: str) -> str:
    why = "This HAProxy was built without TLS, which the app needs."
    return f"""\
backend {name}_https
  http-request return status 502 content-type text/plain string "{why}" """


# HTTP/2 says so before it closes, so that connections can be shared by all clients.
_H2C = """\
backend h2c
  http-reuse always
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless { method GET HEAD OPTIONS }
  server app 127.0.0.1:+0 proto h2"""
