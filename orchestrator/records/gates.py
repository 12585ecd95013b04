"""Records: what gates leave in rows, for all who write or read it."""

from __future__ import annotations

HELD_BACK = "held_back"
"""Where an asset's facts keep the reasons of plugins that hold it back, by plugin."""

ASKED_BY_GATE = "gate: "
"""How the actor of an attempt begins that a gate asked for; the reasons follow."""

AFTER_TURN = f"""
case when exists (
         select 1 from asset held where held.job_id = {{job}} and held.facts ? '{HELD_BACK}'
     ) then 'ready'
     when item.gate = 'none' then 'none'
     when exists (select 1 from asset judged where judged.job_id = {{job}}) then 'ready' else 'due' end
"""  # noqa: S608 - a constant of ours
"""How an item stands against the gates whose image becomes that of another job (SQL)."""
