"""Makes what a deployment lacks, and leaves alone what it has: safe to repeat at any time."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import bcrypt
from cryptography import x509
from eventlog.server_config import ensure_seeds, public_key, render_users

from myspinbot.errors import FAILED, CommandError
from myspinbot.provision import certificates
from myspinbot.provision.certificates import Pair
from myspinbot.provision.environment import read_environment, render_environment
from myspinbot.provision.identity import make_identity
from myspinbot.provision.layout import (
    OPERATOR_PASSWORD,
    STORE_KEY,
    STORE_SECRET,
    WORDS,
    Change,
    Layout,
    make_folder,
    mend_mode,
    mend_modes,
    put,
)

OPERATOR = "operator"
"""The name with which operators sign in at Traefik."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deployment is to be."""

    domain: str
    now: datetime


def provision(layout: Layout, wanted: Wanted) -> list[Change]:
    """Bring the folder of secrets to what is wanted; what was changed.

    Raises CommandError if something in it is not what it should be, and nobody but its owner
    can say what to do about it.
    """
    make_folder(layout, layout.root)
    changes = [
        *_seeds(layout),
        *_users(layout),
        *_words(layout),
        *_store_identities(layout),
        *_basic_users(layout),
        *_certificates(layout, wanted),
        *_credentials(layout, wanted.now),
        *_environment(layout, wanted.domain),
    ]
    return _last_of_each([*changes, *mend_modes(layout)])


def _seeds(layout: Layout) -> list[Change]:
    before = set(layout.seeds.glob("*.nk")) if layout.seeds.is_dir() else set()
    files = ensure_seeds(layout.seeds)
    made = [Change(path, "a new key pair") for path in files.values() if path not in before]
    modes = [each for path in files.values() for each in mend_mode(path, layout.mode_of(path))]
    return modes + made


def _users(layout: Layout) -> list[Change]:
    keys = {}
    for path in sorted(layout.seeds.glob("*.nk")):
        try:
            keys[path.stem] = public_key(path.read_bytes().strip())
        except ValueError as error:
            raise CommandError(
                f"{path} holds no nkey seed.",
                "Restore it from a backup, or remove it: a new one is made, and whoever "
                "has the old one is let in no more.",
                FAILED,
            ) from error
    return put(layout, layout.users, render_users(keys).encode(), "keys and permissions")


def _words(layout: Layout) -> list[Change]:
    changes = []
    for name, length in WORDS.items():
        path = layout.word(name)
        if path.exists() and path.read_text().strip():
            changes += mend_mode(path, layout.mode_of(path))
        else:
            # No newline at the end: some programs take the whole file as the password.
            word = secrets.token_urlsafe(length).encode()
            changes += put(layout, path, word, "a new secret")
    return changes


def _store_identities(layout: Layout) -> list[Change]:
    identity = {
        "name": "myspinbot",
        "credentials": [
            {
                "accessKey": read_word(layout, STORE_KEY),
                "secretKey": read_word(layout, STORE_SECRET),
            }
        ],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    text = json.dumps({"identities": [identity]}, indent=2) + "\n"
    return put(layout, layout.store_identities, text.encode(), "the store's users")


def _basic_users(layout: Layout) -> list[Change]:
    password = read_word(layout, OPERATOR_PASSWORD).encode()
    path = layout.basic_users
    if path.exists() and knows_operator(path.read_text(), password):
        return mend_mode(path, layout.mode_of(path))
    hashed = bcrypt.hashpw(password, bcrypt.gensalt(10)).decode()
    return put(layout, path, f"{OPERATOR}:{hashed}\n".encode(), "the operator's password")


def knows_operator(users: str, password: bytes) -> bool:
    """Whether an htpasswd file lets the operator in with a password."""
    for line in users.splitlines():
        name, _, hashed = line.strip().partition(":")
        if name == OPERATOR:
            try:
                return bcrypt.checkpw(password, hashed.encode())
            except ValueError:
                return False
    return False


def _certificates(layout: Layout, wanted: Wanted) -> list[Change]:
    if is_foreign(layout):
        return []
    authority, changes = _authority(layout, wanted)
    if why := _why_issue(layout, authority.certificate, wanted):
        leaf = certificates.issue(authority, wanted.domain, wanted.now)
        changes += put(layout, layout.key, leaf.key_pem(), why)
        changes += put(layout, layout.certificate, leaf.chain_pem(), why)
    return changes


def _credentials(layout: Layout, now: datetime) -> list[Change]:
    path = layout.credentials
    if path.exists():
        return mend_mode(path, layout.mode_of(path))
    return put(layout, path, make_identity(now).pem(), "a new key for Content Credentials")


def is_foreign(layout: Layout) -> bool:
    """Whether the certificate was put there by somebody who needs no authority of ours."""
    if not (layout.certificate.exists() and layout.key.exists()) or layout.authority_key.exists():
        return False
    return not layout.authority.exists()


def _authority(layout: Layout, wanted: Wanted) -> tuple[Pair, list[Change]]:
    why = "a new authority"
    if layout.authority.exists() and layout.authority_key.exists():
        pair = _read(layout.authority_key.read_bytes(), layout.authority.read_bytes(), layout)
        ends = pair.certificate.not_valid_after_utc
        if not certificates.may_sign_for(pair.certificate, wanted.domain):
            why = f"an authority for {wanted.domain}: tell browsers to trust this one"
        elif ends < wanted.now + certificates.LEAF_LIFE:
            why = "a new authority, as the old one ends soon: tell browsers to trust this one"
        else:
            modes = mend_mode(layout.authority_key, layout.mode_of(layout.authority_key))
            return pair, modes + mend_mode(layout.authority, layout.mode_of(layout.authority))
    pair = certificates.make_authority(wanted.domain, wanted.now)
    changes = put(layout, layout.authority_key, pair.key_pem(), why)
    return pair, [*changes, *put(layout, layout.authority, pair.chain_pem(), why)]


def _why_issue(layout: Layout, authority: x509.Certificate, wanted: Wanted) -> str | None:
    """Why a new certificate is needed, if it is."""
    if not (layout.certificate.exists() and layout.key.exists()):
        return "a new certificate"
    try:
        pair = certificates.read_pair(layout.key.read_bytes(), layout.certificate.read_bytes())
    except ValueError as error:
        return f"a new certificate: {error}"
    if not certificates.signed_by(pair.chain, authority):
        return "a new certificate, signed by the authority"
    if not certificates.covers(pair.certificate, wanted.domain):
        return f"a certificate for {wanted.domain}"
    ends = pair.certificate.not_valid_after_utc
    if ends < wanted.now + certificates.RENEW_WITHIN:
        return f"renewed: the old one ends on {ends:%Y-%m-%d}"
    return None


def _read(key: bytes, chain: bytes, layout: Layout) -> Pair:
    try:
        return certificates.read_pair(key, chain)
    except ValueError as error:
        raise CommandError(
            f"{layout.authority} and {layout.authority_key.name} are no authority: {error}.",
            "Restore both from a backup, or remove both: a new authority is made, and browsers "
            "have to be told to trust it.",
            FAILED,
        ) from error


def _environment(layout: Layout, domain: str) -> list[Change]:
    path = layout.environment
    before = read_environment(path)
    return put(layout, path, render_environment(before, domain).encode(), "compose's settings")


def read_word(layout: Layout, name: str) -> str:
    """A password or token, as programs are given it."""
    return layout.word(name).read_text().strip()


def _last_of_each(changes: Iterable[Change]) -> list[Change]:
    return list({change.path: change for change in changes}.values())
