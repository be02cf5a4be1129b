"""Broken families of backbones, methods and kinds of int8: a member misspelt, a missing one, one of the wrong type."""

from __future__ import annotations

from .case import Case

FAMILY, OF_ANOTHER = "FAMILY = Family(", "FAMILY = replace("
CASES = (
    Case("backbones/bert.py", "    norms=", "    norm=", FAMILY, 'Unexpected keyword argument "norm" for "Family"'),
    Case("backbones/bert.py", "    width=width,\n", "", FAMILY, 'Missing named argument "width" for "Family"'),
    Case("backbones/bert.py", "longest=longest", "longest=shapes", "longest=", 'Argument "longest" to "Family"'),
    Case("backbones/bert.py", "tensors=language_model, ", "", "language_model=", 'Missing named argument "tensors"'),
    Case("backbones/vit.py", "pooled=pooled", "pooled=True", "pooled=", 'Argument "pooled" to "Family"'),
    Case("backbones/deit.py", "prefix=", "prefx=", OF_ANOTHER, 'Unexpected keyword argument "prefx" for "replace"'),
    Case("backbones/deit.py", '"deit."', "7", OF_ANOTHER, 'Argument "prefix" to "replace" of "Family"'),
    Case("methods/ia3.py", "    merges=", "    merged=", "METHOD =", 'Unexpected keyword argument "merged" for "Method"'),
    Case("methods/ia3.py", "    plain=_layers.plain,\n", "", "METHOD =", 'Missing named argument "plain"'),
    Case("methods/ia3.py", "usual=(1e-4, 1e-1)", "usual=(1e-4,)", "usual=", 'Argument "usual" to "Method"'),
    Case("methods/lora.py", "    added=", "    adds=", "METHOD =", 'Unexpected keyword argument "adds" for "method"'),
    Case("methods/lora.py", "    apply=apply,\n", "", "METHOD =", 'Missing named argument "apply" for "method"'),
    Case("methods/lora.py", "added=_added", "added=apply", "added=", 'Argument "added" to "method"'),
    Case("methods/prompt.py", "save=save", "save=lower", "save=", 'Argument "save" to "Method"'),
    Case("methods/bitfit.py", "problems=problems", "problems=lower", "problems=", 'Argument "problems" to "replace"'),
    Case("quantizations/static.py", "needs_rows=", "needs_row=", "QUANTIZATION =", 'Unexpected keyword argument "needs_row"'),
    Case("quantizations/static.py", "    quantize=quantize,\n", "", "QUANTIZATION =", 'Missing named argument "quantize"'),
    Case("quantizations/static.py", "rank=2", 'rank="2"', "rank=", 'Argument "rank" to "Quantization"'),
)  # fmt: skip
