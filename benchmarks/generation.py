"""Writing by a language model: tokens a second of a bundle's graphs beside torch's `generate` on the same weights.

    python benchmarks/generation.py BUNDLE… --model DIR [--genai DIR…] [--ctranslate2 DIR…] [--prompts 32 1000]
        [--batches 1 8] [--new 48] [--rounds 5] [--threads 2] [--cpu] [--output DIR]

DIR after `--model` is transformers' folder of the same weights; a bundle of each form stands side by side. Every
contender is asked in turn, in an order that is drawn anew in each round, and the median over rounds counts: of the
prefill (the first token) and of the time for each further token, with greedy decoding of exactly `--new` tokens. A
bundle is asked through its own runtime, the text left out. The floor is the time to read all weights of a graph once
from memory, at the bandwidth that is measured beside it; of larger batches too, since weights are read once for all
rows. `--genai` are folders of onnxruntime-genai's model builder, `--ctranslate2` those of CTranslate2's converter; both
are asked where their packages are installed. `--cpu` counts the processor's seconds of one thread instead, for machines
that others work on. Prints the table, and writes generation.json and generation.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np

from graftc.runtime.generation import Options
from graftc.runtime.generation.search import search
from graftc.runtime.heads.text_generation import steps_of
from graftc.runtime.model import HeadRun, Model

Prompts = list[list[int]]
Now = Callable[[], float]  # seconds
Taken = tuple[float, float]  # seconds of the prefill, and of each further token


@dataclass(frozen=True)
class Contender:
    """Somebody who writes; `ask` takes prompts and the number of new tokens."""

    name: str
    ask: Callable[[Prompts, int], Taken]
    bytes: int  # of weights that a step reads


def of_bundle(folder: Path, precision: str, threads: int, now: Now) -> Contender:
    """A bundle's graph under its own decoding."""
    model = Model(folder, precision, threads)
    head = model.heads[""]
    form = "one buffer" if head.get("padding") == "right" else "portable"

    def ask(prompts: Prompts, new: int) -> Taken:
        options = Options(max_new_tokens=new, min_new_tokens=new, stop_tokens=())
        start = now()
        pieces = search(steps_of(HeadRun(model, "", {}), head), prompts, options, [None] * len(prompts), prompts)
        for _ in range(len(prompts)):
            next(pieces)
        first = now()
        for _ in pieces:
            pass
        return first - start, (now() - first) / (new - 1)

    file = folder / model.manifest["graphs"]["model"]["files"][precision]
    size = sum(each.stat().st_size for each in folder.glob(f"{file.name}*"))
    return Contender(f"bundle {precision}, {form}", ask, size)


def of_torch(folder: Path, threads: int, now: Now) -> Contender:
    """transformers' `generate` in fp32."""
    import torch
    from transformers import AutoModelForCausalLM, LogitsProcessor

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    class Clock(LogitsProcessor):
        """Notes when logits come."""

        def __init__(self) -> None:
            self.times: list[float] = []

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            """The scores as they are."""
            self.times.append(now())
            return scores

    def ask(prompts: Prompts, new: int) -> Taken:
        longest, clock = max(map(len, prompts)), Clock()
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        start = now()
        with torch.inference_mode():
            model.generate(
                input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=new, min_new_tokens=new,
                pad_token_id=0, logits_processor=[clock],
            )  # fmt: skip
        return clock.times[0] - start, (clock.times[-1] - clock.times[0]) / (new - 1)

    return Contender("torch `generate`, fp32", ask, sum(p.numel() * 4 for p in model.parameters()))


def of_genai(folder: Path, threads: int, now: Now) -> Contender:
    """onnxruntime-genai; its threads are those of genai_config.json."""
    import onnxruntime_genai as genai  # type: ignore[import-not-found]

    config = json.loads((folder / "genai_config.json").read_text())
    config["model"]["decoder"]["session_options"]["intra_op_num_threads"] = threads
    (folder / "genai_config.json").write_text(json.dumps(config, indent=4))
    model = genai.Model(str(folder))

    def ask(prompts: Prompts, new: int) -> Taken:
        given = genai.GeneratorParams(model)
        length = max(map(len, prompts)) + new
        given.set_search_options(max_length=length, min_length=length, batch_size=len(prompts), do_sample=False)
        generator = genai.Generator(model, given)
        start = now()
        generator.append_tokens(np.array(prompts, np.int32))
        generator.generate_next_token()
        first = now()
        for _ in range(new - 1):
            generator.generate_next_token()
        return first - start, (now() - first) / (new - 1)

    size = sum(each.stat().st_size for each in folder.glob("model.onnx*"))
    return Contender(f"onnxruntime-genai, {folder.name}", ask, size)


