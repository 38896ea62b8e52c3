"""A program over python-pkcs11 and one over PyKCS11: what the token makes is checked by the library
cryptography, and the other way round.

Called with the path of the module, the PIN, the name of a case and its arguments.
"""

import hashlib
import hmac
import os
import sys

import pkcs11
import pkcs11.util.ec
import pkcs11.util.rsa
import PyKCS11
from asn1crypto.core import ObjectIdentifier, OctetString
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x448
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pkcs11 import KDF, Attribute, KeyType, Mechanism, ObjectClass

MODULE, PIN = sys.argv[1:3]
DATA = b"what is signed"
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def session():
    return pkcs11.lib(MODULE).get_token(token_label="box").open(user_pin=PIN, rw=True)


def public_key(der):
    return serialization.load_der_public_key(der)


def refused(check, *arguments):
    try:
        check(*arguments)
    except InvalidSignature:
        return True
    return False


@case
def tokens():
    lib = pkcs11.lib(MODULE)
    slots = lib.get_slots(token_present=True)
    labels = [slot.get_token().label for slot in slots if slot.get_token().label]
    assert "box" in labels, labels
    assert Mechanism.AES_KEY_GEN in slots[0].get_mechanisms()
    assert slots[0].get_mechanism_info(Mechanism.AES_KEY_GEN).max_key_length >= 32


