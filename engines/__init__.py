"""Settings turned into engines, and their life: opened once, when first needed or in the background.

It knows neither the page nor the command line.
"""

from engines.engines import Engines, Progress
from engines.errors import EngineError

__all__ = ["EngineError", "Engines", "Progress"]
