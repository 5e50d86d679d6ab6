"""Checks of a norm layer before it is trained: its contract, its cost, what it keeps of the class (`check.py`)."""
