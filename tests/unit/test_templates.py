"""Templates of campaign files: what they can do, and that nothing they say gets out or runs away."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning.templates import MAX_LENGTH, TemplateMistake, cells, read_template


def fill(source: str, variant: dict[str, object] | None = None, **row: object) -> str:
    return read_template(source).fill(cells(row), variant or {})


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("a {{ row.noun }} {{ scene }}", "a mug on the beach"),
        ('{{ row["noun"] | upper }}', "MUG"),
        ("{{ row.noun.title() }}", "Mug"),
        ("{% if row.count > 2 %}many{% elif row.count %}few{% else %}no{% endif %}", "many"),
        ("{{ 'hot' if row.count == 3 else 'cold' }}", "hot"),
        ("{{ row.tags | split(',') | join(' and ') }}", "red and blue"),
        ("{{ row.tags.split(',')[0] }}", "red"),
        ("{{ row.count + 1 }} {{ row.count / 2 }} {{ row.count * 2 | int }}", "4 1.5 6"),
        ("{{ row.noun ~ row.count }}", "mug3"),
        ("{{ row.lacking | default('plain') }}", "plain"),
        ("{{ row.empty | default('plain') }}", "plain"),
        ("{{ row.empty or 'plain' }}", "plain"),
        ("{% if row.lacking is defined %}x{% endif %}.", "."),
        ("{# said aside #}{% raw %}{{ row }}{% endraw %}", "{{ row }}"),
        ("{{ row.noun is defined }}", "true"),
    ],
)
def test_templates_fill_in_rows_and_variants(source: str, made: str) -> None:
    row = {"noun": "mug", "count": 3, "tags": "red, blue", "empty": None}
    assert fill(source, {"scene": "on the beach"}, **row) == made


def test_a_column_called_like_a_method_of_mappings_is_a_column() -> None:
    assert fill("{{ row.items }} {{ row.keys }}", items="mugs", keys="none") == "mugs none"


@pytest.mark.parametrize(
    "source",
    [
        "{{ row.noun }}",
        "{{ row.noun | upper }}",
        "{{ row.noun.strip() }}",
        "{{ row.noun ~ '!' }}",
        "{{ row.noun + '!' }}",
        "{{ [row.noun] | join }}",
    ],
)
def test_an_empty_cell_is_refused_by_its_column(source: str) -> None:
    with pytest.raises(TemplateMistake, match="the cell in column 'noun' is empty"):
        fill(source, noun=None)


@pytest.mark.parametrize(
    "source",
    [
        "{{ row.__class__ }}",
        "{{ row.noun.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ row.noun['__class__'] }}",
        "{{ (row.noun | string).__init__ }}",
        "{{ row.noun.format(row) }}",
        "{{ '{0.__class__}'.format(row.noun) }}",
        "{{ row.noun.upper.__globals__ }}",
        "{{ row.noun.upper.__self__ }}",
        "{{ [].append(1) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__ }}",
        "{{ namespace() }}",
        "{{ dict() }}",
        "{{ range(10) }}",
        "{{ row.noun | attr('__class__') }}",
        "{{ row | attr('noun') }}",
        "{{ row.noun | map('upper') | list }}",
        "{{ row.noun | format }}",
        "{{ row.noun | pprint }}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% from '/etc/passwd' import x %}",
        "{% extends '/etc/passwd' %}",
        "{% set x = 1 %}{{ x }}",
        "{% macro x() %}{% endmacro %}",
        "{% for x in row.noun %}{{ x }}{% endfor %}",
        "{% block x %}{% endblock %}",
        "{{ row }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ row.noun * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ row.noun | center(1000000000) }}",
        "{{ row.noun.center(1000000000) }}",
        "{{ 'aaaaaaaaaa'" + "|replace('a', 'aaaaaaaaaa')" * 9 + " }}",
        "{{ row.noun | replace('', row.noun) | join(row.noun * 9) }}",
        "{{ row.noun.split(*[',']) }}",
        "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
        "{{ " + "-" * 5000 + "1 }}",
        "{{ " + " + ".join(["1"] * 2500) + " }}",
        "{{ " + "9" * 9000 + " }}",
        "x" * (MAX_LENGTH + 1),
        "{{ row.long ~ row.long }}",
        "{{ row.noun ",
        "{% if %}",
        "{{ row.noun | }}",
        "{{ row.noun > 3 }}",
        "{{ 1 / 0 }}",
        "{{ none.x }}",
        "{{ row.noun[99] }}",
        "{{ nothing }}",
    ],
)
def test_escapes_bombs_and_slips_are_refused_at_once(source: str) -> None:
    began = time.monotonic()
    with pytest.raises(TemplateMistake):
        fill(source, noun="mug", long="x" * MAX_LENGTH)
    assert time.monotonic() - began < 5


@settings(deadline=None)
@given(st.text(max_size=200) | st.text("{}%#|.[]()'\"rowxn _-+*~,=", max_size=80).map("{{{{ {} }}}}".format))
def test_any_text_is_a_template_or_refused(source: str) -> None:
    try:
        template = read_template(source)
        made = template.fill(cells({"noun": "mug", "n": 3, "x": None}), {"scene": "here"})
    except TemplateMistake as mistake:
        made = mistake.what
    assert len(made) <= MAX_LENGTH


@settings(deadline=None)
@given(st.text().filter(lambda text: not any(mark in text for mark in ("{{", "{%", "{#", "}}"))))
def test_text_without_braces_stands_for_itself(source: str) -> None:
    lines = source.replace("\r\n", "\n").replace("\r", "\n")
    expected = lines.removesuffix("\n")
    assert fill(source) == expected


def test_a_template_knows_what_it_names() -> None:
    template = read_template('a {{ row.noun }} [product] {{ row["b c"] }}{{ scene }}{{ row.x | d("") }}')
    assert template.columns == ("noun", "b c", "x")
    assert template.required == ("noun", "b c")
    assert template.names == ("scene",)
    assert not template.plain
