"""Generated rows, filters, ranges and patterns, within what Google's emulator does as the service does.

Left out, because it does otherwise: sinks, masks, reversed reads and granularity (it takes no notice of them), limits
and offsets by row over several families (it takes families in an order by chance), and labels after labels.
"""

from typing import Any

from hypothesis import strategies as st

SHORT = st.sampled_from([b"", b"a", b"b", b"ab", b"ba", b"a\n", b"\x00", b"\xff", b"A1", b"\xc3\xa9"])
KEYS = st.sampled_from([b"a", b"a\x00", b"ab", b"b", b"b\xff", b"\xff", b"\n"])
FAMILIES = ["f", "g"]
TIMES = st.sampled_from([0, 1, 2, 5])
PATTERNS = st.sampled_from(
    [
        b"",
        b"a",
        b".",
        b".*",
        rb"\C*",
        b"a|b",
        b"[^a]",
        b"(?i)a.",
        rb"\w+",
        b"(?s).*",
        b"a?b?",
        rb"\xff",
        b"[[:upper:]]\\d",
    ]
)


def row(families: list[str]) -> st.SearchStrategy[list[Any]]:
    """Cells: family, qualifier, time, value; of two times at most in one column, so that few copies meet."""
    return st.lists(st.tuples(st.sampled_from(families), SHORT, st.sampled_from([0, 1]), SHORT), min_size=1, max_size=6)


def bounds(noun: str) -> st.SearchStrategy[dict[str, Any]]:
    start = st.one_of(
        st.just({}), *[st.fixed_dictionaries({f"start_{noun}_{kind}": SHORT}) for kind in ("open", "closed")]
    )
    end = st.one_of(st.just({}), *[st.fixed_dictionaries({f"end_{noun}_{kind}": SHORT}) for kind in ("open", "closed")])
    return st.builds(lambda low, high: {**low, **high}, start, end)


def leaves(families: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    few = st.integers(1, 3)
    times = st.builds(
        lambda start, length: {
            "timestamp_range_filter": {"start_timestamp_micros": start * 1000, "end_timestamp_micros": length * 1000}
        },
        TIMES,
        TIMES,
    )
    choices: list[st.SearchStrategy[dict[str, Any]]] = [
        st.just({"pass_all_filter": True}),
        st.just({"block_all_filter": True}),
        st.just({"strip_value_transformer": True}),
        st.sampled_from([{"apply_label_transformer": "one"}, {"apply_label_transformer": "2"}]),
        st.builds(lambda pattern: {"row_key_regex_filter": pattern}, PATTERNS.filter(bool)),
        st.builds(lambda pattern: {"column_qualifier_regex_filter": pattern}, PATTERNS),
        st.builds(lambda pattern: {"value_regex_filter": pattern}, PATTERNS),
        st.builds(
            lambda pattern: {"family_name_regex_filter": pattern}, st.sampled_from(["f", "g|h", ".", "none", ""])
        ),
        st.builds(
            lambda each, name: {"column_range_filter": {**each, "family_name": name}},
            bounds("qualifier"),
            st.sampled_from(families),
        ),
        st.builds(lambda each: {"value_range_filter": each}, bounds("value")),
        times,
        st.builds(lambda number: {"cells_per_column_limit_filter": number}, few),
    ]
    if len(families) == 1:
        choices.append(st.builds(lambda number: {"cells_per_row_limit_filter": number}, few))
        choices.append(st.builds(lambda number: {"cells_per_row_offset_filter": number}, few))
    return st.one_of(choices)


def _grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=2, max_size=3)
    condition = st.fixed_dictionaries(
        {"predicate_filter": inner}, optional={"true_filter": inner, "false_filter": inner}
    )
    return st.one_of(
        st.builds(lambda filters: {"chain": {"filters": filters}}, several),
        st.builds(lambda filters: {"interleave": {"filters": filters}}, several),
        st.builds(lambda parts: {"condition": parts}, condition),
    )


