"""Prompt embeddings and reference latents, kept by what they were made from: in memory, and on disk.

Keys hash everything that decides the value: the files of the encoder, its precision and its input. What comes out
of a cache is bit for bit what the encoder gave. Both stores are bounded; what was not used for longest goes first.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.generation.files import write_atomically
from core.generation.transfers import sent

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("dreamline")

Tensors = Mapping[str, "Tensor"]

DIGEST = "sha256"
"""The key of a cache file's metadata that holds `digest_of` its tensors."""


def key_of(*facts: Any) -> str:
    """sha256 over JSON facts and bytes."""
    digest = hashlib.sha256()
    for fact in facts:
        data = fact if isinstance(fact, bytes) else json.dumps(fact, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


class TensorCache:
    """Named tensors by key: on the model's device first, in a folder second, made only where both miss.

    `hits` and `misses` count look-ups; a value read from the folder is a hit. On a GPU a thread writes the
    folder beside what comes next.
    """

    def __init__(
        self, folder: Path | None, device: str, memory: int, disk: int, *, beside: bool | None = None
    ) -> None:
        """`memory` and `disk` are bytes; no folder, nothing on disk. `beside`: whether a thread writes it."""
        self.folder = folder if disk else None
        self.device = device
        self.memory = memory
        self.disk = disk
        self.hits = 0
        self.misses = 0
        self._here: OrderedDict[str, Tensors] = OrderedDict()
        beside = device.startswith("cuda") if beside is None else beside
        self._writer = ThreadPoolExecutor(1, "cache") if beside and self.folder else None

    def get(self, key: str, make: Callable[[], Tensors]) -> Tensors:
        """The value of `key`; `make` is called where it is in neither store."""
        found = self._here.get(key) or self._read(key)
        if found is None:
            self.misses += 1
            found = make()
            if self._writer is None:
                self._write(key, found)
            else:
                self._writer.submit(self._write, key, found).add_done_callback(tell_failure)
        else:
            self.hits += 1
        self._keep(key, found)
        return found

    def _keep(self, key: str, value: Tensors) -> None:
        self._here[key] = value
        self._here.move_to_end(key)
        while len(self._here) > 1 and sum(map(size_of, self._here.values())) > self.memory:
            self._here.popitem(last=False)

    def _file(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.safetensors"

    def _read(self, key: str) -> Tensors | None:
        if self.folder is None:
            return None
        from safetensors import SafetensorError, safe_open

        path = self._file(key)
        try:
            with safe_open(path, "pt") as file:
                told = (file.metadata() or {}).get(DIGEST)
                value = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if told != digest_of(value):
                log.warning("cache file %s holds other tensors than were written: it is made again", path)
                return None
            path.touch()
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError) as error:
            log.warning("cache file %s can't be read (%s): it is made again", path, error)
            return None
        return {name: sent(tensor, self.device) for name, tensor in value.items()}

    def _write(self, key: str, value: Tensors) -> None:
        if self.folder is None:
            return
        from safetensors.torch import save

        kept = {name: tensor.contiguous().cpu() for name, tensor in value.items()}
        data = save(kept, metadata={DIGEST: digest_of(kept)})
        if len(data) > self.disk:
            return
        try:
            self._make_room(len(data))
            write_atomically(self._file(key), data)
        except OSError as error:
            log.warning("cache folder %s can't be written (%s): it is left as it is", self.folder, error)

    def _make_room(self, wanted: int) -> None:
        """Deletes the oldest files until `wanted` bytes fit."""
        assert self.folder is not None
        files = []
        for path in self.folder.glob("*/*.safetensors"):
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue
            files.append((facts.st_mtime_ns, facts.st_size, path))
        total = wanted + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self.disk:
                return
            path.unlink(missing_ok=True)
            total -= size


def tell_failure(written: Future[None]) -> None:
    """Logs what a thread's writing ended with, if that was an error."""
    if (error := written.exception()) is not None:
        log.error("a cache file was not written (%s: %s)", type(error).__name__, error)


def digest_of(tensors: Tensors) -> str:
    """sha256 over names, types, shapes and bytes of tensors on the CPU."""
    import torch

    facts: list[Any] = []
    for name, tensor in sorted(tensors.items()):
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        facts += [[name, str(tensor.dtype), list(tensor.shape)], data]
    return key_of(*facts)


def size_of(tensors: Tensors) -> int:
    """Bytes of all tensors together."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
