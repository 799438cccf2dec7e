# Submit job
curl -X POST "http://last-frame.ft.tc:8000/api/v1/audio-stitch" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "audio_urls": [
      "https://example.com/intro.mp3",
      "empty:2.0",
      "https://example.com/main.wav",
      "empty:1.5",
      "https://example.com/outro.mp3"
    ]
  }'

# Check status
curl "http://last-frame.ft.tc:8000/api/v1/status/TASK_ID" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY"
