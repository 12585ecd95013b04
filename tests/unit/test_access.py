"""Who a login is, by what an OpenID provider claims of it."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.access import Unknown, address


@pytest.mark.parametrize("more", [{}, {"email_verified": True}, {"email_verified": "true"}])
def test_a_login_is_its_e_mail_address(more: dict[str, Any]) -> None:
    assert address({"email": "ana@example.com", **more}) == "ana@example.com"


@pytest.mark.parametrize("verified", [False, "false", None, 0])
def test_an_address_that_the_provider_has_not_verified_is_nobody_s(verified: Any) -> None:
    with pytest.raises(Unknown, match=r"ana@example\.com was not verified"):
        address({"email": "ana@example.com", "email_verified": verified})


@pytest.mark.parametrize("claims", [{}, {"email": ""}, {"email": None, "email_verified": True}])
def test_a_login_without_an_address_is_nobody_s(claims: dict[str, Any]) -> None:
    with pytest.raises(Unknown, match="gives no e-mail address"):
        address(claims)
