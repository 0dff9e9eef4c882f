"""How long calls of scikit-learn's estimators take that fastbp trains."""

import warnings


class Classifier:
    """Calls of a classifier with default parameters on data sets of scikit-learn.

    A fit of iris takes 200 epochs of one step: there, what is around the steps counts.
    """

    params = (["iris", "digits"],)
    param_names = ("data",)
    number = 1  # partial_fit changes the network: each sample starts from a fresh one
    repeat = (5, 50, 5.0)
    warmup_time = 0  # setup has done it

    def setup(self, data):
        try:
            from sklearn import datasets, exceptions
        except ImportError as error:
            raise NotImplementedError("scikit-learn is absent") from error
        from fastbp.sklearn import MLPClassifier

        # asv ends the process with its benchmark, and the filter with it.
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        self.X, self.y = getattr(datasets, f"load_{data}")(return_X_y=True)
        self.model = MLPClassifier(random_state=0, threads=1)
        self.fitted = MLPClassifier(random_state=0, threads=1).partial_fit(
            self.X, self.y, classes=sorted(set(self.y))
        )
        self.time_predict(data)

    def time_fit(self, data):
        self.model.fit(self.X, self.y)

    def time_partial_fit(self, data):
        self.fitted.partial_fit(self.X, self.y)

    def time_predict(self, data):
        self.fitted.predict(self.X)
