"""Registers the audio feature with the runtime."""

from __future__ import annotations

import grpc
from lastframe.audio.v1 import audio_pb2_grpc

from services.audio.api import AudioService
from services.audio.jobs import join_sounds, lay_music, plan_music_track, plan_sounds
from shared.jobs.ledger import Ledger
from shared.rpc.submit import Submitter
from shared.runtime.feature import Feature
from shared.tasks import TaskKind


def register(submitter: Submitter, ledger: Ledger, server: grpc.aio.Server) -> None:
    audio_pb2_grpc.add_AudioServiceServicer_to_server(AudioService(submitter), server)


FEATURE = Feature(
    name="audio",
    service_names=("lastframe.audio.v1.AudioService",),
    register=register,
    jobs={TaskKind.AUDIO_STITCH: join_sounds, TaskKind.MUSIC_TRACK: lay_music},
    plans={TaskKind.AUDIO_STITCH: plan_sounds, TaskKind.MUSIC_TRACK: plan_music_track},
    preload=(
        "services.audio.stitch_audio",
        "services.audio.mix_music",
        "services.audio.plan",
    ),
)
