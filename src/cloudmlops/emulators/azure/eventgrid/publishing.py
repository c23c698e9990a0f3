"""The data plane of basic topics: what is posted to `https://{topic}.{region}-1.eventgrid.azure.net/api/events`."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid.admission import Admission
from cloudmlops.emulators.azure.eventgrid.events import TooLarge, published_to_topic
from cloudmlops.emulators.azure.eventgrid.subscribing import EventSubscriptions
from cloudmlops.emulators.core.answering import Answer, Asked, answer_json
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused

_STATUS_NAMES: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    500: "InternalServerError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


class Publishing:
    """Takes events for basic topics."""

    def __init__(self, world: World, admission: Admission, subscriptions: EventSubscriptions) -> None:
        self._world = world
        self._admission = admission
        self._subscriptions = subscriptions

    def publish(self, asked: Asked, topic_id: str, host: str) -> Answer:
        """Take what is posted to a topic.

        Raises:
            Refused: It may not be posted, or is not as the topic wants it.
        """
        topic = self._world.resources.get(topic_id)
        if topic is None:
            raise Refused("NOT_FOUND", "The resource was not found.", reason="NotFound")
        self._admission.to_topic(asked, topic, host)
        if "aeg-channel-name" in asked.headers:
            raise Refused("UNIMPLEMENTED", "channels of partner namespaces are not emulated")
        for event in published_to_topic(asked, schema=topic["properties"]["inputSchema"], topic=topic["id"]):
            self._subscriptions.publish(topic["id"], event)
        return Answer(status=200)

    def refusal(self, refused: Refused) -> Answer:
        """Return an error as basic topics write it."""
        status = 413 if isinstance(refused, TooLarge) else HTTP_STATUS.get(refused.code, 500)
        code = _STATUS_NAMES.get(status, "InternalServerError")
        message = refused.message
        if status < 500 and status != 413:
            message = f"{message} {_report(self._world.surroundings.clock.now())}"
        detail = "InputJsonInvalid" if status == 400 else code
        error = {"code": code, "message": message, "details": [{"code": detail, "message": message}]}
        headers = {}
        if refused.retry_after_seconds is not None:
            headers["retry-after"] = str(max(1, round(refused.retry_after_seconds)))
        return answer_json({"error": error}, status=status, headers=headers)


def _report(now: datetime) -> str:
    when = f"{now.month}/{now.day}/{now.year} {now:%I:%M:%S %p} (UTC)"
    return f"Report '{uuid4()}:0:{when}' to our forums for assistance or raise a support ticket."
