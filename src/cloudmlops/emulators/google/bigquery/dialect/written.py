"""What a statement says in its own words, held to what GoogleSQL has: sqlglot reads words of other dialects too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from cloudmlops.emulators.google.bigquery.refusals import invalid_query

WRITTEN: Final = "written"
"""Where a parsed node keeps its name as it was written, and the place of it."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FUNCTIONS: Final = _words(
    """
    ABS ACOS ACOSH AGG ANY_VALUE APPENDS APPROX_COUNT_DISTINCT APPROX_QUANTILES APPROX_TOP_COUNT APPROX_TOP_SUM ARRAY
    ARRAY_AGG ARRAY_CONCAT ARRAY_CONCAT_AGG ARRAY_FIRST ARRAY_LAST ARRAY_LENGTH ARRAY_REVERSE ARRAY_SLICE
    ARRAY_TO_STRING ASCII ASIN ASINH ATAN ATAN2 ATANH AVG BAG_OF_WORDS BIT_AND BIT_COUNT BIT_OR BIT_XOR BOOL BYTE_LENGTH
    CAST CBRT CEIL CEILING CHANGES CHARACTER_LENGTH CHAR_LENGTH CHR COALESCE CODE_POINTS_TO_BYTES CODE_POINTS_TO_STRING
    COLLATE CONCAT CONTAINS_SUBSTR CORR COS COSH COSINE_DISTANCE COT COTH COUNT COUNTIF COVAR_POP COVAR_SAMP CSC CSCH
    CUME_DIST CURRENT_DATE CURRENT_DATETIME CURRENT_TIME CURRENT_TIMESTAMP DATE DATETIME DATETIME_ADD DATETIME_BUCKET
    DATETIME_DIFF DATETIME_SUB DATETIME_TRUNC DATE_ADD DATE_BUCKET DATE_DIFF DATE_FROM_UNIX_DATE DATE_SUB DATE_TRUNC
    DENSE_RANK DESTINATION_NODE_ID DETERMINISTIC_DECRYPT_BYTES DETERMINISTIC_DECRYPT_STRING DETERMINISTIC_ENCRYPT DIV
    DLP_DETERMINISTIC_DECRYPT DLP_DETERMINISTIC_ENCRYPT DLP_KEY_CHAIN EDGES EDIT_DISTANCE ELEMENT_ID ENDS_WITH ERROR
    EUCLIDEAN_DISTANCE EXP EXTERNAL_OBJECT_TRANSFORM EXTERNAL_QUERY EXTRACT FARM_FINGERPRINT FIRST_VALUE FLOAT64 FLOOR
    FORMAT FORMAT_DATE FORMAT_DATETIME FORMAT_TIME FORMAT_TIMESTAMP FROM_BASE32 FROM_BASE64 FROM_HEX GAP_FILL
    GENERATE_ARRAY GENERATE_DATE_ARRAY GENERATE_RANGE_ARRAY GENERATE_TIMESTAMP_ARRAY GENERATE_UUID GREATEST GROUPING
    IEEE_DIVIDE IF IFNULL INITCAP INSTR INT64 IS_INF IS_NAN JSON_ARRAY JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_EXTRACT
    JSON_EXTRACT_ARRAY JSON_EXTRACT_SCALAR JSON_EXTRACT_STRING_ARRAY JSON_FLATTEN JSON_KEYS JSON_OBJECT JSON_QUERY
    JSON_QUERY_ARRAY JSON_REMOVE JSON_SET JSON_STRIP_NULLS JSON_TYPE JSON_VALUE JSON_VALUE_ARRAY JUSTIFY_DAYS
    JUSTIFY_HOURS JUSTIFY_INTERVAL LABELS LAG LAST_DAY LAST_VALUE LAX_BOOL LAX_FLOAT64 LAX_INT64 LAX_STRING LEAD LEAST
    LEFT LENGTH LN LOG LOG10 LOGICAL_AND LOGICAL_OR LOWER LPAD LTRIM MAKE_INTERVAL MAX MAX_BY MD5 MIN MIN_BY MOD NODES
    NORMALIZE NORMALIZE_AND_CASEFOLD NTH_VALUE NTILE NULLIF NULLIFZERO OCTET_LENGTH PARSE_BIGNUMERIC PARSE_DATE
    PARSE_DATETIME PARSE_JSON PARSE_NUMERIC PARSE_TIME PARSE_TIMESTAMP PATH_FIRST PATH_LAST PATH_LENGTH PERCENTILE_CONT
    PERCENTILE_DISC PERCENT_RANK POW POWER RAND RANGE RANGE_BUCKET RANGE_CONTAINS RANGE_END RANGE_INTERSECT
    RANGE_OVERLAPS RANGE_SESSIONIZE RANGE_START RANK REGEXP_CONTAINS REGEXP_EXTRACT REGEXP_EXTRACT_ALL REGEXP_INSTR
    REGEXP_REPLACE REGEXP_SUBSTR REPEAT REPLACE REVERSE RIGHT ROUND ROW_NUMBER RPAD RTRIM S2_CELLIDFROMPOINT
    S2_COVERINGCELLIDS SAFE_ADD SAFE_CAST SAFE_CONVERT_BYTES_TO_STRING SAFE_DIVIDE SAFE_MULTIPLY SAFE_NEGATE
    SAFE_SUBTRACT SEARCH SEC SECH SESSION_USER SHA1 SHA256 SHA512 SIGN SIN SINH SOUNDEX SOURCE_NODE_ID SPLIT SQRT
    STARTS_WITH STDDEV STDDEV_POP STDDEV_SAMP STRING STRING_AGG STRPOS ST_ANGLE ST_AREA ST_ASBINARY ST_ASGEOJSON
    ST_ASTEXT ST_AZIMUTH ST_BOUNDARY ST_BOUNDINGBOX ST_BUFFER ST_BUFFERWITHTOLERANCE ST_CENTROID ST_CENTROID_AGG
    ST_CLOSESTPOINT ST_CLUSTERDBSCAN ST_CONTAINS ST_CONVEXHULL ST_COVEREDBY ST_COVERS ST_DIFFERENCE ST_DIMENSION
    ST_DISJOINT ST_DISTANCE ST_DUMP ST_DWITHIN ST_ENDPOINT ST_EQUALS ST_EXTENT ST_EXTERIORRING ST_GEOGFROM
    ST_GEOGFROMGEOJSON ST_GEOGFROMTEXT ST_GEOGFROMWKB ST_GEOGPOINT ST_GEOGPOINTFROMGEOHASH ST_GEOHASH ST_GEOMETRYTYPE
    ST_HAUSDORFFDISTANCE ST_HAUSDORFFDWITHIN ST_INTERIORRINGS ST_INTERSECTION ST_INTERSECTS ST_INTERSECTSBOX
    ST_ISCLOSED ST_ISCOLLECTION ST_ISEMPTY ST_ISRING ST_LENGTH ST_LINEINTERPOLATEPOINT ST_LINELOCATEPOINT
    ST_LINESUBSTRING ST_MAKELINE ST_MAKEPOLYGON ST_MAKEPOLYGONORIENTED ST_MAXDISTANCE ST_NPOINTS ST_NUMGEOMETRIES
    ST_NUMPOINTS ST_PERIMETER ST_POINTN ST_REGIONSTATS ST_SIMPLIFY ST_SNAPTOGRID ST_STARTPOINT ST_TOUCHES ST_UNION
    ST_UNION_AGG ST_WITHIN ST_X ST_Y SUBSTR SUBSTRING SUM TAN TANH TEXT_ANALYZE TF_IDF TIME TIMESTAMP TIMESTAMP_ADD
    TIMESTAMP_BUCKET TIMESTAMP_DIFF TIMESTAMP_MICROS TIMESTAMP_MILLIS TIMESTAMP_SECONDS TIMESTAMP_SUB TIMESTAMP_TRUNC
    TIME_ADD TIME_DIFF TIME_SUB TIME_TRUNC TO_BASE32 TO_BASE64 TO_CODE_POINTS TO_HEX TO_JSON TO_JSON_STRING TRANSLATE
    TRIM TRUNC TYPEOF UNICODE UNIX_DATE UNIX_MICROS UNIX_MILLIS UNIX_SECONDS UPPER VARIANCE VAR_POP VAR_SAMP
    VECTOR_SEARCH ZEROIFNULL
    """
)
"""The names that Google's reference lists, but for those with a prefix."""

