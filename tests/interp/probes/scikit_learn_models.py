"""The models of scikit-learn that a solver's fits must equal."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def reference(
    features, labels, train, inverse_penalty
) -> list[tuple[LogisticRegression, np.ndarray]]:
    """scikit-learn's model of each column, and all examples standardised as it saw them."""
    models = []
    for column, penalty in enumerate(inverse_penalty):
        rows = train[:, column]
        scaled = StandardScaler().fit(features[rows]).transform(features)
        model = LogisticRegression(C=penalty, tol=1e-8, max_iter=100_000)
        models.append((model.fit(scaled[rows], labels[rows, column]), scaled))
    return models
