"""An older database is brought to exactly the tables that the code knows, without losing a row."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from adapters.database.connection import MIGRATIONS, migrate, open_database
from adapters.database.tables import metadata


def test_migrations_end_at_the_tables(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'new.sqlite'}")
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_of_the_first_release_keeps_its_rows(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'old.sqlite'}")
    _upgrade(engine, "0002")
    with engine.begin() as connection:
        connection.execute(sa.text(
            "INSERT INTO studies (facility, study_instance_uid, patient_name, first_received_at, burst_started_at,"
            " last_received_at, receiving) VALUES ('SITE', '1.2.3', 'Doe^Jane', '2026-01-01 00:00:00.000000',"
            " '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', 0)"))
    migrate(engine)
    with engine.connect() as connection:
        row = connection.execute(sa.select(metadata.tables["studies"])).one()
    assert (row.study_instance_uid, row.evidence, row.missing) == ("1.2.3", [], [])


def _upgrade(engine: sa.Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
