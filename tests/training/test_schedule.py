"""Learning rates and budgets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.training.schedule import budget_iterations, rate_factor


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_rate_starts_at_one_never_rises_and_stays_positive(iterations: int, flat: float) -> None:
    factors = [rate_factor(i, iterations, flat) for i in range(iterations)]
    assert all(0 < f <= 1 for f in factors)
    assert all(a >= b for a, b in pairwise(factors))


def test_the_rate_is_flat_for_half_and_then_linear() -> None:
    factors = [rate_factor(i, 8, 0.5) for i in range(8)]
    assert factors[:4] == [1.0] * 4
    assert factors[4:] == pytest.approx([0.8, 0.6, 0.4, 0.2])


def test_budgets_in_iterations_and_epochs() -> None:
    assert budget_iterations("2000it", 367, 16) == 2000
    assert budget_iterations("2ep", 367, 16) == 44


@pytest.mark.parametrize("text", ["2000", "it", "0it", "-3ep", "2 hours"])
def test_a_wrong_budget_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="2000it"):
        budget_iterations(text, 10, 2)
