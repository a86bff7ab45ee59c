"""JSON where each object passes, beside the standard library's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from adapters.database.connection import open_database
from adapters.database.studies import storable, storable_tags
from gateway import json_text

texts = st.text(st.characters(codec=None, exclude_categories=()))
"""With NUL and lone surrogates."""
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | texts,
                      lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
                      max_leaves=12)


def same(one: Any, other: Any) -> bool:
    """Equal, where NaN equals itself and 1 is not 1.0."""
    return repr(one) == repr(other)


@given(values)
def test_what_is_written_is_read_again_as_the_standard_library_would(value: Any) -> None:
    assert same(json_text.loads(json_text.dumps(value)), json.loads(json.dumps(value)))
    assert same(json_text.loads(json.dumps(value)), json.loads(json.dumps(value)))
    assert same(json.loads(json_text.dumps(value)), json.loads(json.dumps(value)))
    assert b"\n" not in json_text.dumps(value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        json_text.loads(b'{"a": ')
    with pytest.raises(TypeError):
        json_text.dumps(object())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[sa.Engine, sa.Table]:
    engine = open_database(f"sqlite:///{Path(tmp_path_factory.mktemp('database')) / 'kept.sqlite'}")
    table = sa.Table("kept", sa.MetaData(), sa.Column("tags", sa.JSON, nullable=False))
    table.create(engine)
    return engine, table


@given(st.dictionaries(texts.filter(lambda name: "\0" not in name), values, max_size=4))
def test_tags_are_kept_as_both_databases_take_them(kept: tuple[sa.Engine, sa.Table], tags: dict[str, Any]) -> None:
    engine, table = kept
    with engine.begin() as connection:
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table), {"tags": storable_tags(tags)})
        found = connection.execute(sa.select(table.c.tags)).scalar_one()
    assert same(found, json.loads(json.dumps(storable(tags))))


def test_numbers_that_are_none_become_null() -> None:
    assert json.loads(storable_tags({"SliceThickness": math.nan, "Rows": 2})) == {"SliceThickness": None, "Rows": 2}
