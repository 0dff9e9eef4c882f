"""Several losses of groups of outputs: each group learns as a network with its loss alone would."""

import json
import pickle

import numpy as np
import pytest
from cases import DTYPES, assert_close, assert_same_parameters, both_dtypes, data
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp import losses

NAN = float("nan")
KINDS = {"mse": "real", "huber": "real", "poisson": "counts", "binary_cross_entropy": "bits"}
GROUPS = [  # (name, loss, outputs, weight, output activation) of each task
    pytest.param(
        [("price", "mse", 3, 1.0, None), ("kind", "cross_entropy", 10, 0.5, None)], id="two"
    ),
    pytest.param(
        [
            ("a", "binary_cross_entropy", 1, 2.0, None),
            ("b", "huber", 16, 1.0, "gelu"),
            ("c", "poisson", 17, 0.25, None),
            ("d", losses.CrossEntropy(0.1), 2, 3.0, None),
            ("e", "mse", 5, 0.0, "softmax"),
        ],
        id="five",
    ),
    pytest.param(
        [("wide", "mse", 300, 1.0, "tanh"), ("labels", "cross_entropy", 260, 1.0, None)], id="wide"
    ),
    pytest.param([("only", "mae", 4, 1.5, None)], id="one"),
]
groups_given = pytest.mark.parametrize("groups", GROUPS)
PAIR = GROUPS[0].values[0]


def network(groups=PAIR, hidden=(9, 7), dtype="float64", **arguments):
    """A network with these tasks."""
    width = sum(outputs for _, _, outputs, _, _ in groups)
    return fastbp.Network(
        [5, *hidden, width],
        "tanh",
        loss={name: loss for name, loss, _, _, _ in groups},
        outputs={name: outputs for name, _, outputs, _, _ in groups},
        loss_weights={name: weight for name, _, _, weight, _ in groups},
        output_activation={name: f for name, _, _, _, f in groups if f is not None},
        dtype=dtype,
        rng=0,
        **arguments,
    )


def loss_name(loss):
    return loss if isinstance(loss, str) else loss.name


def examples(groups=PAIR, rows=19):
    """X, and targets of every task."""
    y = {
        name: data(rows, 5, outputs, KINDS.get(loss_name(loss), "real"), seed)[1]
        if loss_name(loss) != "cross_entropy"
        else data(rows, 5, outputs, "labels", seed)[1]
        for seed, (name, loss, outputs, _, _) in enumerate(groups)
    }
    return data(rows, 5, 1)[0], y


def alone(net, groups):
    """A network for each task, with the parameters that it has in the whole one."""
    begin = 0
    for name, loss, outputs, weight, activation in groups:
        single = fastbp.Network(
            [*net.layers[:-1], outputs],
            "tanh",
            loss=loss,
            output_activation=activation,
            dtype=net.dtype,
        )
        columns = slice(begin, begin + outputs)
        for to, source in zip(
            [*single.weights, *single.biases], [*net.weights, *net.biases], strict=True
        ):
            to[:] = source if to.shape == source.shape else source[..., columns]
        yield name, single, weight, columns
        begin += outputs


def assert_sums(net, groups, X, y, rtol=1e-11, of_task=None, **options):
    """Loss and gradients are the sums of those of the tasks alone, times their weights."""
    value, gradients = net.loss_and_gradients(X, y, **options)
    found = [np.zeros_like(g) for g in (*gradients.weights, *gradients.biases)]
    total = 0.0
    for name, single, weight, columns in alone(net, groups):
        own = options | (of_task or {}).get(name, {})
        own.pop("class_weight", None) if name not in (of_task or {}) else None
        part, slopes = single.loss_and_gradients(X, y[name], **own)
        total += weight * part
        for to, slope in zip(found, (*slopes.weights, *slopes.biases), strict=True):
            to[... if to.shape == slope.shape else (..., columns)] += weight * slope
    assert value == pytest.approx(total, rel=rtol)
    assert_close([*gradients.weights, *gradients.biases], found, rtol)


@groups_given
@pytest.mark.parametrize("rows", [1, 16, 33])
@both_dtypes
def test_gradients_are_the_sums_of_the_tasks(groups, rows, dtype):
    rtol = {"float32": 2e-4, "float64": 1e-11}[dtype]
    assert_sums(network(groups, dtype=dtype), groups, *examples(groups, rows), rtol)


