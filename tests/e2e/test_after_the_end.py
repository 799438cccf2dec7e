"""What may be done with finished tasks: listed, retried, deleted, their results used again, their webhooks resent."""

from __future__ import annotations

from tests.conftest import Sources
from tests.support.suite import RunningSuite

LENGTH, PROCESS, STITCH = "/api/v1/length", "/api/v1/process", "/api/v1/stitch"


def test_a_result_is_a_source_of_the_next_job(suite: RunningSuite, sources: Sources) -> None:
    film = suite.completed(STITCH, {"video_urls": [sources.video, sources.video]})
    frame = suite.completed(PROCESS, {"video_url": film["video_result_url"]})
    assert frame["metadata"]["frame_index"] == film["metadata"]["frames"] - 1
    assert frame["metadata"]["bytes_fetched"] == 0


def test_deleting_a_completed_task_deletes_its_results(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed(PROCESS, {"video_url": sources.video})
    name = task["image_url"].rpartition("/")[2]
    assert suite.call("GET", f"/media/{name}").status_code == 200
    assert suite.call("DELETE", f"/api/v1/tasks/{task['task_id']}").json()["task_id"] == task["task_id"]
    assert suite.call("GET", f"/media/{name}").status_code == 404
    assert suite.call("GET", f"/api/v1/status/{task['task_id']}").status_code == 404


def test_a_failed_task_is_retried_as_a_new_one(suite: RunningSuite, sources: Sources) -> None:
    failed = suite.failed(PROCESS, {"video_url": sources.speech})
    reply = suite.call("POST", f"/api/v1/tasks/{failed['task_id']}/retry", json={}).json()
    assert reply["task_id"] != failed["task_id"]
    again = suite.finished(reply["task_id"])
    assert again["retry_of"] == failed["task_id"]
    assert (again["video_url"], again["error"]) == (failed["video_url"], failed["error"])
    refused = suite.call(
        "POST", f"/api/v1/tasks/{suite.completed(LENGTH, {'media_url': sources.speech})['task_id']}/retry"
    )
    assert (refused.status_code, refused.json()["error"]) == (409, "task_not_failed")


def test_listing_by_pages_meets_every_task_once(suite: RunningSuite, sources: Sources) -> None:
    made = {suite.completed(LENGTH, {"media_url": sources.speech})["task_id"] for _ in range(3)}
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(200):
        query = "/api/v1/tasks?kind=media_length&status=completed&limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = suite.get(query)
        assert page["count"] == len(page["tasks"]) <= 2
        assert all(task["kind"] == "media_length" and task["status"] == "completed" for task in page["tasks"])
        seen += [task["task_id"] for task in page["tasks"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert cursor is None
    assert len(seen) == len(set(seen))
    assert made <= set(seen)


def test_listing_since_a_moment(suite: RunningSuite, sources: Sources) -> None:
    old = suite.completed(LENGTH, {"media_url": sources.speech})
    new = suite.completed(LENGTH, {"media_url": sources.speech})
    page = suite.get(f"/api/v1/tasks?created_after={old['created_at']}&limit=1000")
    ids = [task["task_id"] for task in page["tasks"]]
    assert ids[0] == new["task_id"]


def test_a_finished_task_says_when_it_expires(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed(LENGTH, {"media_url": sources.speech})
    assert task["expires_at"] > task["completed_at"]
