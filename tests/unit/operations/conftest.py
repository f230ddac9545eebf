"""Fixtures of deploys, which operations order."""

from tests.unit.deploy.conftest import clock, led, new_store, world

__all__ = ["clock", "led", "new_store", "world"]
