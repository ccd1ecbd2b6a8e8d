"""End-to-end tests: real queue, tables and function host, against the simulated tenant and the oracle."""

import pytest

pytest.register_assert_rewrite("tests.e2e.journeys")
