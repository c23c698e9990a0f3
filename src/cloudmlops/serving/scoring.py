"""From a request's input to predictions."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import orjson

from cloudmlops.serving.dialects import Input
from cloudmlops.serving.loading import LoadedModel
from cloudmlops.serving.lookup import FeatureLookup
from cloudmlops.serving.problems import ProblemError
from cloudmlops.serving.signatures import ColumnSignature, ShapeOnly, Signature, compile_signature

_log = logging.getLogger("cloudmlops.serving")

SHORT: Final = 0.005
"""Seconds that a call may hold the event loop: less than this is answered there, without the cost of a thread."""
FEW_ROWS: Final = 256


class Scorer:
    """One model: checks input, looks features up where keys alone were given, predicts.

    Calls run one at a time: short ones in the event loop, others in one thread, so that health is answered meanwhile.
    """

    def __init__(self, model: LoadedModel, *, lookup: FeatureLookup | None = None) -> None:
        self._predict = model.predict
        self.signature = self._compiled(model)
        self._lookup = lookup
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._in_thread = 0
        self._seconds = self._warm_up()

    async def score(self, given: Input, *, explain: bool = False) -> tuple[Any, list[dict[str, Any]] | None]:
        """Return the predictions and, if asked for, the status of each looked-up feature, a mapping a row."""
        if len(given) <= FEW_ROWS and self._seconds < SHORT and not self._in_thread:
            return self._timed(given, explain=explain)
        self._in_thread += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, lambda: self._timed(given, explain=explain))
        finally:
            self._in_thread -= 1

    def score_now(self, given: Input, *, explain: bool = False) -> tuple[Any, list[dict[str, Any]] | None]:
        """Return the same, in this thread."""
        statuses = None
        if self._lookup is not None:
            given, statuses = self._lookup.completed(given, self.signature.names, explain=explain)
        elif explain:
            raise ProblemError(
                400,
                "there are no features to explain: this server looks none up",
                hint="Deploy a model that was registered with features=, or start the server with --target.",
            )
        data = self.signature.convert(given)
        if len(given) == 0:
            return [], statuses
        try:
            return self._predict(data), statuses
        except Exception as error:  # the model is the user's code: whatever it raises becomes the answer and the log
            _log.exception("the model failed on %d rows", len(given))
            if isinstance(self.signature, ShapeOnly) and isinstance(error, (ValueError, TypeError, LookupError)):
                raise ProblemError(
                    400,
                    f"the model refused the input: {type(error).__name__}: {error}",
                    hint="It was saved without a signature, so that input is not checked before; save it with one.",
                ) from error
            raise ProblemError(500, f"the model failed: {type(error).__name__}: {error}") from error

    def _timed(self, given: Input, *, explain: bool) -> tuple[Any, list[dict[str, Any]] | None]:
        began = time.perf_counter()
        result = self.score_now(given, explain=explain)
        if len(given) <= FEW_ROWS:
            self._seconds += 0.1 * (time.perf_counter() - began - self._seconds)
        return result

    def _compiled(self, model: LoadedModel) -> Signature:
        """Compile the signature; frames are spared where the model answers the same to an array.

        Reading a frame of one row costs scikit-learn four times the prediction. A model that was fitted on a frame
        takes an array, too, if its columns are of one type and in the order that it knows; made-up input tells.
        """
        signature = compile_signature(model.inputs, frames=model.frames, features=model.features)
        if not (isinstance(signature, ColumnSignature) and signature.uniform and model.fitted_names):
            return signature
        if tuple(signature.known) != model.fitted_names:
            return signature
        arrays = compile_signature(model.inputs, frames=False)
        # What scikit-learn warns of is what was checked here.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        try:
            same = np.array_equal(self._predict(signature.example()), self._predict(arrays.example()))
        except Exception as error:  # noqa: BLE001 the user's model may refuse an array, and made-up values
            _log.info("the model takes frames only: %r", error)
            return signature
        return arrays if same else signature

    def _warm_up(self) -> float:
        """Predict once or twice on made-up input, so that no request pays for first use; return a call's seconds."""
        seconds = SHORT
        for _ in range(2):
            began = time.perf_counter()
            try:
                if (example := self.signature.example()) is None:
                    return seconds
                self._predict(example)
            except Exception as error:  # noqa: BLE001 the user's model may refuse made-up values
                _log.info("the model refused made-up input at load, which is no fault: %r", error)
                return seconds
            seconds = time.perf_counter() - began
        return seconds


def plain(predictions: Any) -> Any:
    """Return predictions as what orjson writes: lists, or arrays that it knows."""
    for method in ("to_dict", "tolist", "to_list"):
        if hasattr(predictions, method) and (method != "to_dict" or hasattr(predictions, "columns")):
            return predictions.to_dict("records") if method == "to_dict" else getattr(predictions, method)()
    return predictions


def dumps(value: Any) -> bytes:
    """Write JSON; NaN becomes null, and what JSON does not know becomes lists or text."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _default(value: Any) -> Any:
    if (known := plain(value)) is not value:
        return known
    return str(value)
