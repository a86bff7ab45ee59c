"""Implements gateway.views.SavedViews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from adapters.database.connection import upsert, writing
from adapters.database.tables import saved_views
from gateway.errors import Unusable
from gateway.views import MOST_VIEWS, SavedView


class DatabaseSavedViews:
    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def list(self, owner: str) -> tuple[SavedView, ...]:
        query = sa.select(saved_views).where(saved_views.c.owner == owner).order_by(saved_views.c.name)
        with self._engine.connect() as connection:
            return tuple(SavedView(row.id, row.name, row.query) for row in connection.execute(query))

    def save(self, owner: str, name: str, query: Mapping[str, Sequence[str]]) -> None:
        told = {field: list(values) for field, values in query.items()}
        statement = upsert(self._engine, saved_views).values(owner=owner, name=name, query=told)
        with writing(self._engine) as connection:
            others = connection.execute(sa.select(sa.func.count()).where(
                saved_views.c.owner == owner, saved_views.c.name != name)).scalar_one()
            if others >= MOST_VIEWS:
                raise Unusable(f"there are {MOST_VIEWS} saved views already; delete one first", element="name")
            connection.execute(statement.on_conflict_do_update(
                index_elements=[saved_views.c.owner, saved_views.c.name], set_={"query": told}))

    def delete(self, owner: str, view_id: int) -> None:
        with writing(self._engine) as connection:
            connection.execute(sa.delete(saved_views).where(
                saved_views.c.owner == owner, saved_views.c.id == view_id))
