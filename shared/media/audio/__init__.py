"""Exact audio: read any source as float32 samples, write files that decode to as many, measure and limit loudness.

Samples travel as `Block`s: float32 arrays of shape (channels, samples), full scale at ±1.0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float32]
