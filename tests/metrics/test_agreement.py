"""Every metric against an independent implementation, on random and degenerate rows, those without a value included."""

from __future__ import annotations

import re
import string
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance
from sklearn import metrics as sk

from graftc.compiler import variants
from graftc.compiler.execution.prepared import Examples
from graftc.compiler.metrics import answers, classification, contrast, embeddings, language, ranking, regression
from graftc.compiler.metrics import entities as entity_scores

RANDOM, DEGENERATE = 200, 50
NEAR = 1e-9
Case = tuple[dict[str, Any], dict[str, Any], Examples]  # record, outputs, examples
Score = float | None


def examples(targets: Any, references: Any = None, features: Any = ()) -> Examples:
    rows = len(targets)
    return Examples(np.asarray(targets), np.arange(rows), references=references or [{}] * rows, features=features)


def value(function: Callable[[], Any]) -> Score:
    """What a library gives, None where it gives NaN or refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = float(function())
        except ValueError:
            return None
    return found if np.isfinite(found) else None


def mean(values: list[Score]) -> Score:
    found = [each for each in values if each is not None]
    return float(np.mean(found)) if found else None


def same(ours: Score, theirs: Score, what: str) -> None:
    assert (ours is None) == (theirs is None), f"{what}: {ours} {theirs}"
    if ours is not None and theirs is not None:
        assert abs(ours - theirs) <= NEAR, f"{what}: {ours} {theirs}"


def cases(make: Callable[[np.random.Generator, bool], Case]) -> Iterator[tuple[str, Case]]:
    for kind, count in (("random", RANDOM), ("degenerate", DEGENERATE)):
        for number in range(count):
            yield f"{kind} {number}", make(np.random.default_rng([number, kind == "random"]), kind != "random")


# --- labels


def single(draw: np.random.Generator, is_poor: bool) -> Case:
    labels = int(draw.integers(2, 7))
    rows = int(draw.integers(1, 4) if is_poor else draw.integers(5, 40))
    logits = draw.normal(size=(rows, labels)).astype(np.float32) * 3
    truth = draw.integers(0, 1 if is_poor else labels, rows)
    if is_poor and draw.random() < 0.5:
        logits = np.round(logits)  # ties
    if is_poor and draw.random() < 0.3:
        logits[:] = 0.0
    return {"labels": tuple("abcdefg"[:labels]), "is_multi": False}, {"logits": logits}, examples(truth)


def several(draw: np.random.Generator, is_poor: bool) -> Case:
    labels = int(draw.integers(1, 6))
    rows = int(draw.integers(1, 5) if is_poor else draw.integers(5, 40))
    logits = draw.normal(size=(rows, labels)).astype(np.float32)
    truth = (draw.random((rows, labels)) < (draw.choice([0.0, 1.0, 0.1]) if is_poor else 0.3)).astype(np.float32)
    if is_poor and draw.random() < 0.5:
        logits = np.round(logits)
    record = {"labels": tuple("abcdef"[:labels]), "is_multi": True, "thresholds": tuple(draw.random(labels))}
    return record, {"logits": logits}, examples(truth)


def of_labels(name: str, case: Case) -> Score:
    record, outputs, seen = case
    logits, truth = outputs["logits"].astype(np.float64), seen.targets
    if record["is_multi"]:
        shares = special.expit(logits)
        chosen, hot = shares >= np.array(record["thresholds"]), truth > 0.5
        occurring = [i for i in range(hot.shape[1]) if hot[:, i].any() or chosen[:, i].any()]
        chosen, kept = chosen[:, occurring].astype(int), hot[:, occurring].astype(int)
    else:
        shares, hot = special.softmax(logits, -1), truth[:, None] == np.arange(logits.shape[1])
        chosen, kept, occurring = logits.argmax(-1), truth, [0]
    kind, _, average = name.rpartition("_")
    ranked = {"roc_auc": sk.roc_auc_score, "average_precision": sk.average_precision_score}
    if kind == "roc_auc":
        return mean([value(lambda i=i: ranked[kind](hot[:, i], shares[:, i])) if 0 < hot[:, i].sum() < len(hot) else None for i in range(hot.shape[1])])  # fmt: skip
    if kind == "average_precision":
        return mean([value(lambda i=i: ranked[kind](hot[:, i], shares[:, i])) if hot[:, i].any() else None for i in range(hot.shape[1])])  # fmt: skip
    if name == "ece":
        return calibration(shares, truth)
    if name in ("accuracy", "subset_accuracy"):
        whole = special.expit(logits) >= np.array(record["thresholds"]) if record["is_multi"] else chosen
        return value(lambda: sk.accuracy_score(hot if record["is_multi"] else truth, whole))
    if not occurring or (average == "weighted" and not hot.any()):
        return None
    function = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}[kind]
    if record["is_multi"] and len(occurring) == 1:  # which scikit-learn takes for two classes
        return value(lambda: function(kept[:, 0], chosen[:, 0], zero_division=0))
    return value(lambda: function(kept, chosen, average=average, zero_division=0))


def calibration(shares: np.ndarray, truth: np.ndarray) -> float:
    """Guo et al.'s sum, bin by bin."""
    certain, right = shares.max(-1), shares.argmax(-1) == truth
    total = 0.0
    for number in range(classification.ECE_BINS):
        low, high = number / classification.ECE_BINS, (number + 1) / classification.ECE_BINS
        inside = (certain > low) & (certain <= high)
        if inside.any():
            total += inside.mean() * abs(certain[inside].mean() - right[inside].mean())
    return float(total)


