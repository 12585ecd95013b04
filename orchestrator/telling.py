"""Ranges and forecasts in words: time, money, and what a pilot says of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.pilots import Pilot
    from orchestrator.planning.estimate import Estimate


UNITS = ((3600.0, "h"), (60.0, "min"))


def clock_range(seconds: tuple[float, float]) -> str:
    """`2-4 min`: both ends in the unit that suits the larger."""
    low, high = seconds
    if high < 1:
        return "under a second"
    size, unit = next((one for one in UNITS if high >= 2 * one[0]), (1.0, "s"))
    ends = [f"{end / size:.1f}" if unit == "h" else f"{end / size:,.0f}" for end in (low, high)]
    return f"{ends[0]} {unit}" if ends[0] == ends[1] else f"{ends[0]}-{ends[1]} {unit}"


def money_range(cost: tuple[float, float], currency: str) -> str:
    """`1.20-2.40 EUR`."""
    if cost[1] < 0.005:
        return f"under 0.01 {currency}"
    ends = [f"{end:,.2f}" for end in cost]
    return f"{ends[0]} {currency}" if ends[0] == ends[1] else f"{ends[0]}-{ends[1]} {currency}"


def count_range(counts: tuple[float, float]) -> str:
    """`12-30`, in whole images."""
    ends = [f"{end:,.0f}" for end in counts]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def tell_estimate(estimate: Estimate) -> str:
    """Time, workers and money of an estimate, and what it rests on."""
    if estimate.wait is None:
        return f"not known: {estimate.basis}"
    workers = "1 worker" if estimate.workers == 1 else f"{estimate.workers:,} workers"
    cost = f", {money_range(estimate.cost, estimate.currency)}" if estimate.cost is not None else ""
    basis = f" ({estimate.basis})" if estimate.basis else ""
    return f"{clock_range(estimate.wait)} on {workers}{cost}{basis}"


def tell_pilot(pilot: Pilot, rest: Estimate | None) -> list[str]:
    """What a pilot says, line by line."""
    counts = f"pilot of {pilot.size:,}: {pilot.made:,} made"
    counts += f", {pilot.failed:,} failed" if pilot.failed else ""
    counts += f", {pilot.held:,} held back" if pilot.held else ""
    if pilot.rate is None:
        return [f"{counts}; nobody has decided about one yet"]
    rate = pilot.rate
    lines = [
        f"{counts}; {rate.count:,} of {rate.of:,} approved at first sight: {rate.share:.0%} "
        f"({rate.low:.0%} to {rate.high:.0%})" + (f", {pilot.open:,} to review" if pilot.open else "")
    ]
    told = pilot.forecast
    if told is None:
        return lines
    lines.append(
        f"the other {told.rest:,}: {count_range(told.approved)} approved at first sight, "
        f"{count_range(told.rejected)} rejected; with further attempts {count_range(told.attempts)} images for "
        f"{count_range(told.approved_at_last)} approved"
    )
    if rest is not None and rest.seconds is not None and rest.images:
        lines.append(_tell_rest(told.attempts, rest))
    return lines


def _tell_rest(attempts: tuple[float, float], rest: Estimate) -> str:
    """Time and money for the rest made once, and with the attempts that the rate foretells."""
    assert rest.wait is not None
    more = attempts[0] / rest.images, attempts[1] / rest.images
    wait = clock_range(rest.wait)
    longer = clock_range((rest.wait[0] * max(1.0, more[0]), rest.wait[1] * max(1.0, more[1])))
    if rest.cost is None:
        return f"they take {wait}, with further attempts {longer}"
    cost = money_range(rest.cost, rest.currency)
    dearer = money_range((rest.cost[0] * max(1.0, more[0]), rest.cost[1] * max(1.0, more[1])), rest.currency)
    return f"they take {wait} and {cost}, with further attempts {longer} and {dearer}"