@groups_given
def test_weights_and_masks_count_within_each_task(groups):
    X, y = examples(groups, 33)
    rng = np.random.default_rng(1)
    for name, target in y.items():
        y[name] = np.where(rng.random(target.shape) < 0.3, NAN, target)
    net = network(groups)
    assert_sums(net, groups, X, y, mask_nan=True)
    assert_sums(net, groups, X, y, mask_nan=True, sample_weight=rng.exponential(size=33))


def test_a_mask_of_one_task_leaves_the_others_alone():
    X, y = examples()
    y["price"][3:9] = NAN
    assert_sums(network(), PAIR, X, y, mask_nan=True)


def test_class_weights_are_by_task():
    X, y = examples()
    own = {"class_weight": "balanced"}
    options = {"class_weight": {"kind": "balanced"}}
    assert_sums(network(), PAIR, X, y, of_task={"kind": own}, **options)


@pytest.mark.parametrize(
    ("hidden", "rows", "batch"),
    [((9, 7), 50, 16), ((9, 7), 33, 16), ((9,), 901, 601), ((260, 260), 500, 400)],
    ids=["batches", "last-of-one", "parts", "slabs"],
)
def test_fit_is_the_steps_of_its_batches(hidden, rows, batch):
    X, y = examples(rows=rows)
    net, other = network(hidden=hidden), network(hidden=hidden)
    history = net.fit(X, y, 2, batch, shuffle=False, progress=False)
    for epoch in range(2):
        sums = dict.fromkeys(["loss", "price_loss", "kind_loss"], 0.0)
        for start in range(0, rows, batch):
            part = slice(start, start + batch)
            targets = {name: target[part] for name, target in y.items()}
            found = other.evaluate(X[part], targets)
            for name in sums:
                sums[name] += found[name] * len(X[part]) / rows
            loss = other.train_step(X[part], targets)
            assert loss == pytest.approx(found["loss"], rel=1e-12)
        for name, value in sums.items():
            assert history[name][epoch] == pytest.approx(value, rel=1e-10)
    assert_same_parameters(net, other, 1e-10)


def test_losses_of_a_weighted_fit():
    """Of one batch an epoch the losses are those that evaluate finds before the step."""
    X, y = examples()
    y["price"][::3, 1] = NAN
    options = {"sample_weight": np.arange(19.0), "mask_nan": True}
    net = network()
    before = net.evaluate(X, y, **options)
    history = net.fit(X, y, 1, 19, progress=False, **options)
    assert set(history) == {"loss", "price_loss", "kind_loss"}
    for name, values in history.items():
        assert values[0] == pytest.approx(before[name], rel=1e-12)
    assert history["loss"][0] == history["price_loss"][0] + 0.5 * history["kind_loss"][0]


@groups_given
def test_predictions_and_measures_are_those_of_the_tasks(groups):
    X, y = examples(groups, 33)
    net = network(groups, dtype="float32")
    found, outputs = net.evaluate(X, y), net.predict(X)
    assert list(outputs) == [name for name, *_ in groups]
    total = 0.0
    for name, single, weight, _ in alone(net, groups):
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], single.predict(X), rtol=1e-5, atol=1e-6)
        want = single.evaluate(X, y[name])
        assert found[f"{name}_loss"] == pytest.approx(want["loss"], rel=1e-5)
        assert found.get(f"{name}_accuracy") == want.get("accuracy")
        total += weight * found[f"{name}_loss"]
    assert found["loss"] == pytest.approx(total, rel=1e-12)


