"""What examples make, against the prices at rest: what is neither priced nor known to be free is a fault."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from tests.terraform.applying import TERRAFORM, Applied

_KNOWN: Final = tomllib.loads((TERRAFORM / "prices.toml").read_text(encoding="utf-8"))
PRICES: Final[list[dict[str, Any]]] = _KNOWN["price"]
FREE: Final[Mapping[str, str]] = _KNOWN["free"]


def price_faults(cloud: str, examples: Mapping[str, Applied]) -> list[str]:
    """Say what of a cloud's examples is not priced, or priced in another amount than is made."""
    ours = [one for one in PRICES if one["cloud"] == cloud]
    faults = []
    for name, made in examples.items():
        for price in ours:
            count = _fitting(made, price) * price.get("units", 1)
            if bool(count) < bool(price[name]) or (count != price[name] and not price.get("assumed")):
                faults.append(f"{name}: {price['what']} is priced {price[name]} times, and made {count} times")
        for one in made.every():
            if one["type"] in FREE:
                continue
            if not any(_fits(one, price) for price in ours):
                faults.append(f"{name}: {one['address']} has no price, and is not listed as free")
    kinds = {one["type"] for made in examples.values() for one in made.every()}
    listed = {name for name in FREE if name.partition("_")[0] in {kind.partition("_")[0] for kind in kinds}}
    return [*faults, *(f"{name} is listed as free, and no example makes it" for name in sorted(listed - kinds))]


def _fitting(made: Applied, price: Mapping[str, Any]) -> int:
    return sum(_fits(one, price) for one in made.every())


def _fits(one: Mapping[str, Any], price: Mapping[str, Any]) -> bool:
    wanted = price.get("where", {})
    return one["type"] == price["made"] and all(_at(one["values"], path) == value for path, value in wanted.items())


def _at(values: Any, path: str) -> Any:
    """Return what stands at a path such as `bigtable.0.auto_scaling.0.min_node_count`."""
    for key in path.split("."):
        values = values[int(key) if key.isdigit() else key]
    return values
