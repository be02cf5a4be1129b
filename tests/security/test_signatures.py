"""A signed bundle: whoever changes a byte of it, and the manifest to suit, is found out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from graftc.runtime.manifest import sealed, sha256

from ..bundle.test_bundle import TEXT, build
from ..front.cli import Command


def openssl(*words: str, folder: Path) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a spec, its bundle, and keys as OpenSSL writes them."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    folder = tmp_path_factory.mktemp("signed")
    build(folder, "bert", adapt={"method": "probe"}, data=TEXT, train={"max_steps": 2})
    for name in ("release", "other"):
        openssl("genpkey", "-algorithm", "ed25519", "-out", f"{name}.key", folder=folder)
        openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub", folder=folder)
    return folder


@pytest.fixture
def graftc(whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("GRAFTC_STORE", str(whole / "store"))
    monkeypatch.chdir(whole)
    return Command(capsys)


@pytest.fixture
def bundle(whole: Path, graftc: Command, tmp_path: Path) -> Path:
    """A copy of the bundle, signed."""
    answer = graftc("build", "spec.yaml", "-o", "bundle", "--sign", "release.key", "--quiet")
    assert "nothing to do" in answer.out, "and it is signed all the same"
    return Path(shutil.copytree(whole / "bundle", tmp_path / "bundle"))


@pytest.fixture(autouse=True)
def unsigned(whole: Path) -> Iterator[None]:
    yield
    (whole / "bundle" / "manifest.sig").unlink(missing_ok=True)


def test_a_signed_bundle_is_fine_and_like_an_unsigned_one_else(bundle: Path, whole: Path, graftc: Command) -> None:
    assert len((bundle / "manifest.sig").read_bytes()) == 64
    for words in (["--key", "release.pub"], ["--key", "release.pub", "--strict"], ["--strict"], []):
        assert graftc("verify", bundle, *words).status == 0
    raw = (whole / "bundle" / "manifest.sig").read_bytes()
    graftc("build", "spec.yaml", "-o", "bundle", "--sign", "release.key", "--quiet")
    assert (whole / "bundle" / "manifest.sig").read_bytes() == raw


def test_openssl_says_the_same(bundle: Path, whole: Path) -> None:
    words = ["-pubin", "-inkey", "release.pub", "-rawin", "-in", str(bundle / "manifest.json")]
    openssl("pkeyutl", "-verify", *words, "-sigfile", str(bundle / "manifest.sig"), folder=whole)


def test_one_byte_anywhere_is_found_out_whatever_the_manifest_says(bundle: Path, graftc: Command) -> None:
    names = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    for name in names:
        raw = (bundle / name).read_bytes()
        (bundle / name).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        manifest = (bundle / "manifest.json").read_bytes()
        if name not in ("manifest.json", "manifest.sig"):
            told = json.loads(manifest)
            told["files"][name] |= {"sha256": sha256(bundle / name)}
            (bundle / "manifest.json").write_text(json.dumps(sealed(told), indent=1, sort_keys=True) + "\n")
        assert graftc("verify", bundle, "--key", "release.pub").codes == ["E0508"], name
        (bundle / "manifest.json").write_bytes(manifest)
        (bundle / name).write_bytes(raw)
    assert graftc("verify", bundle, "--key", "release.pub").status == 0


def test_a_kill_while_it_is_signed_leaves_nothing_in_the_bundle(
    bundle: Path, whole: Path, graftc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    (whole / "bundle" / "manifest.sig").unlink()
    with monkeypatch.context() as held:
        held.setattr(os, "replace", killed)
        assert graftc("build", "spec.yaml", "-o", "bundle", "--sign", "release.key", "--quiet").status == 130
    assert graftc("verify", "bundle").status == 0
    assert not (whole / "bundle" / "manifest.sig").exists()


def test_a_file_more_is_found_out(bundle: Path, graftc: Command) -> None:
    (bundle / "x").write_text("x")
    assert graftc("verify", bundle, "--key", "release.pub").codes == ["E0503"]


def test_another_key_and_no_signature_are_errors(bundle: Path, graftc: Command) -> None:
    assert graftc("verify", bundle, "--key", "other.pub").codes == ["E0508"]
    for content in (b"", b"\0" * 64, b"\0" * 63, b"\0" * 100_000):
        (bundle / "manifest.sig").write_bytes(content)
        assert graftc("verify", bundle, "--key", "release.pub").codes == ["E0508"]
    (bundle / "manifest.sig").unlink()
    answer = graftc("verify", bundle, "--key", "release.pub")
    assert (answer.status, answer.codes) == (1, ["E0508"])
    assert graftc("verify", bundle).status == 0


@pytest.mark.parametrize("kind", ["ed448", "x25519"])
def test_keys_of_another_kind_are_refused(kind: str, bundle: Path, whole: Path, graftc: Command) -> None:
    openssl("genpkey", "-algorithm", kind, "-out", "kind.key", folder=whole)
    openssl("pkey", "-in", "kind.key", "-pubout", "-out", "kind.pub", folder=whole)
    assert graftc("verify", bundle, "--key", "kind.pub").codes == ["E0509"]
    assert graftc("build", "spec.yaml", "-o", "bundle", "--sign", "kind.key", "--quiet").codes == ["E0509"]


def test_what_is_no_key_is_refused_before_anything_is_built(whole: Path, graftc: Command) -> None:
    (whole / "words.key").write_text("-----BEGIN PRIVATE KEY-----\nnope\n")
    openssl("pkey", "-in", "release.key", "-aes256", "-passout", "pass:x", "-out", "locked.key", folder=whole)
    for name in ("words.key", "locked.key", "none.key", "release.pub", "spec.yaml", "."):
        answer = graftc("build", "spec.yaml", "-o", "new", "--sign", name, "--quiet")
        assert (answer.status, answer.codes) == (1, ["E0509"]), name
        assert not (whole / "new").exists()
    for name in ("release.key", "none.pub", "spec.yaml"):
        assert graftc("verify", "bundle", "--key", name).codes == ["E0509"], name


def test_a_key_of_another_kind_is_named(bundle: Path, whole: Path, graftc: Command) -> None:
    (whole / "ssh.key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n-----END OPENSSH PRIVATE KEY-----\n")
    (whole / "ssh.pub").write_text("ssh-ed25519 AAAAC3Nza somebody\n")
    (whole / "torn.key").write_text("-----BEGIN PRIVATE KEY-----\nnope\n")
    for name, said in (
        ("release.pub", "it is a public key, which goes to who checks"),
        ("ssh.key", "it is a key in the form of ssh-keygen"),
        ("torn.key", "it is no private key in PEM"),
    ):
        assert said in graftc("build", "spec.yaml", "-o", "new", "--sign", name, "--quiet").err, name
    for name, said in (
        ("release.key", "it is a private key, which stays with who signs"),
        ("ssh.pub", "it is a key in the form of ssh-keygen"),
    ):
        assert said in graftc("verify", bundle, "--key", name).err, name


def test_a_signature_is_never_taken_for_checked_unasked(bundle: Path, graftc: Command) -> None:
    assert graftc("verify", bundle).out.endswith("fine; manifest.sig was not checked, which takes --key\n")
    assert graftc("verify", bundle, "--key", "release.pub").out.endswith("fine, and signed\n")
    (bundle / "manifest.sig").unlink()
    assert graftc("verify", bundle).out.endswith("fine\n")


def test_build_says_that_it_signed(graftc: Command) -> None:
    signed = graftc("build", "spec.yaml", "-o", "bundle", "--sign", "release.key")
    assert "  signed      with release.key\n" in signed.out
    assert "signed" not in graftc("build", "spec.yaml", "-o", "bundle").out


def test_ends_of_lines_that_git_changed_are_told_and_no_less_refused(bundle: Path, graftc: Command) -> None:
    manifest = bundle / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"\n", b"\r\n"))
    answer = graftc("verify", bundle, "--key", "release.pub")
    assert answer.codes == ["E0508"]
    assert "the lines of its manifest.json end in CRLF now" in answer.err
    assert "* -text" in answer.err
    manifest.write_bytes(manifest.read_bytes().replace(b"mails", b"males") + b" ")
    other = graftc("verify", bundle, "--key", "release.pub")
    assert (other.codes, "CRLF" in other.err) == (["E0508"], False)
