"""Planning: stop rules, which pause a campaign before it costs or disappoints more than was meant.

`budget: 40 EUR` (or `2 h` of making images) and `images: 500` count what was spent; `failed: 20%` and
`rejected: 40% of the last 50` count what came of it. A share counts as soon as it is certain to be reached: 20
that were rejected are 40 % of the last 50, whatever the others become.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

Name: TypeAlias = Literal["budget", "images", "failed", "rejected"]

ENOUGH = 20
"""Images (or decisions) that a share without `of the last N` waits for."""

GRAMMAR: Mapping[str, str] = {
    "budget": "Say an amount of money or of time that goes into making images, as in 40 EUR, 2 h or 90 min",
    "images": "Say a whole number from 1, as in 500",
    "failed": "Say a share or a number, as in 20%, 20% of the last 50, or 12",
    "rejected": "Say a share or a number, as in 40%, 40% of the last 50, or 12",
}

_TIME = {"h": 3600.0, "min": 60.0}
_AMOUNT = re.compile(r"\s*(?P<amount>\d{1,12}(\.\d{1,6})?)\s*(?P<unit>[A-Za-z]{1,3}|€|\$|£)\s*")
_SHARE = re.compile(
    r"\s*(?P<share>\d{1,3}(\.\d{1,6})?)\s*%(\s*of\s+(the\s+)?last\s+(?P<last>\d{1,6}))?\s*", re.IGNORECASE
)
_SIGNS = {"€": "EUR", "$": "USD", "£": "GBP"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One stop rule.

    Attributes:
        name: what it counts.
        limit: it stops at this: money, seconds, images, or per cent.
        unit: `EUR` and the like, `s`, `%`, or empty for a number of images.
        last: a share is one of the last so many; 0: of all.
    """

    name: Name
    limit: float
    unit: str = ""
    last: int = 0

    def reached(self, count: float, of: int = 0) -> str:
        """In words how far it is past its limit; empty while it is not.

        Args:
            count: money, seconds or images; for a share those that failed or were rejected.
            of: for a share, out of how many; of the last `last` if that is said.
        """
        if self.unit != "%":
            return f"{self._told(count)}{self._became()}, the limit is {self._told(self.limit)}" * (
                count >= self.limit
            )
        whole = self.last or of
        if (not self.last and of < ENOUGH) or not count or count * 100 < self.limit * whole:
            return ""
        among = f"the last {of}" if self.last else f"{of}"
        window = f" of the last {self.last}" if self.last else ""
        return f"{count:.0f} of {among}{self._became()}, the limit is {self.limit:g}%{window}"

    def _told(self, amount: float) -> str:
        if self.name == "budget":
            return in_time(amount) if self.unit == "s" else f"{amount:,.2f} {self.unit}"
        return f"{amount:,.0f}"

    def _became(self) -> str:
        return {"images": " images made", "failed": " failed", "rejected": " rejected", "budget": " spent"}[
            self.name
        ]


def in_time(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def read_rule(name: str, told: str | float, currency: str) -> Rule | str:
    """A rule as a campaign file says it, or what is wrong with it.

    Args:
        name: one of `Name`.
        told: its value.
        currency: the one in which hours are paid.
    """
    assert name in get_args(Name)
    if name == "images":
        return Rule("images", told) if isinstance(told, int) and told > 0 else f"{told!r} is no number of images"
    if name == "budget":
        return _read_budget(told, currency)
    count = _whole(told)
    if count:
        return Rule(name, count)  # type: ignore[arg-type]
    found = _SHARE.fullmatch(str(told))
    if found is None:
        return f"{told!r} is neither a share nor a number"
    share, last = float(found["share"]), int(found["last"] or 0)
    if not 0 < share <= 100:
        return f"{told!r} is no share between 0% and 100%"
    if found["last"] is not None and not last:
        return f"{told!r} looks at no image"
    return Rule(name, share, "%", last)  # type: ignore[arg-type]


def _read_budget(told: str | float, currency: str) -> Rule | str:
    found = _AMOUNT.fullmatch(str(told))
    if found is None or not float(found["amount"]):
        return f"{told!r} is no amount with its unit"
    amount, unit = float(found["amount"]), _SIGNS.get(found["unit"], found["unit"])
    if unit.lower() in _TIME:
        return Rule("budget", amount * _TIME[unit.lower()], "s")
    if unit.upper() != currency.upper():
        return f"{told!r} is not in {currency}, in which hours are paid (DREAMLINE_CURRENCY)"
    return Rule("budget", amount, currency)


def _whole(told: str | float) -> int:
    """The number that was meant, 0 for anything else."""
    if isinstance(told, str):
        return int(told) if re.fullmatch(r"\s*\d{1,9}\s*", told) else 0
    return int(told) if 0 < told < 1e9 and told == int(told) else 0


def read_rules(told: Mapping[str, Any], currency: str) -> list[Rule]:
    """Rules that were recorded with a campaign."""
    found = (read_rule(name, one, currency) for name, one in told.items() if name in get_args(Name))
    return [rule for rule in found if isinstance(rule, Rule)]
