"""The pages for requests that cannot be routed to an instance. They load nothing."""

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{
  font: 1.05rem/1.5 system-ui, sans-serif; max-width: 34rem;
  margin: 18vh auto 0; padding: 0 1.5rem;
}}
h1 {{ font-size: 1.4rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{text}</p>
</body>
</html>
"""

UNKNOWN_HOST = _TEMPLATE.format(
    title="404: nothing here",
    text="No stage answers at this address. Check the spelling of the host name.",
)
NOT_LIVE = _TEMPLATE.format(
    title="503: no live instance",
    text="This stage has no live instance: nothing was deployed to it yet, or it has ended.",
)
STOPPED = _TEMPLATE.format(
    title="503: stopped",
    text="This stage is stopped. Its operator can start it with 'tagboat start PROJECT STAGE'.",
)
NO_PORT = _TEMPLATE.format(
    title="503: no port",
    text="This app has no port: EXPOSE one in its image, or set it with"
    " 'tagboat projects edit PROJECT --port N', then deploy again.",
)
RESTARTING = _TEMPLATE.format(
    title="503: restarting",
    text="This stage is being restarted. Try again in a moment.",
)