@pytest.mark.parametrize("make", [single, several])
def test_labels_are_scored_as_scikit_learn_does(make: Callable[..., Case]) -> None:
    undefined: Counter[str] = Counter()
    for what, case in cases(make):
        for name in classification.names({"labels": ()} if case[0]["is_multi"] else {}):
            ours = classification.one(name, *case)
            same(ours, of_labels(name, case), f"{name}, {what}")
            undefined[name] += ours is None
        report = classification.report(*case)
        assert [report[name] for name in classification.names({"labels": ()} if case[0]["is_multi"] else {})] == [
            classification.one(name, *case)
            for name in classification.names({"labels": ()} if case[0]["is_multi"] else {})
        ]
    assert undefined["roc_auc_macro"] > 10


def test_the_mean_is_over_labels_that_have_a_value() -> None:
    """One class alone in validation, rightly ranked: 1.0 for the labels that can be ranked, nothing made up for others."""
    record = {"labels": ("a", "b", "c"), "is_multi": False}
    logits = np.array([[2.0, 0, -9], [3, 0, -9], [0, 2, -9], [0, 3, -9]], np.float32)
    two = classification.report(record, {"logits": logits}, examples([0, 0, 1, 1]))
    assert two["roc_auc_macro"] == 1.0
    assert two["f1_per_class"] == {"a": 1.0, "b": 1.0, "c": None}
    one = classification.report(record, {"logits": logits}, examples([0, 0, 0, 0]))
    assert one["roc_auc_macro"] is None
    assert one["accuracy"] == 0.5


# --- numbers


def numbers(draw: np.random.Generator, is_poor: bool) -> Case:
    rows, count = int(draw.integers(1, 5) if is_poor else draw.integers(5, 40)), int(draw.integers(1, 4))
    truth, found = (draw.normal(size=(rows, count)).astype(np.float32) for _ in range(2))
    if is_poor:  # column by column, so that some of several numbers are flat on one side
        truth, found = (np.where(draw.random(count) < 0.5, side, np.float32(0.1)) for side in (truth, found))
    elif draw.random() < 0.5:
        truth, found = np.round(truth), np.round(found)
    return {"names": tuple("abc"[:count])}, {"logits": found}, examples(truth)


def of_numbers(name: str, found: np.ndarray, truth: np.ndarray) -> Score:
    found, truth = found.astype(np.float64), truth.astype(np.float64)
    is_flat = np.ptp(truth) == 0
    functions: dict[str, Callable[[], Any]] = {
        "pearson": lambda: stats.pearsonr(found, truth)[0] if np.ptp(found) and not is_flat else np.nan,
        "spearman": lambda: stats.spearmanr(found, truth)[0],
        "r2": lambda: np.nan if is_flat else sk.r2_score(truth, found, force_finite=False),
        "mse": lambda: sk.mean_squared_error(truth, found),
        "rmse": lambda: sk.root_mean_squared_error(truth, found),
        "mae": lambda: sk.mean_absolute_error(truth, found),
    }
    return value(functions[name])


