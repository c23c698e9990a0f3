from __future__ import annotations

import inspect
import pickle
from datetime import timedelta
from types import ModuleType

import pytest
import requests
from google.api_core import exceptions as google
from google.auth import exceptions as auth
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details

from cloudmlops.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
)
from cloudmlops.providers.vertex.errors import OURS, translated, translation

INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY = "type.googleapis.com/google.rpc.RetryInfo"
REQUEST = "type.googleapis.com/google.rpc.RequestInfo"


def classes(module: ModuleType) -> list[type[Exception]]:
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Exception)]
    return [kind for kind in found if kind.__module__ == module.__name__]


def made(kind: type[Exception]) -> Exception:
    """Make an exception, whatever its class asks for."""
    if issubclass(kind, google.RetryError):
        return kind("what was said", cause=None)
    if issubclass(kind, google.GoogleAPICallError):
        return kind("what was said")
    error = kind.__new__(kind)
    error.args = ("what was said",)
    return error


def over_rest(status: int, *told: dict[str, object], retry_after: str | None = None) -> Exception:
    answer = requests.Response()
    answer.status_code = status
    if retry_after is not None:
        answer.headers["Retry-After"] = retry_after
    said = {"error": {"message": "no", "details": list(told)}}
    error: Exception = google.format_http_response_error(answer, "POST", "https://example.com", said)
    return error


@pytest.mark.parametrize("kind", classes(google))
def test_every_class_of_api_core_is_in_the_table_itself(kind: type[Exception]) -> None:
    if issubclass(kind, Warning):
        pytest.skip("a warning is never raised")
    assert kind in OURS


@pytest.mark.parametrize("kind", classes(auth))
def test_every_class_of_google_auth_is_translated(kind: type[Exception]) -> None:
    with pytest.raises(ServiceError) as caught, translated("models.get", "churn"):
        raise made(kind)

    assert isinstance(caught.value, AuthenticationError | UnavailableError)
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("kind", [google.NotFound, google.AlreadyExists, google.Conflict, google.PreconditionFailed])
def test_what_is_not_there_or_there_already_says_what_to_do(kind: type[google.GoogleAPICallError]) -> None:
    assert translation(kind("no"), "models.get", "churn").hint


def test_what_nobody_refused_is_not_called_refused() -> None:
    for error in (requests.ReadTimeout("no"), google.ServiceUnavailable("no"), google.DataLoss("no")):
        assert "refused" not in str(translation(error, "models.get", "churn"))


@pytest.mark.parametrize("kind", sorted(OURS, key=lambda kind: kind.__name__))
def test_each_becomes_what_the_table_says_with_all_that_is_known(kind: type[Exception]) -> None:
    error = translation(made(kind), "models.get", "churn")

    assert type(error) is OURS[kind]
    assert "what was said" in error.message
    assert (error.provider, error.operation, error.resource) == ("vertex", "models.get", "churn")
    assert error.retryable == isinstance(error, UnavailableError | QuotaExceededError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_class_that_google_adds_later_is_its_nearest_ancestor() -> None:
    class Newer(google.NotFound):
        pass

    assert isinstance(translation(Newer("gone"), "models.get", "churn"), NotFoundError)


@pytest.mark.parametrize(
    "error",
    [
        google.PermissionDenied(
            "no",
            details=[
                details.ErrorInfo(
                    reason="IAM_PERMISSION_DENIED",
                    domain="aiplatform.googleapis.com",
                    metadata={"permission": "aiplatform.models.upload", "resource": "projects/p"},
                )
            ],
        ),
        over_rest(
            403,
            {
                "@type": INFO,
                "reason": "IAM_PERMISSION_DENIED",
                "metadata": {"permission": "aiplatform.models.upload", "resource": "projects/p"},
            },
        ),
        google.PermissionDenied("Permission 'aiplatform.models.upload' denied on resource '//x.googleapis.com/p'."),
    ],
    ids=["grpc", "rest", "message"],
)
def test_a_refusal_names_the_permission_and_the_role_that_has_it(error: Exception) -> None:
    refused = translation(error, "models.register", "churn")

    assert isinstance(refused, PermissionDeniedError)
    assert "lacks aiplatform.models.upload." in refused.hint
    assert "trainer" in refused.hint
    assert "platform.check_access(['models.register'])" in refused.hint


def test_a_refusal_that_names_no_permission_still_says_what_to_do() -> None:
    assert translation(google.Forbidden("no"), "connect", "").hint
    assert "check_access(['models.get'])" in translation(google.Forbidden("no"), "models.get", "churn").hint


@pytest.mark.parametrize(
    "error",
    [
        google.ResourceExhausted(
            "slow", details=[details.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))]
        ),
        over_rest(429, {"@type": RETRY, "retryDelay": "1.5s"}),
        over_rest(429, retry_after="1.5"),
    ],
    ids=["grpc", "rest", "header"],
)
def test_a_quota_says_when_to_come_again(error: Exception) -> None:
    refused = translation(error, "models.get", "churn")

    assert isinstance(refused, QuotaExceededError)
    assert refused.retry_after == timedelta(seconds=1.5)


@pytest.mark.parametrize("reason", ["quotaExceeded", "rateLimitExceeded"])
def test_a_quota_of_bigquery_is_no_missing_permission(reason: str) -> None:
    refused = google.Forbidden("too many queries", errors=[{"reason": reason, "message": "too many queries"}])

    error = translation(refused, "features.training_table", "weather")

    assert isinstance(error, QuotaExceededError)
    assert error.retryable


def test_a_quota_that_was_met_until_the_time_was_over_is_a_quota_still() -> None:
    met = google.ResourceExhausted("too fast", details=[details.RetryInfo(retry_delay=Duration(seconds=30))])

    refused = translation(google.RetryError("Timeout of 60.0s exceeded", cause=met), "models.get", "churn")

    assert isinstance(refused, QuotaExceededError)
    assert refused.retry_after == timedelta(seconds=30)
    assert "Timeout of 60.0s exceeded" in refused.message
    assert "too fast" in refused.message


@pytest.mark.parametrize("met", [google.ServiceUnavailable("away"), KeyError("unknown"), None])
def test_what_else_was_met_until_the_time_was_over_is_unavailable(met: Exception | None) -> None:
    refused = translation(google.RetryError("Timeout of 60.0s exceeded", cause=met), "models.get", "churn")

    assert isinstance(refused, UnavailableError)
    assert "Timeout of 60.0s exceeded" in refused.message


@pytest.mark.parametrize(
    "error",
    [
        google.NotFound("gone", details=[details.RequestInfo(request_id="r-1")]),
        over_rest(404, {"@type": REQUEST, "requestId": "r-1"}),
    ],
    ids=["grpc", "rest"],
)
def test_the_id_of_the_request_is_kept(error: Exception) -> None:
    assert translation(error, "models.get", "churn").request_id == "r-1"
