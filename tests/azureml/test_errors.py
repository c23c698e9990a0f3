from __future__ import annotations

import importlib
import inspect
import json
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from azure.core import exceptions as azure

from cloudmlops.emulators.azure.cloud import SUBSCRIPTION
from cloudmlops.emulators.core.emulator import Emulator
from cloudmlops.emulators.core.faults import Fault
from cloudmlops.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
)
from cloudmlops.providers.azureml.backends import AzureMLBackends
from cloudmlops.providers.azureml.errors import BY_STATUS, OURS, translated, translation
from cloudmlops.providers.azureml.mapping.access import permissions_of, verb_of
from cloudmlops.providers.azureml.sdk import ml
from cloudmlops.providers.azureml.settings import AzureMLSettings
from cloudmlops.testing.contract.models import written_model

from .conftest import Opened

REFUSED = (
    "(AuthorizationFailed) The client 'c' with object id 'o' does not have authorization to perform action "
    "'Microsoft.MachineLearningServices/workspaces/models/versions/write' over scope '/subscriptions/s/w' or the scope "
    "is invalid."
)


class Answer:
    """What azure-core keeps of an answer."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, body: str = "") -> None:
        self.body = body
        self.status_code = status
        self.reason = "no"
        self.headers = headers or {}

    def text(self, *_: object, **__: object) -> str:
        return self.body


def classes(module: ModuleType) -> list[type[Exception]]:
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Exception)]
    return [kind for kind in found if kind.__module__.startswith(module.__name__)]


def walked(name: str) -> list[type[Exception]]:
    if name.startswith("azure.ai.ml"):
        ml()
    return classes(importlib.import_module(name))


def made(kind: type[Exception]) -> Exception:
    """Make an exception, whatever its class asks for."""
    error = kind.__new__(kind)
    error.args = ("what was said",)
    error.__dict__.update(message="what was said", status_code=None, response=None, error=None)
    return error


def answered(status: int, message: str = "no", **headers: str) -> azure.HttpResponseError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response: Any = Answer(status, named)
    return azure.HttpResponseError(message=message, response=response)


@pytest.mark.parametrize("kind", walked("azure.core.exceptions"), ids=lambda kind: kind.__name__)
def test_every_class_of_azure_core_is_in_the_table_itself(kind: type[Exception]) -> None:
    assert kind in OURS


@pytest.mark.parametrize("module", ["azure.identity", "azure.ai.ml.exceptions"])
def test_every_class_of_the_sdks_is_translated(module: str) -> None:
    kinds = walked(module) if module.endswith("exceptions") else classes(importlib.import_module(module))
    kinds = [kind for kind in kinds if not issubclass(kind, Warning)]
    assert kinds

    for kind in kinds:
        with pytest.raises(ServiceError) as caught, translated("models.get", "churn"):
            raise made(kind)

        assert isinstance(caught.value.__cause__, kind)
        if module == "azure.identity":
            assert isinstance(caught.value, AuthenticationError)


@pytest.mark.parametrize("kind", sorted(OURS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_each_becomes_what_the_table_says_with_all_that_is_known(kind: type[Exception]) -> None:
    error = translation(made(kind), "models.get", "churn")

    assert type(error) is OURS[kind]
    assert "what was said" in error.message
    assert (error.provider, error.operation, error.resource) == ("azureml", "models.get", "churn")
    assert error.retryable == isinstance(error, UnavailableError | QuotaExceededError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("status", sorted(BY_STATUS))
def test_a_status_says_more_than_the_class(status: int) -> None:
    assert type(translation(answered(status), "models.get", "churn")) is BY_STATUS[status]


def said(status: int, **error: Any) -> azure.HttpResponseError:
    """Make the exception of an answer with an error in Azure's form."""
    response: Any = Answer(status, body=json.dumps({"error": error}))
    return azure.HttpResponseError(response=response)


NOT_ENOUGH = "Not enough quota available for Standard_DS3_v2 in SubscriptionId s. Current usage/limit: 96/100."


