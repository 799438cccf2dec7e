"""Colours are judged against exact arithmetic: patches of known sRGB become YCbCr by the standards' own formulas."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av import VideoFrame
from PIL import Image

from shared.errors import UnsupportedMedia
from shared.media import tone_map
from shared.media.picture import Orientation, Picture, displayed_picture, save_picture

PATCHES = np.array(
    [
        [255, 255, 255], [0, 0, 0], [128, 128, 128], [230, 20, 30], [20, 200, 40], [30, 40, 220],
        [240, 230, 20], [20, 220, 230], [220, 30, 210], [200, 150, 120], [90, 60, 40], [60, 90, 140],
    ]
)  # fmt: skip
SIDE = 64
LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
MATRIX_NUMBER = {"bt709": 1, "bt601": 6, "bt2020": 9}


def patches_frame(matrix: str, *, full: bool, bits: int = 8, chroma: str = "420", tagged: bool = True) -> VideoFrame:
    """A row of square patches as YCbCr by ITU-R BT.601, BT.709 or BT.2020, rounded once."""
    return ycbcr_frame(PATCHES / 255, matrix, full=full, bits=bits, chroma=chroma, tagged=tagged)


def ycbcr_frame(
    rgb: np.ndarray, matrix: str, *, full: bool, bits: int = 8, chroma: str = "420", tagged: bool = True
) -> VideoFrame:
    kr, kb = LUMA[matrix]
    y = rgb @ np.array([kr, 1 - kr - kb, kb])
    cb, cr = (rgb[:, 2] - y) / (2 * (1 - kb)), (rgb[:, 0] - y) / (2 * (1 - kr))
    unit = 2 ** (bits - 8)
    top = 2**bits - 1
    if full:
        planes = [y * top, cb * top + 128 * unit, cr * top + 128 * unit]
    else:
        planes = [(16 + 219 * y) * unit, (128 + 224 * cb) * unit, (128 + 224 * cr) * unit]
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    frame = VideoFrame(SIDE * len(rgb), SIDE, f"yuv{chroma}p" + ("" if bits == 8 else f"{bits}le"))
    for plane, values in zip(frame.planes, planes, strict=True):
        row = np.repeat(np.clip(np.rint(values), 0, top).astype(kind), plane.width // len(rgb))
        rows = np.zeros((plane.height, plane.line_size // kind_size(kind)), kind)
        rows[:, : len(row)] = row
        plane.update(rows.tobytes())
    if tagged:
        frame.colorspace = MATRIX_NUMBER[matrix]
        frame.color_range = 2 if full else 1
    return frame


def kind_size(kind: np.dtype | type) -> int:
    return np.dtype(kind).itemsize


def centres(pixels: np.ndarray) -> np.ndarray:
    return pixels[SIDE // 2, SIDE // 2 :: SIDE].astype(int)


def shown(frame: VideoFrame) -> Picture:
    return displayed_picture(frame, Fraction(1), max_pixels=10**8)


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt709", "bt601"])
def test_jpeg_colours_are_within_three_levels(tmp_path: Path, matrix: str, full: bool, bits: int, chroma: str) -> None:
    picture = shown(patches_frame(matrix, full=full, bits=bits, chroma=chroma))
    save_picture(picture, tmp_path / "x.jpg", image_format="jpg", quality=95)
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.mode == "RGB"
        decoded = np.asarray(image)
    assert np.abs(centres(decoded) - PATCHES).max() <= 3
    assert np.abs(centres(picture.pixels) - PATCHES).max() <= 2


def test_untagged_hd_is_bt709_and_sd_is_bt601() -> None:
    sd = patches_frame("bt601", full=False, tagged=False)
    assert sd.width < 1280
    assert np.abs(centres(shown(sd).pixels) - PATCHES).max() <= 2
    wide = np.concatenate([PATCHES, PATCHES]) / 255
    hd = ycbcr_frame(wide, "bt709", full=False, tagged=False)
    assert hd.width >= 1280
    assert np.abs(centres(shown(hd).pixels)[: len(PATCHES)] - PATCHES).max() <= 2


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_ycgco_by_its_own_formula(full: bool) -> None:
    red, green, blue = PATCHES.T / 255
    planes = [
        green / 2 + (red + blue) / 4,
        green / 2 - (red + blue) / 4,
        (red - blue) / 2,
    ]
    frame = VideoFrame(SIDE * len(PATCHES), SIDE, "yuv444p")
    for plane, values, is_luma in zip(frame.planes, planes, (True, False, False), strict=True):
        levels = values * 255 if full else values * (219 if is_luma else 224)
        levels = levels + (0 if full and is_luma else 16 if is_luma else 128)
        row = np.repeat(np.clip(np.rint(levels), 0, 255).astype(np.uint8), SIDE)
        plane.update(np.tile(np.pad(row, (0, plane.line_size - len(row))), SIDE).tobytes())
    frame.colorspace, frame.color_range = 8, 2 if full else 1
    assert np.abs(centres(shown(frame).pixels) - PATCHES).max() <= 3


@pytest.mark.parametrize("matrix", range(18))
def test_no_matrix_is_refused(matrix: int) -> None:
    frame = patches_frame("bt709", full=False)
    frame.colorspace = matrix
    assert shown(frame).pixels.shape == (SIDE, SIDE * len(PATCHES), 3)


def test_jpeg_is_full_resolution_chroma_and_png_lossless(tmp_path: Path) -> None:
    picture = shown(patches_frame("bt709", full=False))
    save_picture(picture, tmp_path / "x.jpg", image_format="jpg", quality=95)
    save_picture(picture, tmp_path / "x.png", image_format="png", quality=95)
    save_picture(picture, tmp_path / "x.webp", image_format="webp", quality=95)
    with Image.open(tmp_path / "x.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    with Image.open(tmp_path / "x.png") as image:
        assert (np.asarray(image) == picture.pixels).all()
    with Image.open(tmp_path / "x.webp") as image:
        assert np.abs(centres(np.asarray(image.convert("RGB"))) - PATCHES).max() <= 6


def test_transparency_stays_in_png_and_lies_over_black_in_jpeg(tmp_path: Path) -> None:
    pixels = np.full((32, 32, 4), (200, 100, 50, 128), np.uint8)
    picture = shown(VideoFrame.from_ndarray(pixels, format="rgba"))
    save_picture(picture, tmp_path / "x.png", image_format="png", quality=95)
    save_picture(picture, tmp_path / "x.jpg", image_format="jpg", quality=95)
    with Image.open(tmp_path / "x.png") as image:
        assert image.getpixel((5, 5)) == (200, 100, 50, 128)
    with Image.open(tmp_path / "x.jpg") as image:
        assert np.abs(np.array(image.getpixel((5, 5))) - (100, 50, 25)).max() <= 2


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "rgb24", "gbrp", "yuva420p", "nv12", "p010le", "bgr0"])
def test_grey_ramp_is_kept_in_every_pixel_format(pixel_format: str) -> None:
    ramp = np.repeat(np.linspace(16, 235, 64).astype(np.uint8)[None, :], 64, axis=0)
    frame = VideoFrame.from_ndarray(np.stack([ramp] * 3, axis=-1), format="rgb24").reformat(format=pixel_format)
    pixels = shown(frame).pixels.astype(int)
    assert np.abs(pixels[32, :, 0] - ramp[32]).max() <= 2
    assert np.ptp(pixels[32], axis=-1).max() <= 3


def test_a_pixel_format_that_nothing_converts_is_named() -> None:
    with pytest.raises(UnsupportedMedia, match="gbrap32le"):
        shown(VideoFrame(32, 32, "gbrap32le"))


# HDR -------------------------------------------------------------------------------------------------------------


def pq_code(nits: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, written out a second time and differently from the product's table."""
    y = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hdr_frame(rgb_codes: np.ndarray, transfer: int) -> VideoFrame:
    frame = ycbcr_frame(rgb_codes, "bt2020", full=False, bits=10)
    frame.color_trc = transfer
    frame.color_primaries = 9
    return frame


