"""Keys: a file of digests that changes under a running suite, and what one key may know of another's tasks."""

from __future__ import annotations

import os
import threading
import time

import pytest

from services.gateway.rpcs import load_contract
from services.keys import add, main, remove
from shared.errors import Unauthenticated
from shared.rpc.key_file import LOOK_AGAIN_SECONDS, KeyFile
from shared.rpc.keys import digest, parse_digests
from tests.security.conftest import Keys, ended
from tests.support.http_server import NastyServer
from tests.support.suite import RunningSuite


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_a_look(self) -> None:
        self.now += LOOK_AGAIN_SECONDS


def valid(keys: KeyFile, key: str) -> str | None:
    """The name that this key gets in by, if it does."""
    try:
        return keys().authenticate(f"Bearer {key}").name
    except Unauthenticated:
        return None


def test_the_file_holds_no_key_and_is_private(tmp_path):
    file = tmp_path / "keys"
    key = add(file, "alice")
    assert key not in file.read_text()
    assert f"alice=sha256:{digest(key)}" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert len(key) > 40


def test_a_new_key_works_and_a_removed_one_stops_after_one_look(tmp_path):
    file, clock = tmp_path / "keys", Clock()
    old = add(file, "alice")
    keys = KeyFile(file, clock=clock)
    new = add(file, "alice")
    assert (valid(keys, old), valid(keys, new)) == ("alice", None)
    clock.pass_a_look()
    assert (valid(keys, old), valid(keys, new)) == ("alice", "alice")
    remove(file, "alice", digest(old)[:12])
    clock.pass_a_look()
    assert (valid(keys, old), valid(keys, new)) == (None, "alice")


@pytest.mark.parametrize("broken", [b"", b"alice=plain-text-key\n", b"\xff\xfe\x00", b"alice=sha256:12\n"])
def test_a_broken_file_keeps_the_last_good_keys(tmp_path, broken):
    file, clock = tmp_path / "keys", Clock()
    key = add(file, "alice")
    keys = KeyFile(file, clock=clock)
    good = file.read_bytes()
    for damage in (lambda: file.write_bytes(broken), file.unlink):
        damage()
        clock.pass_a_look()
        assert valid(keys, key) == "alice"
    file.write_bytes(good.replace(b"alice", b"carol"))
    clock.pass_a_look()
    assert valid(keys, key) == "carol"


def test_a_file_with_only_a_comment_lets_nobody_in(tmp_path):
    file, clock = tmp_path / "keys", Clock()
    key = add(file, "alice")
    keys = KeyFile(file, clock=clock)
    remove(file, "alice")
    clock.pass_a_look()
    assert valid(keys, key) is None


def test_a_mounted_secret_is_followed_through_its_symlink_swap(tmp_path):
    """What the kubelet does: `..data` is a link to a folder with a timestamp, renamed over in one step."""
    clock = Clock()
    first, second = tmp_path / "..2026_01", tmp_path / "..2026_02"
    for folder in (first, second):
        folder.mkdir()
    (first / "keys").write_text(f"alice=sha256:{digest('one')}\n")
    (second / "keys").write_text(f"alice=sha256:{digest('two')}\n")
    (tmp_path / "..data").symlink_to(first.name)
    (tmp_path / "keys").symlink_to("..data/keys")
    by_file, by_folder = KeyFile(tmp_path / "keys", clock=clock), KeyFile(tmp_path, clock=clock)
    assert valid(by_file, "one") == valid(by_folder, "one") == "alice"
    (tmp_path / "..tmp").symlink_to(second.name)
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    clock.pass_a_look()
    for keys in (by_file, by_folder):
        assert (valid(keys, "one"), valid(keys, "two")) == (None, "alice")


