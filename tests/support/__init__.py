"""What tests of more than one folder share: builders, fakes with memory, the oracle, worlds to act in, stacks."""

import pytest

pytest.register_assert_rewrite("tests.support.stack_journeys")
