"""Tests of the image and the compose file: `make image-check`."""

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out unless asked for: building the image takes minutes."""
    if os.environ.get("IMAGE_TESTS") == "all":
        return
    left_out = [item for item in items if item.path.parent.name == "image"]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
