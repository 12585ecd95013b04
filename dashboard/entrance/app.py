"""Dashboard: the script that Streamlit runs for every visit: who is there, and which page they see.

It lies in a folder of its own because Streamlit puts that folder first among the places of imports.
"""

from __future__ import annotations

import streamlit as st

from dashboard import asset_page, campaigns_page, compare_page, new_page, review_page, visit


def main() -> None:
    """Draws the page that the address asks for."""
    st.set_page_config(page_title="dreamline", page_icon=str(visit.ICON), layout="wide")
    st.html(visit.STYLE)
    actor = visit.arrive()
    pages = {
        "campaigns": st.Page(
            campaigns_page.draw, title="Campaigns", icon=":material/grid_view:", url_path="campaigns", default=True
        ),
        "review": st.Page(review_page.draw, title="Review", icon=":material/rate_review:", url_path="review"),
        "compare": st.Page(compare_page.draw, title="Compare", icon=":material/balance:", url_path="compare"),
        "new": st.Page(new_page.draw, title="New campaign", icon=":material/add_circle:", url_path="new"),
        "asset": st.Page(
            asset_page.draw, title="Image", icon=":material/image:", url_path="asset", visibility="hidden"
        ),
    }
    if not actor.may(visit.Right.STEER):
        del pages["new"]
    visit.remember(pages)
    page = st.navigation(list(pages.values()), position="top")
    page.run()
    visit.draw_person(actor)


main()
