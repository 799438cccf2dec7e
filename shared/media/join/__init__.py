"""Join clips into one picture: copy what is equal, encode only what differs, keep every frame on an exact clock.

    clips = [read_clip(index, source, context) for index, source in enumerate(sources)]
    plan = plan_join(clips, read_wishes("auto", resolution=None, frame_rate=None, quality=None))
    plan.duration, plan.frames, plan.copied, plan.encoded           # known before a byte is written
    write_join(plan, [Output(full, with_sound=True), Output(silent, with_sound=False)], context, sound)

`clip` measures, `plan` decides, `movie` writes. `write_join` demuxes and encodes every clip once, whatever the number
of outputs. `sound` is a `SoundTrack` (rate, channels, exactly `round(plan.duration * rate)` samples of float32
blocks): stitch takes `clips_sound(plan, ...)`, assembly its own master audio, and None leaves the files mute. Its
iterator is pulled from another thread, and a caller may tee it into an encoder of its own on the way.

H.264 clips of several encoders, ours included, share one `avc1` entry with all their parameter sets under different
ids (ISO/IEC 14496-15 §5.3.3.1); each begins with an IDR picture, where decoders change sets. Measured on joins of ten
headers: FFmpeg 5.1 and 8.1 and Chromium 156 show every picture, also after seeking. OpenH264 2.3.1 drops what it still
holds back where the number of reference frames changes. `strategy: reencode` leaves one header.
"""
