"""Broken families of backbones, methods and kinds of int8: a member misspelt, a missing one, one of the wrong type."""

from __future__ import annotations

from .case import Case

FAMILY, OF_ANOTHER = "FAMILY = Family(", "FAMILY = replace("
CASES = (
    Case("compiler/backbones/bert.py", "    norms=", "    norm=", FAMILY, 'Unexpected keyword argument "norm" for "Family"'),
    Case("compiler/backbones/bert.py", "    width=width,\n", "", FAMILY, 'Missing named argument "width" for "Family"'),
    Case("compiler/backbones/bert.py", "longest=longest", "longest=shapes", "longest=", 'Argument "longest" to "Family"'),
    Case("compiler/backbones/bert.py", "tensors=language_model, ", "", "language_model=", 'Missing named argument "tensors"'),
    Case("compiler/backbones/vit.py", "pooled=pooled", "pooled=True", "pooled=", 'Argument "pooled" to "Family"'),
    Case("compiler/backbones/deit.py", "prefix=", "prefx=", OF_ANOTHER, 'Unexpected keyword argument "prefx" for "replace"'),
    Case("compiler/backbones/deit.py", '"deit."', "7", OF_ANOTHER, 'Argument "prefix" to "replace" of "Family"'),
    Case("compiler/methods/ia3.py", "    merges=", "    merged=", "METHOD =", 'Unexpected keyword argument "merged" for "Method"'),
    Case("compiler/methods/ia3.py", "    plain=_layers.plain,\n", "", "METHOD =", 'Missing named argument "plain"'),
    Case("compiler/methods/ia3.py", "usual=(1e-4, 1e-1)", "usual=(1e-4,)", "usual=", 'Argument "usual" to "Method"'),
    Case("compiler/methods/lora.py", "    added=", "    adds=", "METHOD =", 'Unexpected keyword argument "adds" for "method"'),
    Case("compiler/methods/lora.py", "    apply=apply,\n", "", "METHOD =", 'Missing named argument "apply" for "method"'),
    Case("compiler/methods/lora.py", "added=_added", "added=apply", "added=", 'Argument "added" to "method"'),
    Case("compiler/methods/prompt.py", "save=save", "save=lower", "save=", 'Argument "save" to "Method"'),
    Case("compiler/methods/bitfit.py", "problems=problems", "problems=lower", "problems=", 'Argument "problems" to "replace"'),
    Case("compiler/quantizations/static.py", "needs_rows=", "needs_row=", "QUANTIZATION =", 'Unexpected keyword argument "needs_row"'),
    Case("compiler/quantizations/static.py", "    quantize=quantize,\n", "", "QUANTIZATION =", 'Missing named argument "quantize"'),
    Case("compiler/quantizations/static.py", "rank=2", 'rank="2"', "rank=", 'Argument "rank" to "Quantization"'),
)  # fmt: skip
