"""Broken decoders and preprocessings of a bundle: a member misspelt, a missing one, one of the wrong type."""

from __future__ import annotations

from .case import Case

DECODER, PREPROCESSING = "DECODER = Decoder(", "PREPROCESSING = Preprocessing("
CASES = (
    Case("runtime/heads/text_classification.py", "    labelled=", "    labeled=", DECODER, 'Unexpected keyword argument "labeled" for "Decoder"'),
    Case("runtime/heads/text_classification.py", "    kind=Classification,\n", "", DECODER, 'Missing named argument "kind" for "Decoder"'),
    Case("runtime/heads/text_classification.py", "kind=Classification", 'kind="Classification"', "kind=", 'Argument "kind" to "Decoder"'),
    Case("runtime/heads/fill_mask.py", "one_pass(decode)", "decode", "answer=", 'Argument "answer" to "Decoder"'),
    Case("runtime/heads/feature_extraction.py", "one_pass(decode)", "one_pass(_plain)", "answer=", 'Argument 1 to "one_pass"'),
    Case("runtime/heads/sentence_similarity.py", '"tuple[str, str]": Similarity', '"tuple[str, str]": "Similarity"', "forms=", "Dict entry 0 has incompatible type"),
    Case("runtime/inputs/image.py", "    requires=", "    require=", PREPROCESSING, 'Unexpected keyword argument "require" for "Preprocessing"'),
    Case("runtime/inputs/image.py", '    input_help="path of an image",\n', "", PREPROCESSING, 'Missing named argument "input_help" for "Preprocessing"'),
    Case("runtime/inputs/image.py", "many=many", 'many="list[str]"', "many=", 'Argument "many" to "Preprocessing"'),
    Case("runtime/inputs/text.py", "    budget = 512", "    most = 512", "preprocessor=", 'Argument "preprocessor" to "Preprocessing"'),
    Case("runtime/inputs/text.py", "def is_one(self, value: Any) -> bool", "def is_one(self, value: Any, record: Any) -> bool", "preprocessor=", 'Argument "preprocessor" to "Preprocessing"'),
)  # fmt: skip
