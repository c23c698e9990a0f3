"""Features between our values and Google's: names of resources, keys, values, rows, columns of BigQuery."""

from __future__ import annotations

import base64
import hashlib
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from google.cloud.aiplatform_v1.types import (
    BoolArray,
    DoubleArray,
    FeatureValue,
    FeatureViewDataKey,
    Int64Array,
    StringArray,
)

from cloudmlops.domain.feature_types import FeatureType, type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, to_datetime, to_microseconds

EVENT_TIME: Final = "cloudmlops_event_time"
"""The served feature that holds a row's own time, in microseconds."""
CREATED: Final = "cloudmlops_created"
TIMESTAMP: Final = "cloudmlops_timestamp"
"""The column that the service takes for a row's time."""
KEY: Final = "cloudmlops_key_"
"""Before the place of a part of the key: the columns that make the entity id."""
ROWS: Final = "cloudmlops_rows"
"""The served feature that holds the rows that the values are of, with `nulls="last_value"`; null of a single one."""
RESERVED: Final = "cloudmlops_"
LONGEST_FEATURE: Final = 128
_LONGEST_VIEW: Final = 60
_DAY_0: Final = date(1970, 1, 1)


def digest(text: str) -> str:
    """Return ten characters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def group_id(name: str) -> str:
    """Return the feature group that shows a view's source; a name with `-`, which it cannot have, ends in a digest."""
    return f"{name.replace('-', '_')}_{digest(name)}" if "-" in name else name


def online_id(view: FeatureView, generation: int) -> str:
    """Return the feature view that serves a view's rows: one for each layout and rebuilding of them."""
    tail = f"_{digest(f'{view.name} {generation} {view.layout}')}"
    return view.name.replace("-", "_")[: _LONGEST_VIEW - len(tail)] + tail


def feature_id(name: str) -> str:
    """Return a feature's id: its name in lower case, for BigQuery tells no two columns apart by case."""
    return name.lower()


def served_ids(view: FeatureView) -> list[str]:
    """Return the ids of all that is served of a view: its features, then the times."""
    found = [feature_id(name) for name in view.features] + [EVENT_TIME, CREATED]
    if view.nulls == "last_value":
        found.append(ROWS)
    return found


def data_key(view: FeatureView, key: Any) -> FeatureViewDataKey:
    """Return the key that a row is fetched by.

    The service joins the parts of a composite key with `:`, so that `:` and `%` are written `%3A` and `%25` in all
    keys; an empty text is `%`.
    """
    kinds = list(view.entity.keys.values())
    parts = [key_text(part, kind) for part, kind in zip((key,) if len(kinds) == 1 else key, kinds, strict=True)]
    if len(parts) == 1:
        return FeatureViewDataKey(key=parts[0])
    return FeatureViewDataKey(composite_key=FeatureViewDataKey.CompositeKey(parts=parts))


def key_text(value: Any, kind: FeatureType) -> str:
    """Return one part of a key as it is stored."""
    match type_name(kind):
        case "bytes":
            return base64.b64encode(value).decode() or "%"
        case "bool":
            return "true" if value else "false"
        case "date":
            return str(value.isoformat())
    return str(value).replace("%", "%25").replace(":", "%3A") or "%"


def key_sql(column: str, kind: FeatureType) -> str:
    """Return the same as `key_text` in SQL."""
    match type_name(kind):
        case "bytes":
            return f"IF(BYTE_LENGTH({column}) = 0, '%', TO_BASE64({column}))"
        case "str":
            return f"IF({column} = '', '%', REPLACE(REPLACE({column}, '%', '%25'), ':', '%3A'))"
    return f"CAST({column} AS STRING)"


def served_sql(column: str, kind: FeatureType) -> str:
    """Return a feature's value in a type that can be served."""
    name = type_name(kind) or ""
    functions = {"date": "UNIX_DATE", "datetime": "UNIX_MICROS"}
    if name in functions:
        return f"{functions[name]}({column})"
    functions = {"list[date]": "UNIX_DATE", "list[datetime]": "UNIX_MICROS", "list[bytes]": "TO_BASE64"}
    if name in functions:
        items = f"SELECT {functions[name]}(item) FROM UNNEST({column}) AS item WITH OFFSET AS place ORDER BY place"  # noqa: S608 ours
        return f"ARRAY({items})"
    return column


def served_value(value: Any, kind: FeatureType) -> FeatureValue:
    """Return a value as it is served; null has none of the forms."""
    if value is None:
        return FeatureValue()
    name = type_name(kind) or ""
    if name.startswith("list["):
        items = [served_item(item, name[5:-1]) for item in value]
        match name[5:-1]:
            case "float":
                return FeatureValue(double_array_value=DoubleArray(values=items))
            case "bool":
                return FeatureValue(bool_array_value=BoolArray(values=items))
            case "str" | "bytes":
                return FeatureValue(string_array_value=StringArray(values=items))
            case _:
                return FeatureValue(int64_array_value=Int64Array(values=items))
    item = value if name == "bytes" else served_item(value, name)
    match name:
        case "float":
            return FeatureValue(double_value=item)
        case "bool":
            return FeatureValue(bool_value=item)
        case "str":
            return FeatureValue(string_value=item)
        case "bytes":
            return FeatureValue(bytes_value=item)
        case _:
            return FeatureValue(int64_value=item)


def value_of(served: Any, kind: FeatureType) -> Any:
    """Return the value of a raw `FeatureValue` message in its declared type; None where it has none."""
    form = served.WhichOneof("value")
    if form is None:
        return None
    content = getattr(served, form)
    name = type_name(kind) or ""
    if name.startswith("list["):
        return [item_of(item, name[5:-1]) for item in content.values]
    return content if name == "bytes" else item_of(content, name)


def served_item(item: Any, name: str) -> Any:
    """Return a value as it is served in a list; `name` is its type's."""
    match name:
        case "date":
            return (item - _DAY_0).days
        case "datetime":
            return to_microseconds(item.astimezone(UTC))
        case "bytes":
            return base64.b64encode(item).decode()
        case _:
            return item


def item_of(content: Any, name: str) -> Any:
    """Return the value that `served_item` was given."""
    match name:
        case "date":
            return _DAY_0 + timedelta(days=content)
        case "datetime":
            return to_datetime(content)
        case "bytes":
            return base64.b64decode(content)
        case _:
            return content


def json_row(view: FeatureView, key: Any, row: FeatureRow) -> dict[str, Any]:
    """Return a row as BigQuery's streaming inserts take it, under the columns of the tables of kept rows."""
    parts = (key,) if len(view.entity.keys) == 1 else key
    found: dict[str, Any] = {f"k{place}": _json(part) for place, part in enumerate(parts)}
    found |= {"ts": row.ts, "created": row.created}
    for place, value in enumerate(row.values):
        found[f"f{place}"] = [_json(item) for item in value] if isinstance(value, list) else _json(value)
    return found


def _json(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
        case _:
            return value
