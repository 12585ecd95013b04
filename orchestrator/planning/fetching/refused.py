"""Fetching: why a picture could not be had from an address, with the mend."""

from __future__ import annotations


class Refused(Exception):
    """An address that can't be used, or one that gave nothing.

    Attributes:
        what: what is wrong, without the address.
        mend: how to put it right.
        lasting: false where the same may work later, so that trying again, or what was kept, is of use.
    """

    def __init__(self, what: str, mend: str, *, lasting: bool = True) -> None:
        self.what, self.mend, self.lasting = what, mend, lasting
        super().__init__(f"{what}. {mend}")
