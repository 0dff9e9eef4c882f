"""XOR, the textbook network: every formula of backpropagation in NumPy beside fastbp's answer.

A 2-4-1 network with sigmoid units and the mean squared error. Layer l computes, with a[0] = X,

    z[l] = a[l-1] W[l] + b[l]          a[l] = sigmoid(z[l])

Run ``python examples/xor.py``.
"""

import numpy as np
from numpy.typing import NDArray

import fastbp

Array = NDArray[np.float64]
LEARNING_RATE = 2.0

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([[0.0], [1.0], [1.0], [0.0]])


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)); its derivative is sigmoid(z) (1 - sigmoid(z))."""
    return 1 / (1 + np.exp(-z))


def compare(name: str, ours: Array | float, theirs: Array | float) -> None:
    """Print the largest difference and stop where it is more than rounding."""
    difference = float(np.max(np.abs(np.subtract(ours, theirs))))
    print(f"  {name:<36} largest difference {difference:.1e}")
    if not difference <= 1e-14:
        raise SystemExit(f"{name}: NumPy says {ours}, fastbp {theirs}")


def one_step(net: fastbp.Network) -> None:
    """Do one step of gradient descent by hand and by `net`, and compare every number."""
    W1, W2 = (weights.copy() for weights in net.weights)
    b1, b2 = (biases.copy() for biases in net.biases)

    # Forward pass: weighted sum, bias, activation, layer by layer.
    a1 = sigmoid(X @ W1 + b1)
    a2 = sigmoid(a1 @ W2 + b2)
    compare("prediction  a2", a2, net.predict(X))

    # Loss: L = mean((a2 - y)^2).
    loss = np.mean((a2 - y) ** 2)

    # Backward pass, output layer. The chain rule from the loss to the weighted sum:
    #   delta2 = dL/dz2 = dL/da2 * da2/dz2,  dL/da2 = 2 (a2 - y) / n,  da2/dz2 = a2 (1 - a2).
    delta2 = 2 * (a2 - y) / y.size * a2 * (1 - a2)
    # z2 is linear in W2 with slope a1, in b2 with slope 1; a weight serves all rows: sum them.
    dW2 = a1.T @ delta2
    db2 = delta2.sum(axis=0)

    # Hidden layer. The error goes back through W2, then through the hidden activation:
    #   delta1 = dL/dz1 = (delta2 W2^T) * a1 (1 - a1).
    delta1 = delta2 @ W2.T * a1 * (1 - a1)
    dW1 = X.T @ delta1
    db1 = delta1.sum(axis=0)

    net_loss, gradients = net.loss_and_gradients(X, y)
    compare("loss  L", loss, net_loss)
    compare("dL/dW2 = a1^T delta2", dW2, gradients.weights[1])
    compare("dL/db2 = sum of delta2", db2, gradients.biases[1])
    compare("dL/dW1 = X^T delta1", dW1, gradients.weights[0])
    compare("dL/db1 = sum of delta1", db1, gradients.biases[0])

    # Update: downhill, by the learning rate times the gradient.
    net.train_step(X, y)
    compare("W2 - learning rate * dL/dW2", W2 - LEARNING_RATE * dW2, net.weights[1])
    compare("b2 - learning rate * dL/db2", b2 - LEARNING_RATE * db2, net.biases[1])
    compare("W1 - learning rate * dL/dW1", W1 - LEARNING_RATE * dW1, net.weights[0])
    compare("b1 - learning rate * dL/db1", b1 - LEARNING_RATE * db1, net.biases[0])


def main() -> None:
    """Check some steps by hand, then repeat until the network has learnt XOR."""
    net = fastbp.Network(
        [2, 4, 1],
        activation="sigmoid", output_activation="sigmoid", loss="mse",
        optimizer=fastbp.SGD(LEARNING_RATE), dtype="float64", rng=0,
    )  # fmt: skip
    for step in (1, 2, 3):
        print(f"step {step}")
        one_step(net)

    print("learning")
    for _ in range(20):
        history = net.fit(X, y, epochs=1000, batch_size=4, progress=False)
        print(f"  loss {history['loss'][-1]:.6f}")
        prediction = net.predict(X)
        if np.all(np.abs(prediction - y) < 0.1):
            break
    else:
        raise SystemExit("XOR was not learnt")
    for row, output in zip(X.astype(int), prediction[:, 0], strict=True):
        print(f"  {row[0]} xor {row[1]} = {output:.3f}")


if __name__ == "__main__":
    main()
