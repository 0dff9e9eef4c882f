"""BaseMLP: what the classifier and the regressor share, from parameters to fitted attributes."""

import operator
from abc import abstractmethod
from contextlib import nullcontext
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastbp.engine.watch import Watch
from fastbp.network import Network
from fastbp.sklearn import heads, initial, lbfgs, models, stochastic
from fastbp.sklearn.data import Data
from fastbp.sklearn.heads import Head
from fastbp.sklearn.models import Design
from fastbp.sklearn.solvers import Rate
from fastbp.sklearn.threads import budget
from fastbp.validation import shown


class BaseMLP(BaseEstimator):
    """A multi-layer perceptron with scikit-learn's parameters, attributes and methods.

    `coefs_` and `intercepts_` are views of the network's memory: what is written into them counts,
    and so does what takes their place.
    """

    mask_nan = False  # of a regressor, a parameter

    @abstractmethod
    def _checked(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, first: bool
    ) -> tuple[Data, Head]:
        """Check the data of a fit as scikit-learn does; sets `n_features_in_` and the like."""

    @abstractmethod
    def _checked_validation(self, X: Any, y: Any, sample_weight: Any, head: Head) -> Data:
        """Check the validation data of a user."""

    @abstractmethod
    def _score_of(self, outputs: NDArray[Any], data: Data) -> float:
        """The score of the network's outputs for these rows."""

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
        watch: Watch | None = None,
    ) -> Any:
        """Train; the estimator is as it was if nothing comes of it.

        watch: of the thread that calls this, where it is one of several.
        """
        before = {  # curves go on where training does
            name: value.copy() if isinstance(value, list) and name.endswith("_") else value
            for name, value in vars(self).items()
        }
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        try:
            self._check_options(incremental)
            data, head = self._checked(X, y, sample_weight, incremental, first)
            held_out = self._validation(*validation, head)
            self._random_state = check_random_state(self.random_state)
            network = self._prepared(data, head, first, incremental)
            kind = lbfgs if self.solver == "lbfgs" else stochastic
            fit, engine = kind.prepared(self, network, data, held_out, head, incremental)
        except BaseException:
            self._put_back(before)
            raise
        kept = None if first else models.kept(network)
        try:
            with nullcontext() if watch is None else engine.watched(watch):
                fit()
        except BaseException:
            if kept is not None:
                models.put_back(network, *kept)
            self._put_back(before)
            raise
        return self

    def _put_back(self, attributes: dict[str, Any]) -> None:
        self.__dict__.clear()
        self.__dict__.update(attributes)

    def _validation(self, X: Any, y: Any, sample_weight: Any, head: Head) -> Data | None:
        if (X is None) != (y is None):
            given, missing = ("X_val", "y_val") if y is None else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {missing}")
        if X is None:
            if sample_weight is not None:
                raise ValueError("sample_weight_val was given without X_val and y_val")
            return None
        try:
            return self._checked_validation(X, y, sample_weight, head)
        except (TypeError, ValueError) as error:
            raise type(error)(f"of X_val, y_val and sample_weight_val: {error}") from error

    def _check_options(self, incremental: bool) -> None:
        """Raise ValueError for parameters that do not go together."""
        sizes = self._hidden_sizes()
        if not all(isinstance(size, Integral) for size in sizes):
            raise TypeError(f"hidden_layer_sizes must be integers, got {sizes}.")
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.schedule is not None:
            if self.solver == "lbfgs" or incremental:
                raise ValueError(
                    "schedule is for fit with a stochastic solver, not for partial_fit or "
                    "solver='lbfgs'"
                )
            if self.learning_rate != "constant":
                raise ValueError(
                    f"schedule and learning_rate={self.learning_rate!r} were both given"
                )
        if not sizes and np.any(self.dropout):
            raise ValueError("dropout needs a hidden layer; hidden_layer_sizes has none")
        if self.solver == "lbfgs" and np.any(self.dropout):
            raise ValueError("dropout is for the stochastic solvers, not for solver='lbfgs'")

    def _hidden_sizes(self) -> list[Any]:
        sizes = self.hidden_layer_sizes
        return list(sizes) if hasattr(sizes, "__iter__") else [sizes]

    # The network.

    def _prepared(self, data: Data, head: Head, first: bool, incremental: bool) -> Network:
        """The network that is to be trained, and the attributes that a fit begins with."""
        widths = [data.X.shape[1], *map(int, self._hidden_sizes())]
        old = None if first else self._network_if_any()
        dtype = data.X.dtype if first else _float_of(self.coefs_[0])
        design = models.design(self, head, widths, dtype)
        if first:
            network = models.made(design, budget(self.threads))
            initial.draw(network, str(self.activation), self._random_state)
        else:
            self._expect_shapes(design["layers"])
            if old is not None and self._design == design:
                network = old
            else:
                network = models.carried_on(old, vars(self).get("_design"), design)
            models.put([*network.weights, *network.biases], [*self.coefs_, *self.intercepts_])
        network._core.engine.threads = budget(self.threads)
        self._begin(network, design, head, first, incremental)
        return network

    def _expect_shapes(self, layers: list[int]) -> None:
        have = [self.coefs_[0].shape[0], *(coef.shape[1] for coef in self.coefs_)]
        if have != layers:
            raise ValueError(
                "hidden_layer_sizes, features and outputs must be those of the fitted network, "
                f"{have}, to go on with it; got {layers} (warm_start=False begins anew)"
            )

    def _begin(
        self, network: Network, design: Design, head: Head, first: bool, incremental: bool
    ) -> None:
        """Set the fitted attributes as they are before the first step."""
        begun: dict[str, Any] = {"t_": 0, "_no_improvement_count": 0}
        self.n_iter_ = 0
        self.n_outputs_, self.n_layers_ = head.outputs, len(design["layers"])
        self.out_activation_ = head.out_activation
        if self.solver != "lbfgs":
            stopping = self.early_stopping
            begun |= {
                "loss_curve_": [],
                "best_loss_": None if stopping else np.inf,
                "validation_scores_": [] if stopping else None,
                "validation_loss_curve_": [] if stopping else None,
                "best_validation_score_": -np.inf if stopping else None,
            }
        for name, value in begun.items():
            if first or not hasattr(self, name):
                setattr(self, name, value)
        if self.solver != "lbfgs" and not self.early_stopping and vars(self)["best_loss_"] is None:
            self.best_loss_ = np.inf  # the fit before had early stopping
        self._begin_optimizer(network, first or not (incremental or self.keep_optimizer))
        self._adopt(network, design)

    def _begin_optimizer(self, network: Network, anew: bool) -> None:
        """Begin with the optimizer, or go on with it; the network's part comes with the fit."""
        rate: Rate = Rate(self, network.optimizer)
        before: Rate | None = vars(self).get("_optimizer")
        self._moments_anew = anew or before is None
        if before is not None and not anew and before.begins_as(rate):
            rate.learning_rate = before.learning_rate
        self._optimizer = rate  # scikit-learn's name for what has the learning rate

    def _adopt(self, network: Network, design: Design) -> None:
        """Make a network the estimator's own."""
        self._network, self._design = network, design
        self._views = [*network.weights, *network.biases]
        layers = len(network.weights)
        self.coefs_, self.intercepts_ = self._views[:layers], self._views[layers:]

    def _network_if_any(self) -> Network | None:
        """The network with what the user has put into `coefs_` and `intercepts_`, if it fits."""
        network: Network | None = vars(self).get("_network")
        if network is not None and self._are_views():
            return network
        for name in ("coefs_", "intercepts_"):
            arrays = getattr(self, name)
            if not isinstance(arrays, list | tuple):
                raise TypeError(
                    f"{name} must be a list of arrays, one a layer, got {shown(arrays)}"
                )
        if not 0 < len(self.coefs_) == len(self.intercepts_):
            raise ValueError(
                "coefs_ and intercepts_ must hold one array a layer, got "
                f"{len(self.coefs_)} and {len(self.intercepts_)} of them"
            )
        given = [*self.coefs_, *self.intercepts_]
        for number, array in enumerate(given):
            behind = number - len(self.coefs_)
            name, ndim = (f"coefs_[{number}]", 2) if behind < 0 else (f"intercepts_[{behind}]", 1)
            if np.ndim(array) != ndim:
                raise ValueError(f"{name} must have {ndim} dimension(s), got {shown(array)}")
        if network is None:
            return None
        if [view.shape for view in self._views] != [np.shape(array) for array in given]:
            return None
        models.put(self._views, given)
        return network

    def _are_views(self) -> bool:
        """Whether `coefs_` and `intercepts_` hold the network's memory, as a fit leaves them."""
        coefs, intercepts = self.coefs_, self.intercepts_
        if not (type(coefs) is type(intercepts) is list):
            return False
        given = [*coefs, *intercepts]
        return len(given) == len(self._views) and all(map(operator.is_, given, self._views))

    @property
    def network_(self) -> Network:
        """The `fastbp.Network`: to evaluate, save, summarize or export it."""
        check_is_fitted(self)
        return self._fitted_network()

    def _fitted_network(self) -> Network:
        network = self._network_if_any()
        if network is None:  # attributes that were set by hand
            widths = [np.shape(coef)[0] for coef in self.coefs_]
            head = heads.from_attributes(self.out_activation_, np.shape(self.coefs_[-1])[1])
            design = models.design(self, head, widths, _float_of(self.coefs_[0]))
            network = models.made(design, budget(self.threads))
            models.put([*network.weights, *network.biases], [*self.coefs_, *self.intercepts_])
        return network

    def _outputs(self, X: Any) -> NDArray[Any]:
        """The outputs of the network for checked or unchecked rows."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        network = self._fitted_network()
        network._core.engine.threads = budget(self.threads)
        outputs: NDArray[Any] = network.predict(X)
        return outputs

    # What scikit-learn asks for.

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_network" in state and "coefs_" in state and self._network_if_any() is not None:
            for name in ("coefs_", "intercepts_"):  # which are the network's
                del state[name]
        state.pop("_views", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_network" in state:
            self._adopt(self._network, self._design)
            self.__dict__.update(state)


def _float_of(array: Any) -> Any:
    """The dtype of a network with such parameters."""
    return np.float32 if np.asarray(array).dtype == np.float32 else np.float64