@case
def rsa_keys():
    with session() as at:
        public, private = at.generate_keypair(KeyType.RSA, 2048, store=True, label="py-rsa")
        known = rsa_known(public)
        for mechanism, hash_ in [
            (Mechanism.SHA256_RSA_PKCS, hashes.SHA256()),
            (Mechanism.SHA512_RSA_PKCS, hashes.SHA512()),
        ]:
            signature = private.sign(DATA, mechanism=mechanism)
            known.verify(signature, DATA, padding.PKCS1v15(), hash_)
            assert public.verify(DATA, signature, mechanism=mechanism)
            assert not public.verify(b"other data", signature, mechanism=mechanism)
        encrypted = public.encrypt(DATA, mechanism=Mechanism.RSA_PKCS)
        assert private.decrypt(encrypted, mechanism=Mechanism.RSA_PKCS) == DATA
        encrypted = known.encrypt(DATA, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
        assert private.decrypt(encrypted) == DATA
        found = at.get_key(object_class=ObjectClass.PRIVATE_KEY, label="py-rsa")
        known.verify(found.sign(DATA, mechanism=Mechanism.SHA256_RSA_PKCS), DATA, padding.PKCS1v15(), hashes.SHA256())
        for key in (public, private):
            key.destroy()
        assert not list(at.get_objects({Attribute.LABEL: "py-rsa"}))


def rsa_known(public):
    return rsa.RSAPublicNumbers(
        int.from_bytes(public[Attribute.PUBLIC_EXPONENT], "big"),
        int.from_bytes(public[Attribute.MODULUS], "big"),
    ).public_key()


@case
def ec_keys(curve):
    with session() as at:
        parameters = at.create_domain_parameters(
            KeyType.EC,
            {Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters(curve)},
            local=True,
        )
        public, private = parameters.generate_keypair()
        known = public_key(pkcs11.util.ec.encode_ec_public_key(public))
        digest = hashlib.sha256(DATA).digest()
        for _ in range(20):
            raw = private.sign(digest, mechanism=Mechanism.ECDSA)
            half = len(raw) // 2
            numbers = [int.from_bytes(part, "big") for part in (raw[:half], raw[half:])]
            known.verify(encode_dss_signature(*numbers), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
            assert public.verify(digest, raw, mechanism=Mechanism.ECDSA)


@case
def ed25519_keys():
    with session() as at:
        parameters = at.create_domain_parameters(
            KeyType.EC_EDWARDS,
            {Attribute.EC_PARAMS: ObjectIdentifier("1.3.101.112").dump()},
            local=True,
        )
        public, private = parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
        signature = private.sign(DATA, mechanism=Mechanism.EDDSA)
        known = ed25519.Ed25519PublicKey.from_public_bytes(public[Attribute.EC_POINT][-32:])
        known.verify(signature, DATA)
        assert refused(known.verify, signature, b"other data")


def on_curve(at, key_type, identifier):
    parameters = {Attribute.EC_PARAMS: ObjectIdentifier(identifier).dump()}
    return at.create_domain_parameters(key_type, parameters, local=True)


@case
def ed448_keys():
    with session() as at:
        parameters = on_curve(at, KeyType.EC_EDWARDS, "1.3.101.113")
        public, private = parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
        signature = private.sign(DATA, mechanism=Mechanism.EDDSA)
        known = ed448.Ed448PublicKey.from_public_bytes(public[Attribute.EC_POINT][-57:])
        known.verify(signature, DATA)
        assert refused(known.verify, signature, b"other data")

        theirs = ed448.Ed448PrivateKey.generate()
        point = theirs.public_key().public_bytes_raw()
        public = at.create_object({
            Attribute.CLASS: ObjectClass.PUBLIC_KEY,
            Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
            Attribute.EC_PARAMS: ObjectIdentifier("1.3.101.113").dump(),
            Attribute.EC_POINT: OctetString(point).dump(),
            Attribute.VERIFY: True,
        })
        assert public.verify(DATA, theirs.sign(DATA), mechanism=Mechanism.EDDSA)
        assert not public.verify(b"other data", theirs.sign(DATA), mechanism=Mechanism.EDDSA)


@case
def ecdh(curve):
    with session() as at:
        parameters = at.create_domain_parameters(
            KeyType.EC,
            {Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters(curve)},
            local=True,
        )
        public, private = parameters.generate_keypair(
            private_template={Attribute.DERIVE: True}, capabilities=pkcs11.MechanismFlag.DERIVE
        )
        ours = public_key(pkcs11.util.ec.encode_ec_public_key(public))
        theirs = ec.generate_private_key(ours.curve)
        point = theirs.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        secret = theirs.exchange(ec.ECDH(), ours)
        for form in (point, pkcs11.util.ec.OctetString(point).dump()):
            key = private.derive_key(
                KeyType.AES,
                256,
                mechanism_param=(KDF.NULL, None, form),
                template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
            )
            # What is too long loses its beginning.
            assert key[Attribute.VALUE] == secret[-32:]


@case
def aes():
    with session() as at:
        value = os.urandom(32)
        key = at.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.VALUE: value,
                Attribute.ENCRYPT: True,
                Attribute.DECRYPT: True,
            }
        )
        iv = os.urandom(16)
        for length in (0, 16, 4096):
            data = os.urandom(length)
            encrypted = key.encrypt(data, mechanism_param=iv)
            other = Cipher(algorithms.AES(value), modes.CBC(iv)).decryptor()
            padded = other.update(encrypted) + other.finalize()
            assert padded[: -padded[-1]] == data
            assert key.decrypt(encrypted, mechanism_param=iv) == data
        chunks = [os.urandom(16) for _ in range(100)]
        encrypted = b"".join(key.encrypt(chunks, mechanism_param=iv))
        assert b"".join(key.decrypt([encrypted], mechanism_param=iv)) == b"".join(chunks)
        encrypted = key.encrypt(DATA, mechanism=Mechanism.AES_GCM, mechanism_param=pkcs11.GCMParams(iv[:12], b"aad", 128))
        other = Cipher(algorithms.AES(value), modes.GCM(iv[:12], encrypted[-16:])).decryptor()
        other.authenticate_additional_data(b"aad")
        assert other.update(encrypted[:-16]) + other.finalize() == DATA