def filters(families: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Trees; of 6 leaves at most, so that no more than 12 copies of a column's cells meet."""
    return st.recursive(leaves(families), _grown, max_leaves=6).filter(lambda tree: labels(tree) < 2)


def labels(tree: dict[str, Any]) -> int:
    """Return how many labels one cell could get."""
    ((kind, content),) = tree.items()
    match kind:
        case "apply_label_transformer":
            return 1
        case "chain":
            return sum(map(labels, content["filters"]))
        case "interleave":
            return max(map(labels, content["filters"]))
        case "condition":
            # Google's emulator looks at a predicate only where a branch follows; the documented rule is for all chains.
            return max(map(labels, content.values()))
        case _:
            return 0


def strips(tree: Any) -> bool:
    """Whether values are stripped somewhere: there, Google's emulator takes labels off as well."""
    return "strip_value_transformer" in repr(tree)


def row_sets() -> st.SearchStrategy[dict[str, Any]]:
    start = st.one_of(st.just({}), *[st.fixed_dictionaries({f"start_key_{kind}": KEYS}) for kind in ("open", "closed")])
    end = st.one_of(st.just({}), *[st.fixed_dictionaries({f"end_key_{kind}": KEYS}) for kind in ("open", "closed")])
    one = st.builds(lambda low, high: {**low, **high}, start, end)
    return st.fixed_dictionaries({"row_keys": st.lists(KEYS, max_size=3), "row_ranges": st.lists(one, max_size=3)})


def mutations(families: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    def set_cell(family: str, qualifier: bytes, time: int, value: bytes) -> dict[str, Any]:
        cell = {"family_name": family, "column_qualifier": qualifier, "timestamp_micros": time * 1000, "value": value}
        return {"set_cell": cell}

    def delete(family: str, qualifier: bytes, start: int, length: int | None) -> dict[str, Any]:
        end = 0 if length is None else (start + length) * 1000
        times = {"start_timestamp_micros": start * 1000, "end_timestamp_micros": end}
        return {"delete_from_column": {"family_name": family, "column_qualifier": qualifier, "time_range": times}}

    family = st.sampled_from(families)
    one = st.one_of(
        st.builds(set_cell, family, SHORT, TIMES, SHORT),
        st.builds(set_cell, family, SHORT, TIMES, SHORT),
        st.builds(delete, family, SHORT, TIMES, st.sampled_from([None, 1, 3])),
        st.builds(lambda name: {"delete_from_family": {"family_name": name}}, family),
        st.just({"delete_from_row": {}}),
    )
    return st.lists(one, min_size=1, max_size=4)


PIECES = st.sampled_from(
    [
        "a", "b", "z", ".", "^", "$", "|", "(", ")", "(?:", "(?i)", "(?-i)", "(?s:", "(?m)", "(?P<n>", "(?U)", "(?i-s:",
        "[", "]", "[^", "[a-c]", "[[:alpha:]]", "[[:^digit:]]", "[\\w-]", "-", "*", "+", "?", "*?", "{2}", "{1,2}",
        "{,2}", "{0,}", "{", "}", "\\d", "\\S", "\\W", "\\b", "\\B", "\\A", "\\z", "\\Q", "\\E", "\\C", "\\n", "\\x61",
        "\\x{62}", "\\xff", "\\.", "\\12", "\\0", "\n", "é", "\\pL", "\\", "1",
    ]
)  # fmt: skip
TEXTS = [
    b"", b"a", b"b", b"ab", b"ba", b"aa", b"abc", b"A", b"AB", b"z", b"1", b"12", b"a1", b"-", b"a-b", b".", b"\n",
    b"a\n", b"\na", b"a\nb", b"\n\n", b"\xff", b"\xe9", b"\xc3\xa9", b" ", b"a b", b"\v", b"\\", b"{,2}", b"a{", b"(",
    b"]", b"^", b"_",
]  # fmt: skip


def patterns() -> st.SearchStrategy[bytes]:
    return st.lists(PIECES, min_size=1, max_size=7).map(lambda pieces: "".join(pieces).encode())
