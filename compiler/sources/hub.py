"""A model repository of the Hugging Face Hub, read through its cache on this machine.

Only configuration, tokenizer and safetensors files are requested, never pickles or code. A commit that the cache holds
completely costs no request; huggingface_hub also remembers which files a repository lacks at a commit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts.source import Source
from ..extras import installing
from . import SENTENCES, Located, Missing

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SMALL = (
    CONFIG,
    INDEX,
    "chat_template.jinja",
    "generation_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",  # holds the licence
    SENTENCES[0],
)
TIMEOUT = 10.0  # seconds without an answer after which the Hub counts as unreachable

_REFERENCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>\w[\w./+-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = re.compile(r"[\w-][\w.-]*\.safetensors", re.ASCII)
_AWAY = "set HF_HUB_OFFLINE=1 to use what the cache holds, or give a local folder: `from: ./folder`"
_ONCE = "unset HF_HUB_OFFLINE once, or give a local folder: `from: ./folder`"


def locate(reference: str, base: Path, weights: bool = True) -> Located:
    """The snapshot of `org/name@revision`, downloaded where the cache lacks it; `base` is not used.

    With `weights` False, safetensors files are not downloaded: planning reads only their `header`.
    """
    repo, revision = _parts(reference)
    _need_library()
    from huggingface_hub.constants import HF_HUB_OFFLINE

    with _explained(repo, revision):
        commit = revision if _COMMIT.fullmatch(revision) else ""
        if not commit or _Snapshot(repo, commit).unknown(weights):
            commit = _cached_commit(repo, revision) if HF_HUB_OFFLINE else _fetch(repo, revision, weights)
        snapshot = _Snapshot(repo, commit)
        for name in (CONFIG, *(snapshot.weights() if weights else ())):
            if not isinstance(snapshot.look(name), str):
                raise _lacking(snapshot, name, HF_HUB_OFFLINE)
        return Located(Path(str(snapshot.look(CONFIG))).parent, f"hub:{repo}@{commit}")


def held(folder: Path) -> Iterator[Path]:
    """No files: the cache of a commit has no manifest."""
    return iter(())


def check(located: Located, memory: Path | None) -> None:
    """Does nothing: the cache of a commit has no manifest."""


def header(pinned: str, filename: str) -> dict[str, Any]:
    """The JSON header of a safetensors file of `hub:org/name@commit`, without its tensors.

    Asks the Hub each time, with at most two requests; the answer for a commit never changes.
    """
    repo, commit = _parts(pinned.removeprefix("hub:"))
    _need_library()
    from huggingface_hub import HfApi

    with _explained(repo, commit):
        found = HfApi().parse_safetensors_file_metadata(repo, filename, revision=commit, timeout=TIMEOUT)
    tensors = {
        name: {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": list(tensor.data_offsets)}
        for name, tensor in found.tensors.items()
    }
    return {"__metadata__": dict(found.metadata), **tensors} if found.metadata else tensors


def _parts(reference: str) -> tuple[str, str]:
    match = _REFERENCE.fullmatch(reference)
    if match is None or ".." in reference:
        raise Missing(f"`{reference}` is no repository of the Hub", "write `hub:org/name@revision`")
    revision = match["revision"] or "main"
    return match["repo"], revision.lower() if _COMMIT.fullmatch(revision.lower()) else revision


def _need_library() -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        reason = f"`hub:` needs huggingface_hub ({error})"
        raise Missing(reason, installing("hub"), is_machine=True) from error


@dataclass(frozen=True)
class _Snapshot:
    """The files of a repository at a commit that the cache holds."""

    repo: str
    commit: str

    def look(self, name: str) -> str | bool:
        """The path of a file; False if the repository is known to lack it, True if nothing is known."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, name, revision=self.commit)
        return found if isinstance(found, str) else found is None

    def weights(self) -> tuple[str, ...]:
        """The names of the weight files: the shards of the index, else the single file."""
        index = self.look(INDEX)
        if not isinstance(index, str):
            return ("model.safetensors",)
        try:
            names = sorted(set(json.loads(Path(index).read_bytes())["weight_map"].values()))
            is_sound = bool(names) and all(_WEIGHTS.fullmatch(name) for name in names)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            is_sound = False
        if not is_sound:
            raise Missing(f"the index of the weights of `{self.repo}` is damaged", "choose another revision")
        return tuple(names)

    def sentences(self) -> tuple[str, ...]:
        """The names of the configuration files of sentence-transformers' modules, if the repository has any."""
        return SENTENCES[1:] if isinstance(self.look(SENTENCES[0]), str) else ()

    def unknown(self, weights: bool) -> list[str]:
        """The files whose existence is not known without asking the Hub."""
        names = SMALL + self.sentences() + (self.weights() if weights else ())
        return [name for name in names if self.look(name) is True]


