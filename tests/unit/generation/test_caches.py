"""Bounded stores of tensors, in memory and on disk."""

from __future__ import annotations

import logging

import torch

from core.generation.caches import TensorCache, key_of, size_of

MEGA = 10**6


def made(value, calls):
    def make():
        calls.append(value)
        return {"x": torch.full((250,), float(value))}

    return make


def test_a_value_is_made_once_and_read_back_bit_for_bit(tmp_path):
    calls = []
    value = {"x": torch.randn(3, 5).bfloat16(), "y": torch.randn(2)}
    first = TensorCache(tmp_path, "cpu", MEGA, MEGA)
    first.get("ab" * 32, lambda: calls.append(1) or value)
    first.get("ab" * 32, lambda: calls.append(1) or value)
    second = TensorCache(tmp_path, "cpu", MEGA, MEGA).get("ab" * 32, lambda: calls.append(1) or value)
    assert calls == [1]
    assert all(
        torch.equal(second[name], value[name]) and second[name].dtype == value[name].dtype for name in value
    )


def test_a_folder_that_is_written_beside_gets_everything_in_the_end(tmp_path):
    calls = []
    cache = TensorCache(tmp_path, "cpu", MEGA, MEGA, beside=True)
    for number in range(5):
        cache.get(f"{number}" * 64, made(number, calls))
    assert cache._writer is not None
    cache._writer.shutdown()
    again = TensorCache(tmp_path, "cpu", MEGA, MEGA)
    assert [again.get(f"{number}" * 64, made(9, calls))["x"][0] for number in range(5)] == [0, 1, 2, 3, 4]
    assert len(calls) == 5


def test_memory_is_bounded_and_what_was_used_last_stays():
    calls = []
    cache = TensorCache(None, "cpu", 2500, 0)
    for key in ("a", "b", "a", "c", "a", "b"):
        cache.get(key, made(ord(key), calls))
    assert calls == [ord(key) for key in "abcb"]


def test_the_folder_is_bounded_and_the_oldest_goes_first(tmp_path):
    import os

    cache = TensorCache(tmp_path, "cpu", 0, 4000)
    for number, key in enumerate(("aa", "bb", "cc", "dd")):
        cache.get(key, made(number, []))
        for path in tmp_path.glob(f"{key}/*"):
            os.utime(path, (number, number))
    left = sorted(path.stem for path in tmp_path.glob("*/*.safetensors"))
    assert left == ["bb", "cc", "dd"]


def test_a_damaged_file_is_told_and_made_again(tmp_path, caplog):
    calls = []
    TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", made(1, calls))
    next(tmp_path.glob("aa/*")).write_bytes(b"not tensors")
    with caplog.at_level(logging.WARNING, "dreamline"):
        found = TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", made(1, calls))
    assert calls == [1, 1]
    assert found["x"][0] == 1
    assert "can't be read" in caplog.text
    assert TensorCache(tmp_path, "cpu", MEGA, MEGA).get("aa", made(2, calls))["x"][0] == 1


def test_a_folder_that_can_not_be_written_is_told_and_nothing_else(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    found = TensorCache(blocked / "cache", "cpu", MEGA, MEGA).get("aa", made(3, []))
    assert found["x"][0] == 3
    assert "can't be" in caplog.text


def test_keys_tell_apart_what_only_runs_together():
    assert key_of("a", "bc") != key_of("ab", "c")
    assert key_of(b"ab", b"c") != key_of(b"a", b"bc")
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_sizes_are_bytes():
    assert size_of({"x": torch.zeros(3, dtype=torch.bfloat16), "y": torch.zeros(2)}) == 14
