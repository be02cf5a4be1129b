"""Tries an edit of a backbone on graftc and on transformers: what validate says, what loads, and what comes out."""

from __future__ import annotations

import io
import json
import logging
import random
import shutil
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer

import graftc
from graftc.compiler import variants
from graftc.compiler.cli import main
from graftc.compiler.diagnostics import Refused, Status
from graftc.compiler.execution.preprocessing import preprocessor
from graftc.compiler.model.assembly import assemble
from graftc.compiler.training.loaders import arrays

from ..backbones import tiny
from .edits import Edit, Editor, read_weights

FAMILIES = ("bert", "vit", "llama")
TEXTS = ("refund my parcel, zażółć", "a cat")
CLOSE = 1e-4  # of outputs, between loadings of the same file
POOLING = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


@dataclass(frozen=True)
class Seen:
    """What came of an edit."""

    edit: Edit
    word: str
    status: int  # of validate
    later: int  # of loading and a first pass, where validate passed; 0 where all went well
    said: str  # the last lines of either
    theirs: str  # why transformers refuses it, or how it loads other than the file says; empty where it does neither

    @property
    def is_broken(self) -> bool:
        """Whether it ended in a traceback, which is status 3."""
        return Status.OURS in (self.status, self.later) or "Traceback" in self.said

    @property
    def has_slipped(self) -> bool:
        """Whether validate let pass what then failed."""
        return self.status == Status.FINE and self.later != Status.FINE

    @property
    def is_wronged(self) -> bool:
        """Whether it was refused, where transformers loads what the file says."""
        return self.status != Status.FINE and not self.theirs


