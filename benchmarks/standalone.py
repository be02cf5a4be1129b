"""Runs bundles where there is nothing but what they ask for: a fresh venv with their requirements.txt.

    python benchmarks/standalone.py BUNDLE…

Each bundle is copied to another folder. Prints, per bundle: the venv's size, the largest difference to the
golden answers in fp32 and in every other precision, and whether any path of this machine is in its files.
Exit status 1 where one fails.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT_MB = 250  # of the venv

ASK = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("predict", sys.argv[1] + "/predict.py")
predict = importlib.util.module_from_spec(spec)
spec.loader.exec_module(predict)
samples = [json.loads(line) for line in open(sys.argv[1] + "/samples.jsonl", encoding="utf-8")]
inputs = [tuple(s["input"]) if isinstance(s["input"], list) else s["input"] for s in samples]
worst = {}
for precision in predict.PRECISIONS:
    model = predict.Model(precision=precision)
    answers = model.predict(inputs)
    assert len(answers) == len(samples)
    outputs = model._model.outputs(inputs)
    for name, found in outputs.items():
        golden = [row for s in samples for row in s["outputs"][precision][name]]
        found = [row.tolist() for row in found]
        flat = lambda v: [y for x in v for y in flat(x)] if isinstance(v, list) else [v]
        top = max(1.0, max(map(abs, flat(golden))))
        differs = max(abs(a - b) for a, b in zip(flat(found), flat(golden), strict=True)) / top
        worst[precision] = max(differs, worst.get(precision, 0.0))
for absent in ("torch", "transformers", "graftc", "pydantic", "onnx"):
    assert absent not in sys.modules and importlib.util.find_spec(absent) is None, absent
print(json.dumps(worst))
"""


def main(bundles: list[str]) -> int:
    """Checks every bundle in one venv per set of requirements."""
    if not bundles:
        print(__doc__)
        return 2
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for i, bundle in enumerate(map(Path, bundles)):
            fine = check(bundle, Path(folder) / str(i)) and fine
    return 0 if fine else 1


def check(bundle: Path, folder: Path) -> bool:
    """One bundle: copied, installed for, asked, searched."""
    copy = folder / "elsewhere" / "bundle"
    shutil.copytree(bundle, copy)
    python = venv(copy / "requirements.txt", folder / "venv")
    size = sum(p.stat().st_size for p in (folder / "venv").rglob("*") if p.is_file() and not p.is_symlink()) / 1e6
    words = (
        ["some text", "another"]
        if json.loads((copy / "manifest.json").read_bytes())["preprocessing"]["modality"] == "text"
        else []
    )
    if words:
        subprocess.run([str(python), "-I", str(copy / "predict.py"), *words], check=True, cwd="/", capture_output=True)
    asked = subprocess.run(
        [str(python), "-I", "-c", ASK, str(copy)], check=False, cwd="/", capture_output=True, text=True
    )
    worst = json.loads(asked.stdout) if asked.returncode == 0 else {}
    allowed = json.loads((copy / "manifest.json").read_bytes())["gates"]["parity"]["allowed"]
    paths = traces(copy)
    fine = bool(worst) and worst.get("fp32", 0.0) <= allowed and size < LIMIT_MB and not paths
    print(
        f"{bundle}: {'fine' if fine else 'FAILED'}; venv {size:.0f} MB; "
        + ", ".join(f"{p} {w:.1e}" for p, w in worst.items())
        + (f"; paths {paths}" if paths else "")
    )
    if asked.returncode:
        print(asked.stderr, file=sys.stderr)
    return fine


def venv(requirements: Path, target: Path) -> Path:
    """A venv with a bundle's requirements and nothing else; its python."""
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
    python = target / "bin" / "python"
    subprocess.run([str(python), "-I", "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
    return python


def traces(bundle: Path, words: tuple[str, ...] = ()) -> list[str]:
    """Files of a bundle that hold a path of this machine: home, interpreter, working folder, site-packages."""
    here = {
        str(Path.home()),
        sys.prefix,
        str(Path.cwd()),
        "site-packages",
        str(Path(__file__).resolve().parents[1]),
        *words,
    } - {"/"}
    return [
        str(p.relative_to(bundle))
        for p in bundle.rglob("*")
        if p.is_file() and any(w.encode() in p.read_bytes() for w in here)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
