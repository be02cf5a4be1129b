"""sentence-similarity: vectors that lie near each other, learned from scores, partners or triplets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftc.compiler.execution.prepared import Examples
from graftc.compiler.heads import sentence_similarity as head
from graftc.compiler.metrics import embeddings
from graftc.compiler.training.loaders import loss_of, outputs_of
from graftc.runtime.errors import BundleError
from graftc.runtime.heads import sentence_similarity
from graftc.runtime.model import Model
from graftc.runtime.rows import Rows
from graftc.runtime.verify import verify

from ..train import running
from . import building

WORD = {"type": "sentence-similarity"}
SCORED = [
    {"text": f"number {i % 9}", "text_pair": f"the number {i % 7} {'far ' * (i % 5)}", "score": i % 6}
    for i in range(60)
]
TRIPLETS = [
    {"text": f"number {i}", "text_pair": f"the number {i} here", "text_negative": f"{'some ' * (i % 7)}word"}
    for i in range(60)
]


def angled(*degrees: float) -> np.ndarray:
    """Vectors of length one at angles."""
    return np.array([[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees], np.float32)


@pytest.mark.parametrize(
    ("family", "rows", "options", "width"),
    [
        ("bert", SCORED, {"score_range": [0, 5]}, 32),
        ("roberta", TRIPLETS, {"dimensions": 6}, 6),
        ("llama", TRIPLETS, {"pooling": "last"}, 32),
    ],
)
def test_a_bundle_gives_vectors_and_cosines(
    family: str, rows: list[dict[str, Any]], options: dict[str, Any], width: int, tmp_path: Path
) -> None:
    building.write_rows(tmp_path / "rows.jsonl", rows)
    data = {"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 32}
    bundle = building.bundle(tmp_path, family, {**WORD, **options}, data)
    assert building.gates(bundle)["parity"]["worst"] <= 1e-4
    assert verify(bundle)["fp32"] < 1e-5
    model = Model(bundle)
    ours, other = model.predict(["where is it?", "a parcel, and a very long one"])
    assert len(ours.embedding) == width
    assert np.linalg.norm(ours.embedding) == pytest.approx(1, abs=1e-5)
    near = model.predict(("where is it?", "a parcel, and a very long one"))
    assert near.score == pytest.approx(np.dot(ours.embedding, other.embedding), abs=1e-5)
    said = building.script(bundle, "where is it?")
    assert said[0]["embedding"] == pytest.approx(list(ours.embedding), abs=1e-5)
    scores = model.manifest["metrics"]["validation"]["torch"]
    assert set(scores) == ({"spearman", "pearson"} if rows is SCORED else {*embeddings.FOUND, embeddings.TRIPLETS})
    if rows is SCORED:
        _is_typed(bundle)


def _is_typed(bundle: Path) -> None:
    use = (
        'from predict import Model\nreveal_type(Model().predict("x"))\nreveal_type(Model().predict(("x", "y")).score)\n'
    )
    (bundle / "use.py").write_text(use)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "predict.py", "use.py"]
    ran = subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert '"predict.Answer"' in ran.stdout
    assert '"builtins.float"' in ran.stdout or '"float"' in ran.stdout


def test_one_text_gets_a_vector_two_a_cosine_and_more_the_cosines_of_the_first() -> None:
    vectors = angled(0, 0, 60, 0, 90, 180)
    rows = Rows(["a", ("b", "c"), ("d", "e", "f")], [{}] * 6, np.array([0, 1, 1, 2, 2, 2]))
    one, two, three = sentence_similarity.decode({"sentence_embedding": vectors}, {}, rows)
    assert one == sentence_similarity.Answer((1.0, 0.0))
    assert two.score == pytest.approx(0.5)
    assert [answer.score for answer in three] == pytest.approx([0, -1], abs=1e-6)
    with pytest.raises(BundleError, match="one vector"):
        sentence_similarity.decode({"logits": vectors}, {}, rows)


def test_the_loss_of_scores_is_the_squared_error_of_the_cosine() -> None:
    vectors, targets = torch.tensor(angled(0, 60, 0, 90)), torch.tensor([1.0, 1.0, 0.0, 0.0])
    found = head.loss({"texts": 2, "is_scored": True}, {"sentence_embedding": vectors}, targets)
    assert float(found) == pytest.approx(0.125, abs=1e-6)


def test_the_loss_without_scores_is_the_cross_entropy_of_the_partner() -> None:
    """Two triplets: each first text has two partners and two negatives to choose from."""
    vectors = torch.tensor(angled(0, 30, 90, 180, 150, 270))
    record = {"texts": 3, "is_scored": False, "scale": 2.0}
    cosines = 2 * torch.tensor([[np.cos(np.radians(a - b)) for b in (30, 150, 90, 270)] for a in (0, 180)])
    expected = torch.nn.functional.cross_entropy(cosines, torch.tensor([0, 1]))
    targets = torch.arange(6)
    assert float(head.loss(record, {"sentence_embedding": vectors}, targets)) == pytest.approx(
        float(expected), rel=1e-4
    )
    same = torch.tensor([0, 1, 2, 0, 4, 5])  # both rows ask with one text, so the other's partner is no wrong answer
    kept = cosines.clone()
    kept[0, 1] = kept[1, 0] = float("-inf")
    expected = torch.nn.functional.cross_entropy(kept, torch.tensor([0, 1]))
    assert float(head.loss(record, {"sentence_embedding": vectors}, same)) == pytest.approx(float(expected), rel=1e-4)


def test_places_are_counted_among_the_different_texts_of_the_split() -> None:
    """The first finds its partner at once, the second as the second of three; the third asks with the first's text."""
    vectors = angled(0, 10, 90, 20, 0, 120)
    texts = np.array([1, 2, 3, 4, 1, 6])
    examples = Examples(texts, np.repeat(np.arange(3), 2), (), ())
    record = {"texts": 2, "is_scored": False}
    scores = embeddings.report(record, {"sentence_embedding": vectors}, examples)
    assert scores == {"mrr": pytest.approx((1 + 1 / 2 + 1) / 3, abs=1e-5), "recall@1": pytest.approx(2 / 3, abs=1e-5), "recall@10": 1}  # fmt: skip
    collapsed = embeddings.report(record, {"sentence_embedding": angled(*[5] * 6)}, examples)
    assert collapsed["recall@1"] == 0


