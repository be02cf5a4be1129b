"""Help lines for mistakes in a spec's shape: the word, number or map that was probably meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from ..diagnostics import clean, nearest, quote

# names used by transformers' TrainingArguments, peft and sentence-transformers, and in daily speech
MEANINGS = {
    "average": "mean", "avg": "mean", "base_model": "from", "bs": "batch_size", "dev": "validation",
    "eval": "validation", "lora_alpha": "alpha", "lora_dropout": "dropout", "lr": "learning_rate",
    "lr_scheduler_type": "schedule", "model": "from", "model_name_or_path": "from", "num_epochs": "epochs",
    "num_train_epochs": "epochs", "peft_type": "method", "per_device_train_batch_size": "batch_size", "r": "rank",
    "target_modules": "target", "task": "type", "val": "validation", "valid": "validation", "warmup_ratio": "warmup",
}  # fmt: skip


def did_you_mean(word: object, known: Collection[str]) -> str:
    """Help for an unknown word: its equivalent in graftc if another library has it, or a similarly spelt word."""
    meaning = MEANINGS.get(str(word).lower())
    return f"did you mean `{meaning}`?" if meaning in known else nearest(word, known)


def without_quotes(value: Any, kinds: Iterable[str]) -> str:
    """Help for a number in quotes; empty otherwise."""
    if not isinstance(value, str):
        return ""
    pattern = r"[0-9]+" if "a number" not in kinds and "a whole number" in kinds else r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?"
    is_number = {"a number", "a whole number"} & set(kinds) and re.fullmatch(pattern, value)
    return f"write `{value}`, without quotes" if is_number else ""


def as_truth(value: Any) -> str:
    """Help for a word that older YAML read as true or false; empty otherwise."""
    meant = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
    word = meant.get(value.lower()) if isinstance(value, str) else None
    return f"write `{word}`" if word else ""


def as_share(value: Any) -> str:
    """Help for a number in percent; empty otherwise.

    >>> as_share("12.5%"), as_share("100 %"), as_share("%")
    ('write `0.125`', 'write `1`', '')
    """
    percent = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", value) if isinstance(value, str) else None
    return f"write `{float(percent[1]) / 100:g}`" if percent else ""


def as_map(value: Any, models: Iterable[type[BaseModel]]) -> str:
    """Help for a number in place of a map with one key; empty otherwise."""
    for model in models if isinstance(value, int | float) and not isinstance(value, bool) else ():
        fields = [field.alias or name for name, field in model.model_fields.items()]
        try:
            model.model_validate({fields[0]: value})
        except ValidationError:
            continue
        if len(fields) == 1:
            return f"write `{{{fields[0]}: {value}}}`"
    return ""


def shown_maps(models: Iterable[type[BaseModel]]) -> dict[Any, str]:
    """By its only key, each one-key map that a value may be, with its model's `EXAMPLE` as value."""
    shown = ((next(iter(model.model_fields)), model.EXAMPLE) for model in models if hasattr(model, "EXAMPLE"))
    return {name: f"{{{name}: {example}}}" for name, example in shown}


def as_list(value: Any) -> str:
    """Help for one text in place of a list; empty for a text that would need escapes."""
    if not isinstance(value, str) or value != clean(value) or '"' in value or "\\" in value:
        return ""
    return f"write `[{value}]`" if value.isidentifier() else f'write `["{value}"]`'


def as_slug(value: Any, pattern: str) -> str:
    """Help for a text that is not a slug: the nearest slug.

    >>> as_slug("Größe 2", "[a-z0-9-]+")
    'write `groe-2`'
    """
    plain = unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_.]+", "-", plain).strip("-_.")[:64]
    return f"write {quote(slug)}" if re.fullmatch(pattern, slug) else ""
