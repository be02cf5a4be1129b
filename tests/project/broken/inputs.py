"""Broken inputs, formats, sources, renderers, stages and floors: a member misspelt, a missing one, one of the wrong type."""

from __future__ import annotations

from .case import Case

INPUT, FORMAT, SOURCE, RENDERER, STAGE = "INPUT = Input(", "FORMAT = Format(", "SOURCE = Source(", "RENDERER = Renderer(", "STAGE = Stage("  # fmt: skip
CASES = (
    Case("compiler/inputs/image.py", "    augments=", "    augment=", INPUT, 'Unexpected keyword argument "augment" for "Input"'),
    Case("compiler/inputs/image.py", "    stored=stored,\n", "", INPUT, 'Missing named argument "stored" for "Input"'),
    Case("compiler/inputs/image.py", "measure=measure", "measure=array", "measure=", 'Argument "measure" to "Input"'),
    Case("compiler/inputs/image.py", "preprocessing=preprocessing", "preprocessing=misfits", "preprocessing=", 'Argument "preprocessing" to "Input"'),
    Case("compiler/inputs/image.py", "decided=decided", "decided=array", "decided=", 'Argument "decided" to "Input"'),
    Case("compiler/inputs/image.py", "in_files=True", 'in_files="path"', "reader=", 'Argument "in_files" to "RowReader"'),
    Case("compiler/inputs/image.py", "raw=raw, refusal=refusal", "raw=raw", "reader=", 'Missing named argument "refusal" for "RowReader"'),
    Case("compiler/inputs/text.py", "crowded=_crowded", "crowd=_crowded", "windows=", 'Unexpected keyword argument "crowd" for "Windows"'),
    Case("compiler/inputs/text.py", "masking=masking, ", "", "vocabulary=", 'Missing named argument "masking" for "Vocabulary"'),
    Case("compiler/formats/conll.py", "    columns=", "    column=", FORMAT, 'Unexpected keyword argument "column" for "Format"'),
    Case("compiler/formats/jsonl.py", ", rows=rows", "", FORMAT, 'Missing named argument "rows" for "Format"'),
    Case("compiler/formats/jsonl.py", "rows=rows", "rows=raw_lines", FORMAT, 'Argument "rows" to "Format"'),
    Case("compiler/sources/folder.py", "is_path=True", "is_a_path=True", SOURCE, 'Unexpected keyword argument "is_a_path" for "Source"'),
    Case("compiler/sources/folder.py", ", check=check", "", SOURCE, 'Missing named argument "check" for "Source"'),
    Case("compiler/sources/hub.py", "header=header", "header=held", SOURCE, 'Argument "header" to "Source"'),
    Case("compiler/renderers/github.py", "report=report", "print=report", RENDERER, 'Unexpected keyword argument "print" for "Renderer"'),
    Case("compiler/renderers/github.py", "(report=report)", "()", RENDERER, 'Missing named argument "report" for "Renderer"'),
    Case("compiler/renderers/github.py", "report=report", "report=_message", RENDERER, 'Argument "report" to "Renderer"'),
    Case("compiler/stages/fit.py", "run=run", "runs=run", STAGE, 'Unexpected keyword argument "runs" for "Stage"'),
    Case("compiler/stages/fit.py", "(run=run)", "()", STAGE, 'Missing named argument "run" for "Stage"'),
    Case("compiler/stages/fit.py", "run=run", "run=_fit", STAGE, 'Argument "run" to "Stage"'),
    Case("compiler/floors/constant.py", "is_constant=True", "constant=True", "return Floor(", 'Unexpected keyword argument "constant" for "Floor"'),
    Case("compiler/floors/linear.py", "Floor(name, _asked(seen, model))", "Floor(name)", "yield Floor(", 'Missing positional argument "answer" in call to "Floor"'),
    Case("compiler/floors/constant.py", "Floor(NAME, answer,", "Floor(NAME, logits,", "return Floor(", 'Argument 2 to "Floor"'),
)  # fmt: skip
