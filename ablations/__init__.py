"""The grids: the paper's tables and ablations, and the user's own, as data."""
