"""What Terraform's outputs say becomes a target; what they leave out or add is told, all at once."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloudmlops import cli
from cloudmlops._targets import configuration, resolve
from cloudmlops.errors import CloudMLOpsError, ConfigurationError, ConflictError
from cloudmlops.providers.azureml.settings import AzureMLSettings

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
AZURE = {
    "provider": "azureml",
    "subscription": SUBSCRIPTION,
    "resource_group": "rg-acme",
    "workspace": "mlw-acme",
    "datastore": "cloudmlops",
    "compute": "cpu",
    "compute_idle_cost": 0,
    "redis_url": "rediss://acme.westeurope.redis.azure.net:10000",
    "spark_executors": 4,
    "about": {"registry": "cracme.azurecr.io", "clients": {"deploy": SUBSCRIPTION}},
}
VERTEX = {"provider": "vertex", "project": "my-project", "location": "europe-west4", "bucket": "my-bucket"}


def printed(outputs: dict[str, object], *, sensitive: tuple[str, ...] = ()) -> str:
    """Return what `terraform output -json` prints of outputs."""
    return json.dumps(
        {name: {"sensitive": name in sensitive, "type": "string", "value": one} for name, one in outputs.items()}
    )


def init(text: str, folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli.cli, ["init", str(folder), "--from-terraform", "-", *options], input=text)


def refused(text: str, folder: Path, *options: str) -> CloudMLOpsError:
    result = init(text, folder, *options)
    assert isinstance(result.exception, CloudMLOpsError), result.output
    return result.exception


def test_outputs_of_azure_become_a_target_that_says_the_same(tmp_path: Path) -> None:
    result = init(printed(AZURE), tmp_path)

    assert result.exit_code == 0, result.output
    known = configuration(tmp_path)
    settings = AzureMLSettings.from_target(resolve("azureml", known))
    assert {name: getattr(settings, name) for name in AZURE if name not in ("provider", "about")} == {
        name: one for name, one in AZURE.items() if name not in ("provider", "about")
    }
    assert resolve(None, known) == settings.target


def test_outputs_of_google_become_a_target(tmp_path: Path) -> None:
    assert init(printed(VERTEX), tmp_path).exit_code == 0
    assert configuration(tmp_path).targets == {"vertex": "vertex://my-project/europe-west4?bucket=my-bucket"}


def test_outputs_are_read_from_a_file(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text(printed(VERTEX))

    result = CliRunner().invoke(cli.cli, ["init", str(tmp_path / "here"), "--from-terraform", str(outputs)])

    assert result.exit_code == 0, result.output
    assert "vertex" in configuration(tmp_path / "here").targets


def test_this_folder_is_meant_unless_another_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(cli.cli, ["init", "--from-terraform", "-"], input=printed(VERTEX))

    assert result.exit_code == 0, result.output
    assert (tmp_path / "cloudmlops.toml").exists()


def test_a_file_that_is_there_keeps_what_else_it_says(tmp_path: Path) -> None:
    targets = '[targets] # all of them\ndev = "local://.cloudmlops"\n'
    before = f'# ours\ntarget = "dev"\n\n{targets}\n[policies]\nproduction = []\n'
    (tmp_path / "cloudmlops.toml").write_text(before)

    assert init(printed(VERTEX), tmp_path, "--name", "prod").exit_code == 0

    after = (tmp_path / "cloudmlops.toml").read_text()
    assert set(before.splitlines()) < set(after.splitlines())
    assert tomllib.loads(after) == {
        "target": "dev",
        "targets": {"dev": "local://.cloudmlops", "prod": "vertex://my-project/europe-west4?bucket=my-bucket"},
        "policies": {"production": []},
    }


def test_a_file_without_targets_gets_them(tmp_path: Path) -> None:
    (tmp_path / "cloudmlops.toml").write_text('target = "local://.cloudmlops"\n')

    assert init(printed(VERTEX), tmp_path).exit_code == 0
    assert configuration(tmp_path).target == "local://.cloudmlops"
    assert "vertex" in configuration(tmp_path).targets


def test_the_same_outputs_again_change_nothing(tmp_path: Path) -> None:
    init(printed(AZURE), tmp_path)
    before = (tmp_path / "cloudmlops.toml").read_text()

    assert init(printed(AZURE), tmp_path).exit_code == 0
    assert (tmp_path / "cloudmlops.toml").read_text() == before


def test_another_target_of_that_name_is_written_over_only_when_told(tmp_path: Path) -> None:
    init(printed(VERTEX), tmp_path, "--name", "prod")
    other = VERTEX | {"project": "other-project"}

    error = refused(printed(other), tmp_path, "--name", "prod")
    assert isinstance(error, ConflictError)
    assert "my-project" in error.message
    assert init(printed(other), tmp_path, "--name", "prod", "--force").exit_code == 0
    assert configuration(tmp_path).targets == {"prod": "vertex://other-project/europe-west4?bucket=my-bucket"}


@pytest.mark.parametrize(
    "text",
    ['targets = { dev = "local://dev" }\n', 'targets.dev = "local://dev"\n'],
    ids=["inline", "dotted"],
)
def test_a_file_that_cannot_be_added_to_is_left_alone_and_the_line_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "cloudmlops.toml").write_text(text)

    error = refused(printed(VERTEX), tmp_path)
    assert 'vertex = "vertex://my-project' in error.hint
    assert (tmp_path / "cloudmlops.toml").read_text() == text


def test_a_configuration_that_the_file_would_hide_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cloudmlops]\ntarget = "local://.cloudmlops"\n')

    error = refused(printed(VERTEX), tmp_path)
    assert "pyproject.toml" in error.message
    assert not (tmp_path / "cloudmlops.toml").exists()


def test_all_faults_of_outputs_are_told_at_once(tmp_path: Path) -> None:
    outputs: dict[str, object] = {
        **AZURE,
        "compute": "1 cluster",
        "datastor": "cloudmlops",
        "push_key": "a-key-that-is-long-enough",
        "spark_executors": 0,
    }
    del outputs["workspace"]

    error = refused(printed(outputs, sensitive=("redis_url",)), tmp_path)

    assert isinstance(error, ConfigurationError)
    for fault in (
        "datastor: there is no such setting",
        "push_key: it is a secret",
        "redis_url: it is a secret",
        "workspace: Field required",
        "compute: ",
        "spark_executors: ",
    ):
        assert fault in error.message
    assert "a-key-that-is-long-enough" not in str(error)
    assert not (tmp_path / "cloudmlops.toml").exists()


def test_variables_neither_add_to_outputs_nor_stand_in_for_missing_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDMLOPS_VERTEX_BUCKET", "somebodys-bucket")
    monkeypatch.setenv("CLOUDMLOPS_VERTEX_PREFIX", "somewhere")
    outputs = {name: one for name, one in VERTEX.items() if name != "bucket"}

    assert "bucket: Field required" in refused(printed(outputs), tmp_path).message
    assert init(printed(VERTEX), tmp_path).exit_code == 0
    assert "somewhere" not in configuration(tmp_path).targets["vertex"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON: Expecting property name"),
        ("", "nothing is in it"),
        ("\n", "nothing is in it"),
        ('bucket = "my-bucket"\nlocation = "europe-west4"\n', "not JSON: -json was left out"),
        ("[command]/opt/terraform-bin output -json\n{}", "terraform_wrapper: false"),
        ('{"version": 4, "lineage": "a-b-c", "outputs": {}, "resources": []}', "this is a state of Terraform's"),
        ('{"format_version": "1.0", "values": {"outputs": {}}}', "what `terraform show` prints"),
        ('{"format_version": "1.2", "planned_values": {}, "resource_changes": []}', "this is a plan of Terraform's"),
        ("[]", "not what Terraform prints"),
        ('{"provider": "vertex"}', "not what Terraform prints"),
        ("{}", "no outputs"),
        (printed({"project": "my-project"}), "provider of Terraform is missing"),
        (printed({"provider": "sagemaker"}), "is 'sagemaker'"),
    ],
    ids=[
        *("cut", "nothing", "a line", "for people", "wrapped", "state", "show", "plan"),
        *("list", "plain", "empty", "nobodys", "unknown"),
    ],
)
def test_what_is_not_from_a_stack_is_told(tmp_path: Path, text: str, told: str) -> None:
    error = refused(text, tmp_path)

    assert told in error.message
    assert "terraform output -json" in error.hint
    assert not (tmp_path / "cloudmlops.toml").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_is_read_in_whatever_encoding_a_shell_has_written_it(tmp_path: Path, encoding: str) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_bytes(printed(VERTEX).encode(encoding))

    result = CliRunner().invoke(cli.cli, ["init", str(tmp_path / "here"), "--from-terraform", str(outputs)])

    assert result.exit_code == 0, result.output
    assert configuration(tmp_path / "here").targets == {"vertex": "vertex://my-project/europe-west4?bucket=my-bucket"}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_what_is_for_people_is_told_in_other_encodings_too(tmp_path: Path, encoding: str) -> None:
    outputs = tmp_path / "outputs.txt"
    outputs.write_bytes('owner = "Jürgen"\n'.encode(encoding))

    result = CliRunner().invoke(cli.cli, ["init", str(tmp_path / "here"), "--from-terraform", str(outputs)])

    assert isinstance(result.exception, ConfigurationError)
    assert "-json was left out" in result.exception.message


def test_a_file_that_is_not_there_is_a_fault_of_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.cli, ["init", "--from-terraform", str(tmp_path / "outputs.json")])

    assert result.exit_code == 2
    assert "No such file" in result.output


def test_a_null_is_the_librarys_default(tmp_path: Path) -> None:
    assert init(printed(AZURE | {"redis_url": None}), tmp_path).exit_code == 0
    assert "redis_url" not in configuration(tmp_path).targets["azureml"]


def test_a_name_that_is_no_key_is_refused(tmp_path: Path) -> None:
    assert "'my prod' is no name" in refused(printed(VERTEX), tmp_path, "--name", "my prod").message


def test_without_terraform_a_folder_is_wanted_and_no_name(tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.cli, ["init"]).exit_code == 2
    assert CliRunner().invoke(cli.cli, ["init", str(tmp_path / "new"), "--name", "prod"]).exit_code == 2
