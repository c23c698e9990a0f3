"""Events on Azure: Event Grid brings them, by push and by pull, and takes ours out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from cloudmlops.domain.endpoints import DeploymentState
from cloudmlops.domain.events import Envelope
from cloudmlops.errors import NotFoundError, PermissionDeniedError
from cloudmlops.ports.events import EventsPort, Pulled, PushReply, PushRequest
from cloudmlops.providers import retold_events
from cloudmlops.providers.azureml.errors import PROVIDER
from cloudmlops.providers.azureml.mapping import events as mapping

if TYPE_CHECKING:
    from cloudmlops.domain.runs import StepRecord
    from cloudmlops.providers.azureml.backends import AzureMLBackends
    from cloudmlops.providers.azureml.eventing.push_identity import PushIdentity
    from cloudmlops.providers.azureml.eventing.queue import Queue
    from cloudmlops.providers.azureml.eventing.topic import Topic

_ORIGIN: Final = "webhook-request-origin"
_RATE: Final = "webhook-request-rate"


class AzureMLEvents(EventsPort):
    """The bus of one workspace."""

    def __init__(self, backends: AzureMLBackends) -> None:
        self._backends = backends
        self._settings = backends.settings

    @property
    def reported(self) -> frozenset[str]:
        return mapping.REPORTED if self._settings.reporter == "event-grid" else frozenset()

    def send(self, event: Envelope) -> bool:
        """Publish to the topic, where there is one, and leave the event to the inbox too.

        So whoever published it finds it at once; what a subscription brings back is known by its meaning.
        """
        if self._settings.topic:
            self._topic.publish(event)
        return False

    def receive(self, request: PushRequest) -> PushReply | None:
        """Read a push of Event Grid's, the handshakes of both schemas included; all else must be CloudEvents.

        To agree to CloudEvents' handshake opens nothing: each push must prove who sends it.
        """
        if request.method == "OPTIONS" and _ORIGIN in request.headers and self._proof_is_set:
            return self._agreed(request)
        self._identity.check(request)
        if request.method == "OPTIONS" and _ORIGIN in request.headers:
            return self._agreed(request)
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method != "POST" or media != "application/json" or "ce-type" in request.headers:
            return None
        found = mapping.pushed(request.body)
        if isinstance(found, mapping.Validation):
            answer = json.dumps({"validationResponse": found.code}).encode()
            return PushReply(headers={"content-type": "application/json"}, body=answer)
        return None if found is None else PushReply(events=found)

    def normalise(self, event: Envelope) -> Envelope:
        """Turn what the workspace tells into events of ours; what other workspaces tell stays as it is."""
        found = mapping.told(event, self._settings.workspace_id)
        match found:
            case mapping.Registered():
                return self._registered(event, found)
            case mapping.Deployed():
                return self._deployed(event, found)
            case mapping.Ended():
                return self._ended(event, found)
            case mapping.Drifted():
                return mapping.drifted(event, found, platform=self._settings.address)
            case _:
                return event

    def pull(self, limit: int) -> Sequence[Pulled]:
        return self._queue.pull(limit) if self._settings.event_subscription else ()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        self._queue.acknowledge(receipts)

    def close(self) -> None:
        """Let go of what is asked of the queue."""
        if "_queue" in self.__dict__:
            self._queue.close()

    @property
    def _proof_is_set(self) -> bool:
        return bool(self._settings.push_audience or self._settings.push_key.get_secret_value())

    @cached_property
    def _identity(self) -> PushIdentity:
        from cloudmlops.providers.azureml.eventing.push_identity import (
            PushIdentity,
        )  # here, because it loads cryptography

        return PushIdentity(self._settings, self._backends.wire)

    @cached_property
    def _topic(self) -> Topic:
        from cloudmlops.providers.azureml.eventing.topic import Topic  # here, because it loads the SDK

        return Topic(self._settings, self._backends.wire)

    @cached_property
    def _queue(self) -> Queue:
        from cloudmlops.providers.azureml.eventing.queue import Queue

        return Queue(self._topic, self._backends.clock)

    def _agreed(self, request: PushRequest) -> PushReply:
        """Let an origin that is known send events, at whatever rate it asks for."""
        origin = request.headers[_ORIGIN]
        if origin.lower() not in self._settings.push_origins.lower().split(","):
            raise PermissionDeniedError(
                f"{origin!r} may not send events here",
                hint="The setting push_origins names who may.",
                provider=PROVIDER,
                operation="events.receive",
            )
        asked = request.headers.get(_RATE, "*")
        rate = asked if asked.isdecimal() else "*"
        return PushReply(headers={"webhook-allowed-origin": origin, "webhook-allowed-rate": rate})

    def _registered(self, event: Envelope, found: mapping.Registered) -> Envelope:
        from cloudmlops.providers.azureml.mapping import models

        version = models.ledger_version(found.properties, found.number, self._backends.objects.uri)
        return retold_events.registered(
            event,
            # A version that no ledger knows may have the number that the ledger gives to another one.
            platform=self._settings.address if version else self._settings.workspace_id,
            model=found.model,
            version=version or found.number,
            run=found.properties.get(models.RUN) if version else None,
        )

    def _deployed(self, event: Envelope, found: mapping.Deployed) -> Envelope:
        """Tell of a deployment as the library itself tells of it, when it is one of its own.

        An endpoint of others with several models is not read: nobody says which of them is new.
        """
        from cloudmlops.providers.azureml.mapping.models import is_called

        try:
            known = self._backends.endpoints.get(found.endpoint).deployments
        except NotFoundError:  # it is gone
            known = ()
        ours = [
            one
            for one in known
            if one.state is not DeploymentState.FAILED  # the event may come before its traffic
            and any(one.model == model and is_called(number, one.version) for model, number in found.models)
        ]
        if ours:
            newest = max(ours, key=lambda one: one.created_at)
            return retold_events.deployed(
                event,
                platform=self._settings.address,
                model=newest.model,
                version=newest.version,
                endpoint=found.endpoint,
                deployment=newest.name,
                deployed_as=newest.deployed_as,
            )
        if len(found.models) > 1:
            return event
        model, number = found.models[0]
        return retold_events.deployed(
            event,
            platform=self._settings.address,
            model=model,
            version=number,
            endpoint=found.endpoint,
            deployment=found.endpoint,
            deployed_as=event.id,
        )

    def _ended(self, event: Envelope, found: mapping.Ended) -> Envelope:
        """Tell of a run's end as the library itself tells of it, when it is one of its own."""
        from cloudmlops.providers.azureml.mapping.job_names import attempt_of, run_of
        from cloudmlops.providers.azureml.mapping.pipelines import PIPELINE_TAG

        ours = found.tags.get(PIPELINE_TAG)
        platform = self._settings.address if ours else self._settings.workspace_id
        pipeline, run = ours or found.experiment, run_of(found.run) if ours else found.run
        if not found.failed:
            return mapping.completed(event, platform=platform, pipeline=pipeline, run=run)
        attempt = attempt_of(found.run) if ours else 1
        step = self._failed_step(run, attempt) if ours else None
        return mapping.failed(
            event,
            platform=platform,
            pipeline=pipeline,
            run=run,
            attempt=attempt,
            step=step.name if step else "",
            error=step.error if step else "",
        )

    def _failed_step(self, run: str, attempt: int) -> StepRecord | None:
        """Return the step that a run failed in; None when it is gone, or was resumed since."""
        try:
            record = self._backends.pipelines.get(run)
        except NotFoundError:
            return None
        return record.failed_step if record.attempt == attempt else None
