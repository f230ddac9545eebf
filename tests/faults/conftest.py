"""All of it with `make faults`; `make test` runs what is marked `quick`."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: a fault that `make test` tries too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless all faults are asked for."""
    if os.environ.get("FAULTS") == "all":
        return
    ours = [item for item in items if "faults" in item.path.parts]
    left_out = [item for item in ours if item.get_closest_marker("quick") is None]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
