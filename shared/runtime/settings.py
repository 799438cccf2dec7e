"""Every setting of the suite: `LASTFRAME_` variables, read once, units in the names."""

from __future__ import annotations

import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.jobs.webhooks import RETRY_DELAYS_SECONDS
from shared.rpc.keys import parse_keys
from shared.tasks import REENCODING_FEATURES
from shared.webhook_signature import decode_secret


class Settings(BaseSettings):
    """What an operator may set; docs/limits.md says what each default means."""

    model_config = SettingsConfigDict(env_prefix="LASTFRAME_", extra="ignore")

    port: int = Field(8000, ge=1, le=65535, description="where Envoy serves REST and gRPC")
    bind_address: str = Field("127.0.0.1", description="the address that Envoy listens on")
    rpc_bind_address: str = Field("127.0.0.1", description="where a role's gRPC server listens, in production")
    rpc_port: int = Field(50051, ge=0, le=65535, description="its port; 0 picks a free one")
    planner_address: str = Field(
        "", description="an api's dry runs: host:port of the feature's workers, comma-separated; {feature} stands in"
    )
    tls_dir: Path | None = Field(None, description="tls.crt, tls.key, ca.crt: an api's calls need mutual TLS")
    health_port: int = Field(0, ge=0, le=65535, description="an api's health without TLS, for probes; 0 for none")
    metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus metrics of this process; 0 for none")
    otlp_endpoint: str = Field("", description="http://collector:4317: exports traces by OTLP over gRPC")
    data_dir: Path = Field(Path(".lastframe"), description="tasks, results, scratch and the generated key")
    api_keys: str = Field("", description="name=key,name2=key2; one is generated when empty (embedded only)")
    api_keys_file: Path | None = Field(
        None, description="digests, read again when it changes; or a folder of such files"
    )
    admin_keys: str = Field("", description="names of keys that may see every key's tasks, comma-separated")
    allow_private_sources: bool = Field(False, description="sources and webhooks may be on private addresses")
    source_ports: str = Field("80,443", description="ports that sources and webhooks may use")
    public_media_url: str = Field("", description="where results are served; embedded: this host's /media/")
    result_name_secret: SecretStr = Field(SecretStr(""), description="when set, results' names do not tell their task")
    rate_limit_per_second: float = Field(1000.0, ge=0, description="calls of one key; 0: no limit")
    rate_limit_burst: int = Field(2000, ge=1, description="calls of one key that may come at once")
    max_tasks_per_key: int = Field(10_000, ge=0, description="pending and processing tasks of one key; 0: no limit")
    max_watches_per_key: int = Field(500, ge=0, description="event streams of one key at once, a process; 0: no limit")
    max_concurrent_tasks: int = Field(10, ge=1, le=1000, description="jobs at once; others wait")
    worker_slots: int = Field(0, ge=0, description="jobs at once in one worker process; 0: max_concurrent_tasks")
    max_plans: int = Field(4, ge=0, description="plans of dry runs at once in one worker process; 0: none")
    max_input_bytes: int = Field(500 * 1024 * 1024, ge=1, description="of one source or upload")
    max_duration_seconds: float = Field(600.0, gt=0, description="of one video")
    job_deadline_seconds: float = Field(900.0, gt=0, description="from a worker's claim to the job's end")
    child_memory_bytes: int = Field(4 * 1024**3, ge=256 * 1024**2, description="address space of one decoder")
    sandbox: Literal["required", "best-effort"] = Field(
        "best-effort", description="required: no start without Landlock and seccomp"
    )
    result_ttl_hours: float = Field(168.0, ge=0, description="how long finished tasks and results are kept; 0 for ever")
    webhook_secret: str = Field("", description="whsec_…: webhooks are signed by the Standard Webhooks scheme")
    webhook_retry_seconds: str = Field(
        ",".join(f"{delay:g}" for delay in RETRY_DELAYS_SECONDS), description="the wait before each further try"
    )
    drain_seconds: float = Field(30.0, ge=0, description="time for running jobs after SIGTERM")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged at least")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: NVIDIA engines where they work")
    pool: Literal["cpu", "gpu"] = Field("cpu", description="whose queues a worker consumes")
    gpu_features: str = Field("", description="features that have GPU workers, comma-separated: stitch,assembly")
    store_url: str = Field("sqlite:", description="sqlite: (default) or mongodb://…")
    live_url: str = Field("memory:", description="memory: or redis://…")
    queue_url: str = Field("sqlite:", description="sqlite: (default) or amqp://…")
    objects_url: str = Field("file:", description="file: (default) or s3://bucket?endpoint=…")

    @field_validator("api_keys")
    @classmethod
    def _keys_parse(cls, value: str) -> str:
        parse_keys(value)
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _secret_decodes(cls, value: str) -> str:
        if value:
            decode_secret(value)
        return value

    @field_validator("source_ports")
    @classmethod
    def _ports_parse(cls, value: str) -> str:
        if not all(part.strip().isdigit() for part in value.split(",") if part.strip()):
            raise ValueError("must be numbers, comma-separated")
        return value

    @field_validator("gpu_features")
    @classmethod
    def _features_reencode(cls, value: str) -> str:
        if not {name.strip() for name in value.split(",") if name.strip()} <= REENCODING_FEATURES:
            raise ValueError(f"only these re-encode: {', '.join(sorted(REENCODING_FEATURES))}")
        return value

    @field_validator("webhook_retry_seconds")
    @classmethod
    def _delays_parse(cls, value: str) -> str:
        if any(delay <= 0 for delay in _numbers(value)):
            raise ValueError("must be numbers above 0, comma-separated")
        return value

    @property
    def webhook_retry_delays_seconds(self) -> tuple[float, ...]:
        return _numbers(self.webhook_retry_seconds)

    @property
    def gpu_feature_names(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.gpu_features.split(",") if name.strip())

    @property
    def retention(self) -> timedelta | None:
        """How long finished tasks and their results are kept; None for ever."""
        return timedelta(hours=self.result_ttl_hours) if self.result_ttl_hours else None

    @property
    def allowed_ports(self) -> frozenset[int]:
        return frozenset(int(part) for part in self.source_ports.split(",") if part.strip())

    @property
    def admin_names(self) -> frozenset[str]:
        return frozenset(part.strip() for part in self.admin_keys.split(",") if part.strip())

    @property
    def media_url(self) -> str:
        """Where results are served, with a slash at the end."""
        base = self.public_media_url or f"http://127.0.0.1:{self.port}/media/"
        return base if base.endswith("/") else base + "/"

    @property
    def media_origins(self) -> tuple[str, ...]:
        """Where a browser fetches results from: of `media_url`, and of a bucket whose URLs are signed."""
        bucket = parse_qs(urlsplit(self.objects_url).query)
        addresses = [self.media_url, *(bucket.get("endpoint", []) if "presign" in bucket else [])]
        return tuple(f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, addresses))

    @property
    def objects_directory(self) -> Path:
        return self.data_dir / "media"

    def plain_keys(self) -> dict[str, str]:
        """The API keys by name that are known in plain text: those of `api_keys`.

        Without any, and without a file, one is made once and kept in `data_dir/api-key` (mode 0600).
        """
        keys = parse_keys(self.api_keys)
        if keys or self.api_keys_file is not None:
            return keys
        return {"default": _generated_key(self.data_dir / "api-key")}


def load_settings() -> Settings:
    """Reads the environment; a wrong value ends the process with the variable's name and what is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "LASTFRAME_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{name}: {problem['msg']}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
        raise SystemExit(2) from None


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part.strip())


def _generated_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    key = "lf_" + secrets.token_urlsafe(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
    return key