def test_pq_greys_keep_order_mid_tones_and_neutrality() -> None:
    nits = np.array([0.0, 1, 5, 20, 50, 90, 203, 400, 700, 1000, 2000])
    pixels = centres(shown(hdr_frame(np.repeat(pq_code(nits)[:, None], 3, axis=1), 16)).pixels)
    assert np.ptp(pixels, axis=-1).max() <= 3
    grey = pixels[:, 1]
    assert (np.diff(grey) >= 0).all()
    # Below the knee light is kept: 203 cd/m2 stands for full scale.
    light = nits[:6] / 203
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(grey[:6] - srgb).max() <= 4
    assert 200 <= grey[6] <= 245
    assert grey[-2] >= 252


def test_hlg_reference_white_is_bright_and_not_clipped() -> None:
    # 75 % is HLG's reference white (BT.2408); 50 % is mid-scale.
    pixels = centres(shown(hdr_frame(np.repeat(np.array([[0.0], [0.5], [0.75], [1.0]]), 3, axis=1), 18)).pixels)
    grey = pixels[:, 1]
    assert grey[0] <= 2
    assert 100 <= grey[1] <= 150
    assert 200 <= grey[2] <= 245
    assert grey[3] >= 252


def test_pq_colours_of_the_srgb_gamut_come_back() -> None:
    """Dim sRGB colours, moved to BT.2020 and PQ, look the same afterwards."""
    to_2020 = np.linalg.inv(
        np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
    )
    wanted = PATCHES * 0.55
    coded = wanted / 255
    light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    nits = np.clip(light @ to_2020.T, 0, 1) * 203
    pixels = centres(shown(hdr_frame(pq_code(nits), 16)).pixels)
    assert np.abs(pixels - wanted).max() <= 8


