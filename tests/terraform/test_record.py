"""Schemas are read out of wheels as they were written into them, and what is not understood is refused."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from tools.tfcheck import record as recording
from tools.tfcheck.schemas import read

PROVIDER = """
export interface CloudProviderConfig {
  readonly region?: string;
}
export class CloudProvider extends cdktn.TerraformProvider {
  public static readonly tfResourceType = "cloud";
  // region - computed: false, optional: true, required: false
  private _region?: string;
  public get region() {
    return this._region;
  }
  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      region: {
        value: cdktn.stringToHclTerraform(this._region),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
    };
  }
}
"""
THING = """
export interface CloudThingConfig extends cdktn.TerraformMetaArguments {
  /**
  * How it is kept. Possible values: ["HOT", "COLD"]
  *
  * Docs: {@link https://example.com/thing#kept CloudThing#kept}
  */
  readonly kept?: string;
}
export interface CloudThingPart {
  readonly size: number;
}
export function cloudThingPartToHclTerraform(struct?: CloudThingPart): any {
  const attrs = {
    size: {
      value: cdktn.numberToHclTerraform(struct!.size),
      isBlock: false,
      type: "simple",
      storageClassType: "number",
    },
  };
}
export class CloudThingPartOutputReference extends cdktn.ComplexObject {
  // size - computed: false, optional: false, required: true
  private _size?: number;
  public get size() {
    return this.getNumberAttribute('size');
  }
}
export class CloudThing extends cdktn.TerraformResource {
  public static readonly tfResourceType = "cloud_thing";
  // id - computed: true, optional: false, required: false
  public get id() {
    return this.getStringAttribute('id');
  }
  // kept - computed: true, optional: true, required: false
  private _kept?: string;
  public get kept() {
    return this.getStringAttribute('kept');
  }
  // names - computed: true, optional: false, required: false
  public get names() {
    return cdktn.Fn.tolist(this.getListAttribute('names'));
  }
  // part - computed: false, optional: false, required: true
  private _part = new CloudThingPartOutputReference(this, "part");
  public get part() {
    return this._part;
  }
  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      kept: {
        value: cdktn.stringToHclTerraform(this._kept),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
      part: {
        value: cloudThingPartToHclTerraform(this._part.internalValue),
        isBlock: true,
        type: "list",
        storageClassType: "CloudThingPartList",
      },
    };
  }
}
"""


def wheel(folder: Path, **modules: str) -> Path:
    """A wheel as CDK Terrain makes them: a package within, with TypeScript in the source maps of its JavaScript."""
    files = {
        "package/package.json": json.dumps({"cdktn": {"provider": {"name": "registry/own/cloud", "version": "1.2.3"}}})
    }
    for name, text in modules.items():
        told = base64.b64encode(json.dumps({"sourcesContent": [text]}).encode()).decode()
        files[f"package/lib/{name}/index.js"] = f"//# sourceMappingURL=data:application/json;base64,{told}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    with zipfile.ZipFile(folder / "cloud.whl", "w") as archive:
        archive.writestr("cloud/_jsii/cloud.jsii.tgz", packed.getvalue())
    return folder / "cloud.whl"


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "types.txt"
    file.write_text("# what is listed\ncloud_thing\n")
    monkeypatch.setattr(recording, "TYPES", file)
    monkeypatch.setattr(recording, "FOLDER", tmp_path)
    return file


def test_a_schema_is_read_back(tmp_path: Path, types: Path) -> None:
    assert recording.record([wheel(tmp_path, provider=PROVIDER, thing=THING)]) == 0

    known = read(tmp_path / "cloud-1.2.3.json")
    assert (known.source, known.version) == ("registry/own/cloud", "1.2.3")
    assert known.provider == {"attributes": {"region": {"optional": True, "type": "string"}}}
    assert known.resources["cloud_thing"] == {
        "attributes": {
            "id": {"computed": True, "type": "string"},
            "kept": {"computed": True, "optional": True, "type": "string", "listed": ["HOT", "COLD"]},
            "names": {"computed": True, "type": ["set", "string"]},
        },
        "block_types": {
            "part": {
                "nesting_mode": "list",
                "block": {"attributes": {"size": {"required": True, "type": "number"}}},
                "min_items": 1,
                "max_items": 1,
            }
        },
    }


def test_a_listed_type_that_is_nowhere_is_told(tmp_path: Path, types: Path, capsys: pytest.CaptureFixture[str]) -> None:
    types.write_text("cloud_thing\ncloud_other\n")

    assert recording.record([wheel(tmp_path, provider=PROVIDER, thing=THING)]) == 1
    assert "in no wheel: cloud_other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("this.getStringAttribute('id')", "this.getSomethingElse('id')"),
        ("cdktn.stringToHclTerraform(this._kept)", "somethingElse(this._kept)"),
    ],
    ids=["how it is read", "how it is set"],
)
def test_what_is_written_in_another_way_is_not_guessed(tmp_path: Path, types: Path, old: str, new: str) -> None:
    assert old in THING

    with pytest.raises(recording.UnknownPatternError):
        recording.record([wheel(tmp_path, provider=PROVIDER, thing=THING.replace(old, new))])
