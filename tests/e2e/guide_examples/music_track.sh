# Submit job
curl -X POST "http://last-frame.ft.tc:8000/api/v1/music-track" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "video_url": "https://example.com/presentation.mp4",
    "music_url": "https://example.com/background_music.mp3"
  }'

# Check status
curl "http://last-frame.ft.tc:8000/api/v1/status/TASK_ID" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY"
