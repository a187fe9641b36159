from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pytest

from flowxfer.errors import InputError
from flowxfer.evaluation.tables import LikenessTable, UnitTable, read_likeness_set, read_tidy, write_tidy

ALPHAS = (0.3, 0.4, 0.5)


def likeness(shift=0.0):
    to_target = np.array([[0.4, 0.5, 0.6], [0.45, 0.55, np.nan]]) + shift
    return LikenessTable(("ann", "bo"), ALPHAS, to_target + 0.5, to_target, np.array([1.1, 1.2]))


def test_a_likeness_table_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "expression1.csv"
    likeness().write(path)
    read = LikenessTable.read(path)
    assert (read.people, read.alphas) == (("ann", "bo"), ALPHAS)
    for name in ("to_source", "to_target", "of_means"):
        np.testing.assert_array_equal(getattr(read, name), getattr(likeness(), name))


def test_a_unit_table_comes_back_as_it_was_written(tmp_path):
    values = np.round(np.random.default_rng(0).uniform(0, 5, (2, 17)), 2)
    values[1] = np.nan
    UnitTable(("ann_0.3", "ann_mean"), values).write(tmp_path / "AUs.csv")
    read = UnitTable.read(tmp_path / "AUs.csv")
    assert read.names == ("ann_0.3", "ann_mean")
    np.testing.assert_array_equal(read.intensities, values)
    np.testing.assert_array_equal(read["ann_0.3"], values[0])


def test_only_the_published_set_is_put_right(tmp_path, caplog):
    for number in range(1, 6):
        likeness(number).write(tmp_path / f"expression{number}.csv")
    first = {number: round(table.to_target[0, 0] - 0.4) for number, table in read_likeness_set(tmp_path).items()}
    assert first == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        tables = read_likeness_set(tmp_path, published=True)
    assert [round(table.to_target[0, 0] - 0.4) for table in tables.values()] == [1, 2, 4, 3, 5]
    assert list(tables) == [1, 2, 3, 4, 5]
    assert "3 and 4 are swapped" in caplog.text


def test_tidy_csv_has_a_column_for_each_field(tmp_path):
    @dataclass
    class Row:
        person: str
        value: float

    write_tidy([Row("ann", 0.5), Row("bo", float("nan"))], tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == "person,value\nann,0.5\nbo,\n"
    with pytest.raises(InputError, match="at least one row for .*none.csv, got none"):
        write_tidy([], tmp_path / "none.csv")


def test_a_table_of_an_earlier_version_lacks_the_last_columns(tmp_path):
    @dataclass
    class Row:
        person: str
        value: float
        later: float = 7.0

    (tmp_path / "rows.csv").write_text("person,value\nann,0.5\n")
    assert read_tidy(Row, tmp_path / "rows.csv") == [Row("ann", 0.5)]
    (tmp_path / "rows.csv").write_text("person,value,later\nann,0.5,1\n")
    assert read_tidy(Row, tmp_path / "rows.csv") == [Row("ann", 0.5, 1.0)]
    for header in ("person", "person,value,other", "person,value,later,more", ""):
        (tmp_path / "rows.csv").write_text(f"{header}\nann,0.5\n")
        with pytest.raises(InputError, match="expected a table of person,value,later in"):
            read_tidy(Row, tmp_path / "rows.csv")


def test_a_unit_table_names_its_units(tmp_path):
    table = UnitTable(("ann_0.3",), np.array([[0.1234, 1.0]]), ("jawOpen", "mouthPucker"))
    table.write(tmp_path / "AUs.csv")
    read = UnitTable.read(tmp_path / "AUs.csv")
    assert read.units == ("jawOpen", "mouthPucker")
    np.testing.assert_array_equal(read.intensities, table.intensities)


@pytest.mark.parametrize("number", range(1, 6))
def test_published_likeness_is_written_as_it_was_published(seed_folder, tmp_path, number):
    published = seed_folder / "seed_tables/likeliness" / f"expression{number}.csv"
    table = LikenessTable.read(published)
    table.write(tmp_path / "mine.csv")
    _, *rows = published.read_text().splitlines()
    _, *mine = (tmp_path / "mine.csv").read_text().splitlines()
    assert mine == rows
    assert len(table.people) == 4
    if number == 1:
        assert (tmp_path / "mine.csv").read_bytes() == published.read_bytes()


def test_published_means_come_out(seed_folder):
    tables = read_likeness_set(seed_folder / "seed_tables/likeliness", published=True).values()
    columns = [0, 5, 10]
    to_target = np.concatenate([table.to_target for table in tables]).mean(0)[columns]
    to_source = np.concatenate([table.to_source for table in tables]).mean(0)[columns]
    assert to_target.round(3).tolist() == [0.498, 0.647, 0.820]
    assert to_source.round(3).tolist() == [1.164, 1.175, 1.237]


@pytest.mark.parametrize("name", ["AUs_expression1.csv", "AUs_reference.csv"])
def test_published_action_units_are_written_as_they_were_published(seed_folder, tmp_path, name):
    published = seed_folder / "seed_tables/quality" / name
    UnitTable.read(published).write(tmp_path / name)
    assert (tmp_path / name).read_bytes() == published.read_bytes()


def test_what_is_no_table_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(InputError, match="expected a table at .*table.csv, but it cannot be read"):
        LikenessTable.read(path)
    for text in ("", "output_images,0.3,source,target\nann_source,1,0,1\n", "a,0.3,s,t\nann_source,x,0,1\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="expected rows ID_source and ID_target|expected two rows for each person"):
            LikenessTable.read(path)
    for line in ("__import__('os')", "['a.csv', ' 0.1']", "[1, 2]", "['a.csv', 'x']"):
        path.write_text(f"[filename]\n{line}\n")
        with pytest.raises(InputError, match="expected lists of a name and"):
            UnitTable.read(path)
    with pytest.raises(InputError, match="expected files expression1.csv, expression2.csv, …"):
        read_likeness_set(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected a picture of the table, such as ann_0.3, got bo"):
        UnitTable(("ann_0.3",), np.zeros((1, 17)))["bo"]
