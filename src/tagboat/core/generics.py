"""The type variable that generic functions of all rooms share."""

from typing import TypeVar

T = TypeVar("T")