_SYNTAX: Final = frozenset({"ALL", "ANY", "CASE", "EXISTS", "INTERVAL", "SOME", "STRUCT", "UNNEST", "VALUES", "WITH"})
"""What stands before a parenthesis and is no function."""

_TYPES: Final = _words(
    """
    ARRAY BIGDECIMAL BIGINT BIGNUMERIC BOOL BOOLEAN BYTEINT BYTES DATE DATETIME DECIMAL FLOAT64 GEOGRAPHY INT INT64
    INTEGER INTERVAL JSON NUMERIC RANGE SMALLINT STRING STRUCT TIME TIMESTAMP TINYINT
    """
)
_SYMBOLS: Final = _words("+ - * / ~ || << >> & ^ | = < > <= >= != <> ( ) [ ] , . ; @ @@ ? => |>")
_TEXTS: Final = frozenset({TokenType.STRING, TokenType.RAW_STRING, TokenType.BYTE_STRING})
_VERBATIM: Final = _TEXTS | {TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.HEX_STRING, TokenType.HEREDOC_STRING}


def at(token: Token) -> str:
    """Where a token begins, as BigQuery says it."""
    return f"[{token.line}:{max(1, token.col - (token.end - token.start))}]"


def check_symbols(tokens: Sequence[Token]) -> None:
    """Refuse operators and marks that GoogleSQL has not.

    Raises:
        Refused: There is one, or two texts stand side by side, or columns are left out with EXCLUDE.
    """
    previous: Token | None = None
    for token in tokens:
        if token.token_type not in _VERBATIM:
            if token.text in {"%", "{", "}", "$", "\\", "!"}:
                raise invalid_query(f'Syntax error: Illegal input character "{token.text}" at {at(token)}')
            if not (token.text in _SYMBOLS or any(letter.isalnum() or letter == "_" for letter in token.text)):
                raise invalid_query(f'Syntax error: Unexpected "{token.text}" at {at(token)}')
            if token.text.upper() == "EXCLUDE" and previous is not None and previous.token_type is TokenType.STAR:
                raise invalid_query(f"Syntax error: Unexpected keyword EXCLUDE at {at(token)}")
        elif previous is not None and token.token_type in _TEXTS and previous.token_type in _TEXTS:
            raise invalid_query(
                "Concatenation of subsequent string literals is not supported. Did you mean to use the || operator? "
                f"at {at(token)}"
            )
        previous = token


