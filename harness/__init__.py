"""The engine: data, training, evaluation, records and the command.

`harness.evaluate` scores images from Python (harness.api).
"""

from harness.api import evaluate

__all__ = ["__version__", "evaluate"]
__version__ = "0.1.0"