def test_predictions_of_many_rows():
    """More than go through an output activation at a time."""
    net = network(dtype="float32")
    X = data(9001, 5, 1)[0]
    whole, part = net.predict(X), net.predict(X[8990:])
    for name in whole:
        assert (whole[name][8990:] == part[name]).all()
    np.testing.assert_allclose(whole["kind"].sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("hidden", "rows", "batch"),
    [((19, 9), 43, 24), ((9,), 2003, 1501), ((260, 260), 900, 600)],
    ids=["short", "parts", "slabs"],
)
def test_threads_change_no_bit(hidden, rows, batch, dtype):
    X, y = examples(rows=rows)
    y["price"][::5, 1] = NAN
    options = {"sample_weight": 1.0 + np.arange(rows) % 3, "mask_nan": True}
    runs = []
    for threads in (1, 2, 3):
        net = network(hidden=hidden, dtype=dtype, threads=threads)
        history = net.fit(X, y, 2, batch, progress=False, **options)
        gradients = net.loss_and_gradients(X, y, **options)[1]
        arrays = [*net.weights, *gradients.weights, *net.predict(X).values()]
        runs.append(
            ([array.tobytes() for array in arrays], dict(history), net.evaluate(X, y, **options))
        )
    assert runs[1] == runs[0]
    assert runs[2] == runs[0]


def test_callbacks_see_the_losses_of_tasks():
    X, y = examples()
    seen = []

    class Watch(fastbp.callbacks.Callback):
        def on_step_end(self, fit):
            seen.append(fit.loss)

        def on_epoch_end(self, fit):
            seen.append(fit.history["kind_loss"][-1])

    nets = [network() for _ in range(2)]
    watched = nets[0].fit(X, y, 2, 19, shuffle=False, callbacks=[Watch()], progress=False)
    plain = nets[1].fit(X, y, 2, 19, shuffle=False, progress=False)
    assert dict(watched) == dict(plain)
    assert seen[1::2] == plain["kind_loss"]
    np.testing.assert_allclose(seen[0::2], plain["loss"], rtol=1e-14)


def test_batches_and_validation_have_targets_by_name():
    X, y = examples()
    net = network()
    history = net.fit_batches([(X, y), (X, y)], validation_data=(X, y), progress=False)
    assert history["val_kind_accuracy"][-1] == net.evaluate(X, y)["kind_accuracy"]


def test_a_loss_that_is_not_finite_leaves_the_network_whole():
    X, y = examples()
    net = network(dtype="float32", optimizer=fastbp.SGD(1e30))
    for batch in (19, 4):
        with pytest.raises(FloatingPointError):
            net.fit(X, y, 5, batch, progress=False)
    assert net.steps == 0
    net.weights[-1][:] = 1e30
    before = contents(net)
    with pytest.raises(FloatingPointError):
        net.train_step(X, y)
    assert_same(contents(net), before)


@groups_given
def test_saved_and_pickled(groups, tmp_path):
    X, y = examples(groups)
    net = network(groups)
    net.fit(X, y, progress=False)
    net.save(tmp_path / "model.safetensors")
    for other in (fastbp.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(net))):
        assert other.loss == net.loss
        assert other.evaluate(X, y) == net.evaluate(X, y)
        assert other.train_step(X, y) == pytest.approx(network_step(net, X, y), rel=1e-15)


def network_step(net, X, y):
    """The loss before a step of a copy."""
    return pickle.loads(pickle.dumps(net)).train_step(X, y)


def test_a_fit_is_resumed_to_the_same_bits(tmp_path):
    X, y = examples()
    y["price"][4, 1] = NAN
    options = {"sample_weight": np.arange(19.0), "mask_nan": True, "validation_data": (X, y)}
    whole = network()
    want = whole.fit(X, y, 4, 8, progress=False, **options)
    saved = fastbp.callbacks.Checkpoint(tmp_path / "m")

    class Stop(fastbp.callbacks.Callback):
        def on_epoch_end(self, fit):
            if fit.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        network().fit(X, y, 4, 8, progress=False, callbacks=[saved, Stop()], **options)
    net = fastbp.load(tmp_path / "m")
    with pytest.raises(ValueError, match="X, y and sample_weight"):
        net.fit(X, y, 4, 8, resume=True, **options | {"sample_weight": np.ones(19)})
    assert dict(net.fit(X, y, 4, 8, progress=False, resume=True, **options)) == dict(want)
    assert_same(contents(net), contents(whole))


def test_a_part_is_held_out_of_all_tasks():
    X, y = examples(rows=20)
    weights = 1.0 + np.arange(20)
    halves = network().fit(
        X, y, 2, 8, validation_split=0.25, sample_weight=weights, shuffle=False, progress=False
    )
    first, last = (
        {name: one[part] for name, one in y.items()} for part in (slice(15), slice(15, 20))
    )
    data = X[15:], last, weights[15:]
    want = network().fit(
        X[:15], first, 2, 8,
        validation_data=data, sample_weight=weights[:15], shuffle=False, progress=False,
    )  # fmt: skip
    assert dict(halves) == dict(want)
    with raises(ValueError, "y['kind'] must have a row for each"):
        network().fit(X, {**y, "kind": y["kind"][:4]}, validation_split=0.25)


