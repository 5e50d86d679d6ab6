"""Where a run looks for data and weights and keeps what it may compute again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Where things are looked for and kept. cache: reference statistics. None: environment or default."""

    data: Path | None = None
    weights: Path | None = None
    cache: Path | None = None
