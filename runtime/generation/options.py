"""What a call may ask of decoding, and which of it goes together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..errors import BundleError

# what a call may say, with its type as wrappers write it; the other fields of `Options` are the model's own
CALL: Mapping[str, str] = {
    "max_new_tokens": "int",
    "min_new_tokens": "int",
    "temperature": "float",
    "top_k": "int",
    "top_p": "float",
    "min_p": "float",
    "repetition_penalty": "float",
    "no_repeat_ngram": "int",
    "beams": "int",
    "length_penalty": "float",
    "early_stopping": "bool | str",
    "sequences": "int",
    "seed": "int",
    "stop": "str | list[str]",
    "log_probabilities": "bool",
}
HELP: Mapping[str, str] = {  # what each does, in help texts of the command line
    "max_new_tokens": "tokens of a text, at most",
    "min_new_tokens": "tokens before a text may end",
    "temperature": "0: the likeliest token; above: one is drawn",
    "top_k": "draw from the likeliest tokens; 0 for all",
    "top_p": "draw from the likeliest tokens of so much probability",
    "min_p": "draw from tokens of at least this share of the likeliest's probability",
    "repetition_penalty": "above 1: tokens seen before are less likely",
    "no_repeat_ngram": "runs of so many tokens come once at most; 0: any number of times",
    "beams": "texts that are searched at once",
    "length_penalty": "of beams: above 0 longer texts are better",
    "early_stopping": "of beams: stop with as many texts as beams",
    "sequences": "texts for each input",
    "seed": "the same number draws the same texts",
    "stop": "a text at which an answer ends",
    "log_probabilities": "find the log-probability of each token",
}
LEAST = {
    "max_new_tokens": 1,
    "min_new_tokens": 0,
    "top_k": 0,
    "no_repeat_ngram": 0,
    "beams": 1,
    "sequences": 1,
    "seed": 0,
}
RANGES = {  # the least and the most that a number may be
    "temperature": (0, 1000),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0, 1000),
    "length_penalty": (-10, 10),  # more is beyond single precision
}
NOT_ZERO = ("repetition_penalty",)
MAY_LACK = ("top_k", "seed", "forced_first", "forced_last")
TOKENS = ("stop_tokens", "suppressed", "suppressed_first")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How answers are decoded; each option means what transformers' `GenerationConfig` says of it.

    Lists may stand for tuples, and a text for one stop string. Raises BundleError E0505 for a value out of its range,
    and for options that exclude each other.
    """

    max_new_tokens: int = 128
    min_new_tokens: int = 0  # no stop token before; stop strings end an answer all the same
    temperature: float = 0.0  # 0 takes the likeliest token, more draws one
    top_k: int | None = 50  # of drawing alone, as top_p and min_p; 0 and None are off
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0  # counts the prompt's tokens too
    no_repeat_ngram: int = 0  # counts the prompt's tokens too; 0 is off
    beams: int = 1  # 1 is no beam search
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    sequences: int = 1  # answers of each prompt
    seed: int | None = None  # None draws differently each time
    stop: tuple[str, ...] = ()  # an answer's text ends before the first of them
    log_probabilities: bool = False  # of each token of an answer
    stop_tokens: tuple[int, ...] = ()
    forced_first: int | None = None  # the first new token, as a translation's language
    forced_last: int | None = None  # the new token at `max_new_tokens`, as BART's end
    suppressed: tuple[int, ...] = ()  # never generated
    suppressed_first: tuple[int, ...] = ()  # not the first new token

    def __post_init__(self) -> None:
        stop: Any = self.stop
        several = {name: getattr(self, name) for name in TOKENS} | {"stop": [stop] if isinstance(stop, str) else stop}
        for name, value in several.items():
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        wrong = next(_wrong(self), None)
        if wrong:
            name, wanted = wrong
            raise BundleError("E0505", f"`{name}` is {getattr(self, name)!r}, not {wanted}")
        conflict = next(_conflicts(self), None)
        if conflict:
            message, help = conflict
            raise BundleError("E0505", message, help=help)

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn by chance."""
        return self.temperature > 0


def options_of(*given: Mapping[str, Any]) -> Options:
    """The options of several mappings, say a bundle's defaults and a call's words; the last that has a word counts.

    Raises BundleError E0505 as `Options` does, and for a word that is no option.
    """
    words: dict[str, Any] = {name: value for mapping in given for name, value in mapping.items()}
    known = {field.name for field in fields(Options)}
    if strange := sorted(words.keys() - known):
        raise BundleError(
            "E0505", f"this task takes no option `{strange[0]}`", f"its options: {', '.join(sorted(CALL))}"
        )
    return Options(**words)


def _wrong(options: Options) -> Iterator[tuple[str, str]]:
    """Options of the wrong type or out of their range, each with what is wanted."""
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    given = {name: value for name, value in given.items() if value is not None or name not in MAY_LACK}
    for name, fewest in LEAST.items():
        if name in given and not _is_whole(given[name], fewest):
            yield name, f"a whole number of at least {fewest}"
    for name, (least, most) in RANGES.items():
        if not _is_number(given[name], least, most) or (name in NOT_ZERO and not given[name]):
            yield name, f"a number {'above 0, up' if name in NOT_ZERO else f'from {least}'} to {most}"
    for name in TOKENS:
        if not isinstance(given[name], tuple) or not all(_is_whole(token, 0) for token in given[name]):
            yield name, "a list of numbers of tokens"
    for name in ("forced_first", "forced_last"):
        if name in given and not _is_whole(given[name], 0):
            yield name, "the number of a token"
    if type(given["early_stopping"]) is not bool and given["early_stopping"] != "never":
        yield "early_stopping", "true, false or `never`"
    if type(given["log_probabilities"]) is not bool:
        yield "log_probabilities", "true or false"
    if not isinstance(given["stop"], tuple) or not all(isinstance(text, str) and text for text in given["stop"]):
        yield "stop", "a text or a list of texts, none of them empty"


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _is_number(value: Any, least: int, most: int) -> bool:
    return type(value) in (int, float) and least <= value <= most


def _conflicts(options: Options) -> Iterator[tuple[str, str]]:
    """Options that exclude each other: what is wrong, and a way out."""
    if options.min_new_tokens > options.max_new_tokens:
        message = f"`min_new_tokens` is {options.min_new_tokens}, and `max_new_tokens` {options.max_new_tokens}"
        yield message, "raise `max_new_tokens`"
    drawing = {"temperature": 0, "top_p": 1, "min_p": 0}
    found = next((name for name, off in drawing.items() if getattr(options, name) != off), None)
    if options.beams > 1 and found:
        off, message = drawing[found], f"beam search draws no token, and `{found}` is {getattr(options, found)!r}"
        yield message, f"give `beams` 1, or `{found}` {off}"
    if 1 < options.beams < options.sequences:
        message = f"`sequences` is {options.sequences}, and {options.beams} beams make {options.beams}"
        yield message, "raise `beams`"
    if options.beams == 1 and not options.draws and options.sequences > 1:
        message = f"`sequences` is {options.sequences}, and greedy decoding makes one"
        yield message, "draw with a `temperature` above 0, or search with as many `beams`"
    for name in ("forced_first", "forced_last"):
        if getattr(options, name) in options.suppressed:
            yield f"token {getattr(options, name)} is in `{name}` and in `suppressed`", "leave it out of one"
