# Submit job
curl -X POST "http://last-frame.ft.tc:8000/api/v1/stitch" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "video_urls": [
      "https://example.com/video1.mp4",
      "https://example.com/video2.mp4"
    ]
  }'

# Check status
curl "http://last-frame.ft.tc:8000/api/v1/status/TASK_ID" \
  -H "Authorization: Bearer $LAST_FRAME_API_KEY"
