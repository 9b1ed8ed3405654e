"""A certificate authority of one's own, and the certificate that Traefik shows.

The authority may sign for its own domain only (name constraints, RFC 5280 section 4.2.1.10): who
tells a browser to trust it risks nothing elsewhere, even if its key is stolen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
RENEW_WITHIN = timedelta(days=30)
LEAF_LIFE = timedelta(days=397)
"""Apple's platforms believe no certificate of more than 825 days; public ones end after 398."""
AUTHORITY_LIFE = timedelta(days=3650)
_AUTHORITY_NAME = "MySpinBot installation"
_BACKDATED = timedelta(hours=1)
"""Machines whose clocks are a little behind believe it from the start."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and the certificates that go with it, its own first."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """Its own certificate."""
        return self.chain[0]

    def key_pem(self) -> bytes:
        """The key as an unencrypted PKCS #8 file."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def pem(self) -> bytes:
        """All of it as one file: the key, and then the certificates."""
        return self.key_pem() + self.chain_pem()

    def chain_pem(self) -> bytes:
        """The certificates as a PEM file."""
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.chain)


def make_authority(domain: str, now: datetime) -> Pair:
    """A new authority that can sign for a domain and the names below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_AUTHORITY_NAME} ({domain})")])
    within = x509.NameConstraints(permitted_subtrees=[x509.DNSName(domain)], excluded_subtrees=None)
    builder = (
        builder_of(name, name, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(within, critical=True)
    )
    return Pair(key, (builder.sign(key, hashes.SHA256()),))


def issue(authority: Pair, domain: str, now: datetime) -> Pair:
    """A certificate for a domain and all names right below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    issuer = authority.certificate
    public = authority.key.public_key()
    builder = (
        builder_of(name, issuer.subject, key, now, LEAF_LIFE)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in _covered(domain)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    return Pair(key, (builder.sign(authority.key, hashes.SHA256()), issuer))


def read_pair(key_pem: bytes, chain_pem: bytes) -> Pair:
    """A key and its certificates from their PEM files; ValueError if they are not a pair."""
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    chain = tuple(x509.load_pem_x509_certificates(chain_pem))
    if key.public_key() != chain[0].public_key():
        raise ValueError("the key belongs to another certificate")
    if not isinstance(key, Key):
        raise ValueError("the key is neither of an elliptic curve nor RSA")  # noqa: TRY004 - a file
    return Pair(key, chain)


def signed_by(chain: tuple[x509.Certificate, ...], authority: x509.Certificate) -> bool:
    """Whether each certificate is signed by the next, and the last one by the authority."""
    try:
        for lower, upper in pairwise((*chain, authority)):
            if lower != upper:
                lower.verify_directly_issued_by(upper)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def covers(certificate: x509.Certificate, domain: str) -> bool:
    """Whether it is for a domain and all names right below it."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return set(_covered(domain)) <= set(names.get_values_for_type(x509.DNSName))


def may_sign_for(authority: x509.Certificate, domain: str) -> bool:
    """Whether its name constraints allow a domain."""
    try:
        limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    permitted = [
        each.value for each in limits.permitted_subtrees or () if isinstance(each, x509.DNSName)
    ]
    return any(domain == each or domain.endswith(f".{each}") for each in permitted)


def _covered(domain: str) -> list[str]:
    return [domain, f"*.{domain}"]


def builder_of(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    """What every certificate here says; the rest depends on its purpose."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What a key may be used for: to sign certificates, or to sign anything else."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
