"""`python -m tagboat` is the command `tagboat`."""

from tagboat.cli.entry import run

run()
