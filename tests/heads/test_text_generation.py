"""text-generation: what is learned of a row, what transformers' `generate` writes, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import peft
import pytest
import torch
import transformers

import graftc
from graftc.compiler.diagnostics import At
from graftc.compiler.execution.prepared import Prepared
from graftc.compiler.inputs.prompt import raw, refusal
from graftc.compiler.inputs.prompt import samples as golden
from graftc.compiler.model.assembly import reassemble
from graftc.runtime.generation import Options, generate
from graftc.runtime.generation.cached import CachedSteps
from graftc.runtime.generation.templates import ChatTemplate
from graftc.runtime.heads import text_generation
from graftc.runtime.inputs.prompt import Preprocessor
from graftc.runtime.model import HeadRun
from graftc.runtime.prompts import Completed, Conversation
from graftc.runtime.rows import Rows

from ..backbones import tiny
from ..train import running

TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
WORDS = ["the", "small", "network", "reads", "a", "text", "and", "writes", "what", "comes", "next"]


def backbone(family: str, folder: Path, template: str | None = None) -> Any:
    """A tiny decoder whose weights are large enough for its next words to differ."""
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if family == "gpt2" else {}
    model = tiny.model(
        family, transformers.AutoModelForCausalLM, eos_token_id=0, bos_token_id=0, pad_token_id=0, **still
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    model.save_pretrained(folder)
    tiny.tokenizer(family).save_pretrained(folder)
    if template:
        (folder / "chat_template.jinja").write_text(template)
    return model


def write(folder: Path, family: str, rows: list[dict[str, Any]], **sections: Any) -> Path:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "graftc": 1,
        "name": "writer",
        "backbone": {"from": "./backbone"},
        "head": {"type": "text-generation", "generation": {"max_new_tokens": 12}},
        "data": {"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 48},
        "train": {"epochs": 1, "batch_size": 8},
        "export": {"gate": {"metric_drop": 1.0}},
    }
    path = folder / "spec.yaml"
    path.write_text(json.dumps({**spec, **sections}))
    return path


def pairs(count: int = 40) -> list[dict[str, Any]]:
    draw = random.Random(0)
    return [
        {
            "prompt": " ".join(draw.sample(WORDS, draw.randint(1, 5))),
            "completion": " " + " ".join(draw.sample(WORDS, 3)),
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="module", params=[("gpt2", "full"), ("llama", "lora"), ("qwen3", "ia3")], ids=lambda p: p[0])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A bundle, and transformers' model with the same weights."""
    family, method = request.param
    folder = tmp_path_factory.mktemp(family)
    model = backbone(family, folder / "backbone")
    spec = write(
        folder,
        family,
        pairs(),
        adapt={"method": method},
        export={"precision": ["fp32", "int8"], "gate": {"metric_drop": 1.0}},
    )
    graftc.build(spec, folder / "bundle", store=folder / "store")
    checkpoint = folder / "bundle/checkpoint"
    if method == "full":
        model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    else:
        found: Any = peft.PeftModel.from_pretrained(model.base_model, str(checkpoint))
        found.merge_and_unload()
    return folder / "bundle", model.eval()


def prompts() -> list[str]:
    draw = random.Random(1)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(8)]


def asked(model: Any, prompts: list[list[int]], **options: Any) -> list[list[int]]:
    """What transformers' `generate` writes: tokens of each prompt, asked alone."""
    found = []
    for prompt in prompts:
        given = {"input_ids": torch.tensor([prompt]), "attention_mask": torch.ones(1, len(prompt), dtype=torch.long)}
        with torch.inference_mode():
            ids = model.generate(**given, do_sample=False, pad_token_id=0, **options)[0]
        found.append(ids[len(prompt) :].tolist())
    return found


def written(bundle: Path, prompts: list[list[int]], **options: Any) -> list[list[int]]:
    """What the bundle writes for all of them at once."""
    loaded = graftc.load(bundle)
    head = loaded.heads[""]
    steps = CachedSteps(HeadRun(loaded, "", {}), head["pad_id"])
    return [list(each[0].tokens) for each in generate(steps, prompts, Options(stop_tokens=(0,), **options))]


