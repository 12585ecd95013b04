"""Where the samples of a stage come from: folders by their shares, and the drawn world for the rest."""

from __future__ import annotations

from pathlib import Path

from core.errors import BadInput
from core.training.data.folder import DataFolder
from core.training.recipes import Recipe, Shares
from core.training.world.samples import REFERENCES, Canvas

__all__ = ("DataFolder", "drawable", "folders_of")


def drawable(shares: Shares) -> Shares:
    """Those tasks that the drawn world has."""
    return tuple(one for one in shares if one[0] in REFERENCES)


def folders_of(recipe: Recipe, shares: Shares) -> tuple[tuple[DataFolder, float], ...]:
    """The recipe's folders that have samples of these tasks, and the shares of batches that come out of each.

    What the recipe leaves to drawings is theirs in every stage: folders without these tasks leave their shares to
    the other folders, in proportion.

    Raises:
        BadInput: one can't be read, or nobody has samples of these tasks.
    """
    canvases, references = ([Canvas(*size) for size, _ in sizes] for sizes in (recipe.canvases, recipe.references))
    read = [(DataFolder.read(Path(path), canvases, references), share) for path, share in recipe.data]
    tasks = {task for task, _ in shares}
    found = tuple((folder, share) for folder, share in read if tasks & folder.shelves.keys())
    whole = sum(share for _, share in recipe.data)
    drawn = drawable(shares) and whole < 1
    if not found and not drawn:
        known = sorted({task for folder, _ in read for task in folder.shelves})
        mend = f"Here are {', '.join(known) or 'none'}: change the stages' tasks, or let a share be drawn"
        raise BadInput.at("data", f"has no samples of the tasks {', '.join(sorted(tasks))}", mend)
    there = sum(share for _, share in found)
    return tuple((folder, share * whole / there) for folder, share in found)
