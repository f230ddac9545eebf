"""The PostgreSQL server of these tests."""

from tests.support.postgres import postgres

__all__ = ["postgres"]