@case
def wrapping():
    with session() as at:
        wrapping_key = at.generate_key(KeyType.AES, 256)
        key = at.generate_key(KeyType.AES, 256, template={Attribute.EXTRACTABLE: True})
        iv = os.urandom(16)
        encrypted = key.encrypt(DATA, mechanism_param=iv)
        wrapped = wrapping_key.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP)
        back = wrapping_key.unwrap_key(
            ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=Mechanism.AES_KEY_WRAP
        )
        assert back.decrypt(encrypted, mechanism_param=iv) == DATA
        public, private = at.generate_keypair(KeyType.RSA, 2048)
        wrapped = public.wrap_key(key, mechanism=Mechanism.RSA_PKCS)
        back = private.unwrap_key(
            ObjectClass.SECRET_KEY, KeyType.AES, wrapped, mechanism=Mechanism.RSA_PKCS
        )
        assert back.decrypt(encrypted, mechanism_param=iv) == DATA


@case
def digests():
    with session() as at:
        for mechanism, name in [
            (Mechanism.SHA_1, "sha1"),
            (Mechanism.SHA256, "sha256"),
            (Mechanism.SHA512, "sha512"),
        ]:
            assert at.digest(DATA, mechanism=mechanism) == hashlib.new(name, DATA).digest()
            parts = (DATA, DATA)
            assert at.digest(parts, mechanism=mechanism) == hashlib.new(name, DATA + DATA).digest()


@case
def macs():
    with session() as at:
        value = os.urandom(64)
        key = at.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                Attribute.VALUE: value,
                Attribute.SIGN: True,
                Attribute.VERIFY: True,
            }
        )
        for mechanism, name in [
            (Mechanism.SHA256_HMAC, "sha256"),
            (Mechanism.SHA512_HMAC, "sha512"),
        ]:
            mac = key.sign(DATA, mechanism=mechanism)
            assert mac == hmac.new(value, DATA, name).digest()
            assert key.verify(DATA, mac, mechanism=mechanism)


@case
def imported():
    theirs = rsa.generate_private_key(65537, 2048)
    der = theirs.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    with session() as at:
        key = at.create_object(pkcs11.util.rsa.decode_rsa_private_key(der))
        signature = key.sign(DATA, mechanism=Mechanism.SHA256_RSA_PKCS)
        theirs.public_key().verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())


@case
def random():
    with session() as at:
        at.seed_random(DATA)
        assert at.generate_random(256) != at.generate_random(256)


@case
def wrong_pin():
    try:
        pkcs11.lib(MODULE).get_token(token_label="box").open(user_pin="wrong-pin-000")
    except pkcs11.exceptions.PinIncorrect:
        pass
    else:
        raise AssertionError("a wrong PIN was taken")
    with session() as at:
        assert at.user_type == pkcs11.constants.UserType.USER


def pykcs11_session():
    lib = PyKCS11.PyKCS11Lib()
    lib.load(MODULE)
    slot = next(
        slot
        for slot in lib.getSlotList(tokenPresent=True)
        if lib.getTokenInfo(slot).label.strip() == "box"
    )
    at = lib.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
    at.login(PIN)
    return lib, at


