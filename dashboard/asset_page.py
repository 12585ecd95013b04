"""Dashboard: one image: how it came to be, what was said of it, what came before; reproduce it or vary it."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from core.errors import DreamlineError
from dashboard import visit
from dashboard.lineage import read_detail
from dashboard.office import office
from orchestrator.reviewing import reasons
from orchestrator.reviewing.again import vary, write_brief
from orchestrator.reviewing.people import Actor, Right
from orchestrator.running import wake_all


def draw() -> None:
    """The item of the address."""
    actor = visit.arrive()
    wanted = st.query_params.get("item", "")
    told = None
    if wanted.isdecimal() and len(wanted) < 18:
        with office().database.begin() as connection:
            told = read_detail(connection, actor, int(wanted))
    if told is None or not actor.may(Right.SEE, told["campaign"]):
        st.warning("There is no such image that you may see.", icon=":material/search_off:")
        return
    visit.link("review", "Review", ":material/arrow_back:", campaign=told["campaign"], search=told["row"])
    st.title(visit.escaped(" · ".join([told["row"], *map(str, told["variant"].values()), told["format"]])))
    picture, words = st.columns([1.3, 1], gap="large")
    with picture:
        _draw_picture(actor, told)
    with words:
        _draw_verdict(told)
        _draw_again(actor, told)
        _draw_scores(actor, told)
        _draw_recipe(told)
    _draw_references(actor, told)
    _draw_history(actor, told)
    _draw_panels(told)


def _draw_picture(actor: Actor, told: dict[str, Any]) -> None:
    image = told["image"]
    if image is None:
        st.info(f"This image is {told['state']}.", icon=":material/autorenew:")
        return
    url = visit.picture_url(actor, told["campaign"], image["sha"], "view")
    st.html(f'<img class="dl-large" src="{url}" alt="The image">')
    full = visit.picture_url(actor, told["campaign"], image["sha"], "full")
    size = f"{image['width']} x {image['height']} · {image['bytes'] / 1e6:.2f} MB"
    st.html(
        f'<a class="dl-link" href="{full}" target="_blank" rel="noopener">Original file</a> <small>{size}</small>'
    )


def _draw_verdict(told: dict[str, Any]) -> None:
    colour = {"approved": "green", "rejected": "red", "proposed": "orange"}.get(told["verdict"], "gray")
    st.badge(told["verdict"].capitalize(), color=colour)  # type: ignore[arg-type, unused-ignore]
    if told["gate"] in ("last", "held"):
        st.badge(
            "Held back" if told["gate"] == "held" else "Shown last", icon=":material/front_hand:", color="orange"
        )
        st.caption(visit.escaped("; ".join(told["gate_reasons"])))
    if told["elsewhere"]:
        names = ", ".join(visit.escaped(one["campaign"]) for one in told["elsewhere"])
        st.caption(f"The same image is in {names}, where it is decided separately.")


def _draw_again(actor: Actor, told: dict[str, Any]) -> None:
    with st.container(horizontal=True):
        if actor.may(Right.STEER, told["campaign"]) and st.button(
            "Vary",
            icon=":material/shuffle:",
            help="Another attempt with another seed; this one is kept in its history",
        ):
            _vary(actor, told)
        st.download_button(
            "Reproduce",
            write_brief(told),
            file_name=f"{told['row']}-{told['id']}.json",
            mime="application/json",
            icon=":material/fingerprint:",
            help="Everything that decides the pixels: the request, the pinned model and the references' hashes",
        )


def _vary(actor: Actor, told: dict[str, Any]) -> None:
    here = office()
    try:
        said = vary(here.database, here.registry, actor, told["campaign"], told["id"])
        wake_all(here.settings)
    except DreamlineError as error:
        visit.show_problems(error)
        return
    st.toast(said)
    st.rerun()


def _draw_scores(actor: Actor, told: dict[str, Any]) -> None:
    """Each score with what it compared; where it looked at a part of the image, that part beside its reference."""
    ready = {one["name"]: one["result"] for one in told["references"]}
    for one in told["scores"]:
        number, seen = st.columns([1.4, 1], vertical_alignment="center")
        name = visit.escaped(f"{one['name']} ({one['plugin']})")
        number.markdown(f"**{one['value']:.3f}** {name}")
        number.caption(f"{visit.escaped(one['compared'])}; {'higher' if one['higher'] else 'lower'} is better")
        if one["crop"] and told["image"]:
            reference = ready.get(one["name"].partition(":")[2])
            urls = [visit.picture_url(actor, told["campaign"], sha) for sha in (reference,) if sha]
            pictures = [f'<img src="{url}" height="72" alt="The reference, made ready">' for url in urls]
            whole = visit.picture_url(actor, told["campaign"], told["image"]["sha"], "view")
            seen.html(f'<div class="dl-strip">{"".join(pictures)}{_part(told["image"], whole, one["crop"])}</div>')
    unscored = (told["image"] or {}).get("facts", {}).get("unscored", {})
    for plugin, why in unscored.items():
        st.warning(visit.escaped(f"No scores of {plugin}: {why}"), icon=":material/extension_off:")


def _part(image: dict[str, Any], url: str, crop: list[float]) -> str:
    """A part of an image, 72 pixels high; the crop is left, top, right, bottom as shares of its sides."""
    left, top, right, bottom = crop
    height = 72 / (bottom - top)
    width = height * image["width"] / image["height"]
    return (
        f'<div style="width:{width * (right - left):.0f}px;height:72px;overflow:hidden;border-radius:6px">'
        f'<img src="{url}" alt="The part that was compared" style="width:{width:.0f}px;height:{height:.0f}px;'
        f'max-width:none;border-radius:0;margin:{-top * height:.0f}px 0 0 {-left * width:.0f}px"></div>'
    )


def _draw_recipe(told: dict[str, Any]) -> None:
    st.markdown("**Prompt**")
    st.code(told["prompt"], language=None, wrap_lines=True)
    request, pinned = told["request"], told["pinned"]
    rows = {
        "model": pinned.get("card", request.get("model")),
        "generator": pinned.get("generator"),
        "model's files": (pinned.get("digest") or "")[:16],
        "seed": request.get("seed"),
        "guidance": request.get("guidance"),
        "steps": request.get("steps"),
        "size": f"{request.get('width')} x {request.get('height')}",
        "key": told["key"][:16],
    }
    if told["image"]:
        rows |= {"made": told["image"]["made_at"], "seconds": f"{told['image']['seconds']:.1f}"}
    changed = pinned.get("changed_by") or {}
    if changed:
        rows["changed by plugins"] = ", ".join(f"{name} ({plugin})" for name, plugin in changed.items())
    with st.expander("Recipe", expanded=True):
        st.dataframe(
            [{"": name, "value": str(value)} for name, value in rows.items() if value not in (None, "")],
            hide_index=True,
        )
    with st.expander("Row of the brief"):
        st.json(told["data"])


def _draw_references(actor: Actor, told: dict[str, Any]) -> None:
    if not told["references"]:
        return
    st.subheader("References")
    for one in told["references"]:
        given, ready, words = st.columns([1, 1, 3], vertical_alignment="center")
        with given:
            visit.strip(actor, told["campaign"], [(one["sha"], f"{one['name']} as given")], 150, captions=True)
        with ready:
            if one["result"]:
                visit.strip(actor, told["campaign"], [(one["result"], "made ready")], 150, captions=True)
        with words:
            method = one["method"] or {}
            st.markdown(
                f"**{visit.escaped(one['name'])}** · {one['kind']} · plugin {visit.escaped(one['plugin'])}"
            )
            st.caption(visit.escaped(f"{one['source']} · method {method.get('name')}/{method.get('version')}"))
            weights = method.get("weights") or {}
            for name, sha256 in weights.items():
                st.caption(visit.escaped(f"{name}: {sha256[:16]}"))
            for warning in one["warnings"]:
                st.warning(visit.escaped(str(warning)), icon=":material/warning:")


def _draw_history(actor: Actor, told: dict[str, Any]) -> None:
    if told["attempts"]:
        st.subheader("Attempts before")
        for one in told["attempts"]:
            before, words = st.columns([1, 4], vertical_alignment="center")
            with before:
                if one["before"]:
                    visit.strip(actor, told["campaign"], [(one["before"], f"version {one['version'] - 1}")], 120)
            why = ", ".join(reasons.load()[name].title for name in one["reasons"] if name in reasons.load())
            changes = "; ".join(
                f"{change['what']} {change['before']} → {change['after']}".replace("  → ", ": ")
                for change in one["changes"]
            )
            words.markdown(f"**{visit.escaped(why or 'Varied')}** by {visit.escaped(one['actor'])}, {one['at']}")
            words.caption(visit.escaped(changes))
    if told["decisions"]:
        st.subheader("Decisions")
        st.dataframe(
            [
                {
                    "no.": one["number"],
                    "verdict": one["verdict"],
                    "version": one["version"],
                    "by": one["actor"],
                    "at": one["at"],
                    "reasons": ", ".join(one["reasons"]),
                    "comment": one["comment"],
                    "seconds": one["milliseconds"] / 1000,
                    "hash": one["hash"][:16],
                }
                for one in told["decisions"]
            ],
            hide_index=True,
        )


def _draw_panels(told: dict[str, Any]) -> None:
    """What plugins add; a plugin that fails spoils its own panel alone."""
    facts = json.loads(json.dumps(told, default=str))
    for panel in office().registry.panels():
        st.subheader(visit.escaped(panel.title))
        try:
            panel.draw(facts)
        except Exception as error:
            st.error(
                visit.escaped(f"{panel.title}: {type(error).__name__}: {error}"), icon=":material/extension_off:"
            )
