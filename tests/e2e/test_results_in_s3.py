"""A result that is sent to S3 while it is encoded is the very file that a suite without S3 stores."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import av
import numpy as np
import pytest
import requests

from deploy.stack.servers import S3
from tests.conftest import Sources
from tests.support.servers import s3_server  # noqa: F401  fixture
from tests.support.suite import RunningSuite

pytestmark = pytest.mark.server


def noise(path: Path) -> None:
    """A second and a half that no encoder can make small."""
    chance = np.random.default_rng(1)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"preset": "ultrafast", "qp": "10"}
        for _ in range(45):
            plane = chance.integers(0, 255, (540, 640), dtype=np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(plane, format="yuv420p")))
        output.mux(stream.encode(None))


def test_it_is_the_file_that_a_suite_without_s3_stores(
    tmp_path: Path,
    suite: RunningSuite,
    sources: Sources,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: S3 = request.getfixturevalue("s3_server")
    noise(tmp_path / "noise.mp4")
    url = sources.server.serve("/noise.mp4", tmp_path / "noise.mp4")
    wanted = {"video_urls": [url, sources.video, url]}  # encodes one
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with RunningSuite(tmp_path / "s3", objects_url=server.url, public_media_url=server.public_base_url) as with_s3:
        reply = requests.get(with_s3.completed("/api/v1/stitch", wanted)["video_result_url"], timeout=20)
    parts = re.fullmatch(r'"[0-9a-f]+-(\d+)"', reply.headers["etag"])
    assert parts is not None
    assert int(parts[1]) > 3
    local = requests.get(suite.completed("/api/v1/stitch", wanted)["video_result_url"], timeout=20)
    assert len(reply.content) > 30_000_000
    assert hashlib.sha256(reply.content).digest() == hashlib.sha256(local.content).digest()
    assert not server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads")
