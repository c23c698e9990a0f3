"""A process that has a file scored: `batch_asker.py TARGET MODEL VERSION INPUT OUTPUT`."""

import sys

from cloudmlops import connect

target, model, version, source, output = sys.argv[1:]
with connect(target) as platform:
    platform.endpoints.predict_batch(platform.models.get(model, version), source, output)
