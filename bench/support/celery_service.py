"""The service that submits are compared with: FastAPI and Celery, as a careful author would write them.

Runs in the peers' environment (`uvicorn celery_service:app`) and imports nothing of this repository. Same request
model, same bearer check by digest in constant time, same judgement of the URL's text as the product's submit. A task
is one message in the broker; there is no task record besides. PEER_BROKER, if given, is a RabbitMQ instead of that
Redis, used as safely as Celery can: a quorum queue, confirmed publishes, late acknowledgement. Results are in Redis.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from typing import Annotated, Literal
from urllib.parse import urlsplit

from celery import Celery
from fastapi import Depends, FastAPI, Header, HTTPException
from kombu import Queue
from pydantic import AfterValidator, BaseModel, Field

BROKER = os.environ.get("PEER_BROKER", os.environ["PEER_REDIS"])
queue = Celery("peer", broker=BROKER, backend=os.environ["PEER_REDIS"])
if BROKER.startswith("amqp"):
    queue.conf.update(
        task_default_queue="peer",
        task_queues=[Queue("peer", queue_arguments={"x-queue-type": "quorum"})],
        broker_transport_options={"confirm_publish": True},
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
    )
app = FastAPI()
KEYS = {"bench": hashlib.sha256(os.environ["PEER_KEY"].encode()).digest()}
ALLOW_PRIVATE = os.environ.get("PEER_ALLOW_PRIVATE") == "1"
PORTS = {"http": 80, "https": 443}


def judged(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        raise ValueError("must be an http or https URL without user name")
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        address = None
    if not ALLOW_PRIVATE and (
        (address is not None and not address.is_global)
        or parts.hostname.endswith("localhost")
        or (parts.port or PORTS[parts.scheme]) not in (80, 443)
    ):
        raise ValueError("must not lead to a private address or another port")
    return url


Url = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(judged)]


class Request(BaseModel):
    video_url: Url
    webhook_url: Url | None = None
    image_format: Literal["jpg", "jpeg", "png", "webp"] = "jpg"
    quality: int = Field(95, ge=1, le=100)


class Accepted(BaseModel):
    task_id: str
    status: str
    message: str


def caller(authorization: Annotated[str, Header()] = "") -> str:
    scheme, _, key = authorization.partition(" ")
    presented = hashlib.sha256(key.encode()).digest()
    found = [name for name, known in KEYS.items() if hmac.compare_digest(presented, known)]
    if scheme.lower() != "bearer" or not found:
        raise HTTPException(401, "Invalid or missing API key")
    return found[0]


@queue.task(name="last_frame")
def last_frame(owner: str, request: dict[str, object]) -> None:
    """Does nothing: what is measured is the way to it and back."""


@app.post("/api/v1/process")
async def process(request: Request, owner: Annotated[str, Depends(caller)]) -> Accepted:
    # On the loop rather than in a thread: no switch of threads for each request.
    task = last_frame.delay(owner, request.model_dump())
    return Accepted(task_id=task.id, status="pending", message="Video processing queued successfully")


@app.get("/api/v1/status/{task_id}")
async def status(task_id: str, owner: Annotated[str, Depends(caller)]) -> dict[str, str]:
    ended = queue.AsyncResult(task_id).state == "SUCCESS"
    return {"task_id": task_id, "status": "completed" if ended else "pending"}
