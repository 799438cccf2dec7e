"""A backend is chosen by its URL's scheme; a wrong one says which variable to mend, and how."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from shared import backends
from shared.backends.nvml import NvmlMeter
from shared.errors import ConfigurationError


def choose(port: str, url: str, data: Path = Path("data")) -> object:
    match port:
        case "store":
            return backends.make_store(url, data_directory=data)
        case "queue":
            return backends.make_queue(url, data_directory=data)
        case "live":
            return backends.make_live(url)
        case _:
            return backends.make_objects(url, data_directory=data, public_base_url="http://localhost/media")


@pytest.mark.parametrize(
    ("port", "url", "name"),
    [
        ("store", "sqlite:", "SqliteStore"),
        ("store", "sqlite:///tmp/x.db", "SqliteStore"),
        ("store", "mongodb://host/db", "MongoStore"),
        ("store", "mongodb+srv://host/db", "MongoStore"),
        ("queue", "sqlite:", "LocalQueue"),
        ("queue", "amqp://guest:guest@host/", "RabbitQueue"),
        ("queue", "amqps://host/", "RabbitQueue"),
        ("live", "memory:", "MemoryLive"),
        ("live", "redis://host:6379/0", "RedisLive"),
        ("live", "rediss://host:6379/0", "RedisLive"),
        ("objects", "file:", "FileObjects"),
        ("objects", "file:///tmp/media", "FileObjects"),
        ("objects", "s3://bucket?endpoint=https://host&region=auto", "S3Objects"),
    ],
)
def test_the_scheme_chooses(port: str, url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert type(choose(port, url)).__name__ == name


@pytest.mark.parametrize("url", ["", "postgres://user:hunter2@host/db", "memory", "sqlite", "/var/data", "://"])
@pytest.mark.parametrize("port", ["store", "queue", "live", "objects"])
def test_an_unknown_scheme_names_the_variable_and_the_mend_and_no_password(port: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"LASTFRAME_{port.upper()}_URL.*Set it to ") as caught:
        choose(port, url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("port", "url"), [("store", "sqlite://var/x.db"), ("objects", "file://media")])
def test_a_path_that_reads_as_a_host_is_refused(port: str, url: str) -> None:
    with pytest.raises(ConfigurationError, match="three slashes"):
        choose(port, url)


async def test_embedded_backends_live_in_the_data_directory(tmp_path: Path) -> None:
    for port, url in (("store", "sqlite:"), ("queue", "sqlite:"), ("objects", "file:")):
        backend = choose(port, url, tmp_path)
        await backend.open()  # type: ignore[attr-defined]
        await backend.close()  # type: ignore[attr-defined]
    assert {path.name for path in tmp_path.iterdir()} == {"lastframe.db", "queue", "media"}


# The GPU meter: the driver is not on every machine, so its answers are given here.


def fake_driver(monkeypatch: pytest.MonkeyPatch, devices: list[tuple[int | None, int | None, int | None]]) -> None:
    """Each device answers (SM, encoder, decoder) percent; None is NVML's "not supported"."""

    def answer(value: int | None) -> int:
        if value is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return value

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(devices))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: devices[index])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda device: SimpleNamespace(gpu=answer(device[0])))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetEncoderUtilization", lambda device: (answer(device[1]), 1))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetDecoderUtilization", lambda device: (answer(device[2]), 1))


@pytest.mark.parametrize(
    ("devices", "percent"),
    [
        ([(10, 0, 35)], 35.0),
        ([(10, 60, 35), (45, 0, 0)], 60.0),
        ([(None, 20, 5)], 20.0),  # MIG
        ([(None, None, None)], None),
        ([], None),
    ],
)
def test_the_busiest_engine_of_all_gpus_counts(
    monkeypatch: pytest.MonkeyPatch, devices: list[tuple[int | None, int | None, int | None]], percent: float | None
) -> None:
    fake_driver(monkeypatch, devices)
    assert NvmlMeter().utilization_percent() == percent


def test_without_a_driver_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert NvmlMeter().utilization_percent() is None
