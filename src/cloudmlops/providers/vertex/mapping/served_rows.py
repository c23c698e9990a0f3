"""The rows that are kept of an entity, and the features that serve them.

With `nulls="last_value"` several rows are kept, each of which supplies the last value of some feature. Whatever is
written later is compared with them whole: with their times, created times and other features, of which a greater row
may have the value that is served. So they are served beside the values, as one text that is made alike in SQL and
here: JSON objects without the brackets of a list, in any order, with `ts`, `created` and by its place each feature that
is not null. Dates and times are whole numbers, bytes base64; of a list it says only that the row has one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud.aiplatform_v1.types import FeatureValue

from cloudmlops.domain.feature_types import FeatureType, is_scalar, type_name
from cloudmlops.domain.features import FeatureView
from cloudmlops.domain.point_in_time import FeatureRow, rank
from cloudmlops.providers.vertex.mapping.features import (
    CREATED,
    EVENT_TIME,
    ROWS,
    feature_id,
    item_of,
    served_item,
    served_value,
    value_of,
)


def rows_of(view: FeatureView, served: Mapping[str, Any]) -> list[FeatureRow]:
    """Return the rows that are served of one entity, greatest first.

    Args:
        view: The view.
        served: Feature id to raw `FeatureValue`.
    """
    values = [
        value_of(served[feature_id(name)], kind) if feature_id(name) in served else None
        for name, kind in view.features.items()
    ]
    text = value_of(served[ROWS], str) if ROWS in served else None
    if text is not None:
        return _rows(view, text, values)
    created = value_of(served[CREATED], int) if CREATED in served else None
    return [FeatureRow(value_of(served[EVENT_TIME], int), created, tuple(values))]


def served_of(view: FeatureView, rows: Sequence[FeatureRow]) -> dict[str, FeatureValue]:
    """Return what is served of one entity of which these rows are kept, greatest first."""
    newest = rows[0]
    served = {EVENT_TIME: FeatureValue(int64_value=newest.ts), CREATED: served_value(newest.created, int)}
    for place, (name, kind) in enumerate(view.features.items()):
        last = next((row.values[place] for row in rows if row.values[place] is not None), None)
        served[feature_id(name)] = served_value(last, kind)
    if view.nulls == "last_value":
        served[ROWS] = served_value(_text(view, rows) if len(rows) > 1 else None, str)
    return served


def rows_sql(view: FeatureView, *, entity: str) -> str:
    """Return the text in SQL, for each row of a table of kept rows; null where a row is the only one of its entity.

    Args:
        view: The view.
        entity: The columns that tell entities apart.
    """
    members = ["CONCAT('\"ts\":', CAST(ts AS STRING))", "CONCAT('\"created\":', CAST(created AS STRING))"]
    members += [
        f"CONCAT('\"{place}\":', {_member_sql(f'f{place}', kind)})" for place, kind in enumerate(view.features.values())
    ]
    # ARRAY_TO_STRING leaves out what is null, as is what CONCAT makes of a null.
    row = f"CONCAT('{{', ARRAY_TO_STRING([{', '.join(members)}], ','), '}}')"
    over = f"OVER (PARTITION BY {entity})"
    return f"IF(COUNT(*) {over} = 1, NULL, STRING_AGG({row}, ',') {over})"


def _text(view: FeatureView, rows: Sequence[FeatureRow]) -> str:
    kinds = list(view.features.values())
    texts = []
    for row in rows:
        members = {"ts": row.ts} | ({} if row.created is None else {"created": row.created})
        members |= {
            str(place): _member(value, kinds[place]) for place, value in enumerate(row.values) if value is not None
        }
        texts.append(json.dumps(members, ensure_ascii=False))
    return ",".join(texts)


def _rows(view: FeatureView, text: str, values: Sequence[Any]) -> list[FeatureRow]:
    """Return the rows that a text is of; the first that has a feature has the value that is served of it."""
    kinds = list(view.features.values())
    rows = [
        FeatureRow(
            members["ts"],
            members.get("created"),
            tuple(_value(members.get(str(place)), kind) for place, kind in enumerate(kinds)),
        )
        for members in json.loads(f"[{text}]")
    ]
    rows.sort(key=lambda row: rank(view, row), reverse=True)
    missing = set(range(len(kinds)))
    for number, row in enumerate(rows):
        supplied = {place for place in missing if row.values[place] is not None}
        missing -= supplied
        rows[number] = row._replace(
            values=tuple(values[place] if place in supplied else value for place, value in enumerate(row.values))
        )
    return rows


def _member(value: Any, kind: FeatureType) -> Any:
    if not is_scalar(kind):
        return True
    if kind is float and not math.isfinite(value):
        return str(value)
    return served_item(value, type_name(kind) or "")


def _member_sql(column: str, kind: FeatureType) -> str:
    if not is_scalar(kind):
        return f"IF({column} IS NULL, NULL, 'true')"
    match type_name(kind):
        case "float" | "str":
            return f"IF({column} IS NULL, NULL, TO_JSON_STRING({column}))"
        case "bytes":
            return f"CONCAT('\"', TO_BASE64({column}), '\"')"
        case "date":
            return f"CAST(UNIX_DATE({column}) AS STRING)"
        case "datetime":
            return f"CAST(UNIX_MICROS({column}) AS STRING)"
    return f"CAST({column} AS STRING)"


def _value(member: Any, kind: FeatureType) -> Any:
    if member is None:
        return None
    if not is_scalar(kind):
        return []
    return float(member) if kind is float else item_of(member, type_name(kind) or "")
