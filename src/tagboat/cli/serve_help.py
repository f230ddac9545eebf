"""Help of `tagboat serve`, with every setting. A test checks it against settings.py."""

SETTING_MEANINGS = {
    "TAGBOAT_HOST": "address to listen on (127.0.0.1)",
    "TAGBOAT_PORT": "port to listen on (7070)",
    "TAGBOAT_PUBLIC_URL": "URL for other machines (http://HOST:PORT)",
    "TAGBOAT_HOSTS": "further names of the server (none)",
    "TAGBOAT_DATA_DIR": "its data (~/.local/share/tagboat)",
    "TAGBOAT_DATABASE_URL": "postgresql://… (SQLite in the data dir)",
    "TAGBOAT_ADMIN_TOKEN": "a token for the API (none)",
    "TAGBOAT_ENGINE": "docker or swarm (docker)",
    "TAGBOAT_DOCKER_HOST": "the engine (DOCKER_HOST, local socket)",
    "TAGBOAT_POLL_SCHEDULE": "when to poll registries (@every 5m)",
    "TAGBOAT_LOG_FORMAT": "console or json (console on a terminal)",
    "TAGBOAT_LOG_LEVEL": "debug, info, warning or error (info)",
    "TAGBOAT_INGRESS": "haproxy or none (haproxy if installed)",
    "TAGBOAT_INGRESS_LISTEN": "address of HAProxy (127.0.0.1:7080)",
    "TAGBOAT_INGRESS_START": "false: only 'ingress run' does (true)",
    "TAGBOAT_INGRESS_TRUSTED": "trusted proxies (127.0.0.0/8,::1)",
    "TAGBOAT_BASE_DOMAIN": "end of the stages' addresses (localhost)",
    "TAGBOAT_BIND_ROOTS": "paths that apps may mount (none)",
    "TAGBOAT_NETWORK_POOL": "addresses for networks (10.112.0.0/14)",
    "TAGBOAT_ENGINE_ID": "engine that everything moved to (none)",
    "TAGBOAT_OIDC_ISSUER": "URL of an OpenID provider (none)",
    "TAGBOAT_OIDC_CLIENT_ID": "client id at the provider (none)",
    "TAGBOAT_OIDC_CLIENT_SECRET": "client secret (none)",
    "TAGBOAT_OIDC_ROLES": "roles, as admins=admin,*=viewer (none)",
    "TAGBOAT_OIDC_ROLE_CLAIM": "claim that decides the role (groups)",
    "TAGBOAT_OIDC_SCOPES": "scopes to ask for (profile email)",
    "TAGBOAT_OIDC_ALLOWED_DOMAINS": "allowed domains of e-mail (all)",
    "TAGBOAT_OIDC_NAME": "name of the provider (its host)",
    "TAGBOAT_LOCAL_SIGN_IN": "sign-in with passwords (true)",
    "TAGBOAT_URL": "the server, for commands elsewhere (none)",
    "TAGBOAT_TOKEN": "the token for that server (none)",
}

SERVE_HELP = """Run the server until it is stopped.

Settings come from the environment and from .env; defaults are in brackets. NAME_FILE reads a
secret or a URL from a file.

\b
""" + "\n".join(f"  {name:28} {meaning}" for name, meaning in SETTING_MEANINGS.items())
