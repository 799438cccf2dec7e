"""HDR (PQ, HLG) and wide gamuts to sRGB, by tables and one matrix product.

Formulas: PQ and HLG from ITU-R BT.2100-2 (tables 4 and 5); the roll-off is the EETF of ITU-R BT.2390-11 section 5.4.1,
applied to the largest of R, G and B so that hues stay; reference white is 203 cd/m2 (ITU-R BT.2408-7), which is what
SDR's full scale stands for here: skin and paper keep their places, highlights above are compressed. Primaries matrices
from ITU-R BT.2087-0 (BT.2020 to BT.709) and from the chromaticities of SMPTE EG 432-1 (P3-D65).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from shared.media.side_data import side_data

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

REFERENCE_WHITE_NITS: Final = 203.0
DEFAULT_PEAK_NITS: Final = 1000.0
_HLG_PEAK_NITS: Final = 1000.0
_HLG_SYSTEM_GAMMA: Final = 1.2
_BAND_ROWS: Final = 128
"""Rows worked on at a time: the float copies of a whole 8K frame would take gigabytes."""

_BT2020_LUMA: Final = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_BT709: Final[dict[str, Floats]] = {
    "bt2020": np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
    ),
    "p3": np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32),
}
_WIDE_GAMMA: Final = 2.2
"""SDR of a wide gamut is linearised and encoded again with one and the same gamma, so neutral colours do not move."""


def hdr_to_srgb(deep: npt.NDArray[Any], transfer: str, primaries: str, peak_nits: float) -> Pixels:
    """HDR pixels to 8-bit sRGB.

    Args:
        deep: `(height, width, 3)` uint16, full-range R'G'B' of `transfer`.
        transfer: `pq` or `hlg`.
        primaries: `bt2020` or `p3`.
        peak_nits: the brightest light of the content (PQ); HLG is shown as on a 1000 cd/m2 display.
    """
    if transfer == "hlg":
        peak_nits = _HLG_PEAK_NITS
    to_light = _pq_table() if transfer == "pq" else _hlg_table()
    gain = _roll_off_gain(round(peak_nits))
    encode = _srgb_table()
    result = np.empty(deep.shape, np.uint8)
    for band in _bands(deep.shape[0]):
        light = to_light[deep[band]]
        if transfer == "hlg":
            scene_luma = light @ _BT2020_LUMA
            light *= _HLG_PEAK_NITS * np.power(np.maximum(scene_luma, 1e-6), _HLG_SYSTEM_GAMMA - 1)[..., None]
        strongest = light.max(axis=-1)
        light *= gain[_gain_index(strongest)][..., None] / REFERENCE_WHITE_NITS
        result[band] = _encoded(light @ _TO_BT709[primaries].T, encode)
    return result


def wide_to_srgb(deep: npt.NDArray[Any], primaries: str) -> Pixels:
    """SDR pixels of a wide gamut (`bt2020`, `p3`) to 8-bit sRGB; colours outside of it are clipped."""
    codes = np.linspace(0, 1, 65536, dtype=np.float32)
    to_light = np.power(codes, _WIDE_GAMMA).astype(np.float32)
    encode = np.rint(np.power(codes, 1 / _WIDE_GAMMA) * 255).astype(np.uint8)
    result = np.empty(deep.shape, np.uint8)
    for band in _bands(deep.shape[0]):
        result[band] = _encoded(to_light[deep[band]] @ _TO_BT709[primaries].T, encode)
    return result


def peak_nits(frame: VideoFrame) -> float:
    """The content's peak by its MaxCLL (CTA-861.3), within 400 to 4000 cd/m2; 1000 where it is not told."""
    data = side_data(frame, SideDataType.CONTENT_LIGHT_LEVEL)
    max_cll = struct.unpack_from("=I", data)[0] if data is not None else 0
    return float(min(max(max_cll, 400), 4000)) if max_cll else DEFAULT_PEAK_NITS


def _bands(rows: int) -> Iterator[slice]:
    return (slice(start, start + _BAND_ROWS) for start in range(0, rows, _BAND_ROWS))


def _encoded(light: Floats, table: Pixels) -> Pixels:
    encoded: Pixels = table[np.rint(np.clip(light, 0, 1) * 65535).astype(np.uint16)]
    return encoded


@cache
def _pq_table() -> Floats:
    """Code value (16 bits) to cd/m2."""
    return _pq_to_nits(np.linspace(0, 1, 65536)).astype(np.float32)


_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_to_nits(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    root = np.power(code, 1 / _M2)
    return 10000 * np.power(np.maximum(root - _C1, 0) / (_C2 - _C3 * root), 1 / _M1)


def _nits_to_pq(nits: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    power = np.power(np.asarray(nits) / 10000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


@cache
def _hlg_table() -> Floats:
    """Code value (16 bits) to scene light, 0 to 1 (inverse OETF)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    code = np.linspace(0, 1, 65536)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)


@cache
def _srgb_table() -> Pixels:
    """Linear light (16 bits) to sRGB (IEC 61966-2-1)."""
    light = np.linspace(0, 1, 65536)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    table: Pixels = np.rint(encoded * 255).astype(np.uint8)
    return table


_GAIN_STEPS: Final = 4096


def _gain_index(nits: Floats) -> npt.NDArray[np.uint16]:
    # The square root spends the steps where the eye does.
    index: npt.NDArray[np.uint16] = np.rint(np.sqrt(np.clip(nits / 10000, 0, 1)) * (_GAIN_STEPS - 1)).astype(np.uint16)
    return index


@cache
def _roll_off_gain(peak: int) -> Floats:
    """By what to multiply light whose strongest component is the table's entry (see `_gain_index`)."""
    nits = 10000 * np.linspace(0, 1, _GAIN_STEPS) ** 2
    source_peak, target_peak = _nits_to_pq(float(peak)), _nits_to_pq(REFERENCE_WHITE_NITS)
    code = np.minimum(_nits_to_pq(nits) / source_peak, 1)
    top = target_peak / source_peak
    knee = 1.5 * top - 0.5
    t = np.clip((code - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * top
    mapped = _pq_to_nits(np.where(code < knee, code, spline) * source_peak)
    return np.where(nits > 0, mapped / np.maximum(nits, 1e-9), 1).astype(np.float32)
