"""A grid: planned, watched, driven to its end."""
