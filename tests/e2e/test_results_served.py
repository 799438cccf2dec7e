"""Results under `/media/`: whole or in ranges, never a listing, never anything but results."""

from __future__ import annotations

import hashlib

import pytest
import requests

from tests.conftest import Sources
from tests.support.suite import RunningSuite


@pytest.fixture(scope="module")
def image_url(suite: RunningSuite, sources: Sources) -> str:
    return str(suite.completed("/api/v1/process", {"video_url": sources.video, "image_format": "png"})["image_url"])


def test_a_result_needs_no_key_and_says_what_it_is(suite: RunningSuite, image_url: str) -> None:
    reply = requests.get(image_url, timeout=10)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["accept-ranges"] == "bytes"
    head = requests.head(image_url, timeout=10)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(reply.content)))


def test_the_metadata_tells_the_digest(suite: RunningSuite, sources: Sources) -> None:
    task = suite.completed("/api/v1/process", {"video_url": sources.video})
    image = requests.get(task["image_url"], timeout=10).content
    assert task["metadata"]["sha256"] == hashlib.sha256(image).hexdigest()


@pytest.mark.parametrize(
    ("wanted", "first", "last"), [("bytes=0-99", 0, 99), ("bytes=100-", 100, None), ("bytes=-50", -50, None)]
)
def test_ranges(image_url: str, wanted: str, first: int, last: int | None) -> None:
    whole = requests.get(image_url, timeout=10).content
    reply = requests.get(image_url, headers={"Range": wanted}, timeout=10)
    assert reply.status_code == 206
    assert reply.content == whole[first : None if last is None else last + 1]
    assert reply.headers["content-range"].endswith(f"/{len(whole)}")


def test_a_range_past_the_end(image_url: str) -> None:
    assert requests.get(image_url, headers={"Range": "bytes=99999999-"}, timeout=10).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "/media/",
        "/media/.incoming",
        "/media/.incoming/",
        "/media/absent.jpg",
        "/media/../tasks.db",
        "/media/%2e%2e/api-key",
        "/media/..%2fapi-key",
        "/media/%2fetc%2fpasswd",
        "/media/a.jpg/b.jpg",
    ],
)
def test_nothing_but_results_is_served(suite: RunningSuite, path: str) -> None:
    request = requests.Request("GET", suite.url).prepare()
    request.url = suite.url + path  # as it is: the library would tidy the dots away
    with requests.Session() as session:
        reply = session.send(request, timeout=10)
    assert reply.status_code == 404, reply.text
    assert reply.json().keys() == {"detail", "error"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_results_cannot_be_changed(suite: RunningSuite, image_url: str, method: str) -> None:
    assert requests.request(method, image_url, data=b"x", timeout=10).status_code in (404, 405)
    assert requests.get(image_url, timeout=10).status_code == 200
