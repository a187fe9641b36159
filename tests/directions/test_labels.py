import numpy as np
import pytest

from flowxfer.directions import read_labels
from flowxfer.errors import InputError

CELEBA = "3\nBald Smiling \n000001.jpg -1  1\n000002.jpg  1 -1\n000003.jpg -1 -1\n"


@pytest.mark.parametrize(
    "text", [CELEBA, "image_id,Bald,Smiling\n000001.jpg,-1,1\n000002.jpg,1,-1\n\n000003.jpg,-1,-1\n"]
)
def test_both_layouts_say_the_same(tmp_path, text):
    (tmp_path / "labels").write_text(text)
    labels = read_labels(tmp_path / "labels")
    assert labels.pictures == ("000001.jpg", "000002.jpg", "000003.jpg")
    assert labels.attributes == ("Bald", "Smiling")
    np.testing.assert_array_equal(labels.values, [[-1, 1], [1, -1], [-1, -1]])


def test_a_spreadsheets_table(tmp_path):
    """With a byte-order mark, and blanks after the commas."""
    (tmp_path / "labels.csv").write_text("\ufeffpicture, Smiling\na.png, 1\nb.png, 0\n", encoding="utf-8")
    labels = read_labels(tmp_path / "labels.csv")
    assert (labels.pictures, labels.attributes) == (("a.png", "b.png"), ("Smiling",))
    (tmp_path / "celeba.txt").write_text("\ufeff" + CELEBA, encoding="utf-8")
    assert read_labels(tmp_path / "celeba.txt").attributes == ("Bald", "Smiling")


def test_a_name_with_blanks_and_numbers(tmp_path):
    (tmp_path / "labels.csv").write_text('picture,age in years\n"a, b.png",32.5\nc.png,64\n')
    labels = read_labels(tmp_path / "labels.csv")
    assert labels.pictures == ("a, b.png", "c.png")
    np.testing.assert_array_equal(labels.values, [[32.5], [64]])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it needs at least one attribute"),
        ("0\n", "it needs at least one attribute"),
        ("0\nBald\n", "it needs at least one attribute"),
        ("3\nBald\na.png 1\n", "1 pictures, where the first line says 3"),
        ("picture,Bald,\na.png,1,0\n", "an attribute has no name, or one that cannot be printed"),
        ("picture,\x1b[2J\na.png,1\n", "an attribute has no name, or one that cannot be printed"),
        ("picture,Bald\na.png,1e300\n", "a number is not finite, or enormous"),
        ("picture,Bald,Bald\na.png,1,0\n", "it needs at least one attribute, each once"),
        ("picture,Bald\na.png,1,0\n", "2 numbers for a.png, where there are 1 attributes"),
        ("1\nBald Smiling\na.png 1\n", "1 numbers for a.png, where there are 2 attributes"),
        ("picture,Bald\na.png,yes\n", "could not convert string to float: 'yes'"),
        ("picture,Bald\na.png,nan\n", "a number is not finite, or enormous"),
    ],
)
def test_what_is_no_list(tmp_path, text, why):
    (tmp_path / "labels").write_text(text)
    with pytest.raises(InputError, match=f"expected labels as CelebA's .* in .*labels: {why}"):
        read_labels(tmp_path / "labels")


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(InputError, match="expected labels as CelebA's .*No such file"):
        read_labels(tmp_path / "none.txt")
    (tmp_path / "labels").write_bytes(b"3\n\xff\xfe\n")
    with pytest.raises(InputError, match="expected labels as CelebA's .*codec can't decode"):
        read_labels(tmp_path / "labels")
