"""What holds for access on every provider."""

from __future__ import annotations

import pytest

from cloudmlops._platform import Platform
from cloudmlops.domain.access import Role
from cloudmlops.domain.capabilities import Capability, Support
from cloudmlops.errors import InvalidRequestError, UnsupportedError


class AccessContract:
    """Asking what is missing, and giving and taking roles."""

    principal = "bob"
    """Somebody, as the provider names people."""

    def test_who_may_do_everything_misses_nothing(self, platform: Platform) -> None:
        assert platform.check_access(["models.register", "models.promote", "pipelines.run"]) == ()

    def test_verbs_that_do_not_exist_are_all_named(self, platform: Platform) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            platform.check_access(["models.fly", "models.get", "runs.sing"])

        assert caught.value.faults == ("'models.fly'", "'runs.sing'")
        assert "models.promote" in caught.value.hint

    def test_a_granted_role_is_listed_until_it_is_revoked(self, platform: Platform) -> None:
        if platform.capabilities.of(Capability.ACCESS_CONTROL) is Support.ABSENT:
            for verb in (lambda: platform.access.grant(Role.READER, self.principal), platform.access.list):
                with pytest.raises(UnsupportedError, match=r"access\.control"):
                    verb()
            return
        platform.access.grant(Role.READER, self.principal)
        assert (self.principal, Role.READER) in [(grant.principal, grant.role) for grant in platform.access.list()]

        platform.access.revoke(Role.READER, self.principal)

        assert self.principal not in [grant.principal for grant in platform.access.list()]
