"""Broken heads, objectives and metrics: a member misspelt, a missing one, one of the wrong type."""

from __future__ import annotations

from .case import Case

HEAD, OBJECTIVE, METRICS = "HEAD = Head(", "OBJECTIVE = Head(", "METRICS = Metrics("
CASES = (
    Case("compiler/heads/text_ranking.py", "    reference=", "    refrence=", HEAD, 'Unexpected keyword argument "refrence" for "Head"'),
    Case("compiler/heads/text_ranking.py", "    loss=loss,\n", "", HEAD, 'Missing named argument "loss" for "Head"'),
    Case("compiler/heads/text_ranking.py", "loss=loss,\n    floors", "loss=target,\n    floors", "loss=", 'Argument "loss" to "Head"'),
    Case("compiler/heads/text_ranking.py", "metrics=ranking.METRICS", 'metrics="ranking"', "metrics=", 'Argument "metrics" to "Head"'),
    Case("compiler/heads/question_answering.py", "is_windowed=True", 'is_windowed="yes"', "is_windowed=", 'Argument "is_windowed" to "Head"'),
    Case("compiler/heads/question_answering.py", "raw=raw, ", "", "reader=", 'Missing named argument "raw" for "RowReader"'),
    Case("compiler/heads/text_classification.py", ", floors=floors", "", "HEAD = head(", 'Missing named argument "floors" for "head"'),
    Case("compiler/heads/image_classification.py", '"cached"', '"apart from"', "HEAD = head(", 'Argument "floor_features" to "head"'),
    Case("compiler/heads/fill_mask.py", "floors=floors", "floor=floors", "HEAD = replace(", 'Unexpected keyword argument "floor" for "replace"'),
    Case("compiler/heads/text_regression.py", "    hidden: tuple[Width, ...] = Field((),", "    hidden: int = Field(0,", "hidden:", "Incompatible types in assignment"),
    Case("compiler/heads/question_answering.py", "    def record(self)", "    def records(self)", "tally=", 'Only concrete class can be given where "type[Tally]" is expected'),
    Case("compiler/objectives/contrastive.py", "    least_rows=", "    least=", OBJECTIVE, 'Unexpected keyword argument "least" for "Head"'),
    Case("compiler/objectives/contrastive.py", "    target=target,\n", "", OBJECTIVE, 'Missing named argument "target" for "Head"'),
    Case("compiler/objectives/causal_language_modeling.py", "aims=aims", "aims=outputs", "packing=", 'Argument "aims" to "Packing"'),
    Case("compiler/metrics/regression.py", "is_defined=is_defined", "is_define=is_defined", METRICS, 'Unexpected keyword argument "is_define" for "Metrics"'),
    Case("compiler/metrics/regression.py", "one=one, ", "", METRICS, 'Missing named argument "one" for "Metrics"'),
    Case("compiler/metrics/regression.py", "direction=direction", "direction=names", METRICS, 'Argument "direction" to "Metrics"'),
)  # fmt: skip
