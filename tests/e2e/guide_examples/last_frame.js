async function extractLastFrame(videoUrl) {
    const response = await fetch('http://last-frame.ft.tc:8000/api/v1/process', {
        method: 'POST',
        headers: {
            'Authorization': 'Bearer $LAST_FRAME_API_KEY',
            'Content-Type': 'application/json'
        },
        body: JSON.stringify({
            video_url: videoUrl
        })
    });
    
    const taskData = await response.json();
    const taskId = taskData.task_id;
    
    // Poll for completion
    while (true) {
        const statusResponse = await fetch(
            `http://last-frame.ft.tc:8000/api/v1/status/${taskId}`,
            {
                headers: {
                    'Authorization': 'Bearer $LAST_FRAME_API_KEY'
                }
            }
        );
        
        const statusData = await statusResponse.json();
        
        if (statusData.status === 'completed') {
            return statusData.image_url;
        } else if (statusData.status === 'failed') {
            throw new Error(statusData.error_message);
        }
        
        await new Promise(resolve => setTimeout(resolve, 5000));
    }
}
