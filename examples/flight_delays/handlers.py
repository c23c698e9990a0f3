"""What happens by itself when a version is registered: `cloudmlops events process handlers`."""

from __future__ import annotations

from typing import Any

import cloudmlops as cm
from pipeline import MODEL


def register(platform: cm.Platform) -> None:
    """Attach the handlers to a platform."""

    @platform.events.on(cm.ModelRegistered, model=MODEL, handler="validate")
    def validate(event: cm.ModelRegistered, context: Any) -> None:
        """Make a version a candidate when it is better than the trivial forecast in ranking and in probabilities.

        A handler runs at least once; the promotion happens once.
        """
        models = context.platform.models
        metrics = models.get(event.model, event.version).metrics
        faults = [
            f"{name} is {metrics[name]:.4f}, the baseline's {metrics[f'baseline_{name}']:.4f}"
            for name, better in (("roc_auc", 1), ("log_loss", -1))
            if better * (metrics[name] - metrics[f"baseline_{name}"]) <= 0
        ]
        if faults:
            models.tag(event.model, event.version, {"validation": "; ".join(faults)})
        else:
            models.promote(event.model, event.version, to=cm.Stage.CANDIDATE, reason="passed validation")
