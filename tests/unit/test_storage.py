"""The store of pictures: what it keeps, what it refuses, what is left when a write fails."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadInput, DreamlineError, Infrastructure
from orchestrator.records.folder_storage import FolderStorage
from orchestrator.records.storage import BucketStorage, ContentDamaged, ContentMissing, Storage, open_storage

MISSING = "0" * 64


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "deep" / "store"))
    return open_storage(f"memory://{tmp_path.name}/store")


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_was_put_is_got_under_its_hash(store: Storage) -> None:
    name = store.put(b"a picture", "job-1-1")
    assert name == sha256_of(b"a picture")
    assert store.get(name) == b"a picture"
    assert store.exists(name)
    assert store.size(name) == 9
    with store.open_stream(name) as stream:
        assert stream.read(3) == b"a p"


def test_a_store_that_nobody_wrote_to_is_empty_and_is_not_created(store: Storage, tmp_path: Path) -> None:
    assert list(store.all()) == []
    assert list(store.leftovers()) == []
    assert not store.exists(MISSING)
    assert list(tmp_path.iterdir()) == []


def test_all_names_every_content_with_its_size_and_nothing_else(store: Storage) -> None:
    names = {store.put(bytes([number]) * number, "some") for number in range(20)}
    assert dict(store.all()) == {store.put(bytes([n]) * n, "again"): n for n in range(20)}
    assert {name for name, _ in store.all()} == names


def test_a_deleted_content_is_gone_and_deleting_it_again_does_nothing(store: Storage) -> None:
    name = store.put(b"x", "job")
    store.delete(name)
    store.delete(name)
    assert not store.exists(name)
    assert list(store.all()) == []


def test_a_missing_content_is_an_error_that_names_it(store: Storage) -> None:
    with pytest.raises(ContentMissing, match=f"00/{MISSING} is not there"):
        store.get(MISSING)
    with pytest.raises(ContentMissing, match=MISSING):
        store.open_stream(MISSING)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "0/" * 32, "\u0660" * 64]
)
def test_only_a_hash_is_a_name(store: Storage, name: str) -> None:
    for ask in (store.get, store.exists, store.size, store.delete, store.local_path, store.open_stream):
        with pytest.raises(BadInput):
            ask(name)


def test_a_flipped_bit_is_refused_by_name_in_a_folder(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path))
    path = store.local_path(store.put(b"a picture", "job"))
    assert path is not None
    path.write_bytes(b"a pictura")
    with pytest.raises(ContentDamaged, match=str(path)):
        store.get(path.name)


def test_a_truncated_content_is_refused_and_put_again_mends_it(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path))
    path = store.local_path(store.put(b"a picture", "job"))
    assert path is not None
    os.truncate(path, 4)
    with pytest.raises(ContentDamaged, match="its 4 bytes"):
        store.get(path.name)
    assert store.put(b"a picture", "job") == path.name
    assert store.get(path.name) == b"a picture"


def test_a_damaged_object_of_a_bucket_is_refused_and_put_again_mends_a_short_one(tmp_path: Path) -> None:
    import fsspec

    store = open_storage(f"memory://{tmp_path.name}")
    name = store.put(b"a picture", "job")
    key = f"/{tmp_path.name}/{name[:2]}/{name}"
    fsspec.filesystem("memory").pipe_file(key, b"a pic")
    with pytest.raises(ContentDamaged, match=f"memory://{tmp_path.name}/{name[:2]}/{name}"):
        store.get(name)
    store.put(b"a picture", "job")
    assert store.get(name) == b"a picture"


def test_content_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = open_storage(str(tmp_path))
    path = store.local_path(store.put(b"a picture", "job"))
    assert path is not None
    before = path.stat()
    store.put(b"a picture", "another job")
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_folder_serves_paths_and_a_bucket_does_not(store: Storage) -> None:
    name = store.put(b"x", "job")
    path = store.local_path(name)
    if isinstance(store, FolderStorage):
        assert path == store.root / name[:2] / name
        assert path.read_bytes() == b"x"
    else:
        assert path is None
    assert store.local_path(MISSING) is None


def test_files_of_killed_writers_are_listed_with_their_label_and_age_and_can_be_removed(tmp_path: Path) -> None:
    writer = (
        "import os, sys; from orchestrator.records.storage import open_storage; os.fsync = lambda _: os._exit(9);"
        "store = open_storage(sys.argv[1]); os.makedirs(store.root / 'incoming');"
        "import hashlib; os.makedirs(store.root / hashlib.sha256(b'half').hexdigest()[:2]);"
        "store.put(b'half', '../job 7-3')"
    )
    ended = subprocess.run([sys.executable, "-c", writer, str(tmp_path)], check=False)
    assert ended.returncode == 9
    store = open_storage(str(tmp_path))
    (left,) = store.leftovers()
    assert "job_7-3" in left.name
    assert 0 <= left.age < 60
    assert left.size == 4
    assert list(store.all()) == []
    store.delete_leftover(left.name)
    store.delete_leftover(left.name)
    assert list(store.leftovers()) == []
    for name in ("", "..", "../ab/x"):
        with pytest.raises(BadInput):
            store.delete_leftover(name)


def test_a_full_disk_is_an_infrastructure_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the write stops in the middle just the same."""
    writer = (
        "import sys; from core.errors import Infrastructure\n"
        "from orchestrator.records.storage import open_storage\n"
        "try: open_storage(sys.argv[1]).put(b'x' * 100_000, 'job-1-1')\n"
        "except Infrastructure as error: print(error); sys.exit(3)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", writer, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert sha256_of(b"x" * 100_000) in ended.stdout
    assert os.strerror(errno.EFBIG) in ended.stdout
    assert "DREAMLINE_STORAGE_URL" in ended.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_store_where_a_file_is_in_the_way_is_an_infrastructure_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_storage(str(tmp_path / "file" / "store"))
    with pytest.raises(Infrastructure, match="could not be written"):
        store.put(b"x", "job")
    assert list(store.all()) == []


def test_a_bucket_that_fails_is_an_infrastructure_error_that_names_the_content(tmp_path: Path) -> None:
    import fsspec

    (tmp_path / "file").write_text("")
    url = f"file://{tmp_path}/file/bucket"
    store = BucketStorage(url, fsspec.filesystem("file"), f"{tmp_path}/file/bucket")
    asks = (store.get, store.size, store.delete, store.open_stream, lambda _: store.put(b"x", "job"))
    for ask in asks:
        with pytest.raises(Infrastructure, match=f"{url}/[0-9a-f]{{2}}/[0-9a-f]{{64}} (can't|could not) be"):
            ask(MISSING)


def test_a_server_that_is_away_is_an_infrastructure_error_without_the_password() -> None:
    with pytest.raises(Infrastructure) as caught:
        open_storage("ftp://user:secret@127.0.0.1:1/pictures")
    assert "ftp://127.0.0.1:1/pictures" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_without_a_driver_names_the_mend() -> None:
    with pytest.raises(DreamlineError, match="DREAMLINE_STORAGE_URL"):
        open_storage("nosuchthing://bucket")


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    store = open_storage(f"file://{tmp_path}/store")
    assert store.local_path(store.put(b"x", "job")) == tmp_path / "store" / sha256_of(b"x")[:2] / sha256_of(b"x")


def test_many_threads_put_the_same_contents_and_all_of_them_are_whole(store: Storage) -> None:
    contents = [bytes([number]) * 5000 for number in range(8)] * 8
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda data: store.put(data, "job"), contents))
    assert names == [sha256_of(data) for data in contents]
    assert dict(store.all()) == {sha256_of(data): 5000 for data in contents}
    assert list(store.leftovers()) == []


def test_many_processes_put_the_same_contents_and_all_of_them_are_whole(tmp_path: Path) -> None:
    writer = (
        "import sys; from orchestrator.records.storage import open_storage; store = open_storage(sys.argv[1])\n"
        "for number in range(40): store.put(bytes([number]) * 3000, 'job')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", writer, str(tmp_path)]) for _ in range(3)]
    assert [one.wait() for one in writers] == [0, 0, 0]
    store = open_storage(str(tmp_path))
    assert len(dict(store.all())) == 40
    assert all(store.get(name) for name, _ in store.all())
    assert list(store.leftovers()) == []


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=3000), label=st.text(max_size=200))
def test_any_content_comes_back_whatever_the_label(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, label: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-content"
    store = open_storage(str(folder))
    name = store.put(data, label)
    assert store.get(name) == data
    assert (folder / name[:2] / name).is_file()
    assert {path.name for path in folder.iterdir()} >= {"incoming", name[:2]}
    assert list((folder / "incoming").iterdir()) == []