def of_columns(name: str, found: np.ndarray, truth: np.ndarray) -> Score:
    """The mean over the numbers that the rows can score; none where a library gives one of them no value."""
    scored = [i for i in range(truth.shape[1]) if np.ptp(truth[:, i]) > 0 or name in ("mse", "rmse", "mae")]
    each = [of_numbers(name, found[:, i], truth[:, i]) for i in scored]
    return None if None in each else mean(each)


def test_numbers_are_scored_as_scipy_and_scikit_learn_do() -> None:
    undefined: Counter[str] = Counter()
    partly = 0
    for what, (record, outputs, seen) in cases(numbers):
        for name in regression.NAMES:
            ours = regression.one(name, record, outputs, seen)
            same(ours, of_columns(name, outputs["logits"], seen.targets), f"{name}, {what}")
            undefined[name] += ours is None
            partly += ours is not None and bool((np.ptp(seen.targets, 0) == 0).any())
    assert undefined["pearson"] > 5
    assert undefined["mse"] == 0
    assert partly > 5


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_no_mean_of_several_numbers_gains_where_the_answers_to_one_collapse(name: str) -> None:
    """The worse number is left out by nobody: a mean over the other alone would be higher."""
    draw = np.random.default_rng(0)
    truth = draw.normal(size=(40, 2))
    found = truth + draw.normal(size=(40, 2)) * [0.1, 2.0]
    record = {"names": ("a", "b")}
    whole = regression.one(name, record, {"logits": found}, examples(truth))
    best = regression.one(name, {"names": ("a",)}, {"logits": found[:, :1]}, examples(truth[:, :1]))
    assert whole is not None
    assert best is not None
    assert whole < best
    collapsed = np.where([True, False], found, 0.5)
    assert regression.one(name, record, {"logits": collapsed}, examples(truth)) is None
    flat = np.where([True, False], truth, 3.0)  # which scores no answers, collapsed or not
    for answers_given in (found, collapsed):
        assert regression.one(name, record, {"logits": answers_given}, examples(flat)) == best


def test_answers_that_are_no_numbers_have_no_score() -> None:
    found = np.array([[1.0, np.nan], [2.0, 1.0]])
    for name in regression.NAMES:
        assert regression.one(name, {"names": ("a", "b")}, {"logits": found}, examples(np.eye(2))) is None


# --- entities


def tagged(draw: np.random.Generator, is_poor: bool) -> tuple[list[list[str]], list[list[str]]]:
    """True and found tags of some texts, sound IOB2."""
    kinds = ["PER", "LOC", "ORG"][: int(draw.integers(1, 4))]

    def tags(words: int) -> list[str]:
        found: list[str] = []
        for _ in range(words):
            kind = draw.choice(kinds)
            goes_on = bool(found) and found[-1] != "O" and draw.random() < 0.4
            found.append(f"I-{found[-1][2:]}" if goes_on else str(draw.choice(["O", "O", f"B-{kind}"])))
        return found

    lengths = [int(draw.integers(1, 3) if is_poor else draw.integers(3, 10)) for _ in range(int(draw.integers(1, 5)))]
    truth, found = [tags(words) for words in lengths], [tags(words) for words in lengths]
    if is_poor:
        truth, found = ([["O"] * len(row) for row in side] if draw.random() < 0.4 else side for side in (truth, found))
    return truth, found


def spans(rows: list[list[str]]) -> set[tuple[int, int, int, str]]:
    found, start = set(), None
    for number, row in enumerate(rows):
        for place, tag in enumerate([*row, "O"]):
            if start is not None and not tag.startswith("I-"):
                found.add((number, start, place, row[start][2:]))
                start = None
            if tag.startswith("B-"):
                start = place
    return found


