"""Whether a webhook wants the events: it is asked before the first one, in the manner of the delivery schema.

And it is told when there will be none any more: by a `SubscriptionDeletedEvent`, in Event Grid's schema (what one gets
that is delivered CloudEvents is not documented: nothing, here).

Event Grid's schema: a `SubscriptionValidationEvent` is posted, whose code is answered, or whose address is visited
within ten minutes while the subscription is `AwaitingManualAction`. CloudEvents: `OPTIONS` with
`WebHook-Request-Origin`, which is answered with `WebHook-Allowed-Origin`, or whose `WebHook-Request-Callback` is
visited likewise (learn.microsoft.com, "Webhook event delivery"; CloudEvents 1.0, "HTTP Web Hooks"). The words of a
failure are the service's, as users quote them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from cloudmlops.emulators.azure.arm.world import World
from cloudmlops.emulators.azure.eventgrid import DOMAIN
from cloudmlops.emulators.azure.eventgrid.deliveries import SERVICE, Deliveries
from cloudmlops.emulators.azure.eventgrid.events import written
from cloudmlops.emulators.azure.eventgrid.identity import Identities
from cloudmlops.emulators.azure.eventgrid.provisioning import Provisioning
from cloudmlops.emulators.azure.eventgrid.retrying import TIMED_OUT, UNREACHABLE
from cloudmlops.emulators.azure.eventgrid.subscriptions import delivery_headers, destination_of, is_cloud
from cloudmlops.emulators.azure.eventgrid.webhooks import Reply, Webhooks
from cloudmlops.emulators.core.calls import Dropped
from cloudmlops.emulators.core.faults import HTTP_STATUS, Refused

MANUAL: Final = timedelta(minutes=10)
"""How long the address is good that is visited by hand."""
ORIGIN: Final = DOMAIN
AWAITING: Final = "AwaitingManualAction"
_VALIDATION: Final = "Microsoft.EventGrid.SubscriptionValidationEvent"
_DELETION: Final = "Microsoft.EventGrid.SubscriptionDeletedEvent"


class Handshakes:
    """Asks webhooks, and waits for who answers by hand.

    A handshake is a call `eventgrid/validate`, a farewell `eventgrid/part`.
    """

    def __init__(
        self,
        world: World,
        provisioning: Provisioning,
        deliveries: Deliveries,
        webhooks: Webhooks,
        identities: Identities,
    ) -> None:
        self._world = world
        self._provisioning = provisioning
        self._deliveries = deliveries
        self._webhooks = webhooks
        self._identities = identities
        self._clock = world.surroundings.clock
        self._kept = world.surroundings.state.table("eventgrid_validations")
        self._begun = world.surroundings.state.table("eventgrid_handshakes")

    def begin(self, subscription: str, operation: str) -> None:
        """Ask a subscription's webhook, beside the request that made it; end the operation when it is known."""
        self._begun.put(subscription, operation.encode())
        self._deliveries.run_due(lambda: self._ask(subscription, operation))

    def resume(self) -> None:
        """Ask anew whose answer was not known when the state was last closed, and wait for who answers by hand."""
        for subscription, operation in self._begun.items():
            self.begin(subscription, operation.decode())
        for code, data in self._kept.items():
            self._expire_at(code, datetime.fromisoformat(json.loads(data)["until"]))

    def validate(self, code: str) -> bool:
        """Take a visit at the address of a code; False when the code is none, or too old."""
        data = self._kept.get(code)
        if data is None or not self._kept.delete(code):
            return False
        known = json.loads(data)
        self._provisioning.succeeded(known["subscription"], known["operation"])
        return True

    def part(self, resource: Mapping[str, Any]) -> None:
        """Tell the webhook of a subscription that was removed; once, whatever it answers."""
        properties = resource["properties"]
        destination = destination_of(properties)
        if (
            destination["endpointType"] != "WebHook"
            or is_cloud(properties)
            or properties["provisioningState"] != "Succeeded"
        ):
            return
        event = self._event(resource, _DELETION, {"eventSubscriptionId": resource["id"]})
        headers = delivery_headers(resource, event, attempts=0, kind="SubscriptionDeletion")
        headers |= self._identities.authorization(resource)
        url, body = str(destination["properties"]["endpointUrl"]), json.dumps([event]).encode()
        self._deliveries.run(lambda: self._tell(resource, url, headers, body))

    def _tell(self, resource: Mapping[str, Any], url: str, headers: Mapping[str, str], body: bytes) -> None:
        with (
            suppress(Dropped, Refused),
            self._world.surroundings.calls.answering(
                SERVICE, "part", transport="rest", drop=lambda: None, resource=resource["id"]
            ),
        ):
            self._webhooks.send("POST", url, headers, body)

    def _ask(self, subscription: str, operation: str) -> None:
        resource = self._world.resources.get(subscription)
        if resource is not None:
            url = str(destination_of(resource["properties"])["properties"]["endpointUrl"])
            code = str(uuid4())
            # Before it is asked, for it may visit the address before it answers.
            until = self._clock.now() + MANUAL
            kept = {"subscription": subscription, "operation": operation, "until": until.isoformat(), "url": url}
            self._kept.put(code, json.dumps(kept).encode())
            reply = self._asked(resource, url, code, cloud=is_cloud(resource["properties"]))
            if self._webhooks.closed:
                self._kept.delete(code)
                return
            self._settle(resource, code, reply)
        self._begun.delete(subscription)

    def _settle(self, resource: Mapping[str, Any], code: str, reply: Reply) -> None:
        cloud = is_cloud(resource["properties"])
        with self._world.surroundings.state.transaction():
            data = self._kept.get(code)
            if data is None:  # it was visited
                return
            kept = json.loads(data)
            if 200 <= reply.status < 300 and _agrees(reply, code, cloud=cloud):
                self._kept.delete(code)
                self._provisioning.succeeded(kept["subscription"], kept["operation"])
            elif reply.status == 200:
                self._provisioning.turn(kept["subscription"], AWAITING)
                self._expire_at(code, datetime.fromisoformat(kept["until"]))
            else:
                self._kept.delete(code)
                method = "OPTIONS" if cloud else "POST"
                self._fail(kept, f"Http {method} request failed with {_said(reply)}.")

    def _asked(self, resource: Mapping[str, Any], url: str, code: str, *, cloud: bool) -> Reply:
        try:
            with self._world.surroundings.calls.answering(
                SERVICE, "validate", transport="rest", drop=lambda: None, resource=resource["id"]
            ):
                return self._options(resource, url, code) if cloud else self._post(resource, url, code)
        except Dropped:
            return Reply(status=UNREACHABLE)
        except Refused as refused:
            return Reply(status=HTTP_STATUS.get(refused.code, 500))

    def _post(self, resource: Mapping[str, Any], url: str, code: str) -> Reply:
        data = {"validationCode": code, "validationUrl": self._address(resource, code)}
        event = self._event(resource, _VALIDATION, data)
        headers = delivery_headers(resource, event, attempts=0, kind="SubscriptionValidation")
        headers |= self._identities.authorization(resource)
        return self._webhooks.send("POST", url, headers, json.dumps([event]).encode())

    def _event(self, resource: Mapping[str, Any], kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "topic": resource["properties"]["topic"],
            "subject": "",
            "data": dict(data),
            "eventType": kind,
            "eventTime": written(self._clock.now()),
            "metadataVersion": "1",
            "dataVersion": "1",
        }

    def _options(self, resource: Mapping[str, Any], url: str, code: str) -> Reply:
        headers = {
            "webhook-request-origin": ORIGIN,
            "webhook-request-callback": self._address(resource, code),
            **self._identities.authorization(resource),
        }
        return self._webhooks.send("OPTIONS", url, headers)

    def _address(self, resource: Mapping[str, Any], code: str) -> str:
        return (
            f"https://rp-{self._world.location}.{DOMAIN}:553/eventsubscriptions/{str(resource['name']).lower()}/validate"
            f"?id={code}&t={written(self._clock.now())}&apiVersion=2025-02-15&token={uuid4().hex}"
        )

    def _expire_at(self, code: str, until: datetime) -> None:
        self._clock.at(until, lambda: self._expire(code))

    def _expire(self, code: str) -> None:
        data = self._kept.get(code)
        if data is not None and self._kept.delete(code):
            self._fail(
                json.loads(data),
                "When a validation request is accepted without validation code in the response body, Http GET is "
                "expected on the validation url included in the validation event(within 10 minutes).",
            )

    def _fail(self, kept: Mapping[str, str], why: str) -> None:
        self._provisioning.turn(kept["subscription"], "Failed")
        refused = Refused(
            "FAILED_PRECONDITION",
            f"Webhook validation handshake failed for {kept['url'].partition('?')[0]}. {why} For troubleshooting, "
            "visit https://aka.ms/esvalidation.",
            reason="Url validation",
        )
        self._world.operations.fail(kept["operation"], refused)


def _agrees(reply: Reply, code: str, *, cloud: bool) -> bool:
    if cloud:
        allowed = reply.headers.get("webhook-allowed-origin", "")
        return "*" in allowed or ORIGIN in [one.strip().lower() for one in allowed.split(",")]
    try:
        content = json.loads(reply.body)
    except ValueError:
        return False
    if reply.status != 200 or not isinstance(content, dict):
        return False
    return any(key.lower() == "validationresponse" and value == code for key, value in content.items())


def _said(reply: Reply) -> str:
    if reply.status == TIMED_OUT:
        return "no response within 30 seconds"
    return f"response code {reply.status if reply.status > 0 else 'Unknown'}"
