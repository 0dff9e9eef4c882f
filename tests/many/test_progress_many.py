"""The progress bar of many fits."""

import re

import numpy as np
import pytest
from cases import data

import fastbp

X, Y = data(50, 5, 3)


def test_the_bar_counts_epochs_networks_and_failures(capsys):
    networks = [
        fastbp.Network([5, 8, 3], optimizer=fastbp.SGD(1e30 if number == 1 else 1e-3), rng=number)
        for number in range(3)
    ]
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        histories = fastbp.fit_many(networks, X, Y, epochs=4, progress=True)
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "12/12" in shown
    assert "networks=3/3" in shown
    assert "failed=1" in shown
    loss = np.median([histories[0].last("loss"), histories[2].last("loss")])
    assert re.search(rf"loss={re.escape(f'{loss:.4g}')}\b", shown)


def test_no_bar_unless_wanted(capsys):
    networks = [fastbp.Network([5, 3], rng=0)]
    fastbp.fit_many(networks, X, Y, progress=False)
    fastbp.fit_many(networks, X, Y)  # stderr is no terminal here
    assert capsys.readouterr().err == ""