def note(node: exp.Expression, name: str, place: Token) -> None:
    """Keep how a function or a type was written, with the node that was made of it."""
    inner: object = node
    while isinstance(inner, exp.Expression):
        inner.meta.setdefault(WRITTEN, (name, at(place)))
        inner = (
            inner.this if isinstance(inner, (exp.Window, exp.IgnoreNulls, exp.RespectNulls, exp.HavingMax)) else None
        )


def check_names(tree: exp.Expression) -> None:
    """Refuse functions and types that GoogleSQL has not.

    Raises:
        Refused: There is one.
    """
    for node in tree.walk():
        name, place = node.meta.get(WRITTEN, ("", ""))
        if not name or "." in name:
            continue
        if isinstance(node, exp.DataType):
            if name.upper() not in _TYPES:
                raise invalid_query(f"Type not found: {name} at {place}")
        elif name.upper() not in _FUNCTIONS | _SYNTAX and not _is_part(node, name):
            if isinstance(node.parent, exp.Table):
                raise invalid_query(f"Table-valued function not found: {name} at {place}")
            raise invalid_query(f"Function not found: {name}{_suggestion(name)} at {place}")


def _is_part(node: exp.Expression, name: str) -> bool:
    """Whether something is a part of a date that begins on a given day: WEEK(MONDAY)."""
    return name.upper() == "WEEK" and isinstance(node.parent, exp.Func)


def _suggestion(name: str) -> str:
    """The documented name that is a slip of the pen away."""
    most = (len(name) + 4) // 5
    near = [(distance, one) for one in _FUNCTIONS if (distance := _distance(name.upper(), one, most)) <= most]
    return f"; Did you mean {min(near)[1].lower()}?" if near else ""


def _distance(one: str, other: str, most: int) -> int:
    """How many letters differ, as far as `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        above, row = row, [place]
        for column, second in enumerate(other, start=1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != second)))
    return row[-1]
