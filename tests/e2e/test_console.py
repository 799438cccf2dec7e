"""The console as people use it: a real browser against a real suite.

`LASTFRAME_SCREENSHOTS=DIR` keeps pictures of every view: desktop, dark, phone.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest
import pytest_asyncio

from services.gateway.openapi import openapi_json
from tests.conftest import Sources
from tests.support.browser import Page, browser_page
from tests.support.receiver import Gate
from tests.support.suite import KEY, RunningSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELD_ERRORS = "[...document.querySelectorAll('.field .error')].map(e => e.textContent).filter(Boolean)"
SNIPPET = "document.querySelector('.snippet code').textContent"
BADGE = "document.querySelector('.task .about .badge')?.textContent"
LIMIT_SECONDS = 30.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(suite: RunningSuite) -> AsyncIterator[Page]:
    """Signed in."""
    async with browser_page() as page:
        await page.look()
        await page.go(f"{suite.url}/console")
        await page.see("Sign in")
        await page.type("#key", KEY)
        await page.click("button.primary")
        await page.see("New job")
        yield page


async def open_view(page: Page, place: str, title: str) -> None:
    await page.js(f"location.hash = {json.dumps(place)}")
    await page.until(f"document.querySelector('h1')?.textContent === {json.dumps(title)}")


async def sent(request: Page) -> dict:
    """The JSON of the request that the form shows as curl."""
    return json.loads((await request.js(SNIPPET)).split("-d '", 1)[1].removesuffix("'"))


async def completed(page: Page) -> None:
    await page.until(f"{BADGE} === 'completed'", LIMIT_SECONDS)


async def test_a_wrong_key_is_refused_and_signing_out_forgets(suite: RunningSuite) -> None:
    async with browser_page() as page:
        await page.go(f"{suite.url}/console#tasks")
        await page.see("Sign in")
        await page.type("#key", "wrong")
        await page.click("button.primary")
        await page.see("This key is not known here.")
        await page.type("#key", KEY)
        await page.press("Enter")
        await page.click("button.primary")
        await page.until("document.querySelector('h1')?.textContent === 'Tasks'")
        await page.click("#sign-out")
        await page.see("Sign in")
        assert await page.js("sessionStorage.length + localStorage.length") == 0


async def test_a_last_frame_from_form_to_picture(page: Page, sources: Sources) -> None:
    await open_view(page, "#new/last_frame", "Last frame")
    await page.click("form .primary")
    assert await page.js(FIELD_ERRORS) == ["Put in a URL or choose a file."]
    assert await page.js("document.activeElement.getAttribute('aria-invalid')") == "true"
    await page.type("form input[list]", sources.video)
    assert await sent(page) == {"video_url": sources.video}
    await page.click("form .primary")
    await completed(page)
    await page.until("document.querySelector('.zoom img').naturalWidth === 160")
    await page.see("Frame 29")
    for label, percent in (("1:1, every pixel", "100 %"), ("Larger", "200 %"), ("Fit", "fitted")):
        await page.click(f"button[aria-label='{label}']")
        await page.see(percent)
    assert sources.video in await page.js(SNIPPET)
    await page.js("[...document.querySelectorAll('.snippet button')].find(b => b.textContent === 'Python').click()")
    compile(await page.js(SNIPPET), "snippet", "exec")


async def test_what_the_api_refuses_is_said_beside_the_field(page: Page) -> None:
    await open_view(page, "#new/media_length", "Length")
    await page.type("form input[list]", "http://user:pw@example.com/a.mp4")
    await page.click("form .primary")
    await page.until(f"{FIELD_ERRORS}.length")
    assert await page.js(FIELD_ERRORS) == ["must not contain a user name or password"]


async def test_sounds_are_uploaded_ordered_and_heard(page: Page, sources: Sources) -> None:
    await open_view(page, "#new/audio_stitch", "Stitch audio")
    await page.choose_file("form input[type=file]", sources.files["speech"])
    await page.see("speech.wav is uploaded")
    await page.click(".adds button:nth-child(2)")
    await page.click(".adds button:nth-child(1)")
    await page.type(".order li:nth-child(3) input[list]", sources.music)
    first, pause, last = (await sent(page))["audio_urls"]
    assert (pause, last) == ("empty:1", sources.music)
    assert "/media/upload-" in first

    await page.js("document.querySelector('.order li:nth-child(3) .handle').focus()")
    await page.press("ArrowUp")
    assert (await sent(page))["audio_urls"] == [first, last, pause]
    assert await page.js("document.activeElement.getAttribute('aria-label')") == (
        "Sound 2: move by dragging or with the arrow keys"
    )
    await page.click(".order li:nth-child(2) .moves button:nth-child(2)")
    assert (await sent(page))["audio_urls"] == [first, pause, last]

    boxes = await page.js(
        "[...document.querySelectorAll('.order .handle')].map(e => e.getBoundingClientRect())"
        ".map(b => [b.left + b.width / 2, b.top + b.height / 2])"
    )
    await page.mouse("mousePressed", *boxes[2])
    for y in range(int(boxes[2][1]), int(boxes[0][1]) - 20, -12):
        await page.mouse("mouseMoved", boxes[2][0], y)
    await page.mouse("mouseReleased", boxes[0][0], boxes[0][1] - 20)
    assert (await sent(page))["audio_urls"] == [last, first, pause]

    await page.js("document.querySelector('main details').open = true")
    await page.js(
        "{const s = document.querySelector('.options select'); s.value = 'wav'; "
        "s.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    assert (await sent(page))["output_format"] == "wav"
    await page.click("form .primary")
    await completed(page)
    await page.until("document.querySelector('.waveform path')?.getAttribute('d').length > 1000")
    await page.until("document.querySelector('audio').duration > 3.4 && document.querySelector('audio').duration < 3.6")


async def test_a_movie_gives_three_files(page: Page, sources: Sources) -> None:
    await open_view(page, "#new/movie_assembly", "Assemble a movie")
    await page.click(".adds button")
    for row, url in ((1, sources.video), (2, sources.other_video)):
        await page.type(f".order li:nth-child({row}) input[list]", url)
    await page.type("form > .field.source input[list]", sources.speech)
    await page.type(".order li:nth-child(1) .number input", "7")
    request = await sent(page)
    assert [scene["sequence_number"] for scene in request["scene_videos"]] == [1, 2]
    await page.click("form .primary")
    await completed(page)
    await page.until("document.querySelectorAll('.results video').length === 2")
    await page.until("[...document.querySelectorAll('.results video, .results audio')].every(e => e.duration > 1)")
    assert await page.js("document.querySelectorAll('.results figure .link a').length") == 3
    for text in ("7.000 s were expected", "Scene 1 was copied bit for bit", "Scene 2 was copied bit for bit"):
        await page.see(text)


async def test_a_plan_is_shown_before_anything_is_sent(
    page: Page, suite: RunningSuite, sources: Sources, axe: str
) -> None:
    before = suite.get("/api/v1/tasks?limit=1000")["count"]
    await open_view(page, "#new/video_stitch", "Stitch videos")
    for row, url in ((1, sources.video), (2, sources.speech)):
        await page.type(f".order li:nth-child({row}) input[list]", url)
    await page.click("button.plan")
    await page.until(f"{FIELD_ERRORS}.length", LIMIT_SECONDS)
    [sentence] = await page.js(FIELD_ERRORS)
    assert "no video" in sentence
    assert await page.js("document.activeElement.getAttribute('aria-invalid')") == "true"

    await page.type(".order li:nth-child(2) input[list]", sources.other_video)
    await page.click("button.plan")
    await page.until("document.querySelector('section.plan') !== null", LIMIT_SECONDS)
    for text in ("about", "to fetch", "Clip 1 is copied bit for bit", "Clip 2 is copied bit for bit"):
        await page.see(text)
    told = await page.js("document.querySelector('section.plan dl').innerText")
    assert "frames\n60" in told
    assert "160x96" in told
    for mode, look in (("desktop", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 800})):
        await page.look(**look)
        await judge(page, axe, f"plan-{mode}", look.get("width", 1280))
    await page.look()
    await page.type(".order li:nth-child(1) input[list]", sources.other_video)
    assert await page.js("document.querySelector('section.plan') === null")  # it was of another request
    assert suite.get("/api/v1/tasks?limit=1000")["count"] == before


async def test_progress_is_live_and_a_job_can_be_stopped(page: Page, sources: Sources) -> None:
    with Gate(sources.files["video"].read_bytes()) as gate:
        for path, end in (("/live.mp4", "completed"), ("/stopped.mp4", "failed")):
            await open_view(page, "#new/last_frame", "Last frame")
            await page.type("form input[list]", gate.url(path))
            await page.click("form .primary")
            await page.until(f"{BADGE} === 'processing'")
            assert await page.js("document.querySelector('.live progress').getAttribute('aria-label')") == "Progress"
            await page.see("fetching")
            if end == "completed":
                gate.let_through(path)
            else:
                await page.click("button[aria-label^=Cancel]")
            await page.until(f"{BADGE} === '{end}'")
        await page.see("Cancelled")


async def test_tasks_are_found_retried_and_watched(page: Page, suite: RunningSuite, sources: Sources) -> None:
    suite.failed("/api/v1/process", {"video_url": sources.speech, "webhook_url": "http://127.0.0.1:9/console"})
    await open_view(page, "#tasks", "Tasks")
    await page.until("document.querySelectorAll('tbody tr').length > 2")
    await page.type("input[type=search]", "/console")
    await page.until("document.querySelectorAll('tbody tr').length === 1")
    text = await page.js("document.querySelector('tbody').innerText")
    assert "failed" in text
    assert "unsupported format" in text
    await page.js("[...document.querySelectorAll('tbody button')].find(b => b.textContent === 'Retry').click()")
    await page.until("location.hash.startsWith('#task/')")
    await page.see("repeats")
    await page.until(f"{BADGE} === 'failed'", LIMIT_SECONDS)
    await page.see("Webhook")


async def test_the_system_is_seen(page: Page) -> None:
    await open_view(page, "#system", "System")
    for text in ("0 of 10", "Throughput", "unsupported format", "sandbox"):
        await page.see(text)
    assert await page.js("document.querySelectorAll('.system svg[role=img]').length") == 5


async def test_the_forms_are_the_apis(page: Page) -> None:
    forms = await page.js("import('/console/jobs.js').then(m => m.JOBS)")
    document = json.loads(openapi_json())
    for job in forms:
        content = document["paths"][job["path"]]["post"]["requestBody"]["content"]["application/json"]
        schema = document["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
        named = {field["name"].split(".")[0] for field in (*job["fields"], *job["options"])}
        assert named | {"dry_run"} == set(schema["properties"])


VIEWS = {
    "new-frame": "#new/last_frame",
    "new-audio": "#new/audio_stitch",
    "new-movie": "#new/movie_assembly",
    "tasks": "#tasks",
    "system": "#system",
    "task-frame": "last_frame",
    "task-audio": "audio_stitch",
    "task-movie": "movie_assembly",
}


async def test_every_view_is_accessible_and_fits(page: Page, suite: RunningSuite, axe: str) -> None:
    """Light, dark and on a phone: axe finds nothing serious, nothing is wider than the screen."""
    tasks = suite.get("/api/v1/tasks?status=completed")["tasks"]
    newest = {task["kind"]: task["task_id"] for task in reversed(tasks)}
    for mode, look in (("desktop", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 800})):
        await page.look(**look)
        for name, place in VIEWS.items():
            await page.js(f"location.hash = {json.dumps(place if place[0] == '#' else '#task/' + newest[place])}")
            await page.until("document.querySelector('h1') && !document.querySelector('.live progress')")
            await page.js("document.querySelectorAll('main details').forEach(d => { d.open = true; })")
            await judge(page, axe, f"{name}-{mode}", look.get("width", 1280))
    await page.look()


async def judge(page: Page, axe: str, name: str, width: int) -> None:
    """What is shown fits and is accessible; a picture of it is kept where that is asked for."""
    await page.js("new Promise(done => setTimeout(done, 400))")
    assert await page.js("document.documentElement.scrollWidth") <= width, name
    await page.js(axe + ";0")
    found = await page.js(
        "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations"
        ".filter(one => ['serious', 'critical'].includes(one.impact))"
        ".map(one => [one.id, one.nodes[0].html]))"
    )
    assert found == [], name
    if kept := os.environ.get("LASTFRAME_SCREENSHOTS"):
        Path(kept).mkdir(parents=True, exist_ok=True)
        await page.picture(Path(kept, f"{name}.png"))


async def test_nothing_broke_on_the_way(page: Page) -> None:
    """No uncaught exception, nothing that the content policy refused."""
    expected = ("400 (Bad Request)",)
    assert [error for error in page.errors if not any(one in error for one in expected)] == []


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's source."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()
