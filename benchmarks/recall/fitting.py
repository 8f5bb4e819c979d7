"""Fits the weights of the signals to questions whose evidence is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memraft_server.projections.vector_math import Floats

STEPS = 25
HALVINGS = 12
STEP_MIN = 1e-3
RIDGE = 1e-3

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's candidates (shape (candidates, signals)) and which of them are evidence."""

    signals: Floats
    evidence: Sequence[int]


def fit(questions: Sequence[Asked]) -> Floats:
    """Returns weights that make the evidence likely when candidates are drawn by softmax of their scores.

    The conditional logit of McFadden (1974), by Newton's method with a ridge: a convex problem with one
    answer. Weights are divided by the first, since only their proportions order candidates.
    """
    usable = [question for question in questions if len(question.evidence)]
    weights = np.zeros(usable[0].signals.shape[1])
    likelihood, slope, curvature = _expand(usable, weights)
    for _ in range(STEPS):
        step = np.linalg.solve(curvature, slope)
        for _ in range(HALVINGS):
            better = _expand(usable, weights + step)
            if better[0] > likelihood:
                break
            step /= 2
        else:
            break
        weights += step
        likelihood, slope, curvature = better
        if np.abs(step).max() < STEP_MIN:
            break
    return np.asarray(weights / weights[0], np.float32)


def _expand(questions: Sequence[Asked], weights: Doubles) -> tuple[float, Doubles, Doubles]:
    """The mean log-likelihood with the ridge, its slope and its curvature (negated)."""
    likelihood = -RIDGE / 2 * float(weights @ weights)
    slope = -RIDGE * weights
    curvature = np.eye(len(weights)) * RIDGE
    for question in questions:
        signals = question.signals.astype(np.float64)
        scores = signals @ weights
        scores -= scores.max()
        odds = np.exp(scores)
        total = odds.sum()
        odds /= total
        mean = odds @ signals
        evidence = list(question.evidence)
        likelihood += float(scores[evidence].mean() - np.log(total)) / len(questions)
        slope += (signals[evidence].mean(axis=0) - mean) / len(questions)
        curvature += ((signals * odds[:, None]).T @ signals - np.outer(mean, mean)) / len(questions)
    return likelihood, slope, curvature
