"""Columns and cells as text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.published import Published
from reports.table import MISSING, Cell, Column, clean, delta, measured_text

PERCENT = Column("miou", "mIoU", False, scale=100.0, unit="%")


def _published(value: float | None) -> Published:
    text = "N/A" if value is None else str(value)
    return Published("1", "spade", "SPADE", "x", "miou", text, value, "%", "unverified", "here", "")


@pytest.mark.parametrize(
    ("printed", "signed", "text"),
    [(62.31, False, "62.3"), (-1.26, True, "−1.3"), (1.26, True, "+1.3"), (-0.04, True, "0.0"), (0.0, True, "0.0")],
)
def test_figures_have_a_true_minus_and_zero_no_sign(printed: float, signed: bool, text: str) -> None:
    assert PERCENT.text(printed, signed) == text


def test_a_cell_without_values_has_no_mean_no_spread_and_a_dash() -> None:
    cell = Cell("miou", False)
    assert (cell.mean, cell.spread, measured_text(cell, PERCENT)) == (None, None, MISSING)


def test_one_seed_has_no_spread() -> None:
    assert measured_text(Cell("miou", False, (0.5,), (0,), ("r",)), PERCENT) == "50.0"


@pytest.mark.parametrize(("value", "expected"), [(60.0, 2.0), (None, None)])
def test_delta_is_measured_less_published_and_none_for_na(value: float | None, expected: float | None) -> None:
    found = delta(Cell("miou", False, (0.62,), (0,), ("r",), published=_published(value)), PERCENT)
    assert found == (None if expected is None else pytest.approx(expected))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_mean_lies_within_the_values_and_equal_values_have_no_spread(values: list[float]) -> None:
    cell = Cell("miou", False, tuple(values))
    assert cell.mean is not None
    assert min(values) - 1e-12 <= cell.mean <= max(values) + 1e-12
    same = Cell("miou", False, (values[0],) * 3)
    assert same.spread == pytest.approx(0, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_clean_text_is_one_line_without_control_characters_and_stays_so(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once.splitlines() in ([], [once])
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in once)
    once.encode("utf-8")
