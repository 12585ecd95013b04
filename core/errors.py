"""What can go wrong, by what has to happen next.

The class of an error, not its text, decides: bad input is shown to its owner and never tried again; a
plugin's failure bears the plugin's name; memory asks for a smaller batch; infrastructure is tried again
later. Every message names the thing, the value and the mend.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in what a person wrote: where it stands, what is wrong, how to mend it.

    `where` is a place a person can go to: a file with its row, column or key, or an option of a command.
    """

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.mend}"

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class DreamlineError(Exception):
    """Anything that dreamline itself refuses or reports; `exit_code` is what the command line returns."""

    exit_code = 1


class BadInput(DreamlineError):
    """What a person gave can't be used as it is; trying again changes nothing. All problems come at once."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))

    @classmethod
    def at(cls, where: str, what: str, mend: str) -> BadInput:
        """The common case: one problem."""
        return cls(Problem(where, what, mend))

    @classmethod
    def gather(cls, problems: Iterable[Problem]) -> None:
        """Raises all of `problems` as one error; does nothing when there are none."""
        found = tuple(problems)
        if found:
            raise cls(*found)


class PluginError(DreamlineError):
    """A plugin broke its contract or raised; `plugin` is the name it is registered under."""

    def __init__(self, plugin: str, message: str) -> None:
        self.plugin = plugin
        super().__init__(f"plugin {plugin!r}: {message}")


class WeightsMissing(DreamlineError):
    """Files of a model or of a preparation are not on this machine; the message says which and how to get them."""

    exit_code = 2


class OutOfMemory(DreamlineError):
    """A batch did not fit; a smaller one may."""


class Infrastructure(DreamlineError):
    """The database, the broker, the storage or the network failed; the same work may succeed later."""


class Stopped(DreamlineError):
    """The work was cancelled from outside: raised through a generator's step callback, or by a training run."""
