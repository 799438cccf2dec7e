"""The music as one endless stream: started at its offset, looped over seams that nobody hears."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidRequest
from shared.media.audio import Block
from shared.media.audio.loudness import HOPS_PER_SECOND, SILENCE_LUFS, LoudnessMeter, lufs
from shared.media.audio.reader import read_audio
from shared.media.source import ByteSource

CROSSFADE_SECONDS = 2.0
_SEARCH_SECONDS = 1.0
_EDGE_LU = 15.0
"""What lies this far under the music's loudness at its ends is a fade or silence: no loop goes through it."""
_LEAST_OFFSET = 0.001
"""A recording whose mean is further from zero than this (-60 dB) would thump at the ends and take headroom."""


@dataclass(frozen=True)
class Seam:
    """Where a loop turns: its last samples `[tail, tail + length)` fade into `[head, head + length)`.

    Attributes:
        likeness: correlation of the two stretches, 0 to 1; the fade is shaped by it.
    """

    head: int
    tail: int
    length: int
    likeness: float


def expected_loops(music_seconds: float, needed_seconds: float) -> int:
    """About how often so much music has to begin again, as if nothing of it were a fade: the seam is known only once
    it has been heard."""
    if music_seconds >= needed_seconds:
        return 0
    crossfade, search = min(CROSSFADE_SECONDS, music_seconds / 4), min(_SEARCH_SECONDS, music_seconds / 4)
    first_turn = music_seconds - search / 2
    return 1 + max(0, math.floor((needed_seconds - first_turn) / (first_turn - crossfade)))


def behind_the_end(offset_seconds: float, music_seconds: float) -> InvalidRequest:
    """What a request is told whose music begins where there is none left."""
    return InvalidRequest(
        f"music_offset_seconds: {offset_seconds:g} is behind the music's end at {music_seconds:.3f} s",
        input_name="music_offset_seconds",
    )