def of_entities(name: str, truth: list[list[str]], found: list[list[str]]) -> Score:
    """By hand, from sets of spans."""
    if name == "accuracy":
        pairs = [(a, b) for left, right in zip(truth, found, strict=True) for a, b in zip(left, right, strict=True)]
        return float(np.mean([a == b for a, b in pairs]))
    true, said = spans(truth), spans(found)
    kind, _, average = name.partition("_")

    def score(true: set[Any], said: set[Any]) -> float:
        right = len(true & said)
        over = {"precision": len(said), "recall": len(true), "f1": (len(true) + len(said)) / 2}[kind]
        return right / over if over else 0.0

    if not true | said:
        return None
    if average == "micro":
        return score(true, said)
    types = sorted({span[3] for span in true | said})
    each = [score({s for s in true if s[3] == t}, {s for s in said if s[3] == t}) for t in types]
    if average == "macro":
        return float(np.mean(each))
    weights = [sum(s[3] == t for s in true) for t in types]
    return float(np.average(each, weights=weights)) if sum(weights) else None


def test_entities_are_scored_by_their_spans() -> None:
    for kind, count in (("random", RANDOM), ("degenerate", DEGENERATE)):
        for number in range(count):
            truth, found = tagged(np.random.default_rng([number, kind == "random"]), kind != "random")
            for name in entity_scores.NAMES:
                ours = entity_scores._value(name, truth, found)
                same(ours, of_entities(name, truth, found), f"{name}, {kind} {number}: {truth} {found}")


def test_entities_are_scored_as_seqeval_does() -> None:
    """Its own averages, where they have a value."""
    from seqeval import metrics
    from seqeval.scheme import IOB2

    compared = 0
    for number in range(RANDOM):
        truth, found = tagged(np.random.default_rng(number), False)
        if not spans(truth):
            continue
        for name in entity_scores.NAMES[:-1]:
            kind, _, average = name.partition("_")
            function = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score}
            theirs = value(
                lambda f=function[kind], a=average, t=truth, s=found: f(
                    t, s, average=a, mode="strict", scheme=IOB2, zero_division=0
                )
            )
            same(entity_scores._value(name, truth, found), theirs, f"{name} {number}")
            compared += 1
    assert compared > RANDOM


# --- answers in contexts

WORDS = ["the", "a", "An", "Tower", "tower", "of", "Paris", "Paris,", "1887", "iron", "-", "it's"]


