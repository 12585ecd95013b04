from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from orchestrator.records.database import Database, newest, version
from orchestrator.records.tables import Table


def test_migrations_make_exactly_the_tables_of_the_models(database: Database) -> None:
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []
        assert version(connection) == newest()


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    database.upgrade()
    with database.begin() as connection:
        assert version(connection) == newest()