def test_metrics_are_by_task():
    X, y = examples()
    net = network()
    given = {"price": ["mae"], "kind": ["top_2_accuracy", "accuracy"]}
    found = net.evaluate(X, y, metrics=given)
    assert list(found) == [
        "loss", "price_loss", "price_mae", "kind_loss", "kind_accuracy", "kind_top_2_accuracy",
    ]  # fmt: skip
    want = np.abs(net.predict(X)["price"] - y["price"]).mean()
    assert found["price_mae"] == pytest.approx(want, rel=1e-12)
    history = net.fit(X, y, metrics={"price": ["mae"]}, progress=False)
    assert history["price_mae"] == [net.evaluate(X, y, metrics=given)["price_mae"]]
    for bad, error in ((["mae"], TypeError), ({"cost": ["mae"]}, ValueError)):
        with raises(error, "metrics must", "names of ['price', 'kind']"):
            net.evaluate(X, y, metrics=bad)


def test_a_schedule_can_watch_a_task():
    X, y = examples()
    plateau = fastbp.schedules.ReduceOnPlateau(monitor="kind_loss")
    history = network().fit(X, y, 3, 8, schedule=plateau, progress=False)
    assert len(history["kind_loss"]) == 3


def test_a_file_with_an_activation_of_the_users_own():
    own = fastbp.Activation(lambda z: z, name="own")
    net = network([("a", "mse", 2, 1.0, own), ("b", "mse", 2, 1.0, None)])
    with raises(ValueError, "activation 'own' cannot be saved"):
        net.save("never.safetensors")


GROUP = {
    "name": "a",
    "outputs": 4,
    "loss": {"name": "mse"},
    "activation": "identity",
    "weight": 1,
}
HOSTILE = [  # what a file may say of its groups
    None,
    [],
    {},
    [1],
    [{"name": "a"}],
    [{**GROUP, "name": 1}],
    [{**GROUP, "outputs": 3}],
    [{**GROUP, "loss": {"name": "tasks"}}],
    [{**GROUP, "activation": ["x"]}],
    [{**GROUP, "weight": -1}],
    2 * [{**GROUP, "outputs": 2}],
]


@pytest.mark.parametrize("groups", HOSTILE, ids=json.dumps)
def test_files_that_describe_no_tasks(groups):
    parts = network([("a", "mse", 4, 1.0, None)])._core.configuration
    described = fastbp.configuration.describe(parts)
    assert fastbp.configuration.parse(described).loss.groups[0].outputs == 4
    with pytest.raises((TypeError, ValueError), match=r"group|loss|outputs|activation|name"):
        fastbp.configuration.parse({**described, "loss": {"name": "tasks", "groups": groups}})
    with raises(ValueError, "tasks have their own"):
        fastbp.configuration.parse({**described, "activations": ["tanh", "tanh", "softmax"]})