def of_ctranslate2(folder: Path, threads: int, now: Now) -> Contender:
    """CTranslate2 in the type of its folder."""
    import ctranslate2  # type: ignore[import-not-found]

    kind = "int8" if "int8" in folder.name else "float32"
    generator = ctranslate2.Generator(
        str(folder), device="cpu", intra_threads=threads, inter_threads=1, compute_type=kind
    )
    vocabulary = json.loads((folder / "vocabulary.json").read_text())

    def run(prompts: Prompts, new: int) -> float:
        words = [[vocabulary[id] for id in prompt] for prompt in prompts]
        start = now()
        generator.generate_batch(
            words, max_length=new, min_length=new, include_prompt_in_result=False, sampling_topk=1, beam_size=1
        )
        return now() - start

    def ask(prompts: Prompts, new: int) -> Taken:
        first = run(prompts, 1)
        return first, (run(prompts, new) - first) / (new - 1)

    return Contender(f"CTranslate2 {kind}", ask, (folder / "model.bin").stat().st_size)


def bandwidth(threads: int) -> float:
    """Bytes that all threads read from memory in a second: the best of several sums of a large array."""
    from concurrent.futures import ThreadPoolExecutor

    parts = [np.ones(1 << 26, np.float32) for _ in range(threads)]
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(7):
            start = time.perf_counter()
            list(pool.map(np.max, parts))
            best = min(best, time.perf_counter() - start)
    return sum(part.nbytes for part in parts) / best


def measured(
    contenders: Sequence[Contender], prompt: int, batch: int, new: int, rounds: int
) -> Iterator[tuple[Contender, float, float, float]]:
    """(contender, prefill, seconds of a further token, its ratio to the first contender): medians over rounds."""
    draw = random.Random(0)
    prompts = [[draw.randrange(100, 2000) for _ in range(prompt)] for _ in range(batch)]
    taken: dict[str, list[Taken]] = {each.name: [] for each in contenders}
    for number in range(rounds + 1):  # the first is a warm-up
        for each in draw.sample(list(contenders), len(contenders)):
            found = each.ask(prompts, new if number else 4)
            if number:
                taken[each.name].append(found)
    base = taken[contenders[0].name]
    for each in contenders:
        own = taken[each.name]
        ratio = median(before[1] / after[1] for before, after in zip(base, own, strict=True))
        yield each, median(first for first, _ in own), median(further for _, further in own), ratio


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The results as Markdown."""
    head = "| prompt | batch | who | prefill ms | of torch's | tokens a second | of torch's | of the floor |"
    lines = [head, "|---:|---:|---|---:|---:|---:|---:|---:|"]
    for row in found:
        lines.append(
            f"| {row['prompt']:,} | {row['batch']} | {row['who']} | {1000 * row['prefill']:,.0f} "
            f"| {row['prefill_ratio']:.2f} | {row['batch'] / row['further']:.1f} | {row['ratio']:.2f} "
            f"| {row['floor'] / row['further']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--genai", nargs="*", type=Path, default=[])
    parser.add_argument("--ctranslate2", nargs="*", type=Path, default=[])
    parser.add_argument("--prompts", nargs="*", type=int, default=[32, 1000])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--new", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("build"))
    asked = parser.parse_args()
    threads, now = (1, time.process_time) if asked.cpu else (asked.threads, time.perf_counter)
    contenders = [of_torch(asked.model, threads, now)]
    for folder in asked.bundles:
        precisions = json.loads((folder / "manifest.json").read_bytes())["precisions"]
        contenders += [of_bundle(folder, precision, threads, now) for precision in precisions]
    contenders += [of_genai(folder, threads, now) for folder in asked.genai]
    contenders += [of_ctranslate2(folder, threads, now) for folder in asked.ctranslate2]
    read, found = bandwidth(threads), []
    print(f"{read / 1e9:.1f} GB/s are read from memory by {threads} threads")
    for prompt in asked.prompts:
        for batch in asked.batches:
            own = list(measured(contenders, prompt, batch, asked.new, asked.rounds))
            for each, prefill, further, ratio in own:
                row = {"prompt": prompt, "batch": batch, "who": each.name, "prefill": prefill, "further": further}
                found.append({**row, "ratio": ratio, "prefill_ratio": own[0][1] / prefill, "floor": each.bytes / read})
            print(table(found[-len(own) :]), flush=True)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "generation.json").write_text(json.dumps({"bandwidth": read, "found": found}, indent=1))
    (asked.output / "generation.md").write_text(table(found) + "\n")


if __name__ == "__main__":
    main()
