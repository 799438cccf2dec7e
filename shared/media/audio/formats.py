"""The files that we write: one row per output format."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import InvalidRequest
from shared.media.audio.channels import LAYOUTS

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
        lowest, per_channel, _ = self.bitrates
        if sample_rate < 32000:
            per_channel = max(24000, 8000 * round(per_channel * sample_rate / 32000 / 8000))
        if self.name == "mp3" and channels == 1:
            per_channel = per_channel * 4 // 3  # one channel has no joint stereo to gain from
        return min(max(lowest, per_channel * channels), self.highest_bitrate(sample_rate, channels))

    def highest_bitrate(self, sample_rate: int, channels: int) -> int:
        """Bit/s that the format can spend at that rate and width; 0 if lossless.

        Sources: the bitrate tables of ISO 11172-3, 13818-3 and LAME's MPEG-2.5; 6144 bits a channel in 1024 samples
        (ISO 14496-3, 4.5.3.3); libopus' `OPUS_SET_BITRATE`, 256 kbit/s a channel in FFmpeg.
        """
        highest = self.bitrates[2] if self.bitrates else 0
        match self.name:
            case "mp3":
                return highest if sample_rate >= 32000 else 160_000 if sample_rate >= 16000 else 64_000
            case "m4a":
                return min(highest, 6 * sample_rate * channels)
            case "opus":
                return min(highest, 256_000 * channels)
        return highest

    def check(self, sample_rate: int | None, channels: int | None, bitrate: int | None) -> None:
        """Whether the format has what was asked for, as far as it was; lossless formats pass over a bitrate.

        Raises:
            InvalidRequest: it has not; the detail says what there is, `input_name` names the option.
        """
        if sample_rate is not None and sample_rate not in self.sample_rates:
            known = ", ".join(str(rate) for rate in self.sample_rates)
            raise InvalidRequest(f"sample_rate: must be one of {known} for {self.name}", input_name="sample_rate")
        if channels is not None and (channels not in LAYOUTS or channels > self.most_channels):
            known = ", ".join(str(count) for count in LAYOUTS if count <= self.most_channels)
            raise InvalidRequest(f"channels: must be one of {known} for {self.name}", input_name="channels")
        if bitrate is None or self.bitrates is None:
            return
        highest = self.highest_bitrate(sample_rate or self.sample_rates[-1], channels or self.most_channels)
        if not self.bitrates[0] <= bitrate <= highest:
            at = f" at {sample_rate} Hz" if sample_rate else ""
            at += f" in {channels} channel{'s' if channels > 1 else ''}" if channels else ""
            raise InvalidRequest(
                f"bitrate: must be between {self.bitrates[0]} and {highest} bits a second for {self.name}{at}",
                input_name="bitrate",
            )


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

DEFAULT_FORMAT = "mp3"


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
