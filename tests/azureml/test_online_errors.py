"""Redis's errors as ours: the table is complete, and says whether trying again may help."""

from __future__ import annotations

import inspect
import pickle
import ssl

import pytest
from redis import exceptions

from cloudmlops.errors import (
    AuthenticationError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    UnavailableError,
    UnexpectedReplyError,
)
from cloudmlops.providers.azureml.feature_store.redis_errors import OURS, translated, translation

CLASSES = [
    kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if kind.__module__ == exceptions.__name__
]
RAISED = [kind for kind in CLASSES if issubclass(kind, Exception)]


def made(kind: type[Exception]) -> Exception:
    """Make an exception, whatever its class asks for."""
    error = kind.__new__(kind)
    error.args = ("what was said",)
    return error


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_every_class_of_redis_is_in_the_table_itself(kind: type[Exception]) -> None:
    assert kind.__name__ in OURS


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_every_class_of_redis_becomes_ours_and_can_be_pickled(kind: type[Exception]) -> None:
    if issubclass(kind, exceptions.RedisError | exceptions.RedisClusterException | exceptions.ChildDeadlockedError):
        with pytest.raises(ServiceError) as caught, translated("features.online", "weather"):
            raise made(kind)
        error = caught.value
    else:
        error = translation(made(kind), "features.online", "weather")

    assert type(error) is OURS[kind.__name__]
    assert (error.provider, error.operation, error.resource) == ("azureml", "features.online", "weather")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("raised", "ours", "retryable"),
    [
        (exceptions.TimeoutError("late"), UnavailableError, True),
        (exceptions.BusyLoadingError("loading"), UnavailableError, True),
        (exceptions.ReadOnlyError("a replica"), UnavailableError, True),
        (exceptions.OutOfMemoryError("command not allowed"), QuotaExceededError, True),
        (exceptions.AuthenticationError("WRONGPASS"), AuthenticationError, False),
        (exceptions.NoPermissionError("no"), PermissionDeniedError, False),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), UnexpectedReplyError, False),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), UnavailableError, True),
        (exceptions.ResponseError("MISCONF Redis is configured to save"), UnavailableError, True),
        (
            exceptions.ResponseError("The user executing the script can't run this command"),
            PermissionDeniedError,
            False,
        ),
        (exceptions.ResponseError("anything else"), ServiceError, False),
    ],
)
def test_answers_are_told_apart(raised: Exception, ours: type[ServiceError], retryable: bool) -> None:
    error = translation(raised, "features.push", "weather")

    assert type(error) is ours
    assert error.retryable is retryable


def test_a_cluster_that_wants_another_client_is_explained() -> None:
    error = translation(exceptions.MovedError("3999 127.0.0.1:6381"), "features.online", "weather")

    assert "clustering policy Enterprise" in str(error)


def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    refused = exceptions.ConnectionError("Error 1 connecting to localhost:6380")
    refused.__context__ = ssl.SSLCertVerificationError(1, "certificate verify failed")

    error = translation(refused, "features.online", "weather")

    assert not error.retryable
    assert "SSL_CERT_FILE" in str(error)
