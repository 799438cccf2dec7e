# Submit job
curl -X POST "http://last-frame.ft.tc:8000/api/v1/process" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "video_url": "https://example.com/video.mp4"
  }'