def _lacking(snapshot: _Snapshot, name: str, is_offline: bool) -> Missing:
    if is_offline and snapshot.look(name) is True:
        place = f"`{snapshot.repo}` at {snapshot.commit[:12]}"
        return Missing(f"the cache lacks {name} of {place}, and HF_HUB_OFFLINE is set", _ONCE, is_machine=True)
    help = "a backbone needs config.json and its weights as safetensors; pickled weights are not read"
    return Missing(f"`{snapshot.repo}` has no {name} at {snapshot.commit[:12]}", help)


def _cached_commit(repo: str, revision: str) -> str:
    """The commit that `revision` was at when it was last downloaded."""
    if _COMMIT.fullmatch(revision):
        return revision
    config = _Snapshot(repo, revision).look(CONFIG)
    if not isinstance(config, str):
        reason = f"the cache lacks `{repo}` at `{revision}`, and HF_HUB_OFFLINE is set"
        raise Missing(reason, _ONCE, is_machine=True)
    return Path(config).parent.name


def _fetch(repo: str, revision: str, weights: bool) -> str:
    """Downloads the files that the cache lacks and returns the commit.

    The Hub is asked for the commit first. Otherwise huggingface_hub answers from its cache when the Hub is down, so
    that a branch may be out of date without a word, or retries an unreachable Hub for half a minute.
    """
    from huggingface_hub import HfApi, hf_hub_download

    commit = HfApi().model_info(repo, revision=revision, timeout=TIMEOUT).sha or ""
    if not _COMMIT.fullmatch(commit):
        raise Missing(f"the Hub names no commit of `{repo}`", "check HF_ENDPOINT", is_machine=True)
    snapshot = _Snapshot(repo, commit)
    for name in snapshot.unknown(False):
        _download(repo, commit, name)
    for name in snapshot.unknown(weights):
        _download(repo, commit, name)
    if revision != commit and isinstance(snapshot.look(CONFIG), str):
        # records the branch's commit, for a later run without network
        hf_hub_download(repo, CONFIG, revision=revision)
    return commit


def _download(repo: str, commit: str, name: str) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with suppress(RemoteEntryNotFoundError):  # the cache remembers
        hf_hub_download(repo, name, revision=commit)


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Turns exceptions of huggingface_hub into Missing, with help for the author of a spec."""
    from huggingface_hub.errors import HTTPError, SafetensorsParsingError

    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError, SafetensorsParsingError) as error:
        # hf_xet raises RuntimeError; ValueError means that the answer was not the Hub's
        raise _missing(error, repo, revision) from error


def _missing(error: Exception, repo: str, revision: str) -> Missing:
    from huggingface_hub import errors

    line = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, errors.GatedRepoError):  # a RepositoryNotFoundError too
        help = f"ask for access at https://huggingface.co/{repo}, then log in: `hf auth login`"
        return Missing(f"`{repo}` is gated: its owner must let you in", help, is_machine=True)
    wrong = (
        (
            errors.RepositoryNotFoundError,
            "is not on the Hub, or private",
            "check the name; or `hf auth login`",
        ),
        (errors.RevisionNotFoundError, f"has no revision `{revision}`", "check the branch, tag or commit"),
        (errors.RemoteEntryNotFoundError, f"lacks a file: {line}", "pickled weights are not read"),
        (errors.SafetensorsParsingError, f"has damaged weights: {line}", "choose another revision"),
        (errors.HFValidationError, f"is no name of a repository: {line}", "write `hub:org/name@revision`"),
    )
    for kind, reason, help in wrong:
        if isinstance(error, kind):
            return Missing(f"`{repo}` {reason}", help)
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 403):
        help = "log in with a token that may read it: `hf auth login`"
        return Missing(f"the Hub refuses `{repo}`: {line}", help, is_machine=True)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Missing(f"`{repo}` is not in the cache, and HF_HUB_OFFLINE is set", _ONCE, is_machine=True)
    return Missing(f"could not fetch `{repo}` from the Hub: {line}", _AWAY, is_machine=True)


SOURCE = Source(is_path=False, locate=locate, held=held, check=check, header=header)
