"""The tables that a statement names: rows in the warehouse, views, INFORMATION_SCHEMA, features at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from cloudmlops.emulators.google.bigquery.callers import Caller
from cloudmlops.emulators.google.bigquery.catalog import Catalog
from cloudmlops.emulators.google.bigquery.dialect.building import name_of
from cloudmlops.emulators.google.bigquery.dialect.pivoting import pivots_apart
from cloudmlops.emulators.google.bigquery.dialect.reading import parse
from cloudmlops.emulators.google.bigquery.names import DatasetName, TableName
from cloudmlops.emulators.google.bigquery.refusals import invalid_query, not_emulated

_DEEPEST: Final = 16
"""How many views may stand on each other."""

InformationSchema = Callable[[str, DatasetName | None, str], str]
"""Makes a table of metadata, by its name, dataset and project; returns its name in DuckDB."""


class Sources:
    """Resolves the tables of one statement."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        project: str,
        default: DatasetName | None,
        information: InformationSchema,
        caller: Caller,
    ) -> None:
        self._catalog = catalog
        self._caller = caller
        self._project = project
        self._default = default
        self._information = information
        self.reads: Final[set[TableName]] = set()

    def name(self, table: exp.Table) -> TableName:
        """The table that a statement means.

        Raises:
            Refused: It names no dataset.
        """
        if not table.db:
            if self._default is None:
                raise invalid_query(f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).')
            parent = self._default
        else:
            parent = DatasetName(table.catalog or self._project, table.db)
        return TableName(parent, table.name)

    def resolve(self, tree: exp.Expression, *, depth: int = 0) -> exp.Expression:
        """Put the place of its rows, or a view's query, in the place of each table that a query reads.

        Raises:
            Refused: There is no such table, or the caller may not read it.
        """
        if depth > _DEEPEST:
            raise invalid_query("Too many nested views")
        tree = pivots_apart(tree)
        for table in list(tree.find_all(exp.Table)):
            if isinstance(table.this, exp.Func) and not isinstance(table.this, (exp.FeaturesAtTime, exp.Anonymous)):
                raise not_emulated(f"{name_of(table.this)} in FROM")
            if _is_member(table):
                alias = exp.TableAlias(columns=[exp.to_identifier(table.alias or table.name)])
                array = exp.column(table.this.copy(), table=table.args["db"].copy())
                table.replace(exp.Unnest(expressions=[array], alias=alias))
                continue
            if table.meta.get("resolved") or not isinstance(table.this, exp.Identifier) or _is_cte(table):
                continue
            made = self._resolved(table, depth)
            if table is tree:
                return made
            table.replace(made)
        return tree

    def _resolved(self, table: exp.Table, depth: int) -> exp.Expression:
        alias = table.alias or table.name
        if table.name.upper().startswith("INFORMATION_SCHEMA."):
            view = table.name.split(".", 1)[1].upper()
            written = table.alias if "." not in table.alias else view
            parent = DatasetName(table.catalog or self._project, table.db) if table.db else self._default
            return _table("", "", self._information(view, parent, table.catalog or self._project), written or view)
        if "*" in table.name:
            raise not_emulated("a wildcard table")
        name = self.name(table)
        self._caller.need_to_query(name)
        found = self._catalog.table(name)
        for part in ("pivots", "sample", "version", "when", "joins", "laterals", "hints", "system_time"):
            if table.args.get(part):
                raise not_emulated(f"{part.upper()} of a table")
        if found["type"] == "VIEW":
            inner = Sources(
                self._catalog,
                project=name.parent.project,
                default=None,
                information=self._information,
                caller=self._caller,
            )
            query = inner.resolve(parse(found["view"]["query"]), depth=depth + 1)
            self.reads.update(inner.reads)
            return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        self.reads.add(name)
        return _table("store", str(name.parent), name.table, alias)


def resolved_target(name: TableName, alias: str) -> exp.Table:
    """A table that is written to."""
    return _table("store", str(name.parent), name.table, alias)


def _table(catalog: str, db: str, name: str, alias: str) -> exp.Table:
    made = exp.Table(
        this=exp.to_identifier(name, quoted=True),
        db=exp.to_identifier(db, quoted=True) if db else None,
        catalog=exp.to_identifier(catalog, quoted=True) if catalog else None,
        alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)) if alias else None,
    )
    made.meta["resolved"] = True
    return made


def _is_member(table: exp.Table) -> bool:
    """Whether a name means an array of an UNNEST before it in the same FROM."""
    select = table.find_ancestor(exp.Select)
    from_ = select.args.get("from_") if select is not None else None
    if not table.db or table.args.get("catalog") is not None or from_ is None:
        return False
    before = [from_.this, *(join.this for join in select.args.get("joins") or ())]
    for source in before:
        if source is table:
            return False
        alias = source.args.get("alias") if isinstance(source, exp.Unnest) else None
        if alias is not None and table.db.lower() in {alias.name.lower(), *(one.name.lower() for one in alias.columns)}:
            return True
    return False


def _is_cte(table: exp.Table) -> bool:
    """Whether a name means a query of a WITH around it."""
    if table.db:
        return False
    name = table.name.lower()
    node: exp.Expression | None = table
    inside: exp.Expression | None = None
    while node is not None:
        with_ = node.args.get("with_")
        if with_ is not None:
            for cte in with_.expressions:
                if cte is inside and not with_.args.get("recursive"):
                    break
                if cte.alias.lower() == name:
                    return True
        if isinstance(node, exp.CTE):
            inside = node
        node = node.parent
    return False
