from __future__ import annotations

import pytest

from cloudmlops.domain.capabilities import Capabilities, Capability, Limit, Support
from cloudmlops.errors import UnsupportedError

LIMITED = Capabilities(
    provider="toy",
    limits={
        Capability.SPOT_STEPS: Limit(kind=Support.ABSENT, reason="no spot market", instead="Use small machines."),
        Capability.GPU_STEPS: Limit(kind=Support.EMULATED, reason="shared"),
    },
)


def test_what_is_not_limited_is_native() -> None:
    assert LIMITED.of(Capability.AUTOSCALE) is Support.NATIVE
    assert LIMITED.of(Capability.GPU_STEPS) is Support.EMULATED


def test_requiring_what_is_there_is_silent() -> None:
    LIMITED.require(Capability.AUTOSCALE, "pipelines.gpu")


def test_requiring_what_is_absent_names_reason_and_way_round() -> None:
    with pytest.raises(UnsupportedError, match=r"toy has no pipelines\.spot: no spot market") as caught:
        LIMITED.require(Capability.SPOT_STEPS)

    assert caught.value.hint == "Use small machines."
