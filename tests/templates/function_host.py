"""What stands for the host of Azure Functions, which no index has: it calls the functions of a folder as its files say.

`python function_host.py FOLDER` answers requests on loopback, by the real package `azure-functions`, and says where. A
function that is begun by something else runs when its own address of administration is asked, as the host has it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import azure.functions as functions
import uvicorn

Message = MutableMapping[str, Any]
ADMINISTRATION = "/admin/functions/"


class Host:
    """The ASGI app that the host is here."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        settings = json.loads((folder / "host.json").read_text())
        self._prefix = settings["extensions"]["http"]["routePrefix"].strip("/")
        found = importlib.import_module("function_app").app.get_functions()
        self._functions = {one.get_function_name(): one for one in found}

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        status, headers, answer = await self._answered(scope, body)
        told = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": told})
        await send({"type": "http.response.body", "body": answer})

    async def _answered(self, scope: Message, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if scope["path"].startswith(ADMINISTRATION):
            function = self._functions[scope["path"].removeprefix(ADMINISTRATION)].get_user_function()
            await asyncio.to_thread(function, object())
            return 202, {}, b""
        query = scope["query_string"].decode()
        for function in self._functions.values():
            [entry, *_] = [json.loads(binding) for binding in function.get_raw_bindings()]
            if entry["type"] != "httpTrigger" or not self._leads_to(entry["route"], scope["path"]):
                continue
            if scope["method"] not in entry["methods"]:
                return 404, {}, b""
            if entry["authLevel"] != "ANONYMOUS":
                return 401, {}, b"the host knows no key"
            request = functions.HttpRequest(
                method=scope["method"],
                url=f"https://function.example.com{scope['path']}" + (f"?{query}" if query else ""),
                headers={name.decode(): value.decode() for name, value in scope["headers"]},
                params={name: values[-1] for name, values in parse_qs(query).items()},
                body=body,
            )
            answered = await function.get_user_function()(req=request, context=None)
            return answered.status_code, dict(answered.headers), answered.get_body()
        return 404, {}, b""

    def _leads_to(self, route: str, path: str) -> bool:
        written = "/".join(filter(None, [self._prefix, route.strip("/")]))
        pattern = re.escape(written).replace(r"\{\*route\}", ".*")
        return re.fullmatch(pattern, path.strip("/")) is not None


def main() -> None:
    """Answer until stopped."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host = Host(Path(sys.argv[1]))
        listener.listen()  # before the address is told, so that whoever reads it is not refused
        sys.stderr.write(f"Functions answer at http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stderr.flush()
        uvicorn.Server(uvicorn.Config(host, lifespan="off", log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
