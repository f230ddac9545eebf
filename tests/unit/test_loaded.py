"""What the server does not load before there is a need for it: each of these takes a megabyte or
more, for ever.
"""

import subprocess
import sys
from pathlib import Path

HEAVY = {
    "alembic": "migrations",
    "authlib": "sign-ins at an OpenID provider",
    "click": "uvicorn's own command",
    "cryptography": "secrets, of which the first start has made one",
    "joserfc": "sign-ins at an OpenID provider",
    "html.parser": "apps that fail with a page",
    "jinja2": "the web pages",
    "psycopg": "PostgreSQL",
    "pydantic.v1.main": "models of pydantic's first version",
    "re2": "patterns of images and tags that a person has set",
    "rich.console": "tracebacks in colours",
    "sqlalchemy.dialects.postgresql": "PostgreSQL",
}
PROGRAM = """
import sys
from pathlib import Path
from tagboat.cli.serve import leave_out
leave_out()
import tagboat.app
from tagboat.first_start import prepare
from tagboat.settings import load_settings
from tagboat.core.auto_create import refuses
from tagboat.core.config import read_auto_create
from tagboat.core.image import parse_image_name
from tagboat.core.run import RunConfig
from tagboat.store import open_store

folder = Path(sys.argv[1])
settings = load_settings({"TAGBOAT_DATA_DIR": sys.argv[1]}, cwd=folder, is_tty=False)
prepare(settings)
store = open_store(None, folder)
secret = store._read(lambda reader: reader.webhook_secret_hash())
assert secret is not None and not secret.matches("wrong")
assert refuses(store._read(read_auto_create), parse_image_name("git.example.com/acme/app")) is None
assert store._rows.of_config(RunConfig(port=8080, healthcheck="/", env={}), "d1")
store.close()
print(*sys.modules)
"""


def test_a_server_on_sqlite_with_the_settings_it_comes_with_loads_none_of_it(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "tagboat.deploy.pipeline" in loaded
    assert HEAVY.keys() & loaded == set()