TWO = {"loss": {"a": "mse", "b": "mse"}, "outputs": {"a": 1, "b": 2}}
ARGUMENTS = [
    ({"loss": {"a": "mse", "b": "mse"}}, TypeError, ("outputs must be a dict", "got None")),
    ({**TWO, "outputs": [1, 2]}, TypeError, ("outputs must be a dict", "got [1, 2]")),
    ({**TWO, "outputs": {"a": 3}}, ValueError, ("outputs must have the names of the losses",)),
    ({**TWO, "outputs": {"a": 1, "c": 2}}, ValueError, ("outputs must have the names",)),
    ({**TWO, "outputs": {"a": 1, "b": 1}}, ValueError, ("add up to the 3 outputs", "1 + 1")),
    ({**TWO, "outputs": {"a": 0, "b": 3}}, ValueError, ("outputs['a'] must be an integer",)),
    ({**TWO, "outputs": {"a": 1.0, "b": 2}}, TypeError, ("outputs['a'] must be an integer",)),
    ({"loss": {}, "outputs": {}}, ValueError, ("loss must have a name for each",)),
    ({"loss": {1: "mse"}, "outputs": {1: 3}}, ValueError, ("loss must have a name for each",)),
    ({"loss": {"val": "mse"}, "outputs": {"val": 3}}, ValueError, ("'val_' means validation",)),
    ({"loss": {"\ud800": "mse"}, "outputs": {"\ud800": 3}}, ValueError, ("lone surrogate",)),
    ({**TWO, "loss": {"a": "mse", "b": "mes"}}, ValueError, ("loss['b'] must be one of",)),
    ({**TWO, "loss_weights": [1, 2]}, TypeError, ("loss_weights must be a dict with names",)),
    ({**TWO, "loss_weights": {"c": 1}}, ValueError, ("loss_weights must have names of",)),
    ({**TWO, "loss_weights": {"a": -1}}, ValueError, ("loss_weights['a'] must be",)),
    ({**TWO, "loss_weights": {"a": 0, "b": 0}}, ValueError, ("must not all be zero",)),
    ({**TWO, "output_activation": "relu"}, TypeError, ("output_activation must be a dict",)),
    ({**TWO, "output_activation": {"c": "relu"}}, ValueError, ("output_activation must have",)),
    ({**TWO, "output_activation": {"a": "relo"}}, ValueError, ("output_activation['a'] must be",)),
    (
        {"loss": {"a": "cross_entropy"}, "outputs": {"a": 3}, "output_activation": {"a": "relu"}},
        ValueError,
        ("output_activation['a'] of loss 'cross_entropy' must be 'softmax'",),
    ),
    ({"loss": "mse", "outputs": {"a": 3}}, ValueError, ("outputs tells the tasks of a loss",)),
]


@pytest.mark.parametrize(("arguments", "error", "parts"), ARGUMENTS)
def test_arguments_that_make_no_tasks(arguments, error, parts):
    with raises(error, *parts):
        fastbp.Network([2, 3], **arguments)


X, Y = examples()
TARGETS = [
    (np.zeros((19, 13)), {}, TypeError, ("y must be a dict with the targets of ['price', 'k",)),
    ({"price": Y["price"]}, {}, ValueError, ("y must have the targets of", "those of ['price']")),
    ({**Y, "more": 1}, {}, ValueError, ("y must have the targets of",)),
    ({**Y, "kind": Y["kind"][:4]}, {}, ValueError, ("y['kind'] must have a row for each", "got 4")),
    ({**Y, "kind": Y["kind"] + 5}, {}, ValueError, ("y['kind'] holds", "from 0 to 9")),
    ({**Y, "price": Y["price"] * NAN}, {}, ValueError, ("y['price'] holds nan", "mask_nan=True")),
    (Y, {"class_weight": "balanced"}, TypeError, ("class_weight must be a dict with names of",)),
    (Y, {"class_weight": {"kin": "balanced"}}, ValueError, ("class_weight must have names of",)),
    (Y, {"class_weight": {"price": "balanced"}}, ValueError, ("class_weight['price'] needs",)),
    (Y, {"class_weight": {"kind": {0: 1}}}, ValueError, ("class_weight['kind'] must be", "for 1")),
    (Y, {"sample_weight": [1, 2]}, ValueError, ("sample_weight must have shape (19,)",)),
]  # fmt: skip


@pytest.mark.parametrize(("y", "options", "error", "parts"), TARGETS)
def test_targets_of_tasks(y, options, error, parts):
    net = network()
    before = contents(net)
    for call in (net.fit, net.train_step, net.evaluate, net.loss_and_gradients):
        with raises(error, *parts):
            call(X, y, **options)
    if not options:
        with raises(error, f"validation_data {parts[0]}", *parts[1:]):
            net.fit(X, Y, validation_data=(X, y))
    assert_same(contents(net), before)


def test_a_network_with_one_loss_takes_no_dict():
    with raises(TypeError, "y must hold real numbers"):
        fastbp.Network([5, 3]).fit(X, Y)


def test_what_a_network_with_tasks_says_of_itself():
    assert "price: MSE() of 3, kind: CrossEntropy(label_smoothing=0.0) of 10" in repr(network())
    assert [task.weight for task in network().loss.groups] == [1.0, 0.5]
