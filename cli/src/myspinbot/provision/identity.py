"""The key by which an installation signs what it makes: see docs/provenance.md.

A certificate that signs Content Credentials may not be signed by itself (C2PA 2.2, section 14.5),
so an authority is made that signs this one certificate, and its key is then forgotten: who has
the authority's certificate, the anchor, knows the installation by it.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from myspinbot.provision.certificates import Pair, builder_of, usage

IDENTITY_LIFE = timedelta(days=50 * 365)
"""Pictures are kept for long, and no clock that others believe says when they were signed."""

_ORGANISATION = "MySpinBot installation"
_NAME_BYTES = 4


def make_identity(now: datetime) -> Pair:
    """A new key, its certificate and the anchor."""
    name = secrets.token_hex(_NAME_BYTES)
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer, subject = _name(f"Anchor {name}"), _name(f"Installation {name}")
    anchor = (
        builder_of(issuer, issuer, authority, now, IDENTITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .sign(authority, hashes.SHA256())
    )
    public = authority.public_key()
    # Of the purposes that validators of credentials accept, this one is known to all of them.
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    certificate = (
        builder_of(subject, issuer, key, now, IDENTITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(purpose, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(authority, hashes.SHA256())
    )
    return Pair(key, (certificate, anchor))


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
