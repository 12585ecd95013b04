"""Fixtures that every kind of test may use: a real Postgres with a fresh, migrated database for each test."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from core import registry as registries
from core.registry import Registry
from core.settings import Settings
from orchestrator.records import embedded
from orchestrator.records.database import Database
from orchestrator.records.storage import Storage, open_storage

os.environ.update({name: "" for name in os.environ if name.startswith("DREAMLINE_")})


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded Postgres of its own; its database `dreamline` is migrated and serves as a template."""
    home = tmp_path_factory.mktemp("cluster")
    url = embedded.ensure_running(home)
    database = Database(Settings(home=home))
    database.upgrade()
    database.close()
    yield url
    embedded.stop(home)


@pytest.fixture
def database_url(cluster: str) -> Iterator[str]:
    """A fresh database with this version's tables."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    server = _named(cluster, "postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template dreamline")
    yield _named(cluster, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


def _named(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    address, _, options = url.partition("?")
    return address.rsplit("/", 1)[0] + f"/{name}" + (f"?{options}" if options else "")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """A home of its own and a fresh database; short leases, so that tests of loss need not wait."""
    return Settings(home=tmp_path / "home", database_url=database_url, lease_seconds=3, retry_seconds=0.1)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    yield database
    database.close()


@pytest.fixture
def store(settings: Settings) -> Storage:
    return open_storage(settings.store_url)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The plugins that are installed."""
    return registries.load(Settings())


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A Redis server that runs already; CI has to have one."""
    return _answering("TEST_REDIS_URL", "redis://127.0.0.1:6379/13")


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """A RabbitMQ server that runs already; CI has to have one."""
    return _answering("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")


def _answering(variable: str, otherwise: str) -> str:
    url = os.environ.get(variable, otherwise)
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2).close()
    except OSError:
        words = f"nothing answers at {address.hostname}:{address.port} ({variable})"
        if os.environ.get("CI"):
            pytest.fail(f"CI has to run {address.scheme}: {words}")
        pytest.skip(words)
    return url
