"""Which clips can be copied side by side, in one track with one header."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction

from shared.media.join.clip import Clip
from shared.media.join.look import PROFILE_NAMES
from shared.media.join.parameter_sets import free_id
from shared.media.join.renumber import Renumbered, renumber


def groups_of(clips: Sequence[Clip]) -> list[list[Clip]]:
    """The clips sorted into groups of equal ones, each in order."""
    groups: list[list[Clip]] = []
    for clip in clips:
        alike = [group for group in groups if any(_alike(clip, other) for other in group)]
        groups = [group for group in groups if group not in alike]
        groups.append(sorted([clip, *(other for group in alike for other in group)], key=lambda one: one.index))
    return groups


def headers_of(clips: Sequence[Clip]) -> dict[int, Renumbered | None]:
    """The header of each clip of a group that can be copied beside the others, by index; None where it is not H.264.

    The parameter sets of the longest stretch keep their ids. One id is left for what is encoded.
    """
    lengths: dict[Hashable, Fraction] = {}
    for clip in clips:
        lengths[_header(clip)] = lengths.get(_header(clip), Fraction(0)) + clip.duration
    chosen: dict[Hashable, Renumbered | None] = {}
    taken: set[int] = set()
    for clip in sorted(clips, key=lambda one: (-lengths[_header(one)], one.index)):
        if clip.parameter_sets is None:
            chosen[_header(clip)] = None
        elif _header(clip) not in chosen:
            header = renumber(clip.parameter_sets, taken)
            if header and (not taken or free_id(taken | header.sets.used_ids()) is not None):
                chosen[_header(clip)] = header
                taken |= header.sets.used_ids()
    return {clip.index: chosen[_header(clip)] for clip in clips if _header(clip) in chosen}


def against_mixing(clip: Clip) -> list[str]:
    """Why a clip cannot be copied beside encoded ones, in one `avc1` track."""
    reasons = []
    if clip.codec != "h264":
        reasons.append(f"{clip.codec} is copied only when all clips are equal")
    elif clip.colour.is_hdr:
        reasons.append("HDR is copied only when all clips are equal")
    elif clip.parameter_sets is None or clip.parameter_sets.profile not in PROFILE_NAMES:
        reasons.append("its H.264 profile is copied only when all clips are equal")
    elif clip.pixel_format != "yuv420p":
        reasons.append(f"{clip.pixel_format} is copied only when all clips are equal")
    elif clip.parameter_sets.free_id() is None:
        reasons.append("it uses every parameter set id")
    if clip.interlaced:
        reasons.append("interlaced video is copied only when all clips are equal")
    if clip.orientation:
        reasons.append("rotated video is copied only when all clips are equal")
    if clip.width % 2 or clip.height % 2:
        reasons.append(f"odd size {clip.width}x{clip.height} is copied only when all clips are equal")
    return reasons


def _alike(clip: Clip, other: Clip) -> bool:
    """Whether two clips look the same, and decode with one header or, at one frame rate, with a merged one."""
    if _picture(clip) != _picture(other):
        return False
    if _header(clip) == _header(other):
        return True
    can_merge = not against_mixing(clip) and not against_mixing(other)
    return can_merge and clip.times.constant_rate == other.times.constant_rate


def _picture(clip: Clip) -> Hashable:
    return (
        clip.codec, clip.width, clip.height, clip.sample_aspect, clip.matrix, clip.pixel_format, clip.colour,
        clip.interlaced,
    )  # fmt: skip


def _header(clip: Clip) -> Hashable:
    sets = clip.parameter_sets
    return (frozenset(sets.sps), frozenset(sets.pps)) if sets else clip.extradata
