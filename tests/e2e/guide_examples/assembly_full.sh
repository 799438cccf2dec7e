curl -X POST "http://last-frame.ft.tc:8000/api/v1/video/assemble-movie" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "project_id": "test_project_123",
    "scene_videos": [
      {
        "scene_id": "scene_001",
        "video_url": "https://media.ft.tc/microscenes/688f57e9d1c33e060586a7e8/ms_5bfee540_001_1754425085200/videos/1754425566822_microscene_ms_5bfee540_001_1754425085200_video.mp4",
        "sequence_number": 1,
        "expected_duration": 8.0
      },
      {
        "scene_id": "scene_002",
        "video_url": "https://media.ft.tc/microscenes/688f57e9d1c33e060586a7e8/ms_5bfee540_002_1754425085217/videos/1754425760102_microscene_ms_5bfee540_002_1754425085217_video.mp4",
        "sequence_number": 2,
        "expected_duration": 8.0
      },
      {
        "scene_id": "scene_003",
        "video_url": "https://v3.fal.media/files/tiger/v-mrd2zt5dWXFKP9_Yl4q_output.mp4",
        "sequence_number": 3,
        "expected_duration": 7.0
      }
    ],
    "master_audio": {
      "audio_url": "https://v3.fal.media/files/kangaroo/rojNblPnFg5-N-l6I4tB2_speech.mp3",
      "expected_duration": 23.0
    },
    "output_settings": {
      "quality": "high",
      "audio_sync_mode": "stretch_to_fit"
    }
  }'