class Bench:
    """Sound backbones of some families, and a spec for each."""

    def __init__(self, root: Path, families: Sequence[str] = FAMILIES) -> None:
        transformers.utils.logging.set_verbosity(logging.CRITICAL)
        transformers.utils.logging.disable_progress_bar()
        self.root, self.families = root, families
        self.sound: dict[str, tuple[dict[str, Any], frozenset[str]]] = {}
        for word in families:
            tiny.save(word, root / word)
            self._spec(word)
            self.sound[word] = self._theirs(word, root / word)
        self._sentences(root / "bert" if "bert" in families else None)

    def run(self, edits: int, seed: int, is_harmless: bool = False) -> Iterator[Seen]:
        """Draws edits, the families in turn, and tries each."""
        number = random.Random(f"{seed} {is_harmless}")
        editors = [Editor(word, self.root / word, number) for word in self.families]
        for i in range(edits):
            editor = editors[i % len(editors)]
            yield self.held(editor.word, editor.harmless() if is_harmless else editor.draw())

    def held(self, word: str, edit: Edit) -> Seen:
        """Tries one edit on a copy of the backbone."""
        place = self.root / "edited"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.root / word, place)
        edit.apply(place)
        status, said = self._validate(word)
        later = Status.FINE
        if status == Status.FINE:
            later, said = self._load(word, place)
        return Seen(edit, word, status, later, said, self._judged(word, place, edit))

    # ---- graftc

    def _spec(self, word: str) -> None:
        """A spec of the edited backbone; texts come in pairs."""
        if tiny.is_text(word):
            rows = [{"a": text, "b": "now", "label": "xy"[i % 2]} for i, text in enumerate(TEXTS * 4)]
            data = "train: rows.jsonl, columns: {text: a, text_pair: b, label: label}"
            (self.root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            for i in range(4):
                (self.root / "pictures" / "xy"[i % 2]).mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 30), (60 * i, 9, 9)).save(self.root / "pictures" / "xy"[i % 2] / f"{i}.png")
            data = "train: pictures"
        kind = "text" if tiny.is_text(word) else "image"
        (self.root / f"{word}.yaml").write_text(
            f"graftc: 1\nname: tried\nbackbone: {{from: ./edited}}\nadapt: {{method: full}}\n"
            f"head: {{type: {kind}-classification}}\ndata: {{{data}}}\n"
        )

    def _validate(self, word: str) -> tuple[int, str]:
        out = io.StringIO()
        with quiet(), redirect_stdout(out), redirect_stderr(out):
            try:
                main(["validate", str(self.root / f"{word}.yaml")])
                status = 0
            except SystemExit as left:
                status = int(left.code or 0)
        return status, out.getvalue()

    def _load(self, word: str, place: Path) -> tuple[Status, str]:
        """The network of the plan and one pass of a few rows; anything but a refusal would end in status 3."""
        try:
            with quiet():
                plan = graftc.plan(self.root / f"{word}.yaml")
                network = assemble(plan, place)
                processor = preprocessor(plan, place)
                inputs = variants.load("inputs", plan.reading.modality).samples(0, plan.reading.preprocessing)[:3]
                with torch.no_grad():
                    network(**arrays(processor.collate(processor.rows(inputs).features), "cpu"))
        except Refused as refused:
            return refused.status, str(refused)
        except Exception:
            return Status.OURS, traceback.format_exc()
        return Status.FINE, ""

    # ---- transformers

    def _judged(self, word: str, place: Path, edit: Edit) -> str:
        """Why transformers refuses what was edited, or how it loads other than the file says."""
        with quiet():
            try:
                outputs, unexpected = self._theirs(word, place)
            except Exception as error:
                return f"{type(error).__name__}: {error}"[:200]
        sound, expected = self.sound[word]
        if more := unexpected - expected:
            return f"{len(more)} tensors are not loaded"
        if names := [name for name in sound if not close(outputs[name], sound[name])]:
            return f"other outputs: {names}"
        if tiny.is_text(word) and self._is_cut_otherwise(place):
            return "texts are cut otherwise than tokenizer.json says"
        return self._claims(place) or (self._sentence(place) if edit.kind == "sentence-transformers" else "")

    def _theirs(self, word: str, place: Path) -> tuple[dict[str, Any], frozenset[str]]:
        """Outputs of the bare backbone for a batch, and the tensors of the file that it has no place for.

        Raises whatever transformers raises, and KeyError where it would draw tensors anew.
        """
        load = dict(variants.family(word).load)
        built, told = transformers.AutoModel.from_pretrained(
            place, dtype=torch.float32, local_files_only=True, output_loading_info=True, **load
        )
        if drawn := [*told["missing_keys"], *told["mismatched_keys"]]:
            raise KeyError(f"drawn anew: {drawn[:3]}")
        given = self._given(word, place, built)
        with torch.no_grad():
            found = {name: built(**batch, return_dict=True).last_hidden_state for name, batch in given.items()}
            for batch in given.values():
                built.train()(**batch)
        return found, frozenset(told["unexpected_keys"])

    def _given(self, word: str, place: Path, built: Any) -> dict[str, dict[str, Any]]:
        """Texts and pairs as its own tokenizer cuts them, padded to one length; or pictures."""
        if not tiny.is_text(word):
            return {"pictures": {"pixel_values": torch.linspace(-2, 2, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)}}
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(built.config.pad_token_id or 0)
        names = variants.family(word).inputs
        asked = {"texts": (list(TEXTS),), "pairs": (list(TEXTS), ["now", "this month"])}
        cut = {kind: tokenizer(*texts, padding=True, return_tensors="pt") for kind, texts in asked.items()}
        largest = torch.tensor([[max(tokenizer.get_vocab().values())]])
        cut["the last token"] = {name: largest if name == "input_ids" else torch.ones_like(largest) for name in names}
        return {kind: {name: batch[name] for name in names} for kind, batch in cut.items()}

    def _is_cut_otherwise(self, place: Path) -> bool:
        """Whether transformers takes its tokens from elsewhere than the file: some classes build what is in it anew."""
        theirs = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
        written = Tokenizer.from_file(str(place / "tokenizer.json")).encode(TEXTS[0])
        said = theirs(TEXTS[0], return_token_type_ids=True)
        return (said["input_ids"], said["token_type_ids"]) != (written.ids, written.type_ids)

    def _claims(self, place: Path) -> str:
        """What config.json claims and a model of transformers' own, in floating point, does not keep."""
        config = json.loads((place / "config.json").read_bytes())
        own = config.get("auto_map") or ()
        if "AutoModel" in own or "AutoConfig" in own:
            return "it brings code of its own, and is loaded without"
        if config.get("quantization_config") or whole_numbers((place / "model.safetensors").read_bytes()):
            return "it is quantised, and is loaded as if it were not"
        return "it claims fewer positions than it reads" if config.get("max_position_embeddings", 1) < 1 else ""

    # ---- sentence-transformers

    def _sentences(self, folder: Path | None) -> None:
        """The files that sentence-transformers writes beside a backbone."""
        if folder is None:
            return
        (folder / "1_Pooling").mkdir()
        (folder / "2_Normalize").mkdir()
        for name, content in (
            ("modules.json", MODULES),
            ("1_Pooling/config.json", POOLING),
            ("sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False}),
        ):
            (folder / name).write_text(json.dumps(content))
        self.vectors = self._encoded(folder)

    def _encoded(self, place: Path) -> Any:
        from sentence_transformers import SentenceTransformer

        built = SentenceTransformer(str(place), device="cpu", local_files_only=True, trust_remote_code=False)
        return built.encode([*TEXTS, "a long text " * 30], convert_to_tensor=True)

    def _sentence(self, place: Path) -> str:
        """Why sentence-transformers refuses its files, or that its vectors are others."""
        with quiet():
            try:
                vectors = self._encoded(place)
            except Exception as error:
                return f"sentence-transformers: {type(error).__name__}: {error}"[:200]
        return "" if close(vectors, self.vectors) else "sentence-transformers: other vectors"


def whole_numbers(raw: bytes) -> list[str]:
    """The weights that are stored as whole numbers; batch norms count with some."""
    found = {name: dtype for name, (dtype, _, _) in read_weights(raw).items() if "num_batches" not in name}
    return [name for name, dtype in found.items() if dtype[0] in "IUB" and dtype != "BF16"]


def close(these: torch.Tensor, those: torch.Tensor) -> bool:
    """Whether two outputs are the same, but for noise."""
    return these.shape == those.shape and torch.allclose(these, those, atol=CLOSE, equal_nan=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what libraries print and warn of."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
