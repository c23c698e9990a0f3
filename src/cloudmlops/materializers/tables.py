"""Tables as Parquet, with whichever of pyarrow, pandas and polars the caller asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloudmlops.domain.value_types import table_form
from cloudmlops.errors import UnexpectedReplyError


def read_table(path: Path, form: str) -> Any:
    """Read a Parquet file, or a folder of them, whole.

    Args:
        path: The file or folder.
        form: `arrow`, `pandas` or `polars`.

    Raises:
        UnexpectedReplyError: The content is not Parquet; the message names the file.
    """
    try:
        return _READERS[form](path)
    except FileNotFoundError as error:
        raise _unreadable(path, "it does not exist") from error
    except Exception as error:
        # Each package has its own tree of errors, and not all are public; a fault of ours is named as the cause.
        raise _unreadable(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def write_table(table: object, file: Path) -> None:
    """Write a pyarrow, pandas or polars table as one Parquet file."""
    match table_form(type(table)):
        case "arrow":
            import pyarrow.parquet as pq

            pq.write_table(table, file)
        case "pandas":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pandas(table), file)
        case "polars":
            table.write_parquet(file)  # type: ignore[attr-defined] # a polars.DataFrame, named by its class
        case _:
            raise TypeError(f"{type(table).__name__} is not a table of pyarrow, pandas or polars")


def _arrow(path: Path) -> Any:
    import pyarrow.parquet as pq

    # Not as a dataset: the file's own schema counts, and a folder such as `day=3` adds no column. Datasets also load
    # pandas where it is installed, which takes longer than to read most files.
    if path.is_file():
        with pq.ParquetFile(path) as file:
            return file.read()
    return pq.read_table(path, partitioning=None)


def _pandas(path: Path) -> Any:
    return _arrow(path).to_pandas()


def _polars(path: Path) -> Any:
    import polars as pl

    return pl.read_parquet(path if path.is_file() else path / "**/*.parquet", hive_partitioning=False)


_READERS = {"arrow": _arrow, "pandas": _pandas, "polars": _polars}


def _unreadable(path: Path, reason: str) -> UnexpectedReplyError:
    return UnexpectedReplyError(
        f"{path} cannot be read as Parquet: {reason}",
        hint="The file is damaged or was not written as Parquet. Run the step that makes it again without the cache "
        "(cloudmlops run --no-cache), or repair the file.",
        operation="read",
        resource=str(path),
    )