class MusicBed:
    """The part of the music that is used, as raw float32 in scratch, measured; reading goes on for ever, without the
    constant offset that bad converters leave.

    Use as a context manager.

    Attributes:
        duration_seconds: of the whole piece, before the offset.
        loudness_lufs: integrated, of the part that is used.
        loops: how often reading went back to the beginning so far.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int) -> None:
        self._path, self._rate, self._channels = path, sample_rate, channels
        self._file: BinaryIO = path.open("w+b")
        self._samples = 0
        self._offset: Block = np.zeros((channels, 1), np.float32)
        self._hops: NDArray[np.float64] = np.zeros(0)
        self._seam: Seam | None = None
        self._turn: Block = np.zeros((channels, 0), np.float32)
        self._place = 0
        self.duration_seconds = 0.0
        self.loudness_lufs = SILENCE_LUFS
        self.loops = 0

    def load(
        self,
        source: ByteSource,
        *,
        offset_seconds: float,
        needed_samples: int,
        max_duration_seconds: float | None,
        threads: int = 1,
    ) -> None:
        """Decode the music and keep `needed_samples` from `offset_seconds` on (fewer if it ends before: it loops).

        Raises:
            InvalidRequest: the offset lies behind the music's end.
            UnsupportedMedia, LimitExceeded, LastFrameError: see `read_audio`.
        """
        meter = LoudnessMeter(self._rate, self._channels)
        first = round(offset_seconds * self._rate)
        total = 0
        sums = np.zeros(self._channels)
        for block in read_audio(
            source, self._rate, self._channels, max_duration_seconds=max_duration_seconds, threads=threads
        ):
            used = block[:, max(0, first - total) : max(0, first + needed_samples - total)]
            total += block.shape[1]
            if used.shape[1]:
                meter.add(used)
                sums += used.sum(axis=1, dtype=np.float64)
                self._file.write(np.ascontiguousarray(used.T).tobytes())
                self._samples += used.shape[1]
        self.duration_seconds = total / self._rate
        if not self._samples:
            raise behind_the_end(offset_seconds, self.duration_seconds)
        means = np.asarray(sums / self._samples, np.float32)
        self._offset[:, 0] = np.where(np.abs(means) > _LEAST_OFFSET, means, 0.0)
        self._hops = meter.hop_energies()
        self.loudness_lufs = meter.integrated_lufs()
        if self._samples < needed_samples:
            self._seam = self._find_seam()
            self._turn = self._crossfade(self._seam)

    @property
    def seam(self) -> Seam | None:
        """Where the music loops; None if it is long enough."""
        return self._seam

    def read(self, samples: int) -> Block:
        """The next samples."""
        parts: list[Block] = []
        while samples > 0:
            part = self._some(samples)
            samples -= part.shape[1]
            parts.append(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def rewind(self) -> None:
        """Start again from the offset."""
        self._place, self.loops = 0, 0

    def _some(self, samples: int) -> Block:
        seam = self._seam
        if seam is None:
            count = min(samples, self._samples - self._place)
            part = self._stored(self._place, count) if count > 0 else np.zeros((self._channels, samples), np.float32)
            self._place += part.shape[1]
            return part
        if self._place < seam.tail:
            count = min(samples, seam.tail - self._place)
            part = self._stored(self._place, count)
        else:
            within = self._place - seam.tail
            part = self._turn[:, within : within + samples]
        self._place += part.shape[1]
        if self._place == seam.tail + seam.length:
            self._place = seam.head + seam.length
            self.loops += 1
        return part

    def _find_seam(self) -> Seam:
        """A loop that leaves out fades and silence at the ends, turned where both sides move alike."""
        head, end = self._body()
        length = min(round(CROSSFADE_SECONDS * self._rate), (end - head) // 4)
        search = min(round(_SEARCH_SECONDS * self._rate), (end - head) // 4)
        if length < 1:
            return Seam(head=0, tail=self._samples, length=0, likeness=0.0)
        beginning = self._stored(head, length).mean(axis=0)
        ending = self._stored(end - length - search, length + search).mean(axis=0)
        likeness = _likeness(ending, beginning)
        best = int(np.argmax(likeness))
        return Seam(head, end - length - search + best, length, float(np.clip(likeness[best], 0.0, 1.0)))

    def _body(self) -> tuple[int, int]:
        """The first and last sample of what is not a fade or silence; all of it where that leaves too little."""
        window = HOPS_PER_SECOND // 5
        if self._hops.size > 2 * window and self.loudness_lufs > SILENCE_LUFS:
            total = np.concatenate(([0.0], np.cumsum(self._hops)))
            levels = np.array([lufs(energy) for energy in (total[window:] - total[:-window]) / window])
            loud = np.flatnonzero(levels > self.loudness_lufs - _EDGE_LU)
            if loud.size:
                head = int(loud[0] * self._rate / HOPS_PER_SECOND)
                end = min(self._samples, math.ceil((loud[-1] + window) * self._rate / HOPS_PER_SECOND))
                if end == self._hops.size * self._rate // HOPS_PER_SECOND:
                    end = self._samples  # the last part of a hop
                if end - head >= self._samples // 2:
                    return head, end
        return 0, self._samples

    def _crossfade(self, seam: Seam) -> Block:
        """The loop's turn. Sine and cosine gains, divided by what two sounds of that likeness then add up to: equal
        power for strangers, equal amplitude for twins, so the level does not move."""
        angle = np.pi / 2 * (np.arange(seam.length) + 0.5) / max(1, seam.length)
        fall, rise = np.cos(angle), np.sin(angle)
        level = np.sqrt(1.0 + 2.0 * fall * rise * seam.likeness)
        out = self._stored(seam.tail, seam.length) * (fall / level) + self._stored(seam.head, seam.length) * (
            rise / level
        )
        return np.asarray(out, np.float32)

    def _stored(self, start: int, samples: int) -> Block:
        self._file.flush()
        self._file.seek(start * self._channels * 4)
        flat = np.frombuffer(self._file.read(samples * self._channels * 4), np.float32)
        block = np.ascontiguousarray(flat.reshape(-1, self._channels).T)
        return block - self._offset if self._offset.any() else block

    def __enter__(self) -> MusicBed:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def _likeness(longer: NDArray[np.float32], shorter: NDArray[np.float32]) -> NDArray[np.float64]:
    """The normalised correlation of `shorter` with `longer` at each shift that fits."""
    shifts = longer.size - shorter.size + 1
    size = 1 << (longer.size + shorter.size - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(longer, size) * np.conj(np.fft.rfft(shorter, size)), size)[:shifts]
    energy = np.concatenate(([0.0], np.cumsum(np.square(longer, dtype=np.float64))))
    around = energy[shorter.size :] - energy[:shifts]
    own = float(np.square(shorter, dtype=np.float64).sum())
    return np.asarray(product / np.sqrt(np.maximum(around * own, 1e-20)))
