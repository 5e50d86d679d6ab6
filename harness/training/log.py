"""The training log: one CSV row and TensorBoard scalars every few steps, continued on resume."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from harness.files import write_text


class TrainingLog:
    """Losses and learning rates by iteration, in `log.csv` and `tensorboard/` of the cell's folder."""

    def __init__(self, folder: Path, start: int, tensorboard: bool = True) -> None:
        self._path = folder / "log.csv"
        self._columns: list[str] = []
        self._forget_from(start)
        self._board = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add the row of a step (1-based)."""
        new = not self._columns
        if new:
            self._columns = ["iteration", *values]
        with self._path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(self._columns)
            rows.writerow([iteration, *(f"{values[c]:.6g}" for c in self._columns[1:])])
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, iteration)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def _forget_from(self, start: int) -> None:
        """Drop the rows after the step that training resumes from."""
        if not self._path.exists():
            return
        with self._path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        if not rows or start == 0:
            self._path.unlink()
            return
        self._columns = rows[0]
        whole = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= start]
        write_text(self._path, "".join(",".join(row) + "\n" for row in [rows[0], *whole]))
