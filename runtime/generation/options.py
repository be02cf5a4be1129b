"""What a call may ask of decoding, and which of it goes together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

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
WHOLE: Mapping[str, tuple[int, int | None]] = {  # the least and the most that a whole number may be
    "max_new_tokens": (1, 1_000_000),
    "min_new_tokens": (0, 1_000_000),
    "top_k": (0, 1_000_000),
    "no_repeat_ngram": (0, 1000),
    "beams": (1, 64),
    "sequences": (1, None),
    "seed": (0, None),
}
RANGES = {  # the least and the most that a number may be
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "repetition_penalty": (0, 100),
    "length_penalty": (-10, 10),  # more is beyond single precision
}
NOT_ZERO = ("top_p", "repetition_penalty")
TRIAL = 32  # tokens of the answers by which a build proves its graphs, at most
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
        if conflict := next(conflicts(vars(self)), None):
            raise BundleError("E0505", conflict.message, help=conflict.help)

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn by chance."""
        return self.temperature > 0


DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Options)}


class Conflict(NamedTuple):
    """An option that excludes another one: what is wrong, and a way out."""

    option: str
    other: str
    message: str
    help: str


def check(head: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuses a call's options beside the bundle's own under `generation`; raises BundleError E0505."""
    options_of(head["generation"], asked)


def trial(head: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the answers by which a build proves its graphs: short ones."""
    return {"max_new_tokens": TRIAL, "min_new_tokens": min(head["generation"].get("min_new_tokens", 0), TRIAL)}


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
    for name, (fewest, highest) in WHOLE.items():
        if name in given and not _is_whole(given[name], fewest, highest):
            yield (
                name,
                f"a whole number {f'of at least {fewest}' if highest is None else f'from {fewest} to {highest}'}",
            )
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


def _is_whole(value: Any, least: int, most: int | None = None) -> bool:
    return type(value) is int and value >= least and (most is None or value <= most)


def _is_number(value: Any, least: int, most: int) -> bool:
    return type(value) in (int, float) and least <= value <= most


def conflicts(given: Mapping[str, Any]) -> Iterator[Conflict]:
    """What is wrong with options that are fine each by itself; what is not given is the default."""
    options = {**DEFAULTS, **given}
    beams, sequences = options["beams"], options["sequences"]
    fewest, most = options["min_new_tokens"], options["max_new_tokens"]
    if fewest > most:
        message = f"`min_new_tokens` is {fewest}, and `max_new_tokens` {most}"
        yield Conflict("min_new_tokens", "max_new_tokens", message, "raise `max_new_tokens`")
    drawing = {"temperature": 0, "top_p": 1, "min_p": 0}
    found = next((name for name, off in drawing.items() if options[name] != off), None)
    if beams > 1 and found:
        message = f"beam search draws no token, and `{found}` is {options[found]!r}"
        yield Conflict(found, "beams", message, f"give `beams` 1, or `{found}` {drawing[found]}")
    if 1 < beams < sequences:
        message = f"`sequences` is {sequences}, and {beams} beams make {beams}"
        yield Conflict("sequences", "beams", message, "raise `beams`")
    if beams == 1 and not options["temperature"] and sequences > 1:
        message = f"`sequences` is {sequences}, and greedy decoding makes one"
        help = "draw with a `temperature` above 0, or search with as many `beams`"
        yield Conflict("sequences", "temperature", message, help)
    for name in ("forced_first", "forced_last"):
        if (token := options[name]) in options["suppressed"]:
            message = f"token {token} is in `{name}` and in `suppressed`"
            yield Conflict(name, "suppressed", message, "leave it out of one")
