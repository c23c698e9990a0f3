"""What Azure ML does in another way than others is said by capabilities, and what settings leave out is refused."""

from __future__ import annotations

import pytest

from cloudmlops import connect
from cloudmlops.domain.capabilities import Capability, Limit, Support
from cloudmlops.errors import UnsupportedError

from .conftest import Opened

CACHE = "rediss://cache.westeurope.redis.azure.net:10000"


def told(opened: Opened, capability: Capability, **settings: str) -> Limit:
    return opened(**settings).capabilities.limits[capability]


def test_a_trainer_who_may_do_more_is_told_of(opened: Opened) -> None:
    limit = told(opened, Capability.ACCESS_CONTROL)

    assert limit.kind is Support.EMULATED
    assert "a trainer is a deployer and an approver, too" in limit.reason


def test_features_by_key_are_absent_until_settings_name_where_they_lie(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUDMLOPS_AZUREML_REDIS_URL")
    assert told(opened, Capability.ONLINE_FEATURES, redis_url=CACHE).kind is Support.EMULATED
    with (
        connect(opened().settings.target) as platform,
        pytest.raises(
            UnsupportedError, match=r"azureml has no features\.online: the setting redis_url names no"
        ) as told_so,
    ):
        platform.require("features.online")
    assert "set redis_url to its address" in told_so.value.hint


def test_batch_scoring_is_absent_until_settings_name_a_cluster(opened: Opened) -> None:
    assert told(opened, Capability.BATCH_SCORING, compute="cpu").kind is Support.EMULATED
    with (
        connect(opened().settings.target) as platform,
        pytest.raises(UnsupportedError, match=r"azureml has no endpoints\.predict_batch: the setting compute names no"),
    ):
        platform.require("endpoints.predict_batch")
