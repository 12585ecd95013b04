"""How well a text encoder tells what stands where, which a base of FLUX's kind can learn from nobody else.

    python -m benchmarks.words                  dreamo-mini's T5 as it is: only who asks it learns
    python -m benchmarks.words --fresh          one of its size from nothing, which learns to read meanwhile

Both are asked by one attention for each slot over the tokens (`core/training/words.py`). Per cent of what unseen
captions of two products and of two people tell, attribute by attribute. Who knows the words, not their order, has
half of the references right.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.cards import SHIPPED
from core.generation.names import PLACEHOLDERS
from core.training.base_model import read_base
from core.training.optimising import BETAS, rate_factor
from core.training.runs import ADAPTER
from core.training.shipped_recipes import mini
from core.training.texts import TextShape, build_t5
from core.training.words import UNTOLD, Listener, Sayings, Speaker
from core.training.world.truth import SMALL

BATCH = 256
UNSEEN = 2**20
"""Of the batches that nobody learns from, the first."""


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--model", type=Path, default=SHIPPED / "dreamo-mini", help="an exported model's folder")
    told.add_argument("--fresh", action="store_true", help="begin with an untrained T5 of the same size")
    told.add_argument("--captions", type=int, default=256_000, help="to learn from (default: %(default)s)")
    told.add_argument("--threads", type=int, default=2)
    asked = told.parse_args()
    torch.set_num_threads(asked.threads)
    shape = TextShape()
    base = read_base(asked.model, shape.length)
    t5 = base.t5
    if asked.fresh:
        torch.manual_seed(0)
        t5 = build_t5(len(base.tokenizers.t5), shape)
    else:
        rows_KE = load_file(asked.model / ADAPTER)[PLACEHOLDERS].float()
        with torch.no_grad():
            t5.get_input_embeddings().weight[-len(rows_KE) :] = rows_KE
        t5.requires_grad_(False)
    speaker = Speaker(SMALL, mini().stage("words").tasks, BATCH, asked.model, shape.length)
    listener = Listener(SMALL, t5.config.d_model)
    learn(t5, listener, speaker, asked.captions)
    for task in ("two-subjects", "two-people"):
        asking = Speaker(SMALL, ((task, 1.0),), BATCH, asked.model, shape.length)
        print(f"{task}: " + ", ".join(f"{name} {100 * share:.0f}" for name, share in read(t5, listener, asking)))


def learn(t5: torch.nn.Module, listener: Listener, speaker: Speaker, captions: int) -> None:
    """As in the stage, but for who may learn."""
    stage, steps = mini().stage("words"), captions // speaker.batch
    learnt = [one for one in (*t5.parameters(), *listener.parameters()) if one.requires_grad]
    optimiser = torch.optim.AdamW(learnt, betas=BETAS, weight_decay=0.0)
    start = time.perf_counter()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = stage.other_rate * rate_factor(step, step / steps, stage)
        batch = speaker[step]
        losses = listener.losses(understood(t5, batch), batch)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if step % 200 == 199:
            took = time.perf_counter() - start
            print(f"{(step + 1) * speaker.batch} captions, {took:.0f} s: {100 * losses['read']:.0f} % read right")


def understood(t5: torch.nn.Module, batch: Sayings) -> Tensor:
    text_BTE: Tensor = t5(batch.caption.t5_BT).last_hidden_state
    return text_BTE


@torch.no_grad()
def read(t5: torch.nn.Module, listener: Listener, speaker: Speaker) -> list[tuple[str, float]]:
    """Of 1,024 unseen captions, by attribute the share that is read right."""
    right: dict[str, list[Tensor]] = {}
    for turn in range(UNSEEN, UNSEEN + 1024 // speaker.batch):
        batch = speaker[turn]
        answers = listener(understood(t5, batch), batch.caption.t5_BT != 0)
        for name, told_BP in batch.told.items():
            hits = (answers[name].argmax(-1) == told_BP)[told_BP != UNTOLD]
            right.setdefault(name, []).append(hits)
    found = {name: torch.cat(parts).float() for name, parts in right.items()}
    return [(name, float(hits.mean())) for name, hits in found.items() if len(hits)]


if __name__ == "__main__":
    main()
