"""Which clips of a join are copied, which are encoded and why, and when each frame is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from shared.errors import ProcessingFailed
from shared.media.join.clip import Clip
from shared.media.join.groups import against_mixing, groups_of, headers_of
from shared.media.join.look import PROFILE_NAMES, Look, Wishes, look_of
from shared.media.join.parameter_sets import ParameterSets, free_id
from shared.media.join.renumber import Renumbered
from shared.media.join.timeline import FrameTimes, common_timescale, in_display_order, regular_times

COPYABLE_CODECS = ("h264", "hevc", "vp9", "av1")
"""What an mp4 may carry to browsers and phones."""

ENCODER_REORDER_DEPTH = 2
"""x264 holds back two frames with B-frames and its normal pyramid (`has_b_frames` of FFmpeg's libx264.c)."""


@dataclass(frozen=True)
class Part:
    """One clip in the join.

    Attributes:
        reasons: why it is encoded, in words; empty when it is copied.
        times: when its frames are shown, counted from `start`.
        start: seconds into the join.
        header: its parameter sets as the join's header names them; None where it is encoded or not H.264.
    """

    clip: Clip
    reasons: tuple[str, ...]
    times: FrameTimes
    start: Fraction
    header: Renumbered | None

    @property
    def is_copied(self) -> bool:
        return not self.reasons

    @property
    def end(self) -> Fraction:
        return self.start + self.times.duration


@dataclass(frozen=True)
class JoinPlan:
    """A join, decided to the last frame.

    Attributes:
        look: None when every clip is copied as it is.
        parameter_set_id: SPS and PPS id of encoded clips, free in the copied ones.
        timescale: ticks a second of the video track.
        reorder_depth: frames by which decoding runs ahead of display, over all clips.
    """

    parts: tuple[Part, ...]
    look: Look | None
    quality: str
    parameter_set_id: int
    timescale: int
    reorder_depth: int
    warnings: tuple[str, ...]

    @property
    def frames(self) -> int:
        return sum(len(part.times.ticks) for part in self.parts)

    @property
    def duration(self) -> Fraction:
        """Seconds of picture."""
        return self.parts[-1].end

    @property
    def display_size(self) -> tuple[int, int]:
        return self.look.display_size if self.look else self.parts[0].clip.display_size

    @property
    def copied(self) -> list[Part]:
        return [part for part in self.parts if part.is_copied]

    @property
    def encoded(self) -> list[Part]:
        return [part for part in self.parts if not part.is_copied]

    @property
    def copied_sets(self) -> list[ParameterSets]:
        """The different parameter sets of copied H.264 clips, as the join's header names them."""
        return list(dict.fromkeys(part.header.sets for part in self.parts if part.header))


def plan_join(clips: Sequence[Clip], wishes: Wishes) -> JoinPlan:
    """Decide a join.

    The group of equal clips that lasts longest sets the look. It is copied if nothing stands against it; the others
    are encoded to match. HEVC, VP9, AV1, HDR, interlaced, rotated and more-than-8-bit clips are copied only when all
    clips are equal, because only plain H.264 can share one track with what we encode.

    Raises:
        ProcessingFailed: `clips_differ`, with strategy `copy`, naming the first clip that cannot be copied.
    """
    ranked = sorted(groups_of(clips), key=lambda group: (-sum(clip.duration for clip in group), group[0].index))
    leader = ranked[0][0]
    look = look_of(leader, wishes)
    headers: dict[int, Renumbered | None] = {}
    if wishes.strategy != "reencode":
        if len(ranked) == 1 and not any(_against(clip, wishes) for clip in clips):
            headers = headers_of(clips)
            if len(headers) == len(clips):
                return _lay_out(clips, {}, headers, None, wishes)
        for group in ranked:
            usable = [clip for clip in group if not _against(clip, wishes) and not against_mixing(clip)]
            if usable and (group is ranked[0] or usable[0].display_size == look.display_size):
                headers = headers_of(usable)
                break
    copied = [clip for clip in clips if clip.index in headers]
    if copied:
        look = _look_of_copied(copied, wishes)
    model = copied[0] if copied else leader
    reasons = {clip.index: _reasons(clip, model, look, wishes, clips) for clip in clips if clip.index not in headers}
    if wishes.strategy == "copy" and reasons:
        odd = next(clip for clip in clips if clip.index in reasons)
        raise ProcessingFailed(
            f"strategy copy needs equal clips; this one cannot be copied beside {model.label}: "
            + ", ".join(reasons[odd.index]),
            word="clips_differ",
            input_name=odd.label,
        )
    return _lay_out(clips, reasons, headers, look, wishes)


def _against(clip: Clip, wishes: Wishes) -> list[str]:
    """Why a clip cannot be copied, whatever stands beside it."""
    reasons = list(clip.obstacles)
    if clip.codec not in COPYABLE_CODECS:
        reasons.append(f"{clip.codec} cannot be put in an mp4 that plays everywhere")
    if clip.codec == "h264" and clip.parameter_sets is None:
        reasons.append("its parameter sets are not in the header")
    if wishes.resolution:
        wanted = look_of(clip, wishes)
        if (clip.display_size, clip.sample_aspect) != (wanted.display_size, wanted.sample_aspect):
            reasons.append(f"{_size(clip.display_size)} != {_size(wanted.display_size)} asked for")
    if wishes.frame_rate and clip.times.constant_rate != wishes.frame_rate:
        reasons.append(f"{_rate(clip)} != {float(wishes.frame_rate):.5g} fps asked for")
    return reasons


def _look_of_copied(clips: Sequence[Clip], wishes: Wishes) -> Look:
    clip = clips[0]
    rate = wishes.frame_rate or clip.times.constant_rate
    return Look(
        width=clip.width,
        height=clip.height,
        sample_aspect=clip.sample_aspect,
        colour=clip.colour,
        frame_rate=rate,
        nominal_rate=rate or clip.times.average_rate,
        profile=max(clip.parameter_sets.profile for clip in clips if clip.parameter_sets),
    )


def _reasons(clip: Clip, model: Clip, look: Look, wishes: Wishes, clips: Sequence[Clip]) -> tuple[str, ...]:
    if wishes.strategy == "reencode":
        reasons = ["strategy reencode"]
    else:
        reasons = list(dict.fromkeys(_against(clip, wishes) + _differences(clip, model, look)))
        reasons = reasons or against_mixing(clip) or ["its encoder settings (SPS, PPS) differ"]
    if clip.sound is None and any(other.sound for other in clips):
        reasons.append("no audio")
    return tuple(reasons)


def _differences(clip: Clip, model: Clip, look: Look) -> list[str]:
    found = []
    if clip.codec != model.codec:
        found.append(f"{clip.codec} != {model.codec}")
    if clip.display_size != look.display_size:
        found.append(f"{_size(clip.display_size)} != {_size(look.display_size)}")
    elif not clip.is_turned and (clip.width, clip.height) != (look.width, look.height):
        found.append(f"stored as {clip.width}x{clip.height} != {look.width}x{look.height}")
    if clip.sample_aspect != model.sample_aspect:
        found.append(f"pixel aspect {_aspect(clip)} != {_aspect(model)}")
    if clip.matrix != model.matrix:
        found.append("rotated or mirrored" if clip.orientation else "not rotated")
    if clip.pixel_format != model.pixel_format:
        found.append(f"{clip.pixel_format} != {model.pixel_format}")
    if clip.colour.describe() != model.colour.describe():
        found.append(f"{clip.colour.describe()} != {model.colour.describe()}")
    if clip.colour.full_range != model.colour.full_range:
        found.append(f"{clip.colour.range_name} range != {model.colour.range_name} range")
    if clip.interlaced != model.interlaced:
        found.append("interlaced != progressive" if clip.interlaced else "progressive != interlaced")
    if _rate(clip) != _rate(model):
        found.append(f"{_rate(clip)} != {_rate(model)}")
    return found


def _lay_out(
    clips: Sequence[Clip],
    reasons: Mapping[int, tuple[str, ...]],
    headers: Mapping[int, Renumbered | None],
    look: Look | None,
    wishes: Wishes,
) -> JoinPlan:
    parts: list[Part] = []
    start = Fraction(0)
    for clip in clips:
        times = clip.times
        if clip.index in reasons:
            times = _encoded_times(clip, look.frame_rate if look else None)
        parts.append(Part(clip, reasons.get(clip.index, ()), times, start, headers.get(clip.index)))
        start += times.duration
    depth = max((part.times.reorder_depth() for part in parts if part.is_copied), default=0)
    if reasons and look and PROFILE_NAMES[look.profile] != "baseline":
        depth = max(depth, ENCODER_REORDER_DEPTH)
    taken = {number for part in parts if part.header for number in part.header.sets.used_ids()}
    plan = JoinPlan(
        parts=tuple(parts),
        look=look if reasons else None,
        quality=wishes.quality,
        parameter_set_id=free_id(taken) or 0,
        timescale=common_timescale([part.times for part in parts]),
        reorder_depth=depth,
        warnings=(),
    )
    return replace(plan, warnings=tuple(_warnings(plan)))


def _encoded_times(clip: Clip, frame_rate: Fraction | None) -> FrameTimes:
    if frame_rate is None:
        return in_display_order(clip.times)
    return regular_times(max(1, round(clip.duration * frame_rate)), frame_rate, clip.times.start)


def _warnings(plan: JoinPlan) -> list[str]:
    first = plan.parts[0].clip
    words = []
    if plan.look is None and first.codec == "h264" and first.pixel_format != "yuv420p":
        words.append(f"H.264 in {first.pixel_format} was copied; many browsers and phones cannot play it")
    if plan.look is None and first.codec == "hevc":
        words.append("HEVC was copied; not every browser can play it")
    words += [
        f"{part.clip.label} is cut off: {part.clip.missing_frames} of its pictures are missing"
        for part in plan.parts
        if part.clip.missing_frames
    ]
    words += [f"{part.clip.label}: HDR was brought to SDR" for part in plan.encoded if part.clip.colour.is_hdr]
    if any(part.clip.sound for part in plan.parts):
        words += [f"{part.clip.label} has no audio; silence was put in" for part in plan.parts if not part.clip.sound]
    return words


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _aspect(clip: Clip) -> str:
    return f"{clip.sample_aspect.numerator}:{clip.sample_aspect.denominator}"


def _rate(clip: Clip) -> str:
    rate = clip.times.constant_rate
    return f"{float(rate):.5g} fps" if rate else "variable frame rate"
