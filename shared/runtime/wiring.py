"""The only composition root: settings in, backends and roles out. Nothing else imports backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from shared.backends import make_gpu_meter, make_live, make_objects, make_queue, make_store
from shared.backends.embedded.media_server import MediaServer
from shared.backends.http import HttpSourceOpener
from shared.backends.outbound import Outbound
from shared.backends.own_results import OwnResultsOpener
from shared.backends.unguessable_names import UnguessableNames
from shared.backends.webhooks import HttpWebhookSender
from shared.errors import ConfigurationError
from shared.jobs.child import ChildPool
from shared.jobs.context import JobLimits
from shared.jobs.ledger import Ledger
from shared.jobs.planner import PLAN_MEMORY_BYTES, PLAN_SECONDS, Planner, PlannerSettings
from shared.jobs.runner import Runner, RunnerSettings
from shared.jobs.sweeper import sweep_forever
from shared.jobs.webhooks import WebhookDelivery
from shared.media.step import Accelerators
from shared.ports import GpuMeter, ObjectStore, PlanMaker, SourceOpener, WebhookSender
from shared.rpc.interceptor import Door
from shared.rpc.key_file import KeyFile
from shared.rpc.keys import KeyRing, digest
from shared.rpc.limits import RateLimit, TaskLimit
from shared.rpc.plans import PLANS_SERVICE, PlansService, RemotePlanner
from shared.rpc.server import RpcServer
from shared.rpc.submit import Submitter
from shared.runtime.accelerators import export_utilization, find_accelerators
from shared.runtime.feature import Feature
from shared.runtime.settings import Settings
from shared.urls import OutboundPolicy


@dataclass(frozen=True)
class Backends:
    """Every port, opened.

    Attributes:
        embedded: which of health's parts an embedded twin stands in for.
    """

    ledger: Ledger
    objects: ObjectStore
    opener: SourceOpener
    sender: WebhookSender
    gpu: GpuMeter
    policy: OutboundPolicy
    embedded: dict[str, bool]


@asynccontextmanager
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    """Opens what the URLs name and closes it at the end.

    Raises:
        ConfigurationError: naming the variable and the mend.
        Unavailable: a backend cannot be reached.
    """
    embedded_objects = settings.objects_url.startswith("file")
    policy = OutboundPolicy(
        settings.allow_private_sources,
        settings.allowed_ports,
        own_results_url=settings.media_url if embedded_objects else "",
    )
    outbound = Outbound(policy)
    store = make_store(settings.store_url, data_directory=settings.data_dir)
    queue = make_queue(settings.queue_url, data_directory=settings.data_dir, pool=settings.pool)
    live = make_live(settings.live_url)
    objects = make_objects(settings.objects_url, data_directory=settings.data_dir, public_base_url=settings.media_url)
    if secret := settings.result_name_secret.get_secret_value():
        objects = UnguessableNames(objects, secret)
    async with AsyncExitStack() as stack:
        for backend in (store, queue, live, objects):
            await backend.open()
            stack.push_async_callback(backend.close)
        opener: SourceOpener = HttpSourceOpener(outbound)
        if embedded_objects:
            opener = OwnResultsOpener(opener, policy, settings.objects_directory)
        stack.push_async_callback(opener.close)
        sender = HttpWebhookSender(outbound)
        stack.push_async_callback(sender.close)
        ledger = Ledger(store, queue, live, settings.retention, settings.gpu_feature_names)
        stack.push_async_callback(ledger.close)
        yield Backends(
            ledger=ledger,
            objects=objects,
            opener=opener,
            sender=sender,
            gpu=make_gpu_meter(),
            policy=policy,
            embedded={
                "mongodb": settings.store_url.startswith("sqlite"),
                "redis": settings.live_url.startswith("memory"),
                "rabbitmq": settings.queue_url.startswith("sqlite"),
                "storage": embedded_objects,
            },
        )


def make_rpc_server(
    settings: Settings,
    backends: Backends,
    features: Sequence[Feature],
    address: str,
    *,
    plan: PlanMaker | None,
    exposed: bool = False,
) -> RpcServer:
    """The api role of these features.

    Args:
        plan: what makes the plans of dry runs.
        exposed: other hosts call it, so LASTFRAME_TLS_DIR and LASTFRAME_HEALTH_PORT count.

    Raises:
        ConfigurationError: no API key, or a key file that cannot be read.
    """
    ledger = backends.ledger
    accept = TaskLimit(settings.max_tasks_per_key, ledger.store.unfinished, ledger.submit)
    rate = RateLimit(ledger.live.take, settings.rate_limit_per_second, settings.rate_limit_burst)
    submitter = Submitter(accept, backends.policy, plan)
    return RpcServer(
        address,
        Door(key_source(settings), rate),
        [partial(feature.register, submitter, ledger) for feature in features],
        [name for feature in features for name in feature.service_names],
        tls_directory=settings.tls_dir if exposed else None,
        health_address=_health_address(settings) if exposed else None,
    )


def make_remote_planner(settings: Settings, feature: Feature) -> PlanMaker | None:
    """The workers of this feature, as LASTFRAME_PLANNER_ADDRESS names them; None where it does not."""
    if not settings.planner_address or not feature.jobs:
        return None
    address = settings.planner_address.replace("{feature}", feature.name)
    return RemotePlanner(address, deadline_seconds=PLAN_SECONDS, tls_directory=settings.tls_dir)


def make_worker_server(settings: Settings, feature: Feature, plan: PlanMaker) -> RpcServer:
    """A worker's health, and its plans for the api role of the same feature."""
    return RpcServer(
        f"{settings.rpc_bind_address}:{settings.rpc_port}",
        Door(lambda: KeyRing(())),
        [PlansService(plan).register],
        [f"{feature.name}.worker", PLANS_SERVICE],
        tls_directory=settings.tls_dir,
        health_address=_health_address(settings),
    )


