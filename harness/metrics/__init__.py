"""Confusion, Fréchet distances, resampling statistics: numpy and scipy on plain arrays."""
