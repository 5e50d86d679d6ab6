"""Training curves: what is read from logs, mean and range over seeds, smoothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import UserError
from reports.figures.curves import Log, curves_of, draw_curves, read_log
from reports.figures.style import WIDTH_COLUMN, WIDTH_PAGE

LOG = "iteration,gan,d_fake,rate_factor\n20,1,0.5,1\n40,3,0.25,1\n60,2,nan,0.5\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_loss_is_read_and_the_learning_rate_is_none(tmp_path: Path) -> None:
    log = read_log(write(tmp_path, LOG))
    assert list(log) == ["gan", "d_fake"]
    assert log["gan"] == {20: 1.0, 40: 3.0, 60: 2.0}
    assert np.isnan(log["d_fake"][60])


def test_a_line_that_is_still_written_is_left_out(tmp_path: Path) -> None:
    assert list(read_log(write(tmp_path, LOG + "80,4\n"))["gan"]) == [20, 40, 60]
    assert read_log(write(tmp_path, "")) == {}


@pytest.mark.parametrize("text", ["iteration,gan\n20,much\n", "step,gan\n20,1\n"])
def test_what_is_no_log_is_refused_by_name(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"log\.csv: cannot read this log"):
        read_log(write(tmp_path, text))


def test_mean_and_range_are_taken_where_all_seeds_have_a_value() -> None:
    logs: list[Log] = [{"gan": {1: 1.0, 2: 2.0, 3: 9.0}}, {"gan": {1: 3.0, 2: 2.0}, "kld": {1: 1.0}}]
    curve = curves_of(logs)["gan"]
    assert curve.iterations.tolist() == [1, 2]
    assert (curve.mean.tolist(), curve.low.tolist(), curve.high.tolist()) == ([2.0, 2.0], [1.0, 2.0], [3.0, 2.0])
    assert "kld" not in curves_of(logs)
    assert curves_of([]) == {}


def test_smoothing_is_a_centred_mean_that_keeps_a_line_straight() -> None:
    steps: Log = {"gan": dict(enumerate([0.0, 3.0, 0.0, 3.0, 0.0]))}
    assert curves_of([steps], 3)["gan"].mean.tolist() == [1.5, 1.0, 2.0, 1.0, 1.5]
    line: Log = {"gan": {i: float(i) for i in range(9)}}
    assert curves_of([line], 5)["gan"].mean.tolist()[2:-2] == [2.0, 3.0, 4.0, 5.0, 6.0]
    assert curves_of([line])["gan"].mean.tolist() == list(map(float, range(9)))


@pytest.mark.parametrize("width", [WIDTH_COLUMN, WIDTH_PAGE])
def test_each_loss_has_a_panel_and_each_row_a_line_where_it_has_the_loss(width: float) -> None:
    first = curves_of([{name: {1: 1.0, 2: 2.0} for name in ("gan", "kld", "d_fake")}])
    second = curves_of([{"gan": {1: 2.0, 2: 1.0}}, {"gan": {1: 3.0, 2: 1.0}}])
    figure = draw_curves([("$one$", first), ("two <b>", second)], ["a note"], width)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["gan", "kld", "d fake"]
    assert [len(axes.lines) for axes in shown] == [2, 1, 1]
    assert [len(axes.collections) for axes in shown] == [1, 0, 0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["$one$", "two <b>"]
