"""HDR to SDR as a colour cube: what zscale and tonemap would do for every pixel is computed once for 33³ of them.

Sources: SMPTE ST 2084 (PQ), ARIB STD-B67 / ITU-R BT.2100 (HLG and its 1000-nit OOTF), ITU-R BT.2087 (BT.2020 to
BT.709 primaries), ITU-R BT.2408 (HDR reference white at 203 cd/m²).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.media.join.colour import PQ

CUBE_SIDE = 33
REFERENCE_WHITE_NITS = 203.0
PEAK_NITS = 1000.0
"""Where the highlights end: the usual mastering peak, and HLG's nominal one."""

KNEE = 0.8
"""Below this share of SDR white nothing is compressed."""

Array = NDArray[np.float64]

_BT2020_TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])


def write_cube(transfer: int, folder: Path) -> Path:
    """A `.cube` file (R'G'B' of BT.2020 with `transfer` to R'G'B' of BT.709) in `folder`, written once."""
    path = folder / f"sdr_from_{transfer}.cube"
    if not path.exists():
        axis = np.linspace(0.0, 1.0, CUBE_SIDE)
        blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest in the file
        colours = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
        rows = sdr_from_hdr(colours, transfer)
        text = "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in rows)
        path.write_text(f"LUT_3D_SIZE {CUBE_SIDE}\n{text}")
    return path


def sdr_from_hdr(signal: Array, transfer: int) -> Array:
    """Non-linear BT.2020 signals (rows of R'G'B', 0-1) to non-linear BT.709 ones."""
    nits = _pq_nits(signal) if transfer == PQ else _hlg_nits(signal)
    light = np.clip((nits / REFERENCE_WHITE_NITS) @ _BT2020_TO_BT709.T, 0.0, None)
    peak = light.max(axis=-1, keepdims=True)
    scale = np.divide(_roll_off(peak), peak, out=np.ones_like(peak), where=peak > 0)
    sdr = np.clip(light * scale, 0.0, 1.0)
    return np.asarray(np.power(sdr, 1 / 2.4))  # the inverse of BT.1886, the display that BT.709 is graded on


def _roll_off(value: Array) -> Array:
    """Identity to the knee, then a curve that meets SDR white at the HDR peak (an extended Reinhard shoulder)."""
    reach = (PEAK_NITS / REFERENCE_WHITE_NITS - KNEE) / (1 - KNEE)
    over = np.clip((value - KNEE) / (1 - KNEE), 0.0, reach)
    shoulder = over * (1 + over / reach**2) / (1 + over)
    return np.where(value <= KNEE, value, KNEE + (1 - KNEE) * shoulder)


def _pq_nits(signal: Array) -> Array:
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.power(signal, 1 / m2)
    return np.asarray(10000.0 * np.power(np.maximum(root - c1, 0.0) / (c2 - c3 * root), 1 / m1))


def _hlg_nits(signal: Array) -> Array:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = np.maximum(scene @ _BT2020_LUMA, 0.0)[..., None]
    return np.asarray(PEAK_NITS * np.power(luma, 0.2) * scene)  # system gamma 1.2 at 1000 nits
