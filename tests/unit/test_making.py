"""A process that makes images, in a thread: what it says, in which order, and what it does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from core import registry as registries
from core.cards import load_card
from core.errors import Infrastructure
from core.requests import Image, Preparation, Request
from core.settings import Settings
from orchestrator.records.storage import Storage, open_storage
from orchestrator.working.chores import Chores
from orchestrator.working.claims import Claim
from orchestrator.working.hands import Hands
from orchestrator.working.inbox import Inbox
from orchestrator.working.likes import Likes
from orchestrator.working.making import Maker
from orchestrator.working.messages import Batch, Begun, Doing, Drop, Failed, Finished, Soon, Stored

PIN = "storyboard fake/1 0"


class Gate:
    """The fake generator, which waits after its first step until it is let through; as slow as a model."""

    id = "fake/1"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.calls = 0

    def generate(
        self, requests: Sequence[Request], references: Sequence[Sequence[Preparation]], on_step: Any = None
    ) -> Iterator[Image]:
        from PIL import Image as Picture

        self.calls += 1
        for number, request in enumerate(requests):
            on_step(number * 100 + 1, len(requests) * 100)
            self.begun.set()
            assert self.open.wait(20)
            on_step(number * 100 + 100, len(requests) * 100)
            yield Image(Picture.new("RGB", (8, 8)), request)


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    return open_storage(str(tmp_path / "store"))


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def wire(tmp_path: Path, store: Storage, gate: Gate) -> Iterator[Connection]:
    """The supervisor's end of a process that makes images with `gate`."""
    settings = Settings(home=tmp_path / "home")
    ours, theirs = Pipe()
    maker = Maker(Inbox(theirs), settings, registries.load(settings), store)
    maker._generators = {PIN: gate}
    thread = threading.Thread(target=maker.serve)
    thread.start()
    yield ours
    gate.open.set()
    ours.close()
    thread.join(20)
    maker._fetcher.shutdown()
    maker._saver.shutdown()
    theirs.close()
    assert not thread.is_alive()


