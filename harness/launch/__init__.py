"""Where cells are trained and scored: the cell, the grid, the launchers, and what is scored without a training."""