@case
def pykcs11_rsa():
    lib, at = pykcs11_session()
    flags = [(PyKCS11.CKA_TOKEN, PyKCS11.CK_TRUE), (PyKCS11.CKA_LABEL, "pykcs11")]
    public, private = at.generateKeyPair(
        flags
        + [
            (PyKCS11.CKA_MODULUS_BITS, 2048),
            (PyKCS11.CKA_PUBLIC_EXPONENT, (1, 0, 1)),
            (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_VERIFY, PyKCS11.CK_TRUE),
        ],
        flags
        + [
            (PyKCS11.CKA_PRIVATE, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_SENSITIVE, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_DECRYPT, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_SIGN, PyKCS11.CK_TRUE),
        ],
    )
    modulus, exponent = at.getAttributeValue(public, [PyKCS11.CKA_MODULUS, PyKCS11.CKA_PUBLIC_EXPONENT])
    known = rsa.RSAPublicNumbers(
        int.from_bytes(bytes(exponent), "big"), int.from_bytes(bytes(modulus), "big")
    ).public_key()
    signature = bytes(at.sign(private, DATA, PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None)))
    known.verify(signature, DATA, padding.PKCS1v15(), hashes.SHA256())
    pss = PyKCS11.RSA_PSS_Mechanism(
        PyKCS11.CKM_SHA256_RSA_PKCS_PSS, PyKCS11.CKM_SHA256, PyKCS11.CKG_MGF1_SHA256, 32
    )
    signature = bytes(at.sign(private, DATA, pss))
    known.verify(signature, DATA, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    assert at.verify(public, DATA, signature, pss)
    encrypted = at.encrypt(public, DATA, PyKCS11.Mechanism(PyKCS11.CKM_RSA_PKCS, None))
    decrypted = at.decrypt(private, encrypted, PyKCS11.Mechanism(PyKCS11.CKM_RSA_PKCS, None))
    assert bytes(decrypted) == DATA
    assert len(at.findObjects([(PyKCS11.CKA_LABEL, "pykcs11")])) == 2
    at.destroyObject(public)
    at.destroyObject(private)
    at.logout()
    at.closeSession()


@case
def pykcs11_x448():
    lib, at = pykcs11_session()
    public, private = at.generateKeyPair(
        [(PyKCS11.CKA_EC_PARAMS, ObjectIdentifier("1.3.101.111").dump())],
        [(PyKCS11.CKA_DERIVE, PyKCS11.CK_TRUE)],
        mecha=PyKCS11.Mechanism(PyKCS11.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, None),
    )
    theirs = x448.X448PrivateKey.generate()
    derived = at.deriveKey(
        private,
        [
            (PyKCS11.CKA_CLASS, PyKCS11.CKO_SECRET_KEY),
            (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_GENERIC_SECRET),
            (PyKCS11.CKA_SENSITIVE, PyKCS11.CK_FALSE),
            (PyKCS11.CKA_EXTRACTABLE, PyKCS11.CK_TRUE),
        ],
        PyKCS11.ECDH1_DERIVE_Mechanism(theirs.public_key().public_bytes_raw()),
    )
    (point,) = at.getAttributeValue(public, [PyKCS11.CKA_EC_POINT])
    (secret,) = at.getAttributeValue(derived, [PyKCS11.CKA_VALUE])
    known = x448.X448PublicKey.from_public_bytes(bytes(point)[-56:])
    assert bytes(secret) == theirs.exchange(known)
    at.logout()
    at.closeSession()


@case
def pykcs11_symmetric():
    lib, at = pykcs11_session()
    key = at.generateKey(
        [
            (PyKCS11.CKA_CLASS, PyKCS11.CKO_SECRET_KEY),
            (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_AES),
            (PyKCS11.CKA_VALUE_LEN, 32),
            (PyKCS11.CKA_ENCRYPT, PyKCS11.CK_TRUE),
            (PyKCS11.CKA_DECRYPT, PyKCS11.CK_TRUE),
        ]
    )
    for mechanism in (
        PyKCS11.Mechanism(PyKCS11.CKM_AES_CBC_PAD, bytes(16)),
        PyKCS11.AES_GCM_Mechanism(bytes(12), b"aad", 128),
        PyKCS11.AES_CTR_Mechanism(128, bytes(16)),
    ):
        encrypted = at.encrypt(key, DATA, mechanism)
        assert bytes(at.decrypt(key, encrypted, mechanism)) == DATA
    assert bytes(at.digest(DATA, PyKCS11.Mechanism(PyKCS11.CKM_SHA256, None))) == hashlib.sha256(DATA).digest()
    assert len(at.generateRandom(32)) == 32
    at.logout()
    at.closeSession()


if __name__ == "__main__":
    CASES[sys.argv[3]](*sys.argv[4:])