def payload(number: int, references: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    card = load_card("storyboard", Settings())
    request = Request(card.name, f"image {number}", (), 64, 64, number, 2, 1.0)
    return {"id": number, "fence": 1, "pin": PIN, "request": request.as_dict(), "references": list(references)}


def hear(wire: Connection, until: Callable[[Any], bool]) -> list[Any]:
    """What is said until something is."""
    said: list[Any] = []
    while not said or not until(said[-1]):
        assert wire.poll(20), f"silence after {said}"
        said.append(wire.recv())
    return said


def finished(number: int) -> Callable[[Any], bool]:
    return lambda message: isinstance(message, Finished) and message.number == number


def of(kind: type, said: Sequence[Any]) -> list[Any]:
    return [one for one in said if isinstance(one, kind)]


def test_a_batch_is_begun_stored_and_finished_in_this_order(wire: Connection, store: Storage, gate: Gate) -> None:
    gate.open.set()
    wire.send(Batch(1, (payload(1), payload(2))))
    said = hear(wire, finished(1))
    assert said[0] == Begun(1)
    assert [one.id for one in of(Stored, said)] == [1, 2]
    assert all(store.exists(one.stored["sha256"]) for one in of(Stored, said))
    assert [one.id for one in of(Doing, said)][:2] == [None, 2]
    assert said[-1].busy > 0
    assert said[-1].idle == 0


def test_the_next_batch_is_asked_for_before_the_first_one_ends(wire: Connection, gate: Gate) -> None:
    wire.send(Batch(1, (payload(1),)))
    assert gate.begun.wait(20)
    gate.open.set()
    said = hear(wire, finished(1))
    kinds = [type(one) for one in said]
    assert kinds.index(Soon) < kinds.index(Stored)


def test_the_references_of_the_next_batch_are_read_while_this_one_is_made(
    wire: Connection, store: Storage, gate: Gate
) -> None:
    missing = {"result": "0" * 64, "mask": None, "kind": "subject"}
    wire.send(Batch(1, (payload(1), payload(2))))
    assert gate.begun.wait(20)
    wire.send(Batch(2, (payload(3, [missing]), payload(4)), follows=True))
    gate.open.set()
    said = hear(wire, finished(2))
    (failed,) = of(Failed, said)
    assert (failed.id, failed.together) == (3, ()), "one whose reference is gone fails alone"
    assert [one.id for one in of(Stored, said)] == [1, 2, 4]
    assert 0 < said[-1].idle < 5


def test_a_batch_that_nobody_wants_any_more_ends_at_its_next_step(wire: Connection, gate: Gate) -> None:
    wire.send(Batch(1, (payload(1), payload(2))))
    assert gate.begun.wait(20)
    wire.send(Drop(frozenset({1, 2})))
    gate.open.set()
    said = hear(wire, finished(1))
    assert not of(Stored, said) + of(Failed, said)


def test_what_is_left_of_a_batch_is_made(wire: Connection, gate: Gate) -> None:
    wire.send(Batch(1, (payload(1), payload(2), payload(3))))
    assert gate.begun.wait(20)
    wire.send(Drop(frozenset({1, 3})))
    gate.open.set()
    assert [one.id for one in of(Stored, hear(wire, finished(1)))] == [2]


def test_a_batch_that_was_dropped_before_its_turn_is_not_begun_with(wire: Connection, gate: Gate) -> None:
    wire.send(Batch(1, (payload(1),)))
    assert gate.begun.wait(20)
    wire.send(Batch(2, (payload(2),)))
    wire.send(Drop(frozenset({2})))
    gate.open.set()
    hear(wire, finished(2))
    assert gate.calls == 1


def test_all_that_were_made_together_are_named_when_their_generator_raises(
    wire: Connection, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(requests: Any, references: Any, on_step: Any = None) -> Iterator[Image]:
        raise ValueError("nobody expected this")
        yield

    monkeypatch.setattr(gate, "generate", generate)
    wire.send(Batch(1, (payload(1), payload(2))))
    said = of(Failed, hear(wire, finished(1)))
    assert [(one.id, one.together) for one in said] == [(1, (1, 2)), (2, (1, 2))]
    assert said[0].error["message"] == "ValueError: nobody expected this"


def test_images_that_come_in_another_order_are_kept_for_nobody(
    wire: Connection, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_order = Gate.generate

    def generate(requests: Any, references: Any, on_step: Any = None) -> Iterator[Image]:
        yield from reversed(list(in_order(gate, requests, references, on_step)))

    monkeypatch.setattr(gate, "generate", generate)
    gate.open.set()
    wire.send(Batch(1, (payload(1), payload(2))))
    said = hear(wire, finished(1))
    assert not of(Stored, said)
    assert [one.id for one in of(Failed, said)] == [1, 2]
    assert "another request than was due" in of(Failed, said)[0].error["message"]


def test_a_worker_stays_with_its_model_for_a_while_and_then_looks_at_everything() -> None:
    now = [100.0]
    likes = Likes(60, clock=lambda: now[0])
    assert likes.now().pin == ""
    likes.took("flux", "flux square")
    assert (likes.now().pin, likes.now().batch) == ("flux", "flux square")
    now[0] += 59
    likes.took("flux", "flux portrait")
    assert likes.now().batch == "flux portrait"
    now[0] += 2
    assert likes.now().pin == "", "taking the same model again does not prolong a stay"
    likes.took("flux", "flux portrait")
    now[0] += 59
    assert likes.now().pin == "flux", "what was taken without a liking begins another stay"


def test_a_number_is_never_given_to_two_batches_of_one_child() -> None:
    hands = Hands()
    first = hands.take([], [payload(1)], {}, follows=False)
    hands.empty()
    assert hands.take([], [payload(1)], {}, follows=False).number > first.number


def test_a_batch_that_is_unwanted_for_long_is_noticed() -> None:
    hands = Hands()
    hands.take([], [payload(1)], {}, follows=False)
    (batch,) = hands.batches
    assert batch.unwanted_for(10.0, hands.open) == 0, "it was not begun"
    hands.begun(batch.number)
    assert batch.unwanted_for(20.0, hands.open) == 0
    assert batch.unwanted_for(25.0, hands.open) == 5


def test_what_was_given_back_and_claimed_again_belongs_to_its_new_batch_alone() -> None:
    hands = Hands()
    first, again = (Claim(1, "key", fence, 1, "pin", "batch", alone=False) for fence in (1, 2))
    other = Claim(2, "key", 1, 1, "pin", "batch", alone=False)
    old = hands.take([first, other], [payload(1), payload(2)], {}, follows=False)
    hands.begun(old.number)
    hands.drop(frozenset({1}))
    new = hands.take([again], [payload(1)], {}, follows=True)
    assert hands.under_way() == [other]
    assert hands.not_begun() == [again]
    assert hands.finished(old.number) == [other], "it was never asked for what another batch is to make"
    assert hands.finished(new.number) == [again]


def test_chores_keep_nobody_waiting_and_are_done_once_for_all_who_ask_meanwhile() -> None:
    done, go = [], threading.Event()

    def work() -> None:
        assert go.wait(20)
        done.append(1)

    chores = Chores(work, "cpu")
    for _ in range(5):
        chores.ask()
    assert not done
    go.set()
    chores.settle()
    assert 1 <= len(done) <= 2
    chores.ask()
    chores.settle()
    assert len(done) <= 3
    chores._thread.shutdown()


def test_a_chore_that_fails_is_done_again_the_next_time() -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise Infrastructure("the database is away")

    chores = Chores(work, "cpu")
    for _ in range(2):
        chores.ask()
        chores.settle()
    assert len(tries) == 2
    chores._thread.shutdown()
