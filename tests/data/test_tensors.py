"""Tensors by way of DLPack: memory that is shared, and errors that say what to do."""

import numpy as np
import pytest
from contents import assert_same, contents
from expect import raises

import fastbp
from fastbp.data.arrays import contiguous, finite, numeric

X = np.random.default_rng(0).normal(size=(40, 3)).astype("f4")
LABELS = np.random.default_rng(1).integers(0, 3, 40)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def outcome(X, y):
    net = fastbp.Network([3, 5, 3], loss="cross_entropy", rng=0)
    history = net.fit(X, y, epochs=2, validation_data=(X, y))
    predictions = net.predict(X)
    assert type(predictions) is np.ndarray
    return [dict(history), net.evaluate(X, y), predictions.tobytes()], contents(net)


def assert_as_arrays(features, labels):
    given, want = outcome(features, labels), outcome(X, LABELS)
    assert given[0] == want[0]
    assert_same(given[1], want[1])


def test_all_methods_take_tensors_of_torch(torch):
    assert_as_arrays(torch.tensor(X), torch.tensor(LABELS))


def test_all_methods_take_arrays_of_jax():
    jnp = pytest.importorskip("jax.numpy")
    assert_as_arrays(jnp.array(X), jnp.array(LABELS))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tensor_is_not_copied(torch, dtype):
    tensor = torch.zeros(4, 3, dtype=getattr(torch, dtype))
    array = finite(numeric(tensor, "X"), dtype, "X")
    tensor[1, 2] = 7
    assert array[1, 2] == 7
    assert np.shares_memory(array, tensor.numpy())


def test_an_array_of_jax_is_not_copied():
    jnp = pytest.importorskip("jax.numpy")
    array = jnp.ones((4, 3))
    assert contiguous(numeric(array, "X"), "f4").ctypes.data == array.unsafe_buffer_pointer()


@pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "int64", "float16", "float64"])
def test_every_dtype_that_numpy_knows(torch, kind):
    array = numeric(torch.tensor([[1, 0], [1, 1]]).to(getattr(torch, kind)), "X")
    assert array.dtype == kind
    np.testing.assert_array_equal(array, [[1, 0], [1, 1]])


def test_strided_tensors(torch):
    whole = torch.arange(24.0).reshape(6, 4)
    for part in (whole.t(), whole[::2, 1:], whole[0].expand(3, 4)):
        np.testing.assert_array_equal(contiguous(numeric(part, "X"), "f4"), part.numpy())


def test_a_sign_that_torch_holds_back_is_not_lost(torch):
    negated = torch.tensor([1 + 2j, 3 + 4j]).conj().imag
    assert negated.is_neg()
    np.testing.assert_array_equal(numeric(negated, "y"), [-2, -4])


def test_tensors_that_require_grad(torch):
    for tensor in (torch.ones(2, 3, requires_grad=True), torch.nn.Parameter(torch.ones(2, 3))):
        with raises(TypeError, "X must not require grad", "pass X.detach()"):
            fastbp.Network([3, 1]).predict(tensor)
        assert numeric(tensor.detach(), "X").shape == (2, 3)


def test_tensors_that_numpy_cannot_read(torch):
    net = fastbp.Network([2, 1])
    half = torch.ones(3, 2, dtype=torch.bfloat16)
    with raises(TypeError, "X must be an array that NumPy", "dtype torch.bfloat16", "X.float()"):
        net.predict(half)
    with raises(TypeError, "validation_data y must be", "; pass validation_data y.float()"):
        net.fit(X[:, :2], X[:, 0], validation_data=(half.float(), half[:, :1]))
    with raises(TypeError, "X must be an array that NumPy can read", "X.to_dense() makes"):
        net.predict(torch.ones(3, 2).to_sparse())
    with raises(TypeError, "y must be an array that NumPy can read", "meta"):
        net.fit(X[:, :2], torch.ones(40, device="meta"))
    with raises(TypeError, "X must hold real numbers", "complex64; pass the real"):
        net.predict(torch.ones(3, 2, dtype=torch.complex64))
    assert net.steps == 0


def test_bfloat16_of_jax():
    jnp = pytest.importorskip("jax.numpy")
    with raises(TypeError, "X must be an array that NumPy", "bfloat16", "X.astype('float32')"):
        numeric(jnp.ones((2, 2), jnp.bfloat16), "X")


class Device:
    """A tensor in the memory of a GPU."""

    dtype, device = "float32", "cuda:0"

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **options):
        raise AssertionError("asked for, never called")


class Torch(Device):
    def cpu(self):
        raise AssertionError("asked for, never called")


class Cupy(Device):
    def get(self):
        raise AssertionError("asked for, never called")


def test_tensors_on_other_devices():
    for kind, how in ((Device, ""), (Torch, "; pass X.cpu()"), (Cupy, "; pass X.get()")):
        message = f"X must be in the memory of the CPU; got a {kind.__name__} of dtype float32 on"
        with pytest.raises(TypeError) as caught:
            fastbp.Network([3, 1]).predict(kind())
        assert str(caught.value) == f"{message} cuda:0{how}"


def test_whatever_speaks_dlpack():
    class Tensor:
        dtype = "float32"

        def __dlpack_device__(self):
            return X.__dlpack_device__()

        def __dlpack__(self, **options):
            return X.__dlpack__(**options)

    assert np.shares_memory(contiguous(numeric(Tensor(), "X"), "f4"), X)