def test_correlations_are_of_the_cosine_with_the_score() -> None:
    vectors, scores = angled(0, 0, 0, 60, 0, 90), np.repeat(np.array([1.0, 0.5, 0.1], np.float32), 2)
    examples = Examples(scores, np.repeat(np.arange(3), 2), (), ())
    found = embeddings.report({"texts": 2, "is_scored": True}, {"sentence_embedding": vectors}, examples)
    assert found["spearman"] == pytest.approx(1.0, abs=1e-5)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 0.5, 0], [1, 0.5, 0.1])[0, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"score": "alike"}, "E0313"), ({"score": 9}, "E0370"), ({"text_pair": None}, "E0313"), ({"text": 3}, "E0313")],
)
def test_bad_rows_are_told_with_their_number(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    building.write_rows(tmp_path / "rows.jsonl", [*SCORED, {**SCORED[0], **change}])
    spec = building.written(tmp_path, "bert", {**WORD, "score_range": [0, 5]}, {"train": "rows.jsonl"})
    (told,) = [d for d in building.found(spec) if d.is_error]
    assert told.code == code
    assert "61" in str(told.at)


@pytest.mark.parametrize(
    ("rows", "sections", "code"),
    [
        ([{**row, "score": 1} for row in TRIPLETS], {}, "E0312"),
        ([{"text": row["text"]} for row in TRIPLETS], {}, "E0312"),
        (TRIPLETS, {"adapt": {"method": "probe"}}, "E0371"),
        (TRIPLETS, {"train": {"metric": "pearson"}}, "E0321"),
    ],
)
def test_what_does_not_go_together_is_refused(
    rows: list[dict[str, Any]], sections: dict[str, Any], code: str, tmp_path: Path
) -> None:
    building.write_rows(tmp_path / "rows.jsonl", rows)
    spec = building.written(tmp_path, "bert", WORD, {"train": "rows.jsonl"}, **sections)
    assert code in [d.code for d in building.found(spec)]


def test_the_loss_of_validation_is_that_of_batches_as_training_sees_them(tmp_path: Path) -> None:
    """Texts are held against those of their batch: against all of the split the loss would be another."""
    building.write_rows(tmp_path / "rows.jsonl", TRIPLETS[:22])
    data = {"train": "rows.jsonl", "validation": "rows.jsonl"}
    spec = building.written(tmp_path, "bert", WORD, data, train={"max_steps": 1, "batch_size": 8})
    _, _, run = running.training(spec, tmp_path / "store")
    rows = next(iter(run.validation.values()))
    vectors = torch.from_numpy(outputs_of(run.network, rows)["sentence_embedding"])
    edges = [(0, 8), (8, 22)]  # what is left over belongs to the last
    lost = [
        head.loss(rows.task.head.record, {"sentence_embedding": vectors[3 * a : 3 * b]}, rows.targets(np.arange(a, b)))
        for a, b in edges
    ]
    by_hand = sum((b - a) * float(each) for (a, b), each in zip(edges, lost, strict=True)) / 22
    found = loss_of({"sentence_embedding": vectors.numpy()}, rows, 8)
    assert found == pytest.approx(by_hand, rel=1e-6)
    assert found != pytest.approx(loss_of({"sentence_embedding": vectors.numpy()}, rows, 22), rel=1e-3)


@pytest.mark.parametrize(
    ("rows", "size", "code", "help"),
    [
        ([{"text": f"{i}", "text_pair": f"b {i}"} for i in range(9)], 1, "E0570", "write `batch_size: 9`"),
        ([{"text": "a", "text_pair": "b"}], 4, "E0570", "give it more rows"),
        (
            [{"text": f"{i}", "text_pair": f"b {i}"} for i in range(3)],
            4,
            "W0314",
            "write `batch_size: 2` under `train`",
        ),
        (SCORED, 1, "", ""),
        (TRIPLETS, 1, "", ""),
    ],
)
def test_pairs_without_scores_need_others_beside_them(
    rows: list[dict[str, Any]], size: int, code: str, help: str, tmp_path: Path
) -> None:
    building.write_rows(tmp_path / "rows.jsonl", rows)
    train = {"max_steps": 2, "batch_size": size}
    found = building.found(building.written(tmp_path, "bert", WORD, {"train": "rows.jsonl"}, train=train))
    told = [(each.code, each.help) for each in found if each.code in ("E0570", "W0314")]
    assert told == ([(code, help)] if code else [])
