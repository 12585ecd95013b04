"""Every setting of the program, read once from the environment.

Nothing else reads `os.environ`. All variables begin with `DREAMLINE_`; `docs/configuration.md` lists them
and a test holds the two together. With `_FILE` behind its name a variable names a file that holds the value, as
secrets are given to containers.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.errors import BadInput, Problem


def default_home() -> Path:
    """Where data lies when nothing is said: an unprivileged user must be able to reach it, even for root."""
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/dreamline")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "dreamline"


def _setting(default: Any, help_text: str, least: float = 0, known: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help_text, "least": least, "known": known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One value per variable; the variable is `DREAMLINE_` and the field's name in capitals."""

    home: Path = field(
        default_factory=default_home,
        metadata={"help": "folder of the embedded database, the pictures, the weights and the messages"},
    )
    database_url: str | None = _setting(None, "postgresql://… of your own; unset: the embedded Postgres")
    broker_url: str | None = _setting(None, "redis://… or amqp://…; unset: files below the home")
    storage_url: str | None = _setting(
        None, "a folder or bucket for pictures (anything fsspec opens); unset: home/store"
    )
    models: Path | None = _setting(None, "folder of weights; unset: home/models")
    cards: tuple[str, ...] = _setting((), "folders with model cards of your own, separated by commas")
    device: str = _setting("auto", "auto, cpu, cuda, cuda:1 or mps")
    memory: str = _setting("auto", "where weights are: auto, resident, model, group, or fp8 (approximate)")
    precision: str = _setting("auto", "auto (float32 on a CPU, bfloat16 elsewhere), float32 or bfloat16")
    reference_tokens: str = _setting(
        "all",
        "what the model reads of references: all, or not-white (approximate: white ground around what a mask "
        "keeps is left out)",
        known=("all", "not-white"),
    )
    compile: str = _setting(
        "auto",
        "whether transformer and decoder are compiled, which takes half a minute at the first start: auto (large "
        "models on NVIDIA GPUs), on or off",
        known=("auto", "on", "off"),
    )
    cache_gb: float = _setting(
        10.0,
        "most that encoded prompts and references take on disk; 0: none are kept. Compiled code takes a fifth of "
        "it more; what was used in the last two days stays, where the file system notes when files are read",
    )
    plugins: tuple[str, ...] = _setting((), "only these plugins are loaded, separated by commas; empty: all")
    block: tuple[str, ...] = _setting((), "these plugins are not loaded, separated by commas")
    trace_hooks: bool = _setting(False, "1: every hook call is logged with its results")
    log: str = _setting("WARNING", "DEBUG, INFO, WARNING or ERROR")
    log_format: str = _setting("text", "text for people, json for one object a line")
    metrics_port: int = _setting(0, "port on which a worker answers /metrics, /healthz and /readyz; 0: none")
    metrics_host: str = _setting("127.0.0.1", "address for that port; 0.0.0.0 lets other machines ask")
    lease_seconds: float = _setting(20.0, "how long claimed work stays a worker's without a sign of life", least=1)
    poll_seconds: float = _setting(5.0, "how often an idle worker looks for work by itself", least=0.05)
    batch_size: int = _setting(8, "most images that are made together", least=1)
    stay_seconds: float = _setting(
        300.0, "how long a worker goes on with the model that it holds while other work waits for another model"
    )
    batch_seconds: float = _setting(900.0, "longest that one batch may take before its process is ended", least=1)
    max_attempts: int = _setting(6, "claims after which unfinished work is given up as dead", least=1)
    retry_seconds: float = _setting(5.0, "pause before the second attempt; doubles with each one")
    plugin_seconds: float = _setting(
        120.0, "longest that a plugin may take to prepare one reference or to score one image", least=1
    )
    child_memory_gb: float = _setting(
        0.0,
        "most memory of a working process before it is ended; "
        "0: half of the machine's for references, nine tenths for images",
    )
    picture_seconds: float = _setting(60.0, "longest that fetching one picture from an address may take", least=1)
    private_hosts: tuple[str, ...] = _setting(
        (),
        "hosts of your own network that pictures may come from, separated by commas: names, numbers or networks "
        "(10.0.0.0/8); all others must be on the public internet",
    )
    gpu_hour_cost: float = _setting(
        0.0, "price of an hour of one worker that makes images, for plans and budgets; 0: not known"
    )
    currency: str = _setting("EUR", "what it is paid in: three letters")
    c2pa_certificates: Path | None = _setting(
        None,
        "PEM file of the certificate that delivered files are signed with, and those above it; unset: unsigned",
    )
    c2pa_key: Path | None = _setting(None, "PEM file of its private key")
    c2pa_timestamp: str = _setting(
        "", "address of a time-stamping authority (RFC 3161) for signatures; empty: none"
    )
    fake_seconds: float = _setting(0.0, "time that the fake generator takes an image, to stand for a slow one")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Reads `environ` (the process's own by default).

        Raises:
            BadInput: naming every variable that can't be read.
        """
        env = os.environ if environ is None else environ
        known = {f"DREAMLINE_{one.name.upper()}": one for one in fields(cls)}
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        for variable, one in known.items():
            try:
                text = env.get(variable, "") or _from_file(variable, env)
            except BadInput as error:
                problems += error.problems
                continue
            if text:
                try:
                    values[one.name] = _read(str(one.type), text, one.metadata)
                except ValueError:
                    problems.append(
                        Problem(
                            f"environment variable {variable}",
                            f"{text!r} can't be read",
                            f"It means: {one.metadata['help']}{_at_least(one.metadata.get('least', 0))}",
                        )
                    )
        BadInput.gather(problems)
        return cls(**values)

    @property
    def models_folder(self) -> Path:
        return self.models or self.home / "models"

    @property
    def store_url(self) -> str:
        return self.storage_url or str(self.home / "store")

    @property
    def embedded(self) -> bool:
        """Whether the database is the Postgres that dreamline runs itself."""
        return self.database_url is None


def _from_file(variable: str, env: Mapping[str, str]) -> str:
    """The value in the file that `variable` with `_FILE` names; empty where none is named.

    Raises:
        BadInput: it can't be read or is empty.
    """
    named = env.get(f"{variable}_FILE", "")
    if not named:
        return ""
    where = f"environment variable {variable}_FILE"
    try:
        text = Path(named).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BadInput.at(where, f"{named!r} can't be read ({reason})", "Name a file with the value") from error
    if not text:
        raise BadInput.at(where, f"{named!r} is empty", "Write the value into it")
    return text


def _at_least(least: float) -> str:
    return f"; {least:g} at least" if least else ""


def _read(annotation: str, text: str, limits: Mapping[str, Any]) -> Any:
    if annotation == "bool":
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ValueError(text)
    if annotation.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if annotation in ("int", "float"):
        number = int(text) if annotation == "int" else float(text)
        if not limits.get("least", 0) <= number < float("inf"):
            raise ValueError(text)
        return number
    if annotation.startswith("Path"):
        return Path(text).expanduser().absolute()
    if limits.get("known") and text not in limits["known"]:
        raise ValueError(text)
    return text


def misspelt(environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Variables that begin with `DREAMLINE_` and that no setting has: likely slips of the pen."""
    env = os.environ if environ is None else environ
    known = [f"DREAMLINE_{one.name.upper()}" for one in fields(Settings)]
    problems = []
    for variable in sorted(env):
        if variable.startswith("DREAMLINE_") and variable.removesuffix("_FILE") not in known:
            close = difflib.get_close_matches(variable, known, n=1)
            mend = f"Did you mean {close[0]}?" if close else "docs/configuration.md lists the variables"
            problems.append(Problem(f"environment variable {variable}", "no setting has this name", mend))
    return problems