def assert_same(model: Any, prompts: list[list[int]], ours: list[list[int]], theirs: list[list[int]]) -> None:
    """Tokens are the same, but for a tie: at the first difference torch's logits are apart by rounding alone."""
    for prompt, mine, other in zip(prompts, ours, theirs, strict=True):
        at = next((i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), None)
        if at is None:
            assert len(mine) == len(other)
            continue
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + mine[:at]])).logits[0, -1]
        assert abs(float(logits[mine[at]] - logits[other[at]])) <= 1e-4 * float(logits.abs().max())


def ids_of(bundle: Path) -> list[list[int]]:
    rows = graftc.load(bundle).rows(prompts())
    return [row["input_ids"].tolist() for row in rows.features]


def test_greedy_tokens_are_those_of_generate(built: tuple[Path, Any]) -> None:
    """In a ragged batch, against each prompt asked alone."""
    bundle, model = built
    given = ids_of(bundle)
    ours, theirs = written(bundle, given, max_new_tokens=24), asked(model, given, max_new_tokens=24)
    assert_same(model, given, ours, theirs)
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 6
    assert len(set(map(tuple, theirs))) > 4, "texts differ"


def test_beams_are_those_of_generate(built: tuple[Path, Any]) -> None:
    bundle, model = built
    given = ids_of(bundle)[:4]
    ours = written(bundle, given, max_new_tokens=8, beams=4)
    theirs = asked(model, given, max_new_tokens=8, num_beams=4)
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 3


