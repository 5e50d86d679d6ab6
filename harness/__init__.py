"""The engine: data, training, evaluation, records and the command."""

__version__ = "0.1.0"
