"""Tables and notes that people bring: what other programs write is read, all else is one line."""

import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsel.utils.errors import BadInput
from dsel.utils.readers import (
    NAME,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    read_arrays,
    read_csv,
    read_json,
    read_text,
)

COLUMNS = {"id": NAME, "n": WHOLE}
REMEDY = "make it again"


def read(path, **options):
    return read_csv(path, COLUMNS, remedy=REMEDY, **options)


@pytest.fixture
def table(tmp_path):
    """A function that writes bytes to a file and reads it as a table."""

    def of(data: bytes, **options):
        (tmp_path / "t.csv").write_bytes(data)
        return read(tmp_path / "t.csv", **options)

    return of


@pytest.mark.parametrize(
    "data",
    [
        b"id,n\na,1\nb,2\n",
        b"\xef\xbb\xbfid,n\r\na,1\r\nb,2\r\n",  # Excel: byte order mark and CRLF
        b"id,n\ra,1\rb,2",  # an old Mac; no line break at the end
        b"id, n\na, 1\nb, 2\n",  # blanks after commas
        b" id , n \na,1\nb,2\n",
        b"id,n\n\na,1\n\n,\nb,2\n\n",  # empty lines, and lines of empty cells
        b"id,n,,\na,1,,\nb,2,,\n",  # columns that a spreadsheet adds
        b'"id","n"\n"a","1"\n"b","2"\n',
        b"id,n\na,1.0\nb,2e0\n",  # pandas
        b"n,id\n1,a\n2,b\n",
    ],
)
def test_what_other_programs_write_is_read(table, data):
    assert table(data) == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def test_kinds_of_cells(tmp_path):
    (tmp_path / "t.csv").write_text("id,n,x,y,z\na,-3,1e3,True, two words\nb,4,nan,,\n")
    kinds = {"x": NUMBER, "y": YES_NO, "w": WHOLE}
    first, second = read(tmp_path / "t.csv", optional=kinds)
    assert first == {"id": "a", "n": -3, "x": 1000.0, "y": True, "z": "two words"}
    assert second.pop("x") != second.get("x")  # nan
    assert second == {"id": "b", "n": 4, "z": ""}  # an empty text is one; other empty cells are not
    kinds = {"id": NAME, "z": TEXT, "y": TEXT}
    numbers = read_csv(tmp_path / "t.csv", kinds, remedy=REMEDY, other=NUMBER)
    assert numbers[0]["n"] == -3.0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "t.csv: is empty"),
        (b"\n\n", "t.csv: is empty"),
        (b"id,m\na,1\n", "line 1: no column n;"),
        (b"x,y\n", "line 1: no column id, n;"),
        (b"id;n\na;1\n", r"no column id, n \(cells are separated by ';', not by a comma\)"),
        (b"id\tn\na\t1\n", r"separated by '\\t'"),
        (b"id,n,n\na,1,1\n", "line 1: two columns are called n"),
        (b"id,n\na,1\nb,x\n", "line 3, column n: 'x' is not a whole number"),
        (b"id,n\na,1\n\n\nb,1.5\n", "line 5, column n: '1.5' is not a whole number"),
        (b"id,n\na,nan\n", "column n: 'nan' is not a whole number"),
        (b"id,n\na,1e400\n", "column n: '1e400' is not a whole number"),
        (b"id,n\na,99999999999999999999\n", "is not a whole number"),
        (b"id,n\na,\n", "line 2, column n: an empty cell is not a whole number"),
        (b"id,n\n,1\n", "line 2, column id: an empty cell is not a name"),
        (b"id,n\na\n", "line 2: 1 cells for 2 columns"),
        (b"id,n\na,1,2\n", "line 2: 3 cells for 2 columns"),
        (b'id,n\n"a,1\nb,2\n', "t.csv, line 3: unexpected end of data"),
        (b'id,n\n"a"b,1\n', "t.csv, line 2: "),
        (b"id,n\n" + 200_000 * b"a" + b",1\n", "line 2: field larger than field limit"),
        ("id,n\nä,1\n".encode("utf-16"), "t.csv: is in UTF-16; save it as UTF-8"),
        ("id,n\na,1\n한,2\n".encode("cp949"), "line 3: is not in UTF-8; save the file as UTF-8"),
        (b"id,n\n" + 9000 * b"a,1\n" + b"\xff,1\n", "line 9002: is not in UTF-8"),
        (b"id,n\nb\0,1\n", "t.csv, line 2"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "t.csv: holds binary data, not text"),
    ],
)
def test_a_fault_is_one_line_with_place_and_remedy(table, data, says):
    with pytest.raises(BadInput, match=says) as caught:
        table(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert REMEDY in str(caught.value)


def test_a_last_line_that_a_kill_cut_off_is_left_out(table):
    assert len(table(b"id,n\na,1\nb,2", cut_last=True)) == 1
    assert len(table(b"id,n\na,1\nb,2\n", cut_last=True)) == 2
    for data in (b"id,n\n", b"id,n", b"i", b""):
        assert table(data, cut_last=True) == []


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opened for reading, it would wait for ever
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "large").write_bytes(3 * b"1234567\n")
    for name, says in (
        ("absent", "missing"),
        ("", "is a folder, not a file"),
        ("pipe", "is a pipe or a device, not a file"),
        ("/dev/zero", "is a pipe or a device"),
        ("loop", "missing"),
    ):
        for reader in (read, read_text, read_json, read_arrays):
            options = {} if reader is read else {"remedy": REMEDY}
            with pytest.raises(BadInput, match=says):
                reader(tmp_path / name, **options)
    with pytest.raises(BadInput, match="large: 24 bytes, 23 bytes at most"):
        read_text(tmp_path / "large", remedy=REMEDY, most=23)
    assert len(read_text(tmp_path / "large", remedy=REMEDY, most=24)) == 24


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "line 1, column 1: not JSON"),
        (b'{"a": 1,\n "b": }', "line 2, column 7: not JSON"),
        (b"[1]", "holds a list, not an object"),
        (b"null", "holds null, not an object"),
        (b'{"a": 1}', "no entry 'b'"),
        (b'{"a": "1", "b": []}', "entry 'a' is text, not a whole number"),
        (b'{"a": true, "b": []}', "entry 'a' is true or false, not a whole number"),
        (b'{"a": 1, "b": {}}', "entry 'b' is an object, not a list or null"),
        (100_000 * b"[", "not JSON that can be read"),
        (b'{"a": ' + 5000 * b"9" + b"}", "not JSON that can be read"),
        ('{"a": 1}'.encode("utf-16"), "is in UTF-16"),
        (b'{"a": "\xff"}', "line 1: is not in UTF-8"),
    ],
)
def test_json_that_is_not_what_was_expected(tmp_path, data, says):
    (tmp_path / "j.json").write_bytes(data)
    entries = {"a": int, "b": (list, type(None))}
    with pytest.raises(BadInput, match=says) as caught:
        read_json(tmp_path / "j.json", remedy=REMEDY, entries=entries)
    assert "\n" not in str(caught.value)