def test_a_same_sized_change_in_place_is_seen(tmp_path):
    file, clock = tmp_path / "keys", Clock()
    file.write_text(f"alice=sha256:{digest('one')}\n")
    times = file.stat()
    keys = KeyFile(file, clock=clock)
    file.write_text(f"alice=sha256:{digest('two')}\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    clock.pass_a_look()
    assert (valid(keys, "one"), valid(keys, "two")) == (None, "alice")


def test_a_wrong_line_is_named_by_number_and_never_shown():
    with pytest.raises(ValueError, match="line 2") as caught:
        parse_digests(f"a=sha256:{'0' * 64}\nbob=my-secret-key\n")
    assert "my-secret-key" not in str(caught.value)


def test_the_command_adds_lists_and_removes(tmp_path, capsys):
    file = ["--file", str(tmp_path / "keys")]
    assert main([*file, "add", "alice"]) == 0
    key = capsys.readouterr().out.strip()
    assert main([*file, "list"]) == 0
    assert capsys.readouterr().out == f"alice\t{digest(key)[:12]}\n"
    assert main([*file, "add", "no/name"]) == 1
    assert main([*file, "remove", "bob"]) == 1
    assert main([*file, "remove", "alice"]) == 0


def test_rotation_under_load_fails_no_request(suite: RunningSuite, keys: Keys):
    """A second key for a name, clients move over, the first key goes: every request of a valid key is answered 200."""
    old = add(keys.file, "carol")
    time.sleep(1.0)
    current, refused, done = [old], [], threading.Event()

    def ask() -> None:
        while not done.is_set():
            reply = suite.call("GET", "/api/v1/tasks/recent", key=current[0])
            if reply.status_code != 200:
                refused.append(reply)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    new = add(keys.file, "carol")
    time.sleep(1.0)
    current[0] = new
    time.sleep(0.3)
    remove(keys.file, "carol", digest(old)[:12])
    time.sleep(1.0)
    done.set()
    for thread in threads:
        thread.join()
    assert refused == []
    assert suite.call("GET", "/api/v1/tasks/recent", key=old).status_code == 401
    assert suite.call("GET", "/api/v1/tasks/recent", key=new).status_code == 200


@pytest.fixture(scope="module")
def alices_task(suite: RunningSuite, keys: Keys, sources: NastyServer) -> str:
    url = sources.serve("/secret-name.mp4", b"not a video")
    task_id = suite.submit("/api/v1/process", {"video_url": url}, key=keys.alice)
    ended(suite, task_id, keys.alice)
    return task_id


BINDINGS = [
    (binding.verb, binding.path)
    for rpc in load_contract().rpcs
    for binding in rpc.bindings
    if "{task_id}" in binding.path or binding.path == "/api/v1/webhook"
]


@pytest.mark.parametrize(("method", "path"), BINDINGS)
def test_another_keys_task_does_not_exist(
    suite: RunningSuite, keys: Keys, alices_task: str, method: str, path: str
) -> None:
    """Whatever takes a task's id answers to another key as to an id that never was."""
    answers = []
    for task_id in (alices_task, "0" * 24):
        body = {"task_id": task_id, "webhook_url": "http://127.0.0.1:80/hook"} if method == "POST" else None
        reply = suite.call(method, path.format(task_id=task_id), json=body, key=keys.bob)
        answers.append((reply.status_code, reply.json()["error"], reply.json()["detail"].replace(task_id, "ID")))
    assert answers[0] == answers[1]
    assert answers[0][:2] == (404, "task_not_found")


def test_the_contract_has_paths_with_ids() -> None:
    assert len(BINDINGS) >= 6


def test_lists_and_numbers_are_of_ones_own_tasks(suite: RunningSuite, keys: Keys, alices_task: str):
    def seen(key: str) -> tuple[list[str], int, int, bool]:
        page = suite.get("/api/v1/tasks?limit=100", key=key)["tasks"]
        recent = suite.call("GET", "/api/v1/tasks/recent?limit=100", key=key).json()
        stats = suite.call("GET", "/api/v1/server/stats", key=key).json()
        status = suite.call("GET", "/api/v1/server/status", key=key).json()
        assert {task["task_id"] for task in page} == {task["task_id"] for task in recent["tasks"]}
        return (
            [t["task_id"] for t in recent["tasks"]],
            stats["tasks"]["total"],
            recent["count"],
            "last_activity" in status,
        )

    assert alices_task in seen(keys.alice)[0]
    assert seen(keys.idle) == ([], 0, 0, False)
    ids, total, _, active = seen(keys.root)
    assert alices_task in ids
    assert total >= 1
    assert active


def test_an_admin_sees_every_keys_task(suite: RunningSuite, keys: Keys, alices_task: str):
    assert suite.call("GET", f"/api/v1/status/{alices_task}", key=keys.root).json()["task_id"] == alices_task
    assert suite.call("DELETE", f"/api/v1/tasks/{alices_task}", key=keys.root).json()["error"] == "already_finished"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer  ", "Bearer \xff\xfe", "Bearer {} {}"]
)
def test_a_header_that_is_not_a_key_is_refused(suite: RunningSuite, keys: Keys, header: str):
    reply = suite.call(
        "GET", "/api/v1/tasks/recent", key=None, headers={"Authorization": header.replace("{}", keys.alice)}
    )
    assert (reply.status_code, reply.json()["error"]) == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"


def test_idempotency_keys_belong_to_their_api_key(suite: RunningSuite, keys: Keys, sources: NastyServer):
    body, header = {"media_url": sources.serve("/x.mp4", b"x")}, {"Idempotency-Key": "the-same"}
    ids = [
        suite.call("POST", "/api/v1/length", json=body, key=key, headers=header).json()["task_id"]
        for key in (keys.alice, keys.bob, keys.alice)
    ]
    assert ids[0] == ids[2] != ids[1]


def test_no_key_and_no_secret_of_a_url_reaches_the_log(suite: RunningSuite, keys: Keys, sources: NastyServer):
    url = sources.serve("/private.mp4", b"junk") + "?X-Signature=very-secret-token"
    ended(suite, suite.submit("/api/v1/process", {"video_url": url}, key=keys.alice), keys.alice)
    logs = [*suite.directory.rglob("*.log"), suite.directory.with_name(suite.directory.name + ".log")]
    assert logs
    for log in logs:
        text = log.read_text(errors="replace")
        assert "very-secret-token" not in text
        assert keys.alice not in text
