"""Runs the command line within this process and takes apart what it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from graftc.compiler.cli import main

HEAD = re.compile(r"^(?P<kind>error|warning)\[(?P<code>[EW]\d{4})\]: (?P<headline>.*)$")
PLACE = re.compile(r"^ *--> (?P<place>.*)$")
QUOTE = re.compile(r"^ *(?P<number>\d+) \| (?P<text>.*)$")
CARETS = re.compile(r"^ *\| (?P<before> *)(?P<marks>\^+)(?P<label>.*)$")


@dataclass
class Finding:
    """A diagnostic as it was printed; `under` is the text above its carets."""

    code: str
    headline: str
    place: str = ""
    under: str = ""
    label: str = ""
    notes: str = ""


@dataclass
class Answer:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def findings(self) -> list[Finding]:
        found: list[Finding] = []
        quoted = ""
        for line in self.err.splitlines():
            if head := HEAD.match(line):
                found.append(Finding(head["code"], head["headline"]))
            elif found and (place := PLACE.match(line)):
                found[-1].place = place["place"]
            elif found and (quote := QUOTE.match(line)):
                quoted = quote["text"]
            elif found and (carets := CARETS.match(line)):
                start = len(carets["before"])
                found[-1].under = quoted[start : start + len(carets["marks"])]
                found[-1].label = carets["label"].strip()
            elif found and line.strip().startswith("= "):
                found[-1].notes += line.strip()[2:] + "\n"
        return found

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]


class Command:
    """`graftc`, called like a function."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: Any) -> Answer:
        self.capsys.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = int(left.code or 0)
        printed = self.capsys.readouterr()
        answer = Answer(status, printed.out, printed.err)
        assert "Traceback" not in answer.err, answer.err
        assert not CONTROL.search(answer.out + answer.err), repr(answer.out + answer.err)
        return answer


# whatever could move a cursor, colour a line or turn its direction
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