def test_json_with_a_byte_order_mark(tmp_path):
    (tmp_path / "j.json").write_bytes(b'\xef\xbb\xbf{"a": 1,\r\n "b": null}')
    assert read_json(tmp_path / "j.json", remedy=REMEDY, entries={"a": int}) == {"a": 1, "b": None}


def test_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.array(["ä"]))
    found = read_arrays(tmp_path / "a.npz", remedy=REMEDY)
    assert found["x"].tolist() == [0, 1, 2]
    assert read_arrays(tmp_path / "a.npz", ("y", "z"), remedy=REMEDY).keys() == {"y"}
    np.savez_compressed(tmp_path / "b.npz", x=np.zeros(1 << 20))  # 8 MiB in a small file
    with pytest.raises(BadInput, match="8 MiB of arrays, 524288 bytes at most"):
        read_arrays(tmp_path / "b.npz", remedy=REMEDY, most=1 << 19)


@pytest.mark.parametrize("cut", [0, 3, 40, 130, 200])
def test_damaged_arrays_and_code_in_them(tmp_path, cut):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    (tmp_path / "a.npz").write_bytes(data[:cut])
    with pytest.raises(BadInput, match=r"not a whole \.npz"):
        read_arrays(tmp_path / "a.npz", remedy=REMEDY)
    np.savez(tmp_path / "b.npz", x=np.array([print]))  # pickled
    with pytest.raises(BadInput, match=r"not a whole \.npz"):
        read_arrays(tmp_path / "b.npz", remedy=REMEDY)
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:  # an array that claims terabytes
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117) + b"\n")
    with pytest.raises(BadInput, match=r"not a whole \.npz"):
        read_arrays(tmp_path / "c.npz", remedy=REMEDY)


def outcome(reader, path, **options):
    """What is read, or the message."""
    try:
        return reader(path, **options), ""
    except BadInput as error:
        return None, str(error)


@settings(max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='id,n\n\r"1.\0;ä \t-e', max_size=80).map(lambda t: b"id,n\n" + t.encode()),
    )
)
def test_whatever_the_bytes_the_answer_is_rows_or_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    path.write_bytes(data)
    rows, message = outcome(read, path)
    assert all(row["id"] and isinstance(row["n"], int) for row in rows or ())
    for says in (message, outcome(read_json, path, remedy=REMEDY)[1]):
        assert "\n" not in says
        assert not says or says.startswith(str(path))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_json_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "j.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_json(path, remedy=REMEDY, entries={}) == value
