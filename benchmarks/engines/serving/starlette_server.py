"""Floor: Starlette, orjson and the model, without any check: `… PORT MODEL.pickle`."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def main(port: int, file: Path) -> None:
    model = pickle.loads(file.read_bytes())

    async def invocations(request: Request) -> Response:
        rows = orjson.loads(await request.body())["inputs"]
        predictions = model.predict(np.asarray(rows)).tolist()
        return Response(orjson.dumps({"predictions": predictions}), media_type="application/json")

    app = Starlette(routes=[Route("/invocations", invocations, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
