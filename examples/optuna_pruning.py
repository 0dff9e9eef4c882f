"""Hyper-parameters by Optuna: trials that promise little are pruned after some epochs.

Run ``python examples/optuna_pruning.py``; nothing is downloaded. It needs Optuna and scikit-learn.
"""

import argparse
import time

import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastbp
from fastbp.callbacks import OptunaPruning


def main() -> None:
    """Search, and tell what was found and what was saved."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    images, labels = load_digits(return_X_y=True)
    X, Xv, y, yv = train_test_split(images / 16, labels, test_size=500, random_state=0)
    epochs = 0

    def objective(trial: optuna.Trial) -> float:
        nonlocal epochs
        hidden = [trial.suggest_int("width", 8, 128, log=True)] * trial.suggest_int("depth", 1, 3)
        net = fastbp.Network(
            [64, *hidden, 10],
            loss="cross_entropy",
            optimizer=fastbp.Adam(trial.suggest_float("lr", 1e-4, 1e-1, log=True)),
            dropout=trial.suggest_float("dropout", 0.0, 0.5),
            rng=trial.number,
        )
        try:
            history = net.fit(
                X, y, arguments.epochs, trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
                validation_data=(Xv, yv), callbacks=[OptunaPruning(trial)], progress=False,
            )  # fmt: skip
        except optuna.TrialPruned as pruned:
            epochs += pruned.history.epochs
            raise
        epochs += history.epochs
        trial.set_user_attr("accuracy", history.last("val_accuracy"))
        return history.last("val_loss")

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=3),
    )
    began = time.perf_counter()
    study.optimize(objective, n_trials=arguments.trials)
    seconds = time.perf_counter() - began

    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    whole = arguments.trials * arguments.epochs
    print(f"{arguments.trials} trials in {seconds:.1f} s, {pruned} of them pruned")
    print(f"{epochs:,} of {whole:,} epochs were trained")
    print(f"best: {study.best_params}")
    print(f"validation accuracy {100 * study.best_trial.user_attrs['accuracy']:.1f} %")


if __name__ == "__main__":
    main()
