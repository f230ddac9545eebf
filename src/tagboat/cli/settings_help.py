"""What `tagboat serve --help` says of the settings. docs/configuration.md says more; tests hold both against settings.py."""

MEANINGS = {
    "TAGBOAT_HOST": "where it listens (127.0.0.1)",
    "TAGBOAT_PORT": "and at which port (7070)",
    "TAGBOAT_PUBLIC_URL": "how others reach it (http://HOST:PORT)",
    "TAGBOAT_DATA_DIR": "its data (~/.local/share/tagboat)",
    "TAGBOAT_DATABASE_URL": "postgresql://… (SQLite in the data dir)",
    "TAGBOAT_ADMIN_TOKEN": "a token that opens the API (none)",
    "TAGBOAT_DOCKER_HOST": "the engine (DOCKER_HOST, local socket)",
    "TAGBOAT_POLL_SCHEDULE": "when registries are asked (@every 5m)",
    "TAGBOAT_LOG_FORMAT": "console or json (console on a terminal)",
    "TAGBOAT_LOG_LEVEL": "debug, info, warning or error (info)",
    "TAGBOAT_INGRESS": "haproxy or none (haproxy if installed)",
    "TAGBOAT_INGRESS_LISTEN": "where HAProxy listens (127.0.0.1:7080)",
    "TAGBOAT_INGRESS_TRUSTED": "fronts to be believed (127.0.0.0/8,::1)",
    "TAGBOAT_BASE_DOMAIN": "stages' addresses end with it (localhost)",
    "TAGBOAT_BIND_ROOTS": "paths that apps may be given (none)",
    "TAGBOAT_NETWORK_POOL": "addresses for networks (10.112.0.0/14)",
    "TAGBOAT_URL": "the server, for commands elsewhere (none)",
    "TAGBOAT_TOKEN": "and the token that opens it (none)",
}

SERVE = """Run the server until it is told to stop.

Settings come from the environment and from .env, with their defaults in brackets. NAME_FILE gives a secret or a URL by the
file it is in.

\b
""" + "\n".join(f"  {name:24} {meaning}" for name, meaning in MEANINGS.items())
