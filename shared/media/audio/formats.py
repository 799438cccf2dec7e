"""The files that we write: one row per output format."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import InvalidRequest

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (*_MPEG_RATES, 64000, 88200, 96000)
_PCM_RATES = (*_AAC_RATES, 176400, 192000)


@dataclass(frozen=True)
class AudioFormat:
    """One output format.

    Attributes:
        name: as in a request; also the file name's extension.
        muxer, encoder: FFmpeg's names; a lossless format takes its encoder from the bit depth.
        content_type: the MIME type.
        sample_rates: Hz, ascending; what the encoder takes.
        most_channels: the widest layout.
        lossless: decodes to the very integers that went in.
        bitrates: (lowest, default per channel at 32 kHz and above, highest for the file) in bit/s; None if lossless.
    """

    name: str
    muxer: str
    encoder: str
    content_type: str
    sample_rates: tuple[int, ...]
    most_channels: int
    lossless: bool = False
    bitrates: tuple[int, int, int] | None = None

    def sample_rate_for(self, source_rate: int) -> int:
        """The lowest rate that keeps all of `source_rate`, or the highest there is."""
        return next((rate for rate in self.sample_rates if rate >= source_rate), self.sample_rates[-1])

    def default_bitrate(self, sample_rate: int, channels: int) -> int | None:
        """Transparent or nearly so: 96 kbit/s a channel (Opus 64), in proportion below 32 kHz; 256 at most a pair."""
        if self.bitrates is None:
            return None
        lowest, per_channel, highest = self.bitrates
        if sample_rate < 32000:
            per_channel = max(24000, 8000 * round(per_channel * sample_rate / 32000 / 8000))
        if self.name == "mp3" and channels == 1:
            per_channel = per_channel * 4 // 3  # one channel has no joint stereo to gain from
        return min(max(lowest, per_channel * channels), highest if sample_rate >= 32000 else min(highest, 160000))


FORMATS: dict[str, AudioFormat] = {
    row.name: row
    for row in (
        AudioFormat("mp3", "mp3", "libmp3lame", "audio/mpeg", _MPEG_RATES, 2, bitrates=(8000, 96000, 320000)),
        AudioFormat("m4a", "ipod", "aac", "audio/mp4", _AAC_RATES, 6, bitrates=(16000, 96000, 512000)),
        AudioFormat("wav", "wav", "pcm", "audio/wav", _PCM_RATES, 8, lossless=True),
        AudioFormat("flac", "flac", "flac", "audio/flac", _PCM_RATES, 8, lossless=True),
        AudioFormat("opus", "opus", "libopus", "audio/ogg", (48000,), 6, bitrates=(6000, 64000, 510000)),
    )
}
"""By name. Rates and channels of MP3: ISO 11172-3, 13818-3 and LAME's 2.5. Opus always decodes at 48 kHz (RFC 6716).
Eight channels stay with PCM: FFmpeg's AAC encoder refuses them, and libopus through PyAV 18.1 crashes on them."""


def audio_format(name: str) -> AudioFormat:
    """The row of that name.

    Raises:
        InvalidRequest: no such format; the detail lists those there are.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise InvalidRequest(
            f"output_format must be one of {', '.join(FORMATS)}, not {name!r}", input_name="output_format"
        ) from None
