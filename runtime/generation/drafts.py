"""An answer in the making."""

from __future__ import annotations

from .options import Options
from .steps import Generated, Piece
from .streaming import TextStream


class Draft:
    """An answer in the making: what has been generated of it, and its generator and text where it has them."""

    def __init__(self, prompt: int, sequence: int, options: Options, text: TextStream | None) -> None:
        self.prompt, self.sequence = prompt, sequence
        self.options, self.text = options, text
        self.tokens: list[int] = []
        self.log_probabilities: list[float] = []
        self.pieces: list[str] = []
        self.finish_reason = ""  # empty until it ends

    def take(self, token: int, log_probability: float) -> Piece:
        """Goes on with a token, or ends with it; gives what is new of the text."""
        self.tokens.append(token)
        self.log_probabilities.append(log_probability)
        is_end = token in self.options.stop_tokens
        piece = "" if is_end or not self.text else self.text.push(token)
        self.finish_reason = self._reason(is_end)
        if self.finish_reason and self.text:
            piece += self.text.end()
        self.pieces.append(piece)
        return Piece(self.prompt, self.sequence, piece, self.answer() if self.finish_reason else None)

    def _reason(self, is_end: bool) -> str:
        if is_end:
            return "eos_token"
        if self.text and self.text.is_stopped:
            return "stop_sequence"
        return "length" if len(self.tokens) == self.options.max_new_tokens else ""

    def answer(self, beam_score: float | None = None) -> Generated:
        """The answer as it stands."""
        chances = tuple(self.log_probabilities)
        return Generated(
            tuple(self.tokens),
            sum(chances),
            self.finish_reason or "length",
            "".join(self.pieces) if self.text else None,
            chances if self.options.log_probabilities else None,
            beam_score,
        )
