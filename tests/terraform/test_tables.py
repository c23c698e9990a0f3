"""What READMEs say of variables and outputs is what the files say."""

from __future__ import annotations

import runpy
import tomllib
from datetime import date
from pathlib import Path

import pytest
from tests.terraform.conftest import ROOT

GENERATOR = runpy.run_path(str(ROOT / "tools" / "terraform_tables.py"))
MARK = GENERATOR["MARK"]
FOLDERS: list[Path] = GENERATOR["folders"]()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT / "terraform")))
def test_the_tables_of_a_readme_are_up_to_date(folder: Path) -> None:
    written = (folder / "README.md").read_text(encoding="utf-8")

    assert written == GENERATOR["page"](folder), "run: python tools/terraform_tables.py"


def test_all_modules_and_stacks_have_tables() -> None:
    names = {str(folder.relative_to(ROOT / "terraform")) for folder in FOLDERS}

    assert {"modules/google/storage", "modules/azure/workspace", "stacks/google", "stacks/azure"} <= names
    assert not any("examples" in name for name in names)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(f"# By hand\n\n{MARK}\nold\n")
    (tmp_path / "main.tf").write_text(
        'variable "name" {\n  description = "What it is | called."\n  type        = string\n}\n'
        'variable "sizes" {\n  description = <<-EOT\n    How large,\n    in GiB.\n  EOT\n  type = map(number)\n'
        "  default = { a = 1 }\n}\n"
        'output "id" {\n  description = "Its id."\n  value       = google_storage_bucket.this.id\n}\n'
        'resource "google_storage_bucket" "this" {\n  name = var.name\n}\n'
    )
    return tmp_path


def test_what_is_written_by_hand_stays_and_what_is_drawn_is_written_over(module: Path) -> None:
    drawn = GENERATOR["page"](module)

    assert drawn.startswith(f"# By hand\n\n{MARK}\n\nMakes `google_storage_bucket`.\n")
    assert "| `name` | What it is \\| called. | `string` | required |" in drawn
    assert '| `sizes` | How large, in GiB. | `map(number)` | `{"a": 1}` |' in drawn
    assert "| `id` | Its id. |" in drawn
    assert "old" not in drawn


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('  description = "What it is | called."\n', "", "name has no description"),
        ("  type        = string\n", "", "variable name has no type"),
        ('  description = "Its id."\n', "", "id has no description"),
    ],
    ids=["variable without a description", "variable without a type", "output without a description"],
)
def test_what_is_not_described_is_refused(module: Path, old: str, new: str, told: str) -> None:
    file = module / "main.tf"
    file.write_text(file.read_text().replace(old, new))

    with pytest.raises(ValueError, match=told):
        GENERATOR["page"](module)


def test_a_readme_without_a_mark_is_refused(module: Path) -> None:
    (module / "README.md").write_text("# By hand\n")

    with pytest.raises(ValueError, match="end with the line"):
        GENERATOR["page"](module)


def test_the_table_of_costs_is_up_to_date() -> None:
    written = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")

    assert written == GENERATOR["front"](), "run: python tools/terraform_tables.py"


def test_every_price_has_a_source_and_a_day() -> None:
    prices = tomllib.loads((ROOT / "terraform" / "prices.toml").read_text(encoding="utf-8"))["price"]

    assert all(len(one["source"]) > 20 and isinstance(one["read"], date) for one in prices)
    assert {one["cloud"] for one in prices} == {"google", "azure"}


def test_costs_are_price_by_time_by_amount(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text(
        '[[price]]\ncloud = "google"\nwhat = "a node"\nusd = 0.5\nper = "hour"\ndev = 0\nprod = 2\n'
        'source = "somewhere"\nread = 2026-11-21\n'
        '[[price]]\ncloud = "google"\nwhat = "a GB"\nusd = 0.1\nper = "month"\ndev = 10\nprod = 20\n'
        'assumed = true\nsource = "somewhere"\nread = 2026-11-21\n'
        '[free]\ngoogle_project_iam_member = "a role"\ngoogle_service_account = "an identity"\n'
        'google_storage_bucket_iam_member = "a role"\n'
    )

    drawn = GENERATOR["costs"](tmp_path)

    assert "| google | a node | 0.5 an hour | 0 | 730.00 (2 x) | somewhere; read 2026-11-21 |" in drawn
    assert "| google | a GB | 0.1 a month | 1.00 (about 10 x) | 2.00 (about 20 x) |" in drawn
    assert "| **google** | **sum of the above** |  | **1** | **732** |  |" in drawn
    assert "| a role | `google_project_iam_member`, `google_storage_bucket_iam_member` |\n| an identity | " in drawn
