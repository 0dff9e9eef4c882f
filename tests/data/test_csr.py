"""Sparse objects whose arrays were changed after they were made: an error, not foreign memory."""

import numpy as np
import pytest
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.data.csr import checked_csr

sparse = pytest.importorskip("scipy.sparse")

ROWS, COLUMNS = 40, 12


def dense():
    X = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    return np.where(X % 7 == 0, X / 100 + 1, 0.0)


def made(form):
    X = dense()
    return (
        sparse.bsr_array(X, blocksize=(2, 3))
        if form == "bsr"
        else sparse.csr_array(X).asformat(form)
    )


def flat_less(array):  # as many rows, no element
    return np.zeros((len(array), 0), array.dtype)


def column(array):
    return array.reshape(-1, 1)


def huge(array):
    array = array.astype(object)
    array[-1] = 2**70
    return array


def with_last(value):
    def changed(array):
        array = array.astype("i8")
        array[-1] = value
        return array

    return changed


def overflowing(array):
    """Starts whose differences are positive, computed in 64 bits."""
    array = array.astype("i8")
    array[1:3] = 2**62 + 1, -(2**62)
    return array


NO_ARRAY = (flat_less, column, huge, list, lambda a: a.astype("f8"))
COMPRESSED = [
    *(("indices", change, "indices must be a 1-D array of integers") for change in NO_ARRAY),
    *(("indptr", change, "indptr must be a 1-D array of integers") for change in NO_ARRAY),
    ("indices", lambda a: a[:-1], "indptr must have"),
    ("indptr", lambda a: a[:-1], "indptr must have"),
    ("indptr", lambda a: a[:0], "indptr must have"),
    ("indptr", lambda a: -a, "indptr must have"),
    ("indptr", with_last(2**40), "indptr must have"),
    ("indptr", overflowing, "indptr must have"),
    ("indices", with_last(2**40), "has an entry in", f"{2**40} of"),
    ("indices", with_last(-1), "has an entry in", "-1 of"),
    ("indices", lambda a: with_last(-1)(a).astype("u8"), "has an entry in", f"{2**64 - 1} of"),
    ("data", lambda a: a[:-1], "indptr must have"),
    ("data", lambda a: a.tolist(), "data must be a", "got a list"),
    ("data", lambda a: a.reshape(1, *a.shape), "data must be a"),
]
VALUES = [
    ("data", flat_less, "data must be a 1-D array of numbers, got shape (", ", 0) of float64"),
    ("data", column, "data must be a 1-D array of numbers"),
]
FORMS = {
    "csr": [*COMPRESSED, *VALUES],
    "csc": [*COMPRESSED, *VALUES],
    "bsr": [
        *COMPRESSED,
        ("data", lambda a: a.reshape(len(a), 6, 1), "blocks of shape (6, 1) do not fill"),
        ("data", lambda a: a[:, :0], "blocks of shape (0, 3) do not fill"),
        ("data", lambda a: a[:, :, 0], "data must be a 3-D array of numbers"),
    ],
    "coo": [
        *VALUES,
        *((axis, change, f"{axis} must be a 1-D array") for axis in ("row", "col")
          for change in NO_ARRAY),
        *((axis, with_last(value), f"has an entry in {axis}", str(value))
          for axis in ("row", "col") for value in (-1, 40, 2**40)),
        ("row", lambda a: a[:-1], "row has"),
        ("data", lambda a: a[:-1], "row has"),
    ],
    "lil": [
        ("data", lambda a: np.array([row[:-1] for row in a] + [[]], object)[:-1], "both of one"),
        ("rows", lambda a: a[:-1], "40 rows must have"),
        ("rows", lambda a: np.array([[2**70 for _ in row] for row in a] + [[]], object)[:-1],
         "cannot convert it to CSR"),
        ("rows", lambda a: np.array([[99 for _ in row] for row in a] + [[]], object)[:-1],
         "has an entry in column 99"),
    ],
    "dia": [
        *(("offsets", change, "offsets must be a 1-D array of integers") for change in NO_ARRAY),
        ("offsets", lambda a: a[:-1], "offsets must have a number"),
        ("offsets", with_last(2**40), "offsets must have a number"),
        ("offsets", with_last(-(2**32)), "offsets must have a number"),
        ("data", lambda a: a[:-1], "offsets must have a number"),
        ("data", lambda a: a[0], "data must be a 2-D array of numbers"),
    ],
}  # fmt: skip
CASES = [(form, *case) for form, cases in FORMS.items() for case in cases]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}-{c[1]}" for i, c in enumerate(CASES)])
def test_a_damaged_structure(case):
    form, attribute, change, *told = case
    X, y = made(form), np.arange(ROWS) % 3
    changed = change(getattr(X, attribute))
    if form == "coo" and attribute != "data" and hasattr(X, "coords"):
        # The newer SciPy's attributes convert.
        X.coords = (changed, X.col) if attribute == "row" else (X.row, changed)
    else:
        setattr(X, attribute, changed)
    net = fastbp.Network((COLUMNS, 3), loss="cross_entropy", rng=0)
    before = contents(net)
    for call in (
        lambda: net.fit(X, y),
        lambda: net.fit(X, y, validation_split=0.25),  # cut before it is read
        lambda: net.fit_batches([(X, y)]),
        lambda: net.evaluate(X, y),
        lambda: net.predict(X),
    ):
        with raises(ValueError, "X ", *told):
            call()
    assert_same(contents(net), before)


@pytest.mark.parametrize("key", [(ROWS, 0), (0, -1), (2**70, 0), "key"], ids=str)
def test_keys_that_are_no_places(key):
    X = made("dok")
    dict.__setitem__(getattr(X, "_dict", X), key, 1.0)  # older ones are a dict
    with raises(ValueError, "X is a damaged DOK matrix"):
        checked_csr(X, "X")


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "lil", "dia", "dok"])
def test_sound_ones_come_through(form):
    X = made(form)
    rows = checked_csr(X, "X")
    assert rows.format == "csr"
    assert (rows is X) == (form == "csr")
    np.testing.assert_array_equal(rows.toarray(), dense())


@pytest.mark.parametrize("kind", ["i2", "i8", "u4", "u8"])
@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
def test_integers_of_every_kind(form, kind):
    X = made(form)
    X.indptr, X.indices = X.indptr.astype(kind), X.indices.astype(kind)
    net = fastbp.Network((COLUMNS, 3), rng=0)
    np.testing.assert_array_equal(net.predict(X), net.predict(made(form)))


def test_diagonals_beside_the_matrix():
    X = sparse.dia_array((np.ones((3, 5)), [0, 99, -99]), shape=(5, 5))
    np.testing.assert_array_equal(checked_csr(X, "X").toarray(), np.eye(5))


def test_what_lies_behind_the_last_entry_is_not_looked_at():
    X = made("csc")
    X.indices, X.data = np.append(X.indices, -9), np.append(X.data, np.nan)
    np.testing.assert_array_equal(checked_csr(X, "X").toarray(), dense())


def test_values_that_are_no_numbers():
    for form in ("csr", "csc", "bsr", "coo"):
        with raises(TypeError, "X must hold real numbers"):
            checked_csr(made(form).astype(complex), "X")
