# Submit job
curl -X POST "http://last-frame.ft.tc:8000/api/v1/video/assemble-movie" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "project_id": "test_project_123",
    "scene_videos": [
      {
        "scene_id": "scene_001",
        "video_url": "https://example.com/scene1.mp4",
        "sequence_number": 1,
        "expected_duration": 30.0
      }
    ],
    "master_audio": {
      "audio_url": "https://example.com/audio.mp3",
      "expected_duration": 30.0
    }
  }'