def test_answers_are_the_text_of_these_tokens(built: tuple[Path, Any]) -> None:
    bundle, _ = built
    loaded = graftc.load(bundle)
    answers = loaded.predict(prompts())
    assert {answer.finish_reason for answer in answers} <= {"length", "eos_token"}
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundle / "checkpoint")
    for answer, ids in zip(answers, written(bundle, ids_of(bundle), max_new_tokens=12), strict=True):
        assert answer.generated_text == tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    ("family", "method"),
    [("gpt2", "prompt"), ("llama", "prefix"), ("qwen2", "p-tuning"), ("mistral", "prefix"), ("gemma3-text", "prompt")],
)
def test_virtual_tokens_are_the_beginning_of_the_cache(family: str, method: str, tmp_path: Path) -> None:
    """Step by step the graph writes what the network says of the whole text, whose virtual tokens come first each time."""
    backbone(family, tmp_path / "backbone")
    spec = write(
        tmp_path,
        family,
        pairs(),
        adapt={"method": method, "tokens": 8},
        data={"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 32},
        train={"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    )
    graftc.build(spec, tmp_path / "bundle", store=tmp_path / "store")
    plan, folder, out = running.trained(spec, tmp_path / "store", "checkpoint")
    network, given = reassemble(plan, folder, out), ids_of(tmp_path / "bundle")
    for prompt, ours in zip(given, written(tmp_path / "bundle", given, max_new_tokens=6), strict=True):
        ids = torch.tensor([prompt + ours])
        with torch.inference_mode():
            logits = network(input_ids=ids, attention_mask=torch.ones_like(ids))["logits"][0, len(prompt) - 1 : -1]
        chosen = logits.gather(1, torch.tensor(ours)[:, None])[:, 0]
        assert (logits.max(1).values - chosen <= 1e-4 * logits.abs().max()).all()


def test_a_bundle_verifies_and_says_what_it_scored(built: tuple[Path, Any]) -> None:
    bundle, _ = built
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    scores = manifest["metrics"]["validation"]
    assert scores["fp32"]["loss"] == pytest.approx(scores["torch"]["loss"], abs=1e-4)
    assert scores["fp32"]["perplexity"] == pytest.approx(np.exp(scores["fp32"]["loss"]))
    assert set(manifest["graphs"]) == {"model"}
    assert (bundle / "samples.jsonl").stat().st_size < 200_000, "logits are not kept"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_first_loss_is_transformers_own(family: str, tmp_path: Path) -> None:
    """One batch of all rows: mean over the tokens of completions and their ends."""
    model, rows = backbone(family, tmp_path / "backbone"), pairs(16)
    spec = write(
        tmp_path, family, rows, data={"train": "rows.jsonl", "max_length": 48}, train={"max_steps": 1, "batch_size": 16}
    )
    _, _, out = running.trained(spec, tmp_path / "store", "train")
    (ours,) = np.load(out / "losses.npy")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone")
    given = [tokenizer(row["prompt"] + row["completion"])["input_ids"] + [0] for row in rows]
    labels = [
        [-100] * len(tokenizer(row["prompt"])["input_ids"]) + ids[len(tokenizer(row["prompt"])["input_ids"]) :]
        for row, ids in zip(rows, given, strict=True)
    ]
    longest = max(map(len, given))
    batch = {
        "input_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids in given]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in given]),
        "labels": torch.tensor([each + [-100] * (longest - len(each)) for each in labels]),
    }
    with torch.no_grad():
        theirs = model(**batch).loss
    assert ours == pytest.approx(float(theirs), rel=1e-5)


def reading(folder: Path, template: str | None = None, **more: Any) -> Preprocessor:
    tiny.tokenizer("llama").save_pretrained(folder)
    record = {
        "tokenizer": "tokenizer.json", "max_length": 64, "pad_id": 0, "end_id": 0, "stop_ids": [0],
        "template": template, "template_tokens": {"eos_token": "<|endoftext|>"}, **more,
    }  # fmt: skip
    return Preprocessor(record, folder)


def learned(reader: Preprocessor, value: Any) -> list[str]:
    rows = reader.rows([value]).features
    return [
        reader.whole.decode(row["input_ids"][row["learned"] == 1].tolist(), skip_special_tokens=False) for row in rows
    ]


def test_what_is_learned_of_a_completion(tmp_path: Path) -> None:
    reader = reading(tmp_path)
    assert learned(reader, Completed("a text", " and what")) == [" and what<|endoftext|>"]
    assert learned(reader, Completed("", "a text")) == ["a text<|endoftext|>"]


def test_what_is_learned_of_a_conversation(tmp_path: Path) -> None:
    """The assistant's turns and the tokens that end them, and not the line feed that the template writes after these."""
    reader = reading(tmp_path, TEMPLATE)
    turns = [("user", "read"), ("assistant", "what"), ("user", "and"), ("assistant", "a text")]
    value = Conversation(tuple({"role": role, "content": text} for role, text in turns))
    assert learned(reader, value) == ["what<|endoftext|>a text<|endoftext|>"]


def test_a_template_that_renders_earlier_turns_otherwise_gets_a_row_for_each(tmp_path: Path) -> None:
    last = "{% for m in messages %}{{ '<' + m['role'] + '>' + ('!' if loop.last else '') + m['content'] + eos_token }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
    reader = reading(
        tmp_path, last.replace("('!' if loop.last else '')", "('!' if loop.last and m['role'] == 'assistant' else '')")
    )
    turns = [("user", "read"), ("assistant", "what"), ("user", "and"), ("assistant", "a text")]
    value = Conversation(tuple({"role": role, "content": text} for role, text in turns))
    assert learned(reader, value) == ["!what<|endoftext|>", "!a text<|endoftext|>"]


def test_special_tokens_that_a_user_writes_are_text(tmp_path: Path) -> None:
    reader = reading(tmp_path, TEMPLATE)
    (row,) = reader.rows([[{"role": "user", "content": "a <|endoftext|> text"}]]).features
    assert row["input_ids"].tolist().count(0) == 1, "the template's own"
    (row,) = reader.rows(["a <|endoftext|> text"]).features
    assert 0 not in row["input_ids"]
    text = reader.whole.decode(row["input_ids"].tolist(), skip_special_tokens=False)
    assert text == "a <|endoftext|> text"


def test_special_tokens_in_roles_and_names_are_text_and_other_characters_stay(tmp_path: Path) -> None:
    reader = reading(tmp_path, TEMPLATE)
    (row,) = reader.rows([[{"role": "user<|endoftext|>", "content": "a \ue000b"}]]).features
    assert row["input_ids"].tolist().count(0) == 1, "the template's own"
    assert "user<|endoftext|>>a \ue000b" in reader.whole.decode(row["input_ids"].tolist(), skip_special_tokens=False)
    with pytest.raises(ValueError, match="no character"):
        reader.rows(["a \ufdd0 text"])


def test_a_completion_that_is_cut_away_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing that is to be learned is left within `max_length: 8`"):
        reading(tmp_path, max_length=8).rows([Completed("a text " * 10, "what")])


def test_a_shared_embedding_stands_in_the_graph_once(built: tuple[Path, Any]) -> None:
    bundle, model = built
    graph = onnx.load(str(bundle / "model.onnx")).graph
    shape = tuple(model.get_input_embeddings().weight.shape)
    of_words = [t.name for t in graph.initializer if tuple(t.dims) in (shape, shape[::-1])]
    assert len(of_words) == (1 if model.config.tie_word_embeddings else 2)


TOOLED = "{% if tools %}{{ tools | tojson }}{% endif %}" + TEMPLATE.replace("m['content']", "(m['content'] or '?')")
CHATS = [
    {
        "messages": [{"role": "user", "content": f"read {word}"}, {"role": "assistant", "content": word}],
        "tools": [{"name": word}],
    }
    for word in WORDS * 3
]


def test_tools_reach_the_template_in_training_and_when_asked(tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone", TOOLED)
    data = {"train": "rows.jsonl", "validation": {"fraction": 0.2}, "max_length": 64}
    spec = write(tmp_path, "llama", CHATS, data=data, export={"samples": "validation", "gate": {"metric_drop": 1.0}})
    graftc.build(spec, tmp_path / "bundle", store=tmp_path / "store")
    loaded = graftc.load(tmp_path / "bundle")
    asked = {"messages": CHATS[0]["messages"][:1], "tools": CHATS[0]["tools"]}
    (row,) = loaded.rows([asked]).features
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "backbone")
    text = tokenizer.decode(row["input_ids"].tolist(), skip_special_tokens=False)
    assert text.startswith('[{"name": "the"}]<user>read the')
    assert text.endswith("<assistant>")
    (prepared,) = (tmp_path / "store/stages/prepare-train").iterdir()
    words = tokenizer.decode(Prepared(prepared).row(0)["input_ids"].tolist(), skip_special_tokens=False)
    assert words.startswith('[{"name": "')
    samples = [json.loads(line) for line in (tmp_path / "bundle/samples.jsonl").read_text().splitlines()]
    assert all(sample["input"]["messages"][-1]["role"] == "user" for sample in samples), "answers are not asked"
    assert "generated_text" in samples[0]["answer"]


def test_what_chats_is_asked_one_conversation_or_many(tmp_path: Path) -> None:
    reader = reading(tmp_path, TEMPLATE)
    one = [{"role": "user", "content": "read"}]
    assert reader.is_one(one)
    assert not reader.is_one([one, one])
    assert not reader.is_one([{"messages": one}] * 2)
    assert not reader.is_one(["read"])
    for wrong in ([{"content": "read"}], [{"role": "user", "content": 3}], 5, {"messages": []}, [1]):
        assert reader.check(wrong), wrong


def test_an_answer_in_a_conversation_is_a_text_by_itself() -> None:
    rows = Rows(["a prompt", [{"role": "user", "content": "read"}]], [], np.arange(2))
    assert text_generation._contexts(rows, {0: [1, 2], 1: [3]}) == [[1, 2], ()]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (b"{% for m in messages %}{{ m", "can't be used"),
        (b"\xff\xfe{{ messages }}", "can't be used"),
        (None, "has no chat template"),
    ],
)
def test_a_template_that_can_t_be_used_is_refused(template: bytes | None, says: str, tmp_path: Path) -> None:
    backbone("llama", tmp_path / "backbone")
    if template:
        (tmp_path / "backbone/chat_template.jinja").write_bytes(template)
    found = [each for each in graftc.validate(write(tmp_path, "llama", CHATS)) if each.code.startswith("E")]
    assert [each.code for each in found] == ["E0399"]
    assert says in found[0].headline


def test_what_learned_from_prompts_is_asked_prompts(tmp_path: Path) -> None:
    """Though its backbone chats: words of a command line, golden samples and the card's example."""
    backbone("gpt2", tmp_path / "backbone", TEMPLATE)
    built = graftc.build(write(tmp_path, "gpt2", pairs(16)), tmp_path / "bundle", store=tmp_path / "store")
    record = built.plan.reading.preprocessing.plain()
    assert (record["is_chat"], bool(record["template"])) == (False, True)
    assert graftc.load(built.folder).from_words(["the small"]) == ["the small"]
    samples = (built.folder / "samples.jsonl").read_text().splitlines()
    assert all(isinstance(json.loads(line)["input"], str) for line in samples)
    assert '"role"' not in (built.folder / "README.md").read_text()


def test_a_template_that_refuses_our_own_conversations_still_builds(tmp_path: Path) -> None:
    """Golden conversations are those that the template takes; this one wants a system message."""
    wants = "{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    record = {"template": wants, "template_tokens": {"eos_token": "</s>"}, "is_chat": True}
    assert all(isinstance(each, str) for each in golden(0, record))
    assert not all(isinstance(each, str) for each in golden(0, {**record, "template": TEMPLATE}))


def test_beams_that_should_draw_are_refused_by_validate(tmp_path: Path) -> None:
    backbone("gpt2", tmp_path / "backbone")
    head = {"type": "text-generation", "generation": {"beams": 2, "temperature": 0.7}}
    (found,) = (each for each in graftc.validate(write(tmp_path, "gpt2", pairs(), head=head)) if each.is_error)
    assert (found.code, found.at) == ("E0209", At(("head", "generation", "temperature")))


def test_prompts_are_read_in_batches_and_answered_as_alone(built: tuple[Path, Any], monkeypatch: Any) -> None:
    loaded = graftc.load(built[0])
    sizes, run = [], loaded.graphs.run

    def counted(name: str, arrays: Any) -> Any:
        sizes.append(arrays["input_ids"].shape)
        return run(name, arrays)

    monkeypatch.setattr(loaded.graphs, "run", counted)
    given = [*prompts(), "the small " * 20] * 9
    answers = loaded.predict(given, max_new_tokens=3)
    assert max(rows for rows, _ in sizes) <= 32
    assert max(rows * tokens for rows, tokens in sizes) <= 4096
    alone = {text: loaded.predict(text, max_new_tokens=3).generated_text for text in set(given)}
    assert [answer.generated_text for answer in answers] == [alone[text] for text in given]


def test_where_positions_end_each_prompt_has_its_own_room_and_keeps_its_last_tokens(built: tuple[Path, Any]) -> None:
    bundle, _ = built
    loaded = graftc.load(bundle)
    loaded.heads[""]["positions"] = 16
    given = ["next", "the small network reads a text and writes what comes next " * 2, "a text and writes what comes"]
    tokens = [row["input_ids"].tolist() for row in loaded.rows(given).features]
    assert len(tokens[1]) > 16
    kept = [each[-8:] for each in tokens[1:]]  # half of the positions
    answers = loaded.predict(given, max_new_tokens=12)
    alone = [loaded.predict(each, max_new_tokens=12) for each in given]
    assert [answer.generated_text for answer in answers] == [answer.generated_text for answer in alone]
    reader = transformers.AutoTokenizer.from_pretrained(bundle / "checkpoint")
    wanted = [written(bundle, [ids], max_new_tokens=min(12, 16 - len(ids)))[0] for ids in kept]
    for answer, ids in zip(answers[1:], wanted, strict=True):
        assert answer.generated_text == reader.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("tools", [3, "a clock", [1], {"name": "clock"}])
def test_tools_that_are_none_are_refused(tools: Any, tmp_path: Path) -> None:
    reader = reading(tmp_path, TOOLED)
    row = {"messages": CHATS[0]["messages"], "tools": tools}
    assert "tools" in str(reader.check({"messages": row["messages"][:1], "tools": tools}))
    wrong = refusal(row, {"messages": ("messages",)}, tmp_path)
    assert wrong is not None
    assert wrong.column == "tools"
    answers = {name: [*CHATS[0]["messages"][:1], {"role": "assistant", "content": name}] for name in ("a", "b")}
    pair = {"chosen": answers["a"], "rejected": answers["b"], "tools": tools}
    assert refusal(pair, {"chosen": ("chosen",), "rejected": ("rejected",)}, tmp_path) is not None


def test_tools_may_be_written_as_json(tmp_path: Path) -> None:
    reader = reading(tmp_path, TOOLED)
    messages, tools = CHATS[0]["messages"], [{"name": "clock"}]
    given = [{"messages": messages[:1], "tools": each} for each in (tools, json.dumps(tools))]
    plain, written = (row["input_ids"].tolist() for row in reader.rows(given).features)
    assert plain == written
    row = {"messages": messages, "tools": json.dumps(tools)}
    assert raw(row, {"messages": ("messages",)}, tmp_path) == Conversation(tuple(messages), tools)


@pytest.mark.parametrize("indent", ["17", "1000000000", "'" + " " * 17 + "'"])
def test_json_in_a_template_is_indented_within_bounds(indent: str) -> None:
    chat = [{"role": "user", "content": "read"}]
    with pytest.raises(ValueError, match="at most 16"):
        ChatTemplate(f"{{{{ messages | tojson(indent={indent}) }}}}", {}).text(chat, is_prompt=True)
    assert ChatTemplate("{{ messages | tojson(indent=4) }}", {}).text(chat, is_prompt=True) == json.dumps(
        chat, indent=4
    )