def official(given: str, true: list[str], is_f1: bool) -> float:
    """SQuAD 2.0's rules, written down anew from their description."""

    def words(text: str) -> list[str]:
        lowered = "".join(c for c in text.lower() if c not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", lowered).split()

    golds = [text for text in true if words(text)] or [""]
    if not is_f1:
        return max(float(words(given) == words(gold)) for gold in golds)
    best = 0.0
    for gold in golds:
        ours, theirs = words(given), words(gold)
        if not ours or not theirs:
            best = max(best, float(ours == theirs))
            continue
        common = sum((Counter(ours) & Counter(theirs)).values())
        if common:
            precision, recall = common / len(ours), common / len(theirs)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def test_answers_are_scored_by_the_rules_of_squad() -> None:
    for number in range(RANDOM + DEGENERATE):
        draw = np.random.default_rng(number)

        def text(draw: np.random.Generator = draw, most: int = 5 if number < RANDOM else 2) -> str:
            return " ".join(draw.choice(WORDS, int(draw.integers(0, most))))

        given = [text() for _ in range(int(draw.integers(1, 5)))]
        true = [[text() for _ in range(int(draw.integers(0, 3)))] for _ in given]
        found = answers._mean(given, true)
        for name, is_f1 in (("f1", True), ("exact_match", False)):
            theirs = float(np.mean([official(*pair, is_f1) for pair in zip(given, true, strict=True)]))
            same(found[name], theirs, f"{name} {number}: {given} {true}")


def test_answers_are_scored_apart_where_there_is_one_and_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    given, true = ["iron", "", "a tower", "Paris"], [["iron"], [], [], ["in Paris"]]
    monkeypatch.setattr(answers, "_given", lambda *_: given)
    seen = examples(np.arange(4), [{"answers": [(0, text) for text in texts]} for texts in true])
    found = answers.report({}, {}, seen)
    assert found["answerable"] == {"f1": (1 + 2 / 3) / 2, "exact_match": 0.5, "number": 2}
    assert found["unanswerable"] == {"f1": 0.5, "exact_match": 0.5, "number": 2}


# --- passages, vectors, words


def ranked(draw: np.random.Generator, is_poor: bool) -> Case:
    rows = int(draw.integers(1, 6) if is_poor else draw.integers(8, 40))
    found = draw.normal(size=(rows, 1)).astype(np.float32)
    levels = [-1.0, 0.0, 1.0, 0.5] if not is_poor else [0.0, 0.0, 1.0]
    truth = draw.choice(levels, (rows, 1)).astype(np.float32)
    if is_poor and draw.random() < 0.6:
        found = np.round(found)
    queries = [f"query {draw.integers(0, 1 if is_poor else 5)}" for _ in range(rows)]
    return {"relevant": 0.5}, {"logits": found}, examples(truth, queries)


def of_ranks(name: str, case: Case) -> Score:
    record, outputs, seen = case
    scores: list[Score] = []
    for query in dict.fromkeys(seen.references):
        rows = [i for i, other in enumerate(seen.references) if other == query]
        found, truth = outputs["logits"][rows, 0].astype(np.float64), seen.targets[rows, 0].astype(np.float64)
        relevant = truth >= record["relevant"]
        truth = truth - min(0.0, float(seen.targets.min()))  # scikit-learn takes no negative gains
        if name == "ndcg" and truth.any():
            # scikit-learn refuses lists of one
            scores.append(1.0 if len(rows) == 1 else value(lambda t=truth, f=found: sk.ndcg_score([t], [f])))
        elif name == "map" and relevant.any():
            scores.append(value(lambda r=relevant, f=found: sk.average_precision_score(r, f)))
        elif name == "mrr" and relevant.any():
            order = sorted(range(len(rows)), key=lambda i: (-found[i], relevant[i]))
            scores.append(1 / (1 + next(place for place, i in enumerate(order) if relevant[i])))
    return mean(scores)


def test_passages_are_scored_as_scikit_learn_does() -> None:
    undefined = defined = 0
    for what, case in cases(ranked):
        for name in ranking.NAMES:
            ours = ranking.one(name, *case)
            same(ours, of_ranks(name, case), f"{name}, {what}")
            undefined += ours is None
            defined += ours is not None
    assert undefined > 5
    assert defined > RANDOM


def test_passages_are_scored_as_sentence_transformers_does() -> None:
    """Its reranking evaluator, told the scores that a cross-encoder would give."""
    from sentence_transformers.cross_encoder import evaluation

    compared = 0
    for number in range(30):
        draw = np.random.default_rng(number)
        record, outputs, seen = ranked(draw, False)
        targets = (seen.targets >= 0.5).astype(np.float32)
        samples, told = [], {}
        for query in dict.fromkeys(seen.references):
            rows = [i for i, other in enumerate(seen.references) if other == query]
            told |= {(query, f"passage {i}"): float(outputs["logits"][i, 0]) for i in rows}
            positive = [f"passage {i}" for i in rows if targets[i, 0]]
            negative = [f"passage {i}" for i in rows if not targets[i, 0]]
            if positive and negative:
                samples.append({"query": query, "positive": positive, "negative": negative})

        class Told:
            def predict(self, pairs: Any, told: dict[Any, float] = told, **_: Any) -> np.ndarray:
                return np.array([told[tuple(pair)] for pair in pairs])

            model_card_data = None

        if not samples:
            continue
        asked = {sample["query"] for sample in samples}
        rows = [i for i, query in enumerate(seen.references) if query in asked]
        kept = examples(targets[rows], [seen.references[i] for i in rows])
        evaluator = evaluation.CrossEncoderRerankingEvaluator(
            samples, at_k=len(targets), show_progress_bar=False, write_csv=False, always_rerank_positives=True
        )
        evaluator.store_metrics_in_model_card_data = lambda *_, **__: None
        found = evaluator(Told())
        theirs = {name.rpartition("_")[2].partition("@")[0]: score for name, score in found.items()}
        for name in ranking.NAMES:
            ours = ranking.one(name, record, {"logits": outputs["logits"][rows]}, kept)
            same(ours, float(theirs[name]), f"{name} {number}")
            compared += 1
    assert compared > 30


def vectors(draw: np.random.Generator, is_poor: bool) -> Case:
    rows, width = int(draw.integers(1, 4) if is_poor else draw.integers(6, 30)), 5
    found = draw.normal(size=(2 * rows, width))
    found = found / np.linalg.norm(found, axis=-1, keepdims=True)
    scores = draw.random(rows)
    if is_poor:
        found[:] = found[0]
        scores = np.full(rows, scores[0]) if draw.random() < 0.5 else scores
    return {"texts": 2, "is_scored": True}, {"sentence_embedding": found}, examples(np.repeat(scores, 2))


def test_vectors_of_scored_pairs_are_scored_as_scipy_does() -> None:
    for what, (record, outputs, seen) in cases(vectors):
        found = outputs["sentence_embedding"]
        near = (found[::2] * found[1::2]).sum(-1)
        scores = seen.targets[::2]
        for name, function in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
            is_flat = np.ptp(near) == 0 or np.ptp(scores) == 0
            theirs = None if is_flat else value(lambda f=function, n=near, s=scores: f(n, s)[0])
            same(embeddings.one(name, record, outputs, seen), theirs, f"{name}, {what}")


def found_pairs(draw: np.random.Generator, is_poor: bool) -> Case:
    rows, width = int(draw.integers(1, 4) if is_poor else draw.integers(6, 30)), 4
    texts = np.arange(2 * rows)
    if is_poor and rows > 1:
        texts[2] = texts[0]  # a text with two partners
    found = draw.normal(size=(int(texts.max()) + 1, width))
    found = (found / np.linalg.norm(found, axis=-1, keepdims=True))[texts]
    return {"texts": 2, "is_scored": False}, {"sentence_embedding": found}, examples(texts)


def test_partners_are_found_as_sentence_transformers_does() -> None:
    """Its evaluator of retrieval, with the vectors as a model would give them."""
    import torch
    from sentence_transformers.sentence_transformer import evaluation

    for what, case in [pair for number, pair in enumerate(cases(found_pairs)) if number % 5 == 0]:
        _, outputs, seen = case
        texts = seen.targets.reshape(-1, 2)
        of = {int(text): outputs["sentence_embedding"][i] for i, text in enumerate(seen.targets)}
        relevant: dict[str, set[str]] = {}
        for first, second in texts.tolist():
            relevant.setdefault(str(first), set()).add(str(second))

        class Told:
            similarity_fn_name = "cosine"

            def similarity(self, a: Any, b: Any) -> Any:
                return torch.as_tensor(a) @ torch.as_tensor(b).T

        queries = {str(row): str(first) for row, (first, _) in enumerate(texts.tolist())}
        wanted = {str(row): relevant[str(first)] for row, (first, _) in enumerate(texts.tolist())}
        corpus = {str(text): str(text) for text in dict.fromkeys(texts[:, 1].tolist())}
        evaluator = evaluation.InformationRetrievalEvaluator(
            queries, corpus, wanted, mrr_at_k=[10**6], accuracy_at_k=[1, 10], ndcg_at_k=[10], map_at_k=[10],
            precision_recall_at_k=[1], score_functions={"dot": lambda a, b: torch.as_tensor(a) @ torch.as_tensor(b).T},
            write_csv=False, show_progress_bar=False,
        )  # fmt: skip
        evaluator.embed_inputs = lambda model, sentences, of=of, **_: torch.tensor(
            np.array([of[int(word)] for word in sentences])
        )
        theirs = evaluator.compute_metrices(Told())["dot"]
        same(embeddings.one("mrr", *case), theirs["mrr@k"][10**6], f"mrr, {what}")
        for k in (1, 10):
            same(embeddings.one(f"recall@{k}", *case), theirs["accuracy@k"][k], f"recall@{k}, {what}")


def test_of_three_texts_the_second_is_nearer_than_the_third() -> None:
    """By scipy's cosines."""
    for number in range(RANDOM + DEGENERATE):
        draw = np.random.default_rng(number)
        rows = int(draw.integers(1, 20 if number < RANDOM else 3))
        found = draw.normal(size=(rows, 3, 4))
        if number >= RANDOM:
            found[:, 2] = found[:, 1]  # which is no nearer
        found = found / np.linalg.norm(found, axis=-1, keepdims=True)
        ours = embeddings.report(
            {"texts": 3, "is_scored": False},
            {"sentence_embedding": found.reshape(-1, 4)},
            examples(np.arange(3 * rows)),
        )
        nearer = [distance.cosine(*row[:2]) < distance.cosine(row[0], row[2]) for row in found]
        same(ours[embeddings.TRIPLETS], float(np.mean(nearer)), f"triplets {number}")


def loss_of_partners(vectors: np.ndarray, texts: np.ndarray, scale: float) -> float:
    """Row by row: the own partner against the others of its batch whose text is another."""
    losses = []
    for at in range(0, len(vectors), contrast.BATCH):
        batch = range(at, min(at + contrast.BATCH, len(vectors)))
        for i in batch:
            others = [(j, k) for j in batch for k in range(1, vectors.shape[1]) if texts[j, k] != texts[i, 1]]
            near = [scale * float(vectors[i, 0] @ vectors[j, k]) for j, k in [(i, 1), *others]]
            losses.append(float(special.logsumexp(near)) - near[0])
    return float(np.mean(losses))


def test_partners_of_a_batch_are_no_strangers_to_equal_texts() -> None:
    for number in range(20):
        draw = np.random.default_rng(number)
        rows, count = int(draw.integers(1, 90)), int(draw.integers(2, 4))
        texts = draw.integers(0, rows, (rows, count))
        vectors = draw.normal(size=(rows, count, 4))
        case = (
            {"texts": count, "scale": 3.0},
            {"sentence_embedding": vectors.reshape(-1, 4)},
            examples(texts.reshape(-1)),
        )
        same(contrast.one("loss", *case), loss_of_partners(vectors, texts, 3.0), f"loss {number}")


def test_words_and_partners_of_a_batch_are_scored_by_their_definitions() -> None:
    for number in range(RANDOM + DEGENERATE):
        draw = np.random.default_rng(number)
        losses = [draw.random(int(draw.integers(0, 4 if number < RANDOM else 2))) for _ in range(3)]
        hits = [row > 0.5 for row in losses]
        every = np.concatenate(losses)
        found = language.report({}, {"losses": losses, "hits": hits}, None)
        same(found["perplexity"], float(np.exp(every.mean())) if len(every) else None, f"perplexity {number}")
        same(found["accuracy"], float((every > 0.5).mean()) if len(every) else None, f"accuracy {number}")
        vectors = draw.normal(size=(2 * 5, 3))
        logits = vectors[::2] @ vectors[1::2].T * 2.0
        theirs = -np.diag(special.log_softmax(logits, -1)).mean()
        case = {"texts": 2, "scale": 2.0}, {"sentence_embedding": vectors}, examples(np.arange(10))
        same(contrast.one("loss", *case), float(theirs), f"loss {number}")


@pytest.mark.parametrize("loss", [79.5, 81.0, 700.0, 710.0, np.inf, np.nan])
def test_a_perplexity_beyond_all_numbers_is_none(loss: float) -> None:
    """No bound makes losses that differ look alike."""
    found = language.report({}, {"losses": [np.array([loss, loss])], "hits": [np.zeros(2, bool)]}, None)
    with np.errstate(over="ignore"):
        theirs = float(np.exp(np.float64(loss)))
    assert found["perplexity"] == (pytest.approx(theirs) if np.isfinite(theirs) else None)
    assert found["loss"] == (loss if np.isfinite(loss) else None)
    assert found["accuracy"] == 0.0


def test_no_kind_of_metric_is_left_out() -> None:
    assert set(variants.words("metrics")) == {
        *("answers", "classification", "contrast", "embeddings", "entities", "language", "nothing"),
        *("ranking", "regression"),
        *("preferences", "summarization", "translation"),  # in tests/heads/test_preferences.py and test_sequences.py
    }
