from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LastFrameMetadata(_message.Message):
    __slots__ = ("video_duration", "video_resolution", "processing_time", "file_size", "video_codec", "frame_index", "frame_pts", "method", "width", "height", "image_bytes", "sha256", "warnings", "bytes_fetched", "phase_seconds")
    VIDEO_DURATION_FIELD_NUMBER: _ClassVar[int]
    VIDEO_RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    VIDEO_CODEC_FIELD_NUMBER: _ClassVar[int]
    FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    FRAME_PTS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    video_duration: float
    video_resolution: str
    processing_time: float
    file_size: float
    video_codec: str
    frame_index: int
    frame_pts: float
    method: str
    width: int
    height: int
    image_bytes: float
    sha256: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    bytes_fetched: float
    phase_seconds: _struct_pb2.Struct
    def __init__(self, video_duration: _Optional[float] = ..., video_resolution: _Optional[str] = ..., processing_time: _Optional[float] = ..., file_size: _Optional[float] = ..., video_codec: _Optional[str] = ..., frame_index: _Optional[int] = ..., frame_pts: _Optional[float] = ..., method: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., image_bytes: _Optional[float] = ..., sha256: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., bytes_fetched: _Optional[float] = ..., phase_seconds: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class MediaLengthMetadata(_message.Message):
    __slots__ = ("media_duration", "media_type", "media_format", "media_codec", "media_bitrate", "video_resolution", "media_sample_rate", "file_size", "processing_time", "duration_method", "container_duration", "frame_rate", "has_audio", "rotation", "streams", "bytes_fetched", "phase_seconds")
    MEDIA_DURATION_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FORMAT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_CODEC_FIELD_NUMBER: _ClassVar[int]
    MEDIA_BITRATE_FIELD_NUMBER: _ClassVar[int]
    VIDEO_RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    MEDIA_SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_METHOD_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_DURATION_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    HAS_AUDIO_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    media_duration: float
    media_type: str
    media_format: str
    media_codec: str
    media_bitrate: float
    video_resolution: str
    media_sample_rate: int
    file_size: float
    processing_time: float
    duration_method: str
    container_duration: float
    frame_rate: float
    has_audio: bool
    rotation: int
    streams: _containers.RepeatedCompositeFieldContainer[MediaStream]
    bytes_fetched: float
    phase_seconds: _struct_pb2.Struct
    def __init__(self, media_duration: _Optional[float] = ..., media_type: _Optional[str] = ..., media_format: _Optional[str] = ..., media_codec: _Optional[str] = ..., media_bitrate: _Optional[float] = ..., video_resolution: _Optional[str] = ..., media_sample_rate: _Optional[int] = ..., file_size: _Optional[float] = ..., processing_time: _Optional[float] = ..., duration_method: _Optional[str] = ..., container_duration: _Optional[float] = ..., frame_rate: _Optional[float] = ..., has_audio: _Optional[bool] = ..., rotation: _Optional[int] = ..., streams: _Optional[_Iterable[_Union[MediaStream, _Mapping]]] = ..., bytes_fetched: _Optional[float] = ..., phase_seconds: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class MediaStream(_message.Message):
    __slots__ = ("index", "type", "codec", "start", "duration", "language", "resolution", "sample_rate", "channels")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    index: int
    type: str
    codec: str
    start: float
    duration: float
    language: str
    resolution: str
    sample_rate: int
    channels: int
    def __init__(self, index: _Optional[int] = ..., type: _Optional[str] = ..., codec: _Optional[str] = ..., start: _Optional[float] = ..., duration: _Optional[float] = ..., language: _Optional[str] = ..., resolution: _Optional[str] = ..., sample_rate: _Optional[int] = ..., channels: _Optional[int] = ...) -> None: ...

class VideoStitchMetadata(_message.Message):
    __slots__ = ("total_videos", "total_duration", "output_duration", "processing_time", "output_file_size", "frames", "copied", "reencoded", "max_av_offset_ms", "resolution", "accelerator", "warnings", "bytes_fetched", "phase_seconds")
    TOTAL_VIDEOS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DURATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DURATION_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    REENCODED_FIELD_NUMBER: _ClassVar[int]
    MAX_AV_OFFSET_MS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    total_videos: int
    total_duration: float
    output_duration: float
    processing_time: float
    output_file_size: float
    frames: int
    copied: _containers.RepeatedCompositeFieldContainer[CopiedClip]
    reencoded: _containers.RepeatedCompositeFieldContainer[ReencodedClip]
    max_av_offset_ms: float
    resolution: str
    accelerator: AcceleratorUse
    warnings: _containers.RepeatedScalarFieldContainer[str]
    bytes_fetched: float
    phase_seconds: _struct_pb2.Struct
    def __init__(self, total_videos: _Optional[int] = ..., total_duration: _Optional[float] = ..., output_duration: _Optional[float] = ..., processing_time: _Optional[float] = ..., output_file_size: _Optional[float] = ..., frames: _Optional[int] = ..., copied: _Optional[_Iterable[_Union[CopiedClip, _Mapping]]] = ..., reencoded: _Optional[_Iterable[_Union[ReencodedClip, _Mapping]]] = ..., max_av_offset_ms: _Optional[float] = ..., resolution: _Optional[str] = ..., accelerator: _Optional[_Union[AcceleratorUse, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., bytes_fetched: _Optional[float] = ..., phase_seconds: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class CopiedClip(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class ReencodedClip(_message.Message):
    __slots__ = ("index", "reasons")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    index: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, index: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class AcceleratorUse(_message.Message):
    __slots__ = ("decode", "encode", "fallback")
    DECODE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    decode: str
    encode: str
    fallback: str
    def __init__(self, decode: _Optional[str] = ..., encode: _Optional[str] = ..., fallback: _Optional[str] = ...) -> None: ...

class AudioStitchMetadata(_message.Message):
    __slots__ = ("total_audio_sources", "total_silence_duration", "output_audio_duration", "output_audio_file_size", "processing_time", "output_sample_rate", "output_channels", "output_samples", "declicked_joins", "parts", "bytes_fetched", "phase_seconds")
    TOTAL_AUDIO_SOURCES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SILENCE_DURATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_AUDIO_DURATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_AUDIO_FILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    DECLICKED_JOINS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    total_audio_sources: int
    total_silence_duration: float
    output_audio_duration: float
    output_audio_file_size: float
    processing_time: float
    output_sample_rate: int
    output_channels: int
    output_samples: float
    declicked_joins: int
    parts: _containers.RepeatedCompositeFieldContainer[StitchedAudioPart]
    bytes_fetched: float
    phase_seconds: _struct_pb2.Struct
    def __init__(self, total_audio_sources: _Optional[int] = ..., total_silence_duration: _Optional[float] = ..., output_audio_duration: _Optional[float] = ..., output_audio_file_size: _Optional[float] = ..., processing_time: _Optional[float] = ..., output_sample_rate: _Optional[int] = ..., output_channels: _Optional[int] = ..., output_samples: _Optional[float] = ..., declicked_joins: _Optional[int] = ..., parts: _Optional[_Iterable[_Union[StitchedAudioPart, _Mapping]]] = ..., bytes_fetched: _Optional[float] = ..., phase_seconds: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class StitchedAudioPart(_message.Message):
    __slots__ = ("source", "start_seconds", "duration_seconds", "start_sample", "samples", "gain_db")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DURATION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    GAIN_DB_FIELD_NUMBER: _ClassVar[int]
    source: int
    start_seconds: float
    duration_seconds: float
    start_sample: float
    samples: float
    gain_db: float
    def __init__(self, source: _Optional[int] = ..., start_seconds: _Optional[float] = ..., duration_seconds: _Optional[float] = ..., start_sample: _Optional[float] = ..., samples: _Optional[float] = ..., gain_db: _Optional[float] = ...) -> None: ...

class MusicTrackMetadata(_message.Message):
    __slots__ = ("original_duration", "music_duration", "processing_time", "duck_db_measured", "ducked_seconds", "loops", "integrated_lufs", "true_peak_dbtp", "picture", "output_samples", "output_sample_rate", "output_channels", "warnings", "bytes_fetched", "phase_seconds")
    ORIGINAL_DURATION_FIELD_NUMBER: _ClassVar[int]
    MUSIC_DURATION_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    DUCK_DB_MEASURED_FIELD_NUMBER: _ClassVar[int]
    DUCKED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOOPS_FIELD_NUMBER: _ClassVar[int]
    INTEGRATED_LUFS_FIELD_NUMBER: _ClassVar[int]
    TRUE_PEAK_DBTP_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    original_duration: float
    music_duration: float
    processing_time: float
    duck_db_measured: float
    ducked_seconds: float
    loops: int
    integrated_lufs: float
    true_peak_dbtp: float
    picture: str
    output_samples: float
    output_sample_rate: int
    output_channels: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    bytes_fetched: float
    phase_seconds: _struct_pb2.Struct
    def __init__(self, original_duration: _Optional[float] = ..., music_duration: _Optional[float] = ..., processing_time: _Optional[float] = ..., duck_db_measured: _Optional[float] = ..., ducked_seconds: _Optional[float] = ..., loops: _Optional[int] = ..., integrated_lufs: _Optional[float] = ..., true_peak_dbtp: _Optional[float] = ..., picture: _Optional[str] = ..., output_samples: _Optional[float] = ..., output_sample_rate: _Optional[int] = ..., output_channels: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ..., bytes_fetched: _Optional[float] = ..., phase_seconds: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class MovieAssemblyMetadata(_message.Message):
    __slots__ = ("processing_time", "total_scenes", "total_video_duration", "audio_duration", "output_resolution", "file_sizes", "audio_stretch_ratio", "frames", "samples", "copied", "reencoded", "accelerator", "warnings", "bytes_fetched", "phase_seconds")
    PROCESSING_TIME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SCENES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_VIDEO_DURATION_FIELD_NUMBER: _ClassVar[int]
    AUDIO_DURATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    FILE_SIZES_FIELD_NUMBER: _ClassVar[int]
    AUDIO_STRETCH_RATIO_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    REENCODED_FIELD_NUMBER: _ClassVar[int]
    ACCELERATOR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    PHASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    processing_time: float
    total_scenes: int
    total_video_duration: float
    audio_duration: float
    output_resolution: str
    file_sizes: FileSizes
    audio_stretch_ratio: float
    frames: int
    samples: float
    copied: _containers.RepeatedCompositeFieldContainer[CopiedClip]
    reencoded: _containers.RepeatedCompositeFieldContainer[ReencodedClip]
    accelerator: AcceleratorUse
    warnings: _containers.RepeatedScalarFieldContainer[str]
    bytes_fetched: float
    phase_seconds: _struct_pb2.Struct
    def __init__(self, processing_time: _Optional[float] = ..., total_scenes: _Optional[int] = ..., total_video_duration: _Optional[float] = ..., audio_duration: _Optional[float] = ..., output_resolution: _Optional[str] = ..., file_sizes: _Optional[_Union[FileSizes, _Mapping]] = ..., audio_stretch_ratio: _Optional[float] = ..., frames: _Optional[int] = ..., samples: _Optional[float] = ..., copied: _Optional[_Iterable[_Union[CopiedClip, _Mapping]]] = ..., reencoded: _Optional[_Iterable[_Union[ReencodedClip, _Mapping]]] = ..., accelerator: _Optional[_Union[AcceleratorUse, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., bytes_fetched: _Optional[float] = ..., phase_seconds: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class FileSizes(_message.Message):
    __slots__ = ("full_video", "video_only", "audio_only")
    FULL_VIDEO_FIELD_NUMBER: _ClassVar[int]
    VIDEO_ONLY_FIELD_NUMBER: _ClassVar[int]
    AUDIO_ONLY_FIELD_NUMBER: _ClassVar[int]
    full_video: float
    video_only: float
    audio_only: float
    def __init__(self, full_video: _Optional[float] = ..., video_only: _Optional[float] = ..., audio_only: _Optional[float] = ...) -> None: ...