def test_wide_gamut_sdr_keeps_greys_and_clips_colours() -> None:
    grey = ycbcr_frame(np.repeat(np.linspace(0, 1, 8)[:, None], 3, axis=1), "bt2020", full=False, bits=10)
    grey.color_primaries = 9
    assert np.abs(centres(shown(grey).pixels) - np.linspace(0, 255, 8)[:, None]).max() <= 2
    red = ycbcr_frame(np.array([[1.0, 0, 0]]), "bt2020", full=False, bits=10)
    red.color_primaries = 9
    assert tuple(centres(shown(red).pixels)[0]) == (255, 0, 0)


def test_roll_off_never_brightens() -> None:
    assert (tone_map._roll_off_gain(1000) <= 1.001).all()
    assert (tone_map._roll_off_gain(4000) <= 1.001).all()


# Geometry --------------------------------------------------------------------------------------------------------

QUADRANTS = np.array([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), [[1, 2], [3, 4]]),
        ((-1, 0, 0, 1), [[2, 1], [4, 3]]),
        ((1, 0, 0, -1), [[3, 4], [1, 2]]),
        ((-1, 0, 0, -1), [[4, 3], [2, 1]]),
        ((0, 1, 1, 0), [[1, 3], [2, 4]]),
        ((0, 1, -1, 0), [[3, 1], [4, 2]]),
        ((0, -1, 1, 0), [[2, 4], [1, 3]]),
        ((0, -1, -1, 0), [[4, 2], [3, 1]]),
    ],
)
def test_all_eight_orientations(matrix: tuple[int, int, int, int], expected: list[list[int]]) -> None:
    a, b, c, d = (value * 65536 for value in matrix)

    class Tagged:
        side_data = {}  # noqa: RUF012

    from av.sidedata.sidedata import Type

    Tagged.side_data = {Type.DISPLAYMATRIX: struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)}
    turned = Orientation.of(Tagged()).apply(QUADRANTS[..., None].astype(np.uint8))  # type: ignore[arg-type]
    assert turned[..., 0].tolist() == expected


def test_pixel_aspect_ratio_scales_the_width_as_ffmpeg_does() -> None:
    frame = VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8), format="rgb24")
    for ratio, width in (
        (Fraction(64, 45), 1024),
        (Fraction(16, 15), 768),
        (Fraction(40, 33), 872),
        (Fraction(1), 720),
    ):
        picture = displayed_picture(frame, ratio, max_pixels=10**8)
        assert (picture.width, picture.height) == (width, 576)
        assert not picture.warnings
    absurd = displayed_picture(frame, Fraction(60000, 1), max_pixels=10**8)
    assert (absurd.width, absurd.height) == (720, 576)
    assert absurd.warnings
