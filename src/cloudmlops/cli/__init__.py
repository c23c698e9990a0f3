"""The `cloudmlops` command; each sub-command's module is loaded when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from cloudmlops.errors import (
    AuthenticationError,
    CloudMLOpsError,
    ConfigurationError,
    ConflictError,
    DeploymentFailedError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RunFailedError,
    WaitTimeoutError,
)

_COMMANDS: Final = {
    "approve": ("models:approve", "Approve a model version under your own name."),
    "deploy": ("endpoints:deploy", "Serve a model version at an endpoint."),
    "doctor": ("doctor:doctor", "Check the installation and the platform."),
    "emulate": ("emulate:emulate", "Run an emulated cloud, alone or around a command."),
    "endpoints": ("endpoints:endpoints", "List, inspect, shift and stop endpoints."),
    "events": ("events:events", "List, handle and replay events."),
    "features": ("features:features", "List, materialise and read features."),
    "history": ("models:history", "Show who moved a model's versions, when and why."),
    "image": ("image:image", "Write what a container image of steps or of the scoring server is built from."),
    "init": ("init:init", "Start a project in a folder."),
    "logs": ("pipelines:logs", "Print the log of a run's step."),
    "models": ("models:models", "List, inspect, tag and download model versions."),
    "predict": ("endpoints:predict", "Ask an endpoint for predictions."),
    "promote": ("models:promote", "Move a model version to a stage."),
    "quickstart": ("quickstart:quickstart", "Run the flight-delay project from raw data to a served model."),
    "rollback": ("models:rollback", "Bring back the version that was in production before."),
    "run": ("pipelines:run", "Run a pipeline."),
    "runs": ("pipelines:runs", "List, inspect, resume and cancel runs."),
    "schedule": ("pipelines:schedule", "Add, list, remove and run schedules."),
}

EXIT_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (ConfigurationError, 2),
    (InvalidRequestError, 2),
    (NotFoundError, 3),
    (ConflictError, 4),
    (RunFailedError, 5),
    (DeploymentFailedError, 5),
    (WaitTimeoutError, 6),
    (AuthenticationError, 7),
    (PermissionDeniedError, 7),
    (CloudMLOpsError, 1),
)
"""The first row that matches counts; 0 is success and 2 also a wrong option."""


class _Commands(click.Group):
    # click passes its context to each of these, wanted or not.
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"cloudmlops.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in sorted(_COMMANDS.items())])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong request, 3 not found, 4 conflict, 5 run or deployment failed, "
    "6 gave up waiting, 7 not allowed.",
)
@click.version_option(package_name="cloudmlops", prog_name="cloudmlops")
def cli() -> None:
    """Pipelines, features, models, endpoints and events on one interface.

    Every command takes --target (else CLOUDMLOPS_TARGET, else cloudmlops.toml) and --json.
    """


def main() -> None:
    """Run the command line; an error of ours becomes a message and an exit code."""
    try:
        cli.main(standalone_mode=True)
    except CloudMLOpsError as error:
        from cloudmlops.cli.session import report

        report(error)
        raise SystemExit(next(code for kind, code in EXIT_CODES if isinstance(error, kind))) from None