@pytest.mark.parametrize("status", [400, 409])
@pytest.mark.parametrize(
    "error",
    [
        {"code": "QuotaExceeded", "message": "no"},
        {"code": "BadRequest", "message": "no", "innererror": {"code": "A", "innererror": {"code": "OutOfQuota"}}},
        {"code": "ResizeFailed", "message": "no", "details": [{"code": "ClusterCoreQuotaReached", "message": "no"}]},
        {"code": "OperationNotAllowed", "message": "It results in exceeding approved standardNCFamily Cores quota."},
        {"code": "BadRequest", "message": NOT_ENOUGH},
        {
            "code": "BadRequest",
            "message": "The request is invalid.",
            "details": [{"code": "InferencingClientCreateDeploymentFailed", "message": f"errors: {NOT_ENOUGH}"}],
        },
    ],
    ids=str,
)
def test_a_quota_of_machines_is_known_by_its_code(status: int, error: dict[str, Any]) -> None:
    assert isinstance(translation(said(status, **error), "pipelines.run", "r"), QuotaExceededError)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "Conflict", "message": "Another operation is in progress: see https://learn.microsoft.com/quotas"},
        {"code": "BadRequest", "message": "The tag quota=2 is not valid."},
        {"code": "OperationNotAllowed", "message": "The quota of this workspace may not be changed now."},
        {"code": "UserError", "message": "no", "details": [{"code": "InvalidName", "message": NOT_ENOUGH}]},
    ],
    ids=str,
)
def test_that_an_answer_speaks_of_quotas_makes_it_none(error: dict[str, Any]) -> None:
    told = translation(said(409, **error), "pipelines.run", "r")

    assert type(told) is ConflictError
    assert not told.retryable


UNANSWERED = {
    "IncompleteReadError",
    "ServiceRequestError",
    "ServiceRequestTimeoutError",
    "ServiceResponseError",
    "ServiceResponseTimeoutError",
}
UNEXPECTED = {
    "DecodeError",
    "DeserializationError",
    "ResourceNotModifiedError",
    "ResponseNotReadError",
    "StreamClosedError",
    "StreamConsumedError",
    "TooManyRedirectsError",
}


@pytest.mark.parametrize("kind", walked("azure.core.exceptions"), ids=lambda kind: kind.__name__)
def test_what_was_not_answered_and_what_failed_is_not_told_as_a_refusal(kind: type[Exception]) -> None:
    went = (
        "was not answered"
        if kind.__name__ in UNANSWERED
        else "was answered unexpectedly"
        if kind.__name__ in UNEXPECTED
        else "was refused"
    )

    assert translation(made(kind), "models.get", "churn").message.startswith(f"models.get of 'churn' {went}: ")
    assert translation(made(kind), "connect", "").message.startswith(f"connect {went}: ")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_service_that_is_in_trouble_has_not_refused(status: int) -> None:
    assert "churn' did not succeed: " in translation(answered(status), "models.get", "churn").message


def test_a_connection_that_is_cut_is_told_as_no_answer(opened: Opened, azureml_emulator: Emulator) -> None:
    backends = opened(timeout="1")
    backends.wire.management_token()
    azureml_emulator.faults.set(Fault(matching="arm/GET workspaces/models*", drop=True, times=None))

    with pytest.raises(UnavailableError, match="'churn' was not answered"):
        backends.models.store("churn")


@pytest.mark.parametrize(
    ("code", "network"), [("AuthorizationFailure", True), ("AuthorizationPermissionMismatch", False)]
)
def test_a_refusal_by_storage_names_its_causes(code: str, network: bool) -> None:
    refused = answered(403)
    refused.error_code = code  # type: ignore[attr-defined] # as azure-storage-blob sets it
    hint = translation(refused, "models.register", "churn").hint

    assert ("network rules" in hint) is network
    assert "datastores/listSecrets/action" in hint
    assert "Storage Blob Data Contributor" in hint


