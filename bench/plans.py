"""Plans (dry runs): what they cost beside their jobs, how near their estimates come, and the fit behind the estimates.

    python -m bench.plans --media DIR [--most-seconds 10]

`--media` is a folder of real files; those that are no video are passed over, and longer ones are neither joined nor
encoded. A plan and its job read the same bytes in memory, which count what is asked of them. The last two tables are
what `shared/media/rates.py` quotes: x264's bits a pixel as k · (the source's bits a pixel)^0.7, and the bytes a pixel
of images; `within 2` is the share of files that the median foretells within a factor of two.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.support.table import print_table, ratio
from services.assembly import assemble
from services.assembly import plan as assembly_plan
from services.frames import last_frame
from services.frames import plan as frame_plan
from services.stitch import stitch
from shared.errors import LastFrameError
from shared.media.final_frame import find_last_frame
from shared.media.join.clip import Clip, read_clip
from shared.media.join.look import read_wishes
from shared.media.join.movie import Output, write_join
from shared.media.join.plan import plan_join
from shared.media.picture import displayed_picture, save_picture
from shared.media.rates import BITS_EXPONENT
from shared.media.source import FileSource
from shared.media.step import StepContext
from tests.support.sources import CountingSource

IMAGES = (("jpg", 50), ("jpg", 80), ("jpg", 95), ("webp", 80), ("webp", 95), ("png", 95))
MAX_PIXELS = 8192 * 4320


def clips(folder: Path) -> dict[Path, Clip]:
    found = {}
    for path in sorted(folder.iterdir()):
        try:
            found[path] = read_clip(0, FileSource(path), context(folder))
        except (LastFrameError, OSError):
            continue
    return found


def context(scratch: Path) -> StepContext:
    return StepContext(scratch=scratch, max_duration_seconds=None)


def timed(step: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float]:
    began = time.process_time()
    return step(*arguments, **options), time.process_time() - began


def costs(paths: Sequence[Path]) -> list[tuple[object, ...]]:
    """One row a kind: sums over all files, each with the next one where a kind takes several."""
    pairs = list(zip(paths, [*paths[1:], paths[0]], strict=True))

    kinds: dict[str, tuple[Any, Any, Any, Any]] = {
        "last frame": (frame_plan.plan, last_frame.extract, lambda s: (s[0],), lambda r: r.image_bytes),
        "stitch": (stitch.plan, stitch.stitch, lambda s: (s,), lambda r: r.output_file_size),
        "assembly": (
            lambda c, s, m: assembly_plan.plan(c, s, m, audio_sync_mode="trim"),
            lambda c, s, m: assemble.assemble(c, s, m, audio_sync_mode="trim"),
            lambda s: (s, s[0]),
            lambda r: sum(r.file_sizes.values()),
        ),
    }
    rows: list[tuple[object, ...]] = []
    for name, (plan, job, given, made) in kinds.items():
        read, cpu, near = [0, 0], [0.0, 0.0], []
        for pair in pairs:
            told: list[Any] = []
            for which, step in enumerate((plan, job)):
                sources = [CountingSource(path.read_bytes()) for path in pair]
                with tempfile.TemporaryDirectory() as scratch:
                    try:
                        result, seconds = timed(step, context(Path(scratch)), *given(sources))
                    except LastFrameError:
                        break  # no sound in it
                told.append(result)
                read[which] += sum(source.bytes_fetched for source in sources)
                cpu[which] += seconds
            if len(told) == 2:
                near.append(told[0].estimated_bytes / made(told[1]))
        within = sum(0.5 <= one <= 2 for one in near)
        rows.append(
            (
                name,
                len(near),
                f"{read[0] / 1e6:.1f}",
                f"{read[1] / 1e6:.1f}",
                ratio(read[0], read[1]),
                ratio(cpu[0], cpu[1]),
                f"{statistics.median(near):.2f}",
                f"{within}/{len(near)}",
            )
        )
    return rows


def sparse_rows(found: dict[Path, Clip]) -> list[tuple[object, ...]]:
    rows = []
    for path in found:
        if path.suffix == ".mp4":
            whole, sparse = CountingSource(path.read_bytes()), CountingSource(path.read_bytes())
            same = vars(replace(read_clip(0, whole, context(path.parent)), source=sparse)) == vars(
                read_clip(0, sparse, context(path.parent), sparsely=True)
            )
            part = ratio(sparse.bytes_fetched, whole.bytes_fetched)
            rows.append((path.name, whole.bytes_fetched, sparse.bytes_fetched, part, "yes" if same else "no"))
    return rows


def encode_rows(found: dict[Path, Clip]) -> list[tuple[object, ...]]:
    rows = []
    for quality in ("low", "medium", "high"):
        factors = []
        for clip in found.values():
            plan = plan_join([replace(clip, sound=None)], read_wishes("reencode", None, None, quality))
            pixels = clip.width * clip.height * len(clip.times.ticks)
            with tempfile.TemporaryDirectory() as scratch:
                path = Path(scratch, "out.mp4")
                write_join(plan, [Output(path, with_sound=False)], context(Path(scratch)))
                bits = path.stat().st_size * 8 / pixels
            factors.append(bits / (clip.coded_bytes * 8 / pixels) ** BITS_EXPONENT)
        rows.append((quality, *fitted(factors)))
    return rows


def image_rows(found: dict[Path, Clip]) -> list[tuple[object, ...]]:
    pictures = []
    for path in found:
        frame = find_last_frame(FileSource(path))
        pictures.append(displayed_picture(frame.frame, frame.sample_aspect_ratio, max_pixels=MAX_PIXELS))
    rows = []
    for image_format, quality in IMAGES:
        per_pixel = []
        with tempfile.TemporaryDirectory() as scratch:
            for picture in pictures:
                path = Path(scratch, f"out.{image_format}")
                save_picture(picture, path, image_format=image_format, quality=quality)
                per_pixel.append(path.stat().st_size / (picture.width * picture.height))
        rows.append((f"{image_format} {quality}", *fitted(per_pixel)))
    return rows


def fitted(values: Sequence[float]) -> tuple[str, str, str]:
    middle = statistics.median(values)
    away = [math.exp(abs(math.log(value / middle))) for value in values]
    return f"{middle:.3f}", f"{sum(one <= 2 for one in away)}/{len(away)}", f"{max(away):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--most-seconds", type=float, default=10.0)
    given = parser.parse_args()
    found = clips(given.media)
    short = {path: clip for path, clip in found.items() if clip.duration <= given.most_seconds}
    columns: tuple[str, ...] = ("clip", "bytes", "sparsely", "of it", "same facts")
    print_table("A clip, read whole and sparsely", columns, sparse_rows(found))
    columns = ("job", "runs", "plan MB", "job MB", "bytes", "CPU", "estimate = 1", "within 2")
    print_table("Plans beside their jobs", columns, costs(list(short)))
    print_table("x264's bits a pixel", ("quality", "k", "within 2", "farthest"), encode_rows(short))
    print_table("Bytes a pixel of an image", ("image", "bytes", "within 2", "farthest"), image_rows(found))


if __name__ == "__main__":
    main()
