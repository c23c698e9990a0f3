"""The contract of pipelines on the embedded provider."""

from cloudmlops.testing.contract.pipelines import PipelinesContract


class TestPipelinesOnLocal(PipelinesContract):
    pass
