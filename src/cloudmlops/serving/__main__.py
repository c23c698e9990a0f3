"""`python -m cloudmlops.serving`: serve one model until SIGTERM, or score one file."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from pathlib import Path

from cloudmlops.errors import CloudMLOpsError, ConfigurationError
from cloudmlops.runtime.untracked import untracked
from cloudmlops.serving.options import Options, read_options


def main() -> None:
    """Run the server; a wrong model or a port in use ends it with a message and exit code 1."""
    options = read_options(sys.argv[1:], os.environ)
    os.environ |= untracked(os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if options.lifeline is not None:
        threading.Thread(target=_end_with, args=(options.lifeline,), name="lifeline", daemon=True).start()
    try:
        if options.batch is None:
            _serve(options)
        else:
            from cloudmlops.serving.batch import score_file

            score_file(_fetched(options.model), *options.batch, target=options.target)
    except CloudMLOpsError as error:
        sys.exit(f"error: {error}")


def _serve(options: Options) -> None:
    import uvicorn

    from cloudmlops.serving.app import App
    from cloudmlops.serving.loading import find_model, load_model
    from cloudmlops.serving.lookup import open_lookup
    from cloudmlops.serving.scoring import Scorer

    listener = _listener(options)  # before the model is loaded: a port in use is known at once
    folder = find_model(_fetched(options.model))
    app = App(
        Scorer(load_model(folder), lookup=open_lookup(folder, options.target)),
        predict_route=options.predict_route,
        health_route=options.health_route,
        body_limit=options.body_limit,
    )
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        # An endpoint keeps its connections for as long as the worker lives; a timeout could cut one that is being used.
        timeout_keep_alive=86_400 if options.socket else 75,
        timeout_graceful_shutdown=options.grace_s,
    )
    listener.listen(config.backlog)
    logging.getLogger("cloudmlops.serving").info("serving %s at %s", folder, _address(listener))
    uvicorn.Server(config).run(sockets=[listener])


def _listener(options: Options) -> socket.socket:
    if options.socket is not None:
        options.socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(options.socket))
        return listener
    listener = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        raise ConfigurationError(
            f"port {options.port} on {options.host} cannot be used: {error.strerror}",
            hint="Stop what listens there, give another --port, or --port 0 for any free one.",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    name = listener.getsockname()
    return name if isinstance(name, str) else f"http://{name[0]}:{name[1]}"


def _fetched(model: str) -> Path:
    if "://" not in model or model.startswith("file://"):
        return Path(model.removeprefix("file://"))
    import tempfile

    from cloudmlops.storage.opening import open_store

    store = open_store(model)
    folder = Path(tempfile.mkdtemp(prefix="cloudmlops-model-"))
    for key in store.list():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        store.download(key, folder / key)
    return folder


def _end_with(descriptor: int) -> None:
    """End this process at once when the other end of a pipe closes: who started it is gone."""
    os.read(descriptor, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
