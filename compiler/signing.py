"""Signatures of bundles: ed25519 over the exact bytes of manifest.json, which has the SHA-256 of all else.

Keys are PEM files as OpenSSL writes them: `openssl genpkey -algorithm ed25519`, `openssl pkey -pubout`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.manifest import LARGEST, NAME, SIGNATURE, SIGNATURE_BYTES
from .diagnostics import Refused, Row, Status, quote, refuse
from .extras import installing
from .reading import beginning
from .staging import beside
from .store import sync

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LONGEST = 10_000  # bytes of a key, which has some hundred


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Writes the signature of a bundle into its folder, unless that one is there already."""
    made, path = key.sign((folder / NAME).read_bytes()), folder / SIGNATURE
    if beginning(path, SIGNATURE_BYTES + 1) == made:  # ed25519 signs the same bytes in one way
        return
    with beside(folder) as place:  # what a kill leaves in a bundle would be no part of it
        (place / SIGNATURE).write_bytes(made)
        (place / SIGNATURE).chmod(0o644)
        os.replace(place / SIGNATURE, path)
    sync(folder)


def check(folder: Path, key: Ed25519PublicKey) -> None:
    """Raises Refused E0508 for a bundle that is not signed, or not with the private half of this key."""
    from cryptography.exceptions import InvalidSignature

    help = "get the bundle from who signed it, or their key"
    signature = beginning(folder / SIGNATURE, SIGNATURE_BYTES + 1)
    if signature is None:
        raise refuse("E0508", f"{quote(folder)} is not signed", f"it has no {SIGNATURE}", help=help)
    try:
        key.verify(signature, beginning(folder / NAME, LARGEST) or b"")
    except InvalidSignature:
        raise refuse("E0508", f"{quote(folder)} is not what was signed with this key", help=help) from None


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs; raises Refused E0509 for a file that holds none."""
    make = "openssl genpkey -algorithm ed25519 -out KEY"
    raw = _content(path, make)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(raw, None)
    except TypeError:
        raise _no_key(path, "it is locked by a password", "openssl pkey -in KEY -out UNLOCKED") from None
    except Exception:  # of many types, some of them not public
        raise _no_key(path, "it is no private key in PEM", make) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "it is a key of another kind", make)
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key that checks; raises Refused E0509 for a file that holds none."""
    make = "openssl pkey -in KEY -pubout -out PUBLIC"
    raw = _content(path, make)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(raw)
    except Exception:  # of many types, some of them not public
        wrong = "it is a private key, which stays with who signs" if b"PRIVATE" in raw else "it is no public key in PEM"
        raise _no_key(path, wrong, make) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "it is a key of another kind", make)
    return key


def _content(path: Path, make: str) -> bytes:
    if find_spec("cryptography") is None:
        raise refuse("E0409", "signatures need cryptography", help=installing("sign"), status=Status.MACHINE)
    raw = beginning(path, LONGEST)
    if raw is None:
        raise _no_key(path, "there is no such file", make)
    return raw


def _no_key(path: Path, wrong: str, make: str) -> Refused:
    return refuse("E0509", f"{quote(path)} holds no ed25519 key", wrong, at=Row(str(path)), help=f"`{make}`")
