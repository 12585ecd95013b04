"""How long one image takes: denoising and the rest apart, beside plain diffusers with the same tokens.

    python -m benchmarks.generate                 the full architecture on a GPU, a scaled-down one on a CPU
    python -m benchmarks.generate --ways plain exact fp8 --references 0 1 2 3 --write figures.json
    python -m benchmarks.generate --parts ceilings ways profile agreement mixed campaign --images 100
    python -m benchmarks.generate --parts first   from the start of the process to the first image
    python -m benchmarks.generate --size full --half --weights FILE --side 256 --parts agreement
                                                  bfloat16 beside float32: 24 GB of disk, half an hour

Weights are random, so nothing is fetched: they measure speed as well as real ones. Figures are medians after a
warm-up; `floor` is the time that products of matrices and attention alone would take at the rates given by
--matmul, --attention and --fp8 (TFLOP/s; one H200 by default). Every part is written as soon as it is measured.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import diffusers
import torch

from benchmarks.generation import ceilings
from benchmarks.generation.agreement import strays
from benchmarks.generation.campaigns import run_campaign, run_mixed
from benchmarks.generation.profiles import profile_step
from benchmarks.generation.sizes import FULL, SMALL, Size, build_model, free, job_of, square
from benchmarks.generation.ways import WAYS, Steps, prepare
from core.generation import memory
from core.generation.compiling import compile_decoder
from core.generation.decoding import decode, encode, to_picture
from core.generation.model import Model
from core.recipes import encode_image
from core.requests import Image

PARTS = ("ceilings", "ways", "white", "rest", "profile", "agreement", "mixed", "campaign", "first")
OF_EXACT = {"white", "mixed", "campaign"}
"""Parts that are measured of the way exact alone."""


@dataclass(frozen=True)
class Figure:
    """Seconds of denoising one image; `first` are those of two steps that come first, with what they compile."""

    way: str
    references: int
    tokens: int
    denoise: float
    spread: float
    first: float
    peak_gb: float | None
    floor: float | None


@dataclass
class Report:
    """What was measured so far; written whole after each part."""

    path: Path | None
    told: dict[str, Any]

    def add(self, part: str, value: Any) -> None:
        self.told[part] = value
        if self.path is not None:
            self.path.write_text(json.dumps(self.told, indent=1) + "\n")


def seconds_of(work: Callable[[], Any], device: str) -> float:
    began = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def median(work: Callable[[], Any], device: str, times: int) -> float:
    """Seconds, of `times` calls after one that warms up."""
    work()
    return statistics.median(seconds_of(work, device) for _ in range(times))


def measure_way(
    way: str,
    size: Size,
    model: Model,
    steps: Steps,
    references: int,
    options: argparse.Namespace,
    share: float = 1,
) -> Figure:
    """One way with so many references, of whose tokens a share is kept."""
    job = job_of(size, square(size, references), model, share=share)
    gpu = model.device.startswith("cuda")
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    short = replace(job, request=replace(job.request, steps=2))
    first = seconds_of(lambda: list(steps(short)), model.device)
    found = [seconds_of(lambda: list(steps(job)), model.device) for _ in range(options.times)]
    rates = (options.matmul, options.attention, options.fp8 if way == "fp8" else None)
    return Figure(
        way=way,
        references=references,
        tokens=job.layout.tokens,
        denoise=statistics.median(found),
        spread=max(found) - min(found),
        first=first,
        peak_gb=torch.cuda.max_memory_allocated() / 1e9 if gpu else None,
        floor=ceilings.floor_of(size, job.layout.tokens, *rates) if gpu else None,
    )


def measure_rest(size: Size, device: str, times: int) -> dict[str, float]:
    """Seconds of what is not denoising: one reference encoded, one image decoded and written as PNG."""
    model = build_model(size, device, "resident")
    request = size.request()
    tokens = (size.side // 16) ** 2
    latent = torch.randn(tokens, model.transformer.config.in_channels, device=device)
    picture = to_picture(decode(latent, request, model))
    small = picture.resize((size.reference, size.reference))
    found = {
        "reference": median(lambda: encode(small, model), device, times),
        "decode": median(lambda: to_picture(decode(latent, request, model)), device, times),
        "file": median(lambda: encode_image(Image(picture, request)), device, times),
    }
    if device.startswith("cuda"):
        compile_decoder(model.vae)
        found["decode, first compiled"] = seconds_of(lambda: to_picture(decode(latent, request, model)), device)
        found["decode, compiled"] = median(lambda: to_picture(decode(latent, request, model)), device, times)
    return found


def measure_first(size: Size, device: str, folder: Path) -> dict[str, float]:
    """Seconds from the start of this process to its first image, and what they went into."""
    import psutil

    from core.generation.compiling import keep_between_processes

    born = psutil.Process().create_time()
    keep_between_processes(folder)
    began = time.time()
    model, steps = prepare("exact", size, device)
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    loaded = time.time()
    job = job_of(size, square(size, 1), model)

    def image() -> None:
        *_, latent = steps(job)
        to_picture(decode(latent[0], job.request, model))

    first, second = seconds_of(image, device), seconds_of(image, device)
    return {
        "imports": began - born,
        "random weights": loaded - began,
        "first image": first,
        "second image": second,
        "all to the first": time.time() - born - second,
    }


def show(figures: Sequence[Figure]) -> None:
    """A table for people."""
    plain = {one.references: one.denoise for one in figures if one.way == "plain"}
    print("way            refs tokens  denoise  spread   first  of plain  of floor   GB")
    for one in figures:
        ratio = f"{plain[one.references] / one.denoise:8.2f}" if one.references in plain else "       -"
        share = f"{one.floor / one.denoise:8.0%}" if one.floor else "       -"
        peak = f"{one.peak_gb:5.1f}" if one.peak_gb else "    -"
        print(
            f"{one.way:14} {one.references:4} {one.tokens:6} {one.denoise:8.3f} {one.spread:7.3f} "
            f"{one.first:7.2f} {ratio:>9} {share:>9} {peak}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """The program; returns what it has measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", choices=("auto", "full", "small"), default="auto")
    parser.add_argument("--half", action="store_true", help="compute in bfloat16 on a processor, too")
    parser.add_argument("--parts", nargs="+", default=["ways", "rest"], choices=PARTS)
    parser.add_argument("--ways", nargs="+", default=["plain", "exact"], choices=list(WAYS), help=_explained())
    parser.add_argument("--side", type=int, help="pixels a side of the image and of references")
    parser.add_argument("--steps", type=int, help="of an image")
    parser.add_argument("--weights", type=Path, help="a file for the transformer's, if memory does not hold them")
    parser.add_argument("--references", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--kept", type=float, default=0.68, help="share of references' tokens in `white`")
    parser.add_argument("--times", type=int, default=3, help="calls after the warm-up")
    parser.add_argument("--images", type=int, default=24, help="of the campaign")
    parser.add_argument("--batch", type=int, default=1, help="images that the campaign makes together")
    parser.add_argument("--matmul", type=float, default=790.0)
    parser.add_argument("--attention", type=float, default=632.0)
    parser.add_argument("--fp8", type=float, default=1400.0)
    parser.add_argument("--cache", type=Path, help="where the part `first` keeps what it compiles")
    parser.add_argument("--write", type=Path, help="a JSON file of all figures")
    parser.add_argument("--trace-after", type=float, default=3600, help="seconds until it says where it hangs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    faulthandler.dump_traceback_later(options.trace_after, repeat=True, file=2)
    of_exact = OF_EXACT.intersection(options.parts)
    if of_exact and "exact" not in options.ways:
        parser.error(f"the way exact is the one that has the part {min(of_exact)}: add it to --ways")
    if "campaign" in options.parts and options.steps and options.steps < 3:
        parser.error("a campaign needs three steps an image to tell them from what is between images")
    if "first" in options.parts and len(options.parts) > 1:
        parser.error("the part `first` wants a process of its own")
    device = memory.resolve_device(options.device)
    small = options.size == "small" or (options.size == "auto" and device == "cpu")
    if options.weights and not (device == "cpu" and options.half):
        parser.error("--weights are bfloat16 of a processor: add --device cpu --half")
    size = replace(SMALL if small else FULL, half=options.half, weights=options.weights)
    if options.side:
        size = replace(size, side=options.side, reference=options.side)
    size = replace(size, steps=options.steps or size.steps)
    report = Report(options.write, _facts(size, device))
    if not options.json:
        print(", ".join(f"{name} {value}" for name, value in report.told.items()), flush=True)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _measure(size, device, options, report, Path(scratch))
    finally:
        faulthandler.cancel_dump_traceback_later()
    if options.json:
        print(json.dumps(report.told, indent=2))
    return report.told


def _measure(size: Size, device: str, options: argparse.Namespace, report: Report, scratch: Path) -> None:
    def tell(part: str, value: Any) -> None:
        report.add(part, value)
        if not options.json:
            print(f"{part}: {json.dumps(value)}", flush=True)

    parts = options.parts
    if "first" in parts:
        tell("first", measure_first(size, device, options.cache or scratch))
        free()
    if "ceilings" in parts:
        tell("ceilings", ceilings.measure_ceilings(5632))
    if "rest" in parts:
        tell("rest", measure_rest(size, device, options.times))
        free()
    figures: list[Figure] = []
    profiles: dict[str, Any] = {}
    for way in options.ways:
        if not {"ways", "profile", *OF_EXACT} & set(parts):
            break
        model, steps = prepare(way, size, device)
        if "ways" in parts:
            for references in options.references:
                figures.append(measure_way(way, size, model, steps, references, options))
                report.add("ways", [asdict(one) for one in figures])
        if way == "exact" and "white" in parts:
            with_some = [references for references in options.references if references]
            sparing = [measure_way(way, size, model, steps, one, options, options.kept) for one in with_some]
            tell("white", [asdict(one) for one in sparing])
        if "profile" in parts:
            kinds, longest, whole = profile_step(steps(job_of(size, square(size, 1), model)))
            profiles[way] = {"kinds": [asdict(one) for one in kinds], "milliseconds": whole}
            profiles[way]["longest"] = [asdict(one) for one in longest]
            tell("profile", profiles)
        if way == "exact" and "mixed" in parts:
            tell("mixed", run_mixed(size, model))
        if way == "exact" and "campaign" in parts:
            tell("campaign", run_campaign(size, model, options.images, scratch, options.batch))
        del model, steps
        free()
        if not options.json:
            show(figures)
    if "agreement" in parts:
        shown = _quiet if options.json else _strayed
        tell("agreement", strays(size, device, options.ways, 1, shown))


def _strayed(way: str, step: int, distance: float | None) -> None:
    far = "" if distance is None else f", {distance:.5f} from float32"
    print(f"{datetime.now(UTC):%H:%M:%S} {way}: step {step}{far}", flush=True)


def _quiet(way: str, step: int, distance: float | None) -> None:
    """With --json nothing but the figures is said."""


def _explained() -> str:
    return "; ".join(f"{way}: {what}" for way, what in WAYS.items())


def _facts(size: Size, device: str) -> dict[str, Any]:
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "device": device,
        "size": size.name,
        "side": size.side,
        "steps": size.steps,
    }
    if device.startswith("cuda"):
        facts["card"] = torch.cuda.get_device_name(device)
    return facts


if __name__ == "__main__":
    main()
