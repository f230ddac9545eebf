"""Tests of deploying."""

import pytest

pytest.register_assert_rewrite("tests.unit.deploy.deploy_harness")