@pytest.mark.parametrize(
    "headers", [{"retry_after": "1.5"}, {"retry_after_ms": "1500"}, {"x_ms_retry_after_ms": "1500"}], ids=str
)
def test_a_quota_says_when_to_come_again(headers: dict[str, str]) -> None:
    refused = translation(answered(429, **headers), "models.get", "churn")

    assert isinstance(refused, QuotaExceededError)
    assert refused.retry_after == timedelta(seconds=1.5)
    other = translation(answered(429, retry_after="soon"), "models.get", "churn")
    assert isinstance(other, QuotaExceededError)
    assert other.retry_after is None


def test_a_refusal_names_action_scope_and_the_role_that_has_it() -> None:
    refused = translation(answered(403, REFUSED), "models.register", "churn")

    assert isinstance(refused, PermissionDeniedError)
    assert "lacks Microsoft.MachineLearningServices/workspaces/models/versions/write on /subscriptions/s/w" in (
        refused.hint
    )
    assert "Granted by: AzureML Data Scientist." in refused.hint
    assert "platform.check_access(['models.register'])" in refused.hint


def test_a_refusal_that_names_no_action_still_says_what_to_do() -> None:
    assert translation(answered(403), "connect", "").hint
    assert "check_access(['models.get'])" in translation(answered(403), "models.get", "churn").hint
    assert "check_access(['models.promote'])" in translation(answered(403), "models.project", "churn").hint


def test_the_id_of_the_request_is_kept() -> None:
    assert translation(answered(404, x_ms_request_id="r-1"), "models.get", "churn").request_id == "r-1"


def test_a_refusal_by_the_service_is_told_in_full(opened: Opened) -> None:
    reader = opened("reader")

    with pytest.raises(PermissionDeniedError) as caught:
        register_by_hand(reader)

    assert "models/versions/write" in caught.value.hint
    assert f"/workspaces/{reader.settings.workspace}/models/churn/versions/1" in caught.value.hint


def test_what_is_not_there_is_named_as_the_front_end_names_it(backends: AzureMLBackends) -> None:
    with pytest.raises(NotFoundError, match="Model container with name: churn not found"):
        backends.wire.ask(lambda: backends.native.models.get("churn", "1"), operation="models.get", resource="churn@1")


def test_storage_s_refusal_after_refused_secrets_is_told_by_its_cause(opened: Opened, tmp_path: Path) -> None:
    reader = opened("reader")
    model = ml().entities.Model(name="churn", path=str(written_model(tmp_path / "model")))

    with pytest.raises(PermissionDeniedError) as caught:
        reader.wire.ask(
            lambda: reader.native.models.create_or_update(model), operation="models.register", resource="churn"
        )

    assert "lacks Microsoft.MachineLearningServices/workspaces/datastores/listSecrets/action" in caught.value.hint
    assert "AzureML Data Scientist" in caught.value.hint
    assert "Storage Blob Data Contributor" in caught.value.hint


def test_storage_s_refusal_of_the_ledger_names_the_role(opened: Opened) -> None:
    with pytest.raises(PermissionDeniedError, match="Storage Blob Data Contributor"):
        opened("reader").objects.get("ledger/models/churn/head.json")


def test_a_wrong_secret_is_told_as_such(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, as_somebody: Callable[[str], None]
) -> None:
    backends = opened()
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    backends.wire.credential.renew()

    with pytest.raises(AuthenticationError, match="az login"):
        backends.objects  # noqa: B018 it asks where the datastore is


def test_conflicts_are_not_retryable() -> None:
    assert not translation(answered(409), "models.register", "churn").retryable
    assert isinstance(translation(answered(412), "models.register", "churn"), ConflictError)


def test_what_is_refused_can_be_asked_about_before() -> None:
    assert verb_of("models.project") == "models.promote"
    assert verb_of("connect") is None
    known = permissions_of(AzureMLSettings(subscription=SUBSCRIPTION, resource_group="any", workspace="any"))
    assert {verb_of(verb) for verb in known} == set(known)


def register_by_hand(backends: AzureMLBackends) -> None:
    path = "azureml://datastores/workspaceblobstore/paths/elsewhere"
    model = ml().entities.Model(name="churn", version="1", path=path)
    backends.wire.ask(
        lambda: backends.native.models.create_or_update(model), operation="models.register", resource="churn@1"
    )
