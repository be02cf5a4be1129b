"""Signs bundles: ed25519 over the exact bytes of manifest.json, which has the SHA-256 of all other files.

Keys are PEM files as OpenSSL writes them: `openssl genpkey -algorithm ed25519`, `openssl pkey -pubout`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.manifest import KEEP_ENDS, LARGEST, NAME, SIGNATURE, SIGNATURE_BYTES, unix
from ..diagnostics import Refused, Row, Status, quote, refuse
from ..extras import installing
from ..files import beginning
from ..store.staging import beside
from ..store.store import sync

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LONGEST = 10_000  # the most bytes of a key file, which usually has some hundred
WHOSE = {"private": "stays with who signs", "public": "goes to who checks"}


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Writes the signature of a bundle into its folder, unless it is there already."""
    made, path = key.sign((folder / NAME).read_bytes()), folder / SIGNATURE
    if beginning(path, SIGNATURE_BYTES + 1) == made:  # ed25519 signatures are deterministic
        return
    with beside(folder) as place:  # a killed process would leave foreign files in the bundle
        (place / SIGNATURE).write_bytes(made)
        (place / SIGNATURE).chmod(0o644)
        os.replace(place / SIGNATURE, path)
    sync(folder)


def check(folder: Path, key: Ed25519PublicKey) -> None:
    """Raises Refused E0508 for a bundle without a signature by the private half of this key."""
    help = "get the bundle from who signed it, or their key"
    signature = beginning(folder / SIGNATURE, SIGNATURE_BYTES + 1)
    if signature is None:
        raise refuse("E0508", f"{quote(folder)} is not signed", f"it has no {SIGNATURE}", help=help)
    signed = beginning(folder / NAME, LARGEST) or b""
    if _is_signed(signed, signature, key):
        return
    notes: tuple[str, ...] = ()
    if _is_signed(unix(signed), signature, key):  # still refused, but with the cause
        notes, help = (f"the lines of its {NAME} end in CRLF now",), KEEP_ENDS
    raise refuse("E0508", f"{quote(folder)} is not what was signed with this key", *notes, help=help)


def _is_signed(content: bytes, signature: bytes, key: Ed25519PublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs; raises Refused E0509 for a file without one."""
    make = "`openssl genpkey -algorithm ed25519 -out KEY` makes one"
    raw = _content(path, make)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(raw, None)
    except TypeError:
        raise _no_key(path, "it is locked by a password", "`openssl pkey -in KEY -out UNLOCKED`") from None
    except Exception:  # raised types vary, and some are private
        raise _no_key(path, _instead(raw, "private"), make) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "it is a key of another kind", make)
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key that checks; raises Refused E0509 for a file without one."""
    make = "get it from who signs; of a private key, `openssl pkey -in KEY -pubout -out PUBLIC` makes it"
    raw = _content(path, make)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(raw)
    except Exception:  # raised types vary, and some are private
        raise _no_key(path, _instead(raw, "public"), make) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "it is a key of another kind", make)
    return key


def _instead(raw: bytes, wanted: str) -> str:
    """What a file holds instead of the wanted kind of key."""
    if b"BEGIN OPENSSH" in raw or raw.startswith(b"ssh-"):
        return "it is a key in the form of ssh-keygen; OpenSSL's is needed"
    other = "public" if wanted == "private" else "private"
    if f"{other.upper()} KEY".encode() in raw:
        return f"it is a {other} key, which {WHOSE[other]}"
    return f"it is no {wanted} key in PEM"


def _content(path: Path, make: str) -> bytes:
    if find_spec("cryptography") is None:
        raise refuse("E0409", "signatures need cryptography", help=installing("sign"), status=Status.MACHINE)
    raw = beginning(path, LONGEST)
    if raw is None:
        raise _no_key(path, "there is no such file", make)
    return raw


def _no_key(path: Path, wrong: str, make: str) -> Refused:
    return refuse("E0509", f"{quote(path)} holds no ed25519 key", wrong, at=Row(str(path)), help=make)
