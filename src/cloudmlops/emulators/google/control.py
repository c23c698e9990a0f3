"""What is Google's own in the control over HTTP, for a program in another process.

GET  /-/emulator/google/triggers      all
POST /-/emulator/google/triggers      {"url": …, "method_names": […], "service_name": …, "resource_name": …,
                                       "style": "eventarc" | "pubsub", "account": …} | {"remove": ID}
GET  /-/emulator/google/pushes        what is not delivered yet
GET  /-/emulator/google/images        what runs for which images of containers
POST /-/emulator/google/images        {"pattern": "*/trainer:*", "command": ["python", "-m", "trainer"]}
POST /-/emulator/google/permissions   {"deny": "aiplatform.models.upload", "principal": …, "resource": …}
                                       | {"allow": …, "principal": …, "resource": …} | {"clear": true}
POST /-/emulator/google/credentials   {"service_account": EMAIL, "project": …}
                                       | {"authorized_user": EMAIL, "project": …}
                                       returns a file for GOOGLE_APPLICATION_CREDENTIALS
POST /-/emulator/google/tokens        {"expire": true}: no token that was issued is good any more
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from cloudmlops.emulators.core.answering import Answer, Asked, answer_json, app
from cloudmlops.emulators.core.faults import Refused
from cloudmlops.emulators.core.service import Service, Surroundings
from cloudmlops.emulators.google.access import Access
from cloudmlops.emulators.google.aiplatform.images import Image, Images
from cloudmlops.emulators.google.audit import Audit
from cloudmlops.emulators.google.pushing import Pusher
from cloudmlops.emulators.google.tokens import Tokens
from cloudmlops.emulators.google.wire import Route, finder, json_object, refusal

_PATH: Final = "/-/emulator/google"
_WHOM: Final = frozenset({"principal", "resource"})
_TRIGGER: Final = frozenset({"url", "method_names", "service_name", "resource_name", "style", "account"})


def control_service(
    surroundings: Surroundings, *, tokens: Tokens, access: Access, audit: Audit, pusher: Pusher, images: Images
) -> Service:
    """Make the control; it has no host, and is reached at the plain address only."""
    control = _Control(tokens, access, audit, images)
    routes = (
        Route("GET", f"{_PATH}/triggers", "triggers.list", control.triggers),
        Route("POST", f"{_PATH}/triggers", "triggers.set", control.set_trigger),
        Route(
            "GET", f"{_PATH}/pushes", "pushes.list", lambda _: answer_json([asdict(one) for one in pusher.pending()])
        ),
        Route("GET", f"{_PATH}/images", "images.list", control.images),
        Route("POST", f"{_PATH}/images", "images.set", control.set_image),
        Route("POST", f"{_PATH}/permissions", "permissions.set", control.set_permission),
        Route("POST", f"{_PATH}/credentials", "credentials.make", control.make_credentials),
        Route("POST", f"{_PATH}/tokens", "tokens.expire", control.expire_tokens),
    )
    return Service(
        name="control",
        hosts=(),
        paths=(_PATH,),
        # What is pending is cut with the services, and not while they still answer.
        close=pusher.close,
        http=app(surroundings, "control", find=finder(routes), refusal=refusal("emulator")),
    )


class _Control:
    def __init__(self, tokens: Tokens, access: Access, audit: Audit, images: Images) -> None:
        self._tokens = tokens
        self._access = access
        self._audit = audit
        self._images = images

    def triggers(self, _: Asked) -> Answer:
        return answer_json([asdict(trigger) for trigger in self._audit.triggers()])

    def set_trigger(self, asked: Asked) -> Answer:
        content = json_object(asked)
        if "remove" in content:
            if not self._audit.remove(str(content["remove"])):
                raise Refused("NOT_FOUND", f"There is no trigger {content['remove']}.")
            return answer_json({})
        _known(content, _TRIGGER, wanted="url")
        return answer_json(asdict(self._audit.trigger(**content)))

    def images(self, _: Asked) -> Answer:
        return answer_json(
            {pattern: asdict(image) if image is not None else None for pattern, image in self._images.all().items()}
        )

    def set_image(self, asked: Asked) -> Answer:
        content = json_object(asked)
        _known(content, frozenset({"pattern", "command"}), wanted="command")
        pattern, command = content.get("pattern"), content["command"]
        if not isinstance(pattern, str) or not pattern:
            raise Refused("INVALID_ARGUMENT", "pattern is wanted, such as */trainer:*")
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            raise Refused("INVALID_ARGUMENT", "command is a list of words")
        self._images.let(pattern, Image.running(command))
        return answer_json({})

    def set_permission(self, asked: Asked) -> Answer:
        content = json_object(asked)
        whom = {name: str(value) for name, value in content.items() if name in _WHOM}
        if content.get("clear"):
            self._access.allow()
        elif "deny" in content:
            _known(content, _WHOM | {"deny"}, wanted="deny")
            self._access.deny(str(content["deny"]), **whom)
        else:
            _known(content, _WHOM | {"allow"}, wanted="allow")
            self._access.allow(str(content["allow"]), **whom)
        return answer_json({})

    def make_credentials(self, asked: Asked) -> Answer:
        content = json_object(asked)
        project = str(content.get("project", "emulated"))
        if "authorized_user" in content:
            return answer_json(self._tokens.authorized_user(str(content["authorized_user"]), project))
        _known(content, frozenset({"service_account", "project"}), wanted="service_account")
        return answer_json(self._tokens.service_account(str(content["service_account"]), project))

    def expire_tokens(self, asked: Asked) -> Answer:
        _known(json_object(asked), frozenset({"expire"}), wanted="expire")
        self._tokens.expire()
        return answer_json({})


def _known(content: Mapping[str, Any], names: frozenset[str], *, wanted: str) -> None:
    if unknown := sorted(content.keys() - names):
        raise Refused("INVALID_ARGUMENT", f"unknown: {', '.join(unknown)}")
    if wanted not in content:
        raise Refused("INVALID_ARGUMENT", f"{wanted} is wanted")
