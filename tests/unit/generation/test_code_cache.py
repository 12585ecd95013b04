"""What torch has compiled: bounded by whole folders, and never in the way of a process that reads it."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.generation import code_cache, compiling
from core.settings import Settings

KB = 1000


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """A home whose compiled code may take 10 kB."""
    return Settings(home=tmp_path / "home", cache_gb=10 * KB / code_cache.SHARE / 1e9)


def put(settings: Settings, name: str, *, days: float, size: int = 4 * KB, read: float | None = None) -> Path:
    """A file as torch keeps it, written so many days ago, and read so many days ago or never."""
    path = code_cache.folder_of(settings) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    written = time.time() - days * 86_400
    os.utime(path, (written if read is None else time.time() - read * 86_400, written))
    os.utime(path.parent, (written, written))
    return path


def names(found: list[code_cache.CodeFolder], settings: Settings) -> list[str]:
    return [str(one.path.relative_to(code_cache.folder_of(settings))) for one in found]


def test_what_was_idle_for_longest_goes_until_the_rest_fits(home: Settings) -> None:
    put(home, "fxgraph/ab/used/graph", days=90, read=3)
    oldest = put(home, "fxgraph/cd/other-torch/graph", days=80)
    put(home, "triton/0/kernel/k.cubin", days=20)
    assert names(code_cache.find_unused(home), home) == ["fxgraph/cd/other-torch"]
    code_cache.make_room(home)
    assert not oldest.parent.exists()
    assert len([path for path in code_cache.folder_of(home).rglob("*") if path.is_file()]) == 2
    assert code_cache.find_unused(home) == []


def test_a_folder_goes_whole_or_not_at_all(home: Settings) -> None:
    half = [put(home, f"triton/0/half/k.{kind}", days=50, size=6 * KB) for kind in ("ptx", "cubin")]
    os.utime(half[1], (time.time(), time.time()))
    whole = [put(home, f"triton/0/whole/k.{kind}", days=40, size=6 * KB) for kind in ("ptx", "cubin")]
    code_cache.make_room(home)
    assert all(path.exists() for path in half), "one of its files was read today"
    assert not whole[0].parent.exists()


def test_what_was_used_lately_stays_above_the_bound_too(home: Settings) -> None:
    for number in range(5):
        put(home, f"a{number}/code.so", days=40, read=1.9)
    assert code_cache.find_unused(home, days=1) == []
    assert code_cache.find_unused(replace(home, cache_gb=0.0)) == []


def test_what_was_idle_for_long_goes_below_the_bound_too(home: Settings) -> None:
    put(home, "aotautograd/old/entry", days=31, size=1)
    put(home, "aotautograd/new/entry", days=29, size=1)
    put(home, "locks/old.lock", days=400, size=0)
    assert names(code_cache.find_unused(home, days=30), home) == ["aotautograd/old"]


def test_without_compiled_code_there_is_nothing_to_do(home: Settings) -> None:
    assert code_cache.find_unused(home, days=0) == []
    code_cache.make_room(home)
    assert not home.home.exists()


def test_what_somebody_else_deleted_first_is_no_error(home: Settings, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("first", "second"):
        put(home, f"triton/0/{name}/k.cubin", days=9)
    found = code_cache.find_unused(home, days=5)
    shutil.rmtree(found[0].path)
    with caplog.at_level(logging.WARNING):
        code_cache.drop(found)
    assert not any(one.path.exists() for one in found)
    assert not caplog.records


def test_what_breaks_off_while_it_is_deleted_goes_another_time(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, "triton/0/kernel/k.cubin", days=40)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(code_cache.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        code_cache.drop(code_cache.find_unused(home, days=30))
    monkeypatch.undo()
    code_cache.drop(code_cache.find_unused(home, days=30))
    assert not [path for path in code_cache.folder_of(home).rglob("*") if path.is_file()]


def test_room_is_made_before_a_process_compiles(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Told:
        def compile_blocks(self, **options: Any) -> None:
            seen.append([path for path in code_cache.folder_of(home).rglob("*") if path.is_file()])

    monkeypatch.setenv(compiling.KEPT_IN, "")
    monkeypatch.setattr(compiling, "try_compiler", lambda *_: "")
    monkeypatch.setattr(compiling, "compile_decoder", lambda vae: None)
    put(home, "triton/0/kernel/k.cubin", days=9, size=11 * KB)
    compiling.prepare(Told(), None, replace(home, compile="on"), "cpu")
    assert seen == [[]]


PROGRAM = """
import sys

import torch
from torch._dynamo.utils import counters

from core.generation.compiling import rows_in_registers

backend = {"rows": rows_in_registers, "torch": "inductor"}[sys.argv[1]]
assert torch.compile(lambda x: (x + x.sum()).relu(), backend=backend)(torch.ones(8)).tolist() == [9.0] * 8
print(counters["inductor"]["fxgraph_cache_hit"])
"""


def found_when_compiling(home: Settings, backend: str = "rows") -> int:
    """How many graphs a process of its own finds compiled."""
    folder = code_cache.folder_of(home)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend],
        env={**os.environ, compiling.KEPT_IN: str(folder), "TORCHINDUCTOR_VEC_ISA_OK": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout)


needs_a_compiler = pytest.mark.skipif(not compiling.has_compiler("cpu"), reason="there is no compiler")


@needs_a_compiler
def test_what_torch_has_compiled_by_other_choices_is_not_taken(home: Settings) -> None:
    assert found_when_compiling(home, "torch") == 0
    assert found_when_compiling(home, "rows") == 0
    assert found_when_compiling(home, "rows") == 1
    assert found_when_compiling(home, "torch") == 1


@needs_a_compiler
def test_a_process_compiles_again_what_it_misses(home: Settings) -> None:
    folder = code_cache.folder_of(home)

    def grow_old() -> None:
        for path in folder.rglob("*"):
            os.utime(path, (time.time() - 40 * 86_400,) * 2)

    assert found_when_compiling(home) == 0
    grow_old()
    found = code_cache.find_unused(home, days=30)
    code = [one for one in found if one.path.parent == folder]
    assert code
    code_cache.drop(code)
    assert found_when_compiling(home) == 1, "the graph was found, and its code compiled again"
    graphs = [one for one in found if one not in code]
    code_cache.drop(graphs)
    assert found_when_compiling(home) == 1, "what was used since it was found has stayed"
    grow_old()
    code_cache.drop(graphs)
    assert found_when_compiling(home) == 0
