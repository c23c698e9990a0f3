"""ML.FEATURES_AT_TIME and ML.ENTITY_FEATURES_AT_TIME, as queries.

The features known at a time: rows of `entity_id` whose `feature_timestamp` is not after it, the latest `num_rows` of
them; with `ignore_feature_nulls` a column that is NULL there is its latest value that is not. The column
`feature_timestamp` of the result is the time that was asked for. An entity without such rows has none in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.dialect.reading import parse
from cloudmlops.emulators.google.bigquery.refusals import invalid_query

FieldsOf = Callable[[exp.Expression], Sequence[Mapping[str, Any]]]
"""Returns the columns of a query whose tables are resolved."""

_OPTIONS: Final = {"time", "num_rows", "ignore_feature_nulls"}


def expand_features(tree: exp.Expression, fields_of: FieldsOf) -> exp.Expression:
    """Put a query in the place of each call.

    Raises:
        Refused: A table has not the columns that it needs, or an option is unknown.
    """
    for table in reversed(list(tree.find_all(exp.Table))):
        function = table.this
        if isinstance(function, exp.FeaturesAtTime):
            options = {name: _option(function.args[name]) for name in _OPTIONS if function.args.get(name) is not None}
            made = _query(tree, "FEATURES_AT_TIME", function.this, None, options, fields_of)
        elif isinstance(function, exp.Anonymous) and str(function.this).upper() == "ENTITY_FEATURES_AT_TIME":
            if len(function.expressions) < 2:
                raise invalid_query("ML.ENTITY_FEATURES_AT_TIME needs a feature table and an entity time table")
            features, entities, *rest = function.expressions
            options = {}
            for one in rest:
                if not isinstance(one, (exp.Kwarg, exp.PropertyEQ)) or one.this.name.lower() not in _OPTIONS - {"time"}:
                    raise invalid_query(
                        f"unknown argument of ML.ENTITY_FEATURES_AT_TIME: {one.sql(dialect='bigquery')}"
                    )
                options[one.this.name.lower()] = one.expression
            made = _query(tree, "ENTITY_FEATURES_AT_TIME", features, entities, options, fields_of)
        else:
            continue
        if table.db.upper() != "ML":
            raise invalid_query(f"Table-valued function not found: {table.sql(dialect='bigquery')}")
        alias = table.alias or "features_at_time"
        table.replace(exp.Subquery(this=made, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True))))
    return tree


def _option(node: exp.Expression) -> exp.Expression:
    return node.expression if isinstance(node, (exp.Kwarg, exp.PropertyEQ)) else node


def _query(
    tree: exp.Expression,
    name: str,
    features: exp.Expression,
    entities: exp.Expression | None,
    options: Mapping[str, exp.Expression],
    fields_of: FieldsOf,
) -> exp.Expression:
    rows = options.get("num_rows", exp.Literal.number(1))
    ignore = options.get("ignore_feature_nulls", exp.false())
    if not isinstance(ignore, exp.Boolean):
        raise invalid_query(f"ignore_feature_nulls of ML.{name} is to be TRUE or FALSE")
    columns = _columns(tree, name, features, {"entity_id": "STRING", "feature_timestamp": "TIMESTAMP"}, fields_of)
    if entities is not None:
        _columns(tree, name, entities, {"entity_id": "STRING", "time": "TIMESTAMP"}, fields_of)
        moments = "SELECT entity_id, time FROM __entities"
    else:
        moments = "SELECT DISTINCT entity_id, __time AS time FROM __features"
    chosen = ", ".join(_chosen(column, look_back=ignore.this) for column in columns)
    template = (
        f"SELECT * EXCEPT (__rank) FROM (SELECT {chosen}, ROW_NUMBER() OVER (PARTITION BY __e.__row "  # noqa: S608
        "ORDER BY __f.feature_timestamp DESC) AS __rank FROM "
        f"(SELECT *, ROW_NUMBER() OVER () AS __row FROM ({moments})) AS __e "
        "JOIN __features AS __f ON __f.entity_id = __e.entity_id AND __f.feature_timestamp <= __e.time) "
        "WHERE __rank <= __num_rows"
    )
    made = parse(template)
    time = options.get("time", exp.CurrentTimestamp())
    for column in list(made.find_all(exp.Column)):
        if column.name == "__time":
            column.replace(exp.paren(time.copy()))
        elif column.name == "__num_rows":
            column.replace(rows.copy())
    for table in list(made.find_all(exp.Table)):
        source = features if table.name == "__features" else entities
        if source is not None:
            table.replace(_aliased(source, table.alias or table.name))
    return made


def _chosen(column: str, *, look_back: bool) -> str:
    if column.lower() == "feature_timestamp":
        return f"__e.time AS `{column}`"
    if column.lower() == "entity_id" or not look_back:
        return f"__f.`{column}`"
    return (
        f"LAST_VALUE(__f.`{column}` IGNORE NULLS) OVER (PARTITION BY __e.__row ORDER BY __f.feature_timestamp "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS `{column}`"
    )


def _columns(
    tree: exp.Expression, name: str, source: exp.Expression, needed: Mapping[str, str], fields_of: FieldsOf
) -> list[str]:
    """The names of a source's columns, which have those that are needed."""
    query = exp.Select(expressions=[exp.Star()]).from_(_aliased(source, "__source"), copy=False)
    ctes = [cte.copy() for with_ in tree.find_all(exp.With) for cte in with_.expressions]
    if ctes:
        query.set("with_", exp.With(expressions=ctes))
    fields = fields_of(query)
    kinds = {field["name"].lower(): field["type"] for field in fields}
    for column, kind in needed.items():
        if kinds.get(column) != kind:
            raise invalid_query(
                f"Table-valued function ML.{name}: column {column} of type {kind} is needed, "
                f"found {kinds.get(column, 'none')}"
            )
    return [field["name"] for field in fields]


def _aliased(source: exp.Expression, alias: str) -> exp.Expression:
    made = source.copy()
    if isinstance(made, exp.Table):
        made.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        return made
    inner = made.this if isinstance(made, (exp.Subquery, exp.Paren)) else made
    return exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
