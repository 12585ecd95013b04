"""Records: how a process that root starts becomes an unprivileged one that still reaches its files.

Postgres refuses to run as root. It runs as the owner of its data or as `nobody`, an account that every system
has, so nothing is added to the system; and where the path to the data or to the programs is closed to that
account, the process keeps one capability that lets it walk there, so nobody's folders are opened.
Imports nothing but the standard library: the keeper starts quickly.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import DreamlineError

# Numbers of linux/prctl.h, linux/securebits.h and linux/capability.h.
_SET_DEATH_SIGNAL = 1
_SET_SECURE_BITS = 28
_NO_SETUID_FIXUP = 1 << 2
_AMBIENT, _AMBIENT_RAISE = 47, 2
_CAPABILITY_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a program runs as. `capability` is a Linux capability number that it keeps, or None."""

    uid: int
    gid: int
    capability: int | None = None


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def choose(program: Path, folder: Path, owner: int | None) -> Identity | None:
    """Whom `program` can run as, working on what lies in `folder`; None when this process is not root.

    Args:
        program: an executable that says its version when asked with `--version`.
        folder: the folder that holds the data.
        owner: the user id that owns the data already, if there is any; root's own does not count.

    Raises:
        DreamlineError: no way was found; the message says what to do.
    """
    if os.geteuid() != 0:
        return None
    entry = _account(owner)
    keeps: list[int | None] = [None]
    if sys.platform == "linux":
        keeps += [_DAC_READ_SEARCH, _DAC_OVERRIDE]
    for capability in keeps:
        identity = Identity(entry.pw_uid, entry.pw_gid, capability)
        if _works(identity, program, folder):
            return identity
    raise DreamlineError(
        f"Postgres refuses to run as root, and as {entry.pw_name} (user {entry.pw_uid}) it cannot reach {folder}"
        f" or {program}. Set DREAMLINE_HOME to a folder that every user may walk to (and install dreamline in"
        " one), run dreamline as another user than root, or set DREAMLINE_DATABASE_URL to a Postgres of your own."
    )


def _account(owner: int | None) -> pwd.struct_passwd:
    if owner:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            raise DreamlineError(
                f"The embedded database belongs to user {owner}, whom this system does not know, and Postgres"
                " runs for known users only. Run dreamline as that user, or give the data to `nobody`."
            ) from None
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid:
            return entry
    raise DreamlineError(
        "Postgres refuses to run as root, and this system has no user `nobody`. Run dreamline as another user,"
        " or set DREAMLINE_DATABASE_URL to a Postgres of your own."
    )


def _works(identity: Identity, program: Path, folder: Path) -> bool:
    become = entering(identity, signal.SIGKILL)

    def enter() -> None:
        become()
        (folder / ".").stat()
        if not os.access(program, os.X_OK):  # Postgres asks so itself, and access(2) has rules of its own
            raise PermissionError(program)

    try:
        asked = subprocess.run(
            [program, "--version"],
            preexec_fn=enter,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (subprocess.SubprocessError, OSError):
        return False
    return asked.returncode == 0


def entering(identity: Identity | None, death_signal: signal.Signals) -> Callable[[], None]:
    """What a child does between fork and exec: become `identity` and, on Linux, end when its parent ends.

    The parent must have one thread only, as the keeper has.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def enter() -> None:
        if identity is not None:
            _become(identity, libc)
        if libc is not None:
            # Last, since the kernel forgets it when the user changes.
            _check(libc.prctl(_SET_DEATH_SIGNAL, int(death_signal), 0, 0, 0))
            if os.getppid() != parent:
                os._exit(1)

    return enter


def _become(identity: Identity, libc: ctypes.CDLL | None) -> None:
    keeps = libc is not None and identity.capability is not None
    if keeps:
        # Becoming another user keeps the capabilities, and access(2) counts them afterwards; all but one of them
        # are given up below.
        _check(libc.prctl(_SET_SECURE_BITS, _NO_SETUID_FIXUP, 0, 0, 0))  # type: ignore[union-attr]
    os.setgroups([])
    os.setgid(identity.gid)
    os.setuid(identity.uid)
    if keeps:
        bit = 1 << identity.capability  # type: ignore[operator]
        header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0))
        _check(libc.capset(ctypes.byref(header), ctypes.byref(sets)))  # type: ignore[union-attr]
        _check(libc.prctl(_AMBIENT, _AMBIENT_RAISE, identity.capability, 0, 0))  # type: ignore[union-attr]


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
