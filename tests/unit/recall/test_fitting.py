"""The fit finds weights under which the evidence comes first."""

import numpy as np

from benchmarks.recall.fitting import Asked, fit


def test_finds_the_proportions_that_made_the_data() -> None:
    rng = np.random.default_rng(1)
    true = np.array([4.0, 2.0, -1.0])
    questions = []
    for _ in range(1500):
        signals = rng.random((20, 3)).astype(np.float32)
        odds = np.exp(signals @ true)
        questions.append(Asked(signals, [int(rng.choice(20, p=odds / odds.sum()))]))
    fitted = fit(questions)
    assert fitted[0] == 1
    assert np.abs(fitted - true / true[0]).max() < 0.15


def test_leaves_out_questions_without_evidence_among_the_candidates() -> None:
    signals = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    known = [Asked(signals, [0]), Asked(signals, [0]), Asked(signals, [1])]
    assert fit([*known, Asked(signals, [])]).tolist() == fit(known).tolist()