def _health_address(settings: Settings) -> str | None:
    return f"{settings.rpc_bind_address}:{settings.health_port}" if settings.health_port else None


def make_media_server(settings: Settings) -> MediaServer:
    """Serves the embedded object store's results; production has a bucket with a public address instead."""
    return MediaServer(settings.objects_directory)


def key_source(settings: Settings) -> Callable[[], KeyRing]:
    """What tells the keys that are valid now.

    Raises:
        ConfigurationError: there are none, or their file cannot be read.
    """
    if not (settings.api_keys or settings.api_keys_file or settings.store_url.startswith("sqlite")):
        # Each process would make a key of its own.
        raise ConfigurationError("LASTFRAME_API_KEYS: set it, or LASTFRAME_API_KEYS_FILE, to let anybody in")
    plain = settings.plain_keys()
    if settings.api_keys_file is None:
        ring = KeyRing.from_plain(plain, settings.admin_names)
        return lambda: ring
    fixed = [(name, digest(key)) for name, key in plain.items()]
    try:
        return KeyFile(settings.api_keys_file, fixed=fixed, admins=settings.admin_names)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"LASTFRAME_API_KEYS_FILE: {settings.api_keys_file}: {error}") from error


class WorkerRole:
    """Runs these features' jobs, makes their plans, delivers webhooks, repairs what crashes left.

    Args:
        worker: this process's name in leases.
        threads: of one decoder child.

    Attributes:
        plan: makes plans once it has started.
    """

    def __init__(
        self, settings: Settings, backends: Backends, features: Sequence[Feature], *, worker: str, threads: int
    ) -> None:
        self.worker = worker
        self._backends = backends
        self._children = ChildPool(
            preload=[module for feature in features for module in feature.preload],
            warm=2,
            memory_limit_bytes=settings.child_memory_bytes,
            sandbox=settings.sandbox,
        )
        limits = JobLimits(
            max_input_bytes=settings.max_input_bytes,
            max_duration_seconds=settings.max_duration_seconds,
            deadline_seconds=settings.job_deadline_seconds,
            threads=threads,
        )
        scratch_root = settings.data_dir.absolute() / "scratch" / worker
        self.plan = Planner(
            {kind: plan for feature in features for kind, plan in feature.plans.items()},
            PlannerSettings(
                scratch_root,
                replace(limits, deadline_seconds=PLAN_SECONDS, memory_bytes=PLAN_MEMORY_BYTES),
                settings.max_plans,
            ),
            opener=backends.opener,
            children=self._children,
            objects=backends.objects,
        )
        self._runner = Runner(
            backends.ledger,
            {kind: job for feature in features for kind, job in feature.jobs.items()},
            RunnerSettings(
                worker=worker,
                slots=settings.worker_slots or settings.max_concurrent_tasks,
                scratch_root=scratch_root,
                limits=limits,
            ),
            opener=backends.opener,
            children=self._children,
            objects=backends.objects,
        )
        self._webhooks = WebhookDelivery(
            backends.ledger,
            backends.sender,
            settings.webhook_secret or None,
            retry_delays_seconds=settings.webhook_retry_delays_seconds,
        )
        self._wanted_accelerator = settings.accelerator
        self.accelerators = Accelerators()
        self.sandbox = "none"

    async def start(self) -> None:
        """Frees what an earlier process of this name held, warms the decoder children and tries the GPU.

        Raises:
            SandboxUnavailable: `LASTFRAME_SANDBOX=required` on a machine that cannot.
            ConfigurationError: `LASTFRAME_ACCELERATOR=cuda` on one without NVDEC.
        """
        await self._backends.ledger.reoffer(await self._backends.ledger.store.release_worker(self.worker))
        report = await self._children.start()
        layers = [report.landlock_abi > 0, report.seccomp]
        self.sandbox = "full" if report.complete else "partial" if any(layers) else "none"
        self.accelerators = await find_accelerators(self._children, self._wanted_accelerator)
        self._runner.limits = replace(self._runner.limits, accelerators=self.accelerators)
        export_utilization(self._backends.gpu)

    async def run(self) -> None:
        """Works until drained; ends by an exception when a part breaks."""
        async with asyncio.TaskGroup() as group:
            side = [
                group.create_task(self._webhooks.run()),
                group.create_task(sweep_forever(self._backends.ledger, self._backends.objects)),
            ]
            await self._runner.run()
            for task in side:
                task.cancel()

    async def drain(self, grace_seconds: float) -> None:
        await self._runner.drain(grace_seconds)

    async def stop(self) -> None:
        await self._children.stop()
        await self._backends.ledger.reoffer(await self._backends.ledger.store.release_worker(self.worker))
