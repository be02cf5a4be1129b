"""Flattens the nested articles of SQuAD (Rajpurkar et al., 2016; 2018) into one row for each question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHAPE = "a paragraph has a text `context` and a list `qas`"


def is_article(value: Mapping[str, Any]) -> bool:
    """Whether an object is an article: it has a list `paragraphs`, whose first item has `qas`."""
    paragraphs = value.get("paragraphs")
    if not isinstance(paragraphs, list) or "question" in value:
        return False
    return not paragraphs or (isinstance(paragraphs[0], dict) and "qas" in paragraphs[0])


def questions(article: Mapping[str, Any]) -> Iterator[dict[str, Any] | str]:
    """Yields a row for each question of an article with its `context`, or an error message in its place.

    Questions that SQuAD 2.0 calls impossible have no answer, whatever plausible answers are listed.
    """
    above = {"title": article["title"]} if "title" in article else {}
    for paragraph in article["paragraphs"]:
        context, asked = (paragraph.get(k) if isinstance(paragraph, dict) else None for k in ("context", "qas"))
        if not isinstance(context, str) or not isinstance(asked, list):
            yield SHAPE
            continue
        for question in asked:
            yield _row({**above, "context": context}, question)


def _row(above: Mapping[str, Any], question: Any) -> dict[str, Any] | str:
    if not isinstance(question, dict):
        return "what stands in `qas` is an object with a `question`"
    is_impossible = question.get("is_impossible") is True
    if is_impossible and question.get("answers"):
        return "it is said to be impossible, and has answers"
    return {**above, **question, **({"answers": []} if is_impossible else {})}
