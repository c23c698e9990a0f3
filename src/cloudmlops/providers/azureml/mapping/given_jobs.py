"""Pipeline jobs that somebody wrote as YAML of Azure ML: what of a run is added, and where their jobs leave things."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloudmlops.domain.graph import StepSpec
from cloudmlops.domain.runs import OutputRecord, RunRequest
from cloudmlops.domain.value_types import Kind

_OF_PIPELINE: Final = re.compile(r"\$\{\{\s*parent\.outputs\.([A-Za-z_]\w*)\s*\}\}")
_PIPELINE_INPUT: Final = re.compile(r"\$\{\{\s*parent\.inputs\.([A-Za-z_]\w*)\s*\}\}")
_IN_STORE: Final = re.compile(r"azureml://(?:.*/)?datastores/([^/]+)/paths/(.+?)/?")


def given_job(request: RunRequest) -> dict[str, Any]:
    """Return the definition of a run's job, without what names the job."""
    content = _content(request)
    inputs = dict(content.get("inputs") or {})
    for name, value in request.graph.parameters.items():
        given = inputs.get(name)
        # Data is given by its address, all else by itself.
        is_data = isinstance(given, Mapping) and ("path" in given or str(given.get("type", "")).startswith("uri_"))
        inputs[name] = {**given, "path": value} if isinstance(given, Mapping) and is_data else value
    settings = dict(content.get("settings") or {})
    if not request.cache:
        settings["force_rerun"] = True
    return {
        **content,
        "type": "pipeline",
        "experiment_name": content.get("experiment_name") or request.graph.name,
        **({"inputs": inputs} if inputs else {}),
        **({"settings": settings} if settings else {}),
        "tags": content.get("tags") or {},
        "properties": content.get("properties") or {},
    }


def computes_of(job: Any, inputs: Mapping[str, Any]) -> Sequence[str]:
    """Return the computes that a pipeline job names for its parts; serverless compute is none.

    Of a pipeline that is a component in a registry or workspace, what its own parts name is not known here.

    Args:
        job: As azure-ai-ml reads it.
        inputs: Of the job, in the words of the YAML schema.
    """
    default = getattr(getattr(job, "settings", None), "default_compute", None)
    found = [str(name) for name in (getattr(job, "compute", None), default) if name]
    for part in (job.jobs or {}).values():
        if name := getattr(part, "compute", None):
            found.append(str(name))
        inner = getattr(part, "component", None)
        if getattr(inner, "type", None) == "pipeline" and getattr(inner, "jobs", None):
            found += computes_of(inner, {})
    named = (_of_input(name, inputs).removeprefix("azureml:") for name in found)
    return list(dict.fromkeys(name for name in named if name.lower() != "serverless"))


def _of_input(name: str, inputs: Mapping[str, Any]) -> str:
    bound = _PIPELINE_INPUT.fullmatch(name)
    return str(inputs.get(bound[1], name)) if bound else name


def given_names(request: RunRequest) -> Mapping[str, Sequence[str]]:
    """Return what each job's run may be called: by what it is to be shown as, else by its name."""
    jobs: Mapping[str, Mapping[str, Any]] = _content(request)["jobs"]
    return {name: (str(fields.get("display_name") or name), name) for name, fields in jobs.items()}


def given_outputs(
    request: RunRequest, step: StepSpec, *, datastore: str, store: str, left: str
) -> dict[str, OutputRecord]:
    """Return what a job has left: addresses, for what lies there is not known.

    Args:
        request: Of the run.
        step: The job.
        datastore: The one that can be read.
        store: Its address.
        left: Folder there with the outputs of the job's run, where nothing else is said of them.
    """
    content = _content(request)
    declared: Mapping[str, Any] = content.get("outputs") or {}
    given: Mapping[str, Any] = content["jobs"][step.name].get("outputs") or {}
    found: dict[str, OutputRecord] = {}
    for name in step.outputs:
        path = _path(given.get(name))
        if bound := _OF_PIPELINE.fullmatch(path):
            path = _path(declared.get(bound[1]))
        key = f"{left}/{name}"
        if path:
            said = _IN_STORE.fullmatch(path)
            if said is None or said[1] != datastore or "${{" in path:
                continue  # elsewhere; Studio shows it
            key = said[2]
        uri = f"{store}/{key}"
        found[name] = OutputRecord(kind=Kind.PATH, digest=hashlib.sha256(uri.encode()).hexdigest(), uri=uri)
    return found


def told_faults(text: str) -> list[str]:
    """Return what azure-ai-ml says is wrong with a definition, one line for each place in it."""
    try:
        told = json.loads(text[text.index("{") : text.rindex("}") + 1])["errors"]
        return [f"{one['path']}: {_last_reason(str(one['message']))}" for one in told]
    except (ValueError, KeyError, TypeError):
        return [text.strip().split("\n")[0]]


def _last_reason(message: str) -> str:
    """Return the last of the reasons, which are those of all forms that a value may have."""
    return message.split("; ")[-1].split("\n")[0].strip("[]'")


def _path(given: Any) -> str:
    path = given.get("path") if isinstance(given, Mapping) else given
    return str(path or "").strip()


def _content(request: RunRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.compiled)
    return content
