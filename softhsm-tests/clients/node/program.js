// Programs over pkcs11js and graphene-pk11: what the token makes is checked by Node's own crypto, and
// the other way round.
//
// Called with the path of the module, the PIN and the name of a case.
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");
const pkcs11js = require("pkcs11js");
const graphene = require("graphene-pk11");

const [, , MODULE, PIN, CASE] = process.argv;
const DATA = Buffer.from("what is signed");
const P256 = Buffer.from("06082a8648ce3d030107", "hex");

// A session of pkcs11js with the user logged in, and its orderly end.
function plain(work) {
  const module_ = new pkcs11js.PKCS11();
  module_.load(MODULE);
  module_.C_Initialize();
  const slot = module_
    .C_GetSlotList(true)
    .find((slot) => module_.C_GetTokenInfo(slot).label.trim() === "box");
  const session = module_.C_OpenSession(
    slot,
    pkcs11js.CKF_RW_SESSION | pkcs11js.CKF_SERIAL_SESSION,
  );
  module_.C_Login(session, pkcs11js.CKU_USER, PIN);
  work(module_, session);
  module_.C_Logout(session);
  module_.C_CloseSession(session);
  module_.C_Finalize();
}

// The same of graphene.
function session(work) {
  const module_ = graphene.Module.load(MODULE, "under test");
  module_.initialize();
  const slots = module_.getSlots(true);
  let slot;
  for (let index = 0; index < slots.length; index++) {
    if (slots.items(index).getToken().label.trim() === "box") slot = slots.items(index);
  }
  const session = slot.open(graphene.SessionFlag.RW_SESSION | graphene.SessionFlag.SERIAL_SESSION);
  session.login(PIN);
  work(session, slot);
  session.logout();
  session.close();
  module_.finalize();
}

function rsaPublic(modulus, exponent) {
  const jwk = { kty: "RSA", n: modulus.toString("base64url"), e: exponent.toString("base64url") };
  return crypto.createPublicKey({ key: jwk, format: "jwk" });
}

function p256Public(point) {
  const raw = point.subarray(point.length - 64);
  const [x, y] = [raw.subarray(0, 32), raw.subarray(32)].map((n) => n.toString("base64url"));
  return crypto.createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
}

const CASES = {
  "pkcs11js-info": () =>
    plain((module_, session) => {
      assert.ok(module_.C_GetInfo().cryptokiVersion.major >= 2);
      assert.strictEqual(module_.C_GetSessionInfo(session).state, 3);
      const slot = module_.C_GetSessionInfo(session).slotID;
      const list = module_.C_GetMechanismList(slot);
      assert.ok(list.includes(pkcs11js.CKM_AES_KEY_GEN));
      for (const mechanism of list) module_.C_GetMechanismInfo(slot, mechanism);
    }),

  "pkcs11js-rsa": () =>
    plain((module_, session) => {
      const keys = module_.C_GenerateKeyPair(
        session,
        { mechanism: pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN },
        [
          { type: pkcs11js.CKA_MODULUS_BITS, value: 2048 },
          { type: pkcs11js.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
          { type: pkcs11js.CKA_VERIFY, value: true },
        ],
        [
          { type: pkcs11js.CKA_SIGN, value: true },
          { type: pkcs11js.CKA_SENSITIVE, value: true },
        ],
      );
      const [modulus, exponent] = module_.C_GetAttributeValue(session, keys.publicKey, [
        { type: pkcs11js.CKA_MODULUS },
        { type: pkcs11js.CKA_PUBLIC_EXPONENT },
      ]);
      module_.C_SignInit(session, { mechanism: pkcs11js.CKM_SHA256_RSA_PKCS }, keys.privateKey);
      module_.C_SignUpdate(session, DATA);
      const signature = module_.C_SignFinal(session, Buffer.alloc(256));
      const known = rsaPublic(modulus.value, exponent.value);
      assert.ok(crypto.verify("sha256", DATA, known, signature));
      module_.C_VerifyInit(session, { mechanism: pkcs11js.CKM_SHA256_RSA_PKCS }, keys.publicKey);
      assert.ok(module_.C_Verify(session, DATA, signature));
      assert.throws(
        () =>
          module_.C_GetAttributeValue(session, keys.privateKey, [
            { type: pkcs11js.CKA_PRIVATE_EXPONENT },
          ]),
        /CKR_ATTRIBUTE_SENSITIVE/,
      );
    }),

  "pkcs11js-ec": () =>
    plain((module_, session) => {
      const keys = module_.C_GenerateKeyPair(
        session,
        { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN },
        [
          { type: pkcs11js.CKA_EC_PARAMS, value: P256 },
          { type: pkcs11js.CKA_VERIFY, value: true },
        ],
        [
          { type: pkcs11js.CKA_SIGN, value: true },
          { type: pkcs11js.CKA_DERIVE, value: true },
        ],
      );
      const [{ value: point }] = module_.C_GetAttributeValue(session, keys.publicKey, [
        { type: pkcs11js.CKA_EC_POINT },
      ]);
      const digest = crypto.createHash("sha256").update(DATA).digest();
      module_.C_SignInit(session, { mechanism: pkcs11js.CKM_ECDSA }, keys.privateKey);
      const signature = module_.C_Sign(session, digest, Buffer.alloc(256));
      const key = { key: p256Public(point), dsaEncoding: "ieee-p1363" };
      assert.ok(crypto.verify("sha256", DATA, key, signature));

      const theirs = crypto.createECDH("prime256v1");
      theirs.generateKeys();
      const derived = module_.C_DeriveKey(
        session,
        {
          mechanism: pkcs11js.CKM_ECDH1_DERIVE,
          parameter: {
            type: pkcs11js.CK_PARAMS_EC_DH,
            kdf: pkcs11js.CKD_NULL,
            publicData: theirs.getPublicKey(),
          },
        },
        keys.privateKey,
        [
          { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
          { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
          { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
          { type: pkcs11js.CKA_SENSITIVE, value: false },
          { type: pkcs11js.CKA_EXTRACTABLE, value: true },
        ],
      );
      const [{ value }] = module_.C_GetAttributeValue(session, derived, [
        { type: pkcs11js.CKA_VALUE },
      ]);
      assert.deepStrictEqual(value, theirs.computeSecret(point.subarray(point.length - 65)));
    }),

  "pkcs11js-aes": () =>
    plain((module_, session) => {
      const raw = crypto.randomBytes(32);
      const key = module_.C_CreateObject(session, [
        { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
        { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
        { type: pkcs11js.CKA_VALUE, value: raw },
        { type: pkcs11js.CKA_ENCRYPT, value: true },
        { type: pkcs11js.CKA_DECRYPT, value: true },
      ]);
      const iv = crypto.randomBytes(16);
      const cbc = { mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: iv };
      module_.C_EncryptInit(session, cbc, key);
      const encrypted = module_.C_Encrypt(session, DATA, Buffer.alloc(64));
      const other = crypto.createDecipheriv("aes-256-cbc", raw, iv);
      assert.deepStrictEqual(Buffer.concat([other.update(encrypted), other.final()]), DATA);
      module_.C_DecryptInit(session, cbc, key);
      assert.deepStrictEqual(module_.C_Decrypt(session, encrypted, Buffer.alloc(64)), DATA);
      const gcm = {
        mechanism: pkcs11js.CKM_AES_GCM,
        parameter: {
          type: pkcs11js.CK_PARAMS_AES_GCM_v240,
          iv: iv.subarray(0, 12),
          ivBits: 96,
          aad: DATA,
          tagBits: 128,
        },
      };
      module_.C_EncryptInit(session, gcm, key);
      const sealed = module_.C_Encrypt(session, DATA, Buffer.alloc(64));
      const opened = crypto.createDecipheriv("aes-256-gcm", raw, iv.subarray(0, 12));
      opened.setAAD(DATA);
      opened.setAuthTag(sealed.subarray(-16));
      const back = Buffer.concat([opened.update(sealed.subarray(0, -16)), opened.final()]);
      assert.deepStrictEqual(back, DATA);
    }),

  "pkcs11js-objects": () =>
    plain((module_, session) => {
      const label = "found by pkcs11js";
      for (let count = 0; count < 25; count++) {
        module_.C_CreateObject(session, [
          { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_DATA },
          { type: pkcs11js.CKA_LABEL, value: label },
          { type: pkcs11js.CKA_TOKEN, value: true },
          { type: pkcs11js.CKA_VALUE, value: DATA },
        ]);
      }
      module_.C_FindObjectsInit(session, [{ type: pkcs11js.CKA_LABEL, value: label }]);
      const found = [];
      for (;;) {
        const page = module_.C_FindObjects(session, 10);
        if (page.length === 0) break;
        found.push(...page);
      }
      module_.C_FindObjectsFinal(session);
      assert.strictEqual(new Set(found.map(String)).size, 25);
      for (const object of found) module_.C_DestroyObject(session, object);
    }),

  "graphene-token": () =>
    session((session, slot) => {
      const token = slot.getToken();
      assert.strictEqual(token.label.trim(), "box");
      // As graphene's own tests: initialised, with a PIN, a generator, and nothing left of errors.
      assert.strictEqual(token.flags & 0x42d, 0x42d);
      assert.strictEqual(token.flags & ~0x42d, 0);
      assert.ok(slot.getMechanisms().length > 10);
    }),

  "graphene-rsa": () =>
    session((session) => {
      const keys = session.generateKeyPair(
        graphene.KeyGenMechanism.RSA,
        {
          keyType: graphene.KeyType.RSA,
          modulusBits: 2048,
          publicExponent: Buffer.from([1, 0, 1]),
          verify: true,
          encrypt: true,
          wrap: true,
        },
        { keyType: graphene.KeyType.RSA, sign: true, decrypt: true, unwrap: true },
      );
      const sign = session.createSign("SHA256_RSA_PKCS", keys.privateKey);
      sign.update(DATA);
      const signature = sign.final();
      const verify = session.createVerify("SHA256_RSA_PKCS", keys.publicKey);
      verify.update(DATA);
      assert.ok(verify.final(signature));
      const { modulus, publicExponent } = keys.publicKey.getAttribute({
        modulus: null,
        publicExponent: null,
      });
      assert.ok(crypto.verify("sha256", DATA, rsaPublic(modulus, publicExponent), signature));
    }),

  "graphene-aes": () =>
    session((session) => {
      const key = session.generateKey(graphene.KeyGenMechanism.AES, {
        keyType: graphene.KeyType.AES,
        valueLen: 32,
        encrypt: true,
        decrypt: true,
      });
      const algorithm = { name: "AES_CBC_PAD", params: crypto.randomBytes(16) };
      const cipher = session.createCipher(algorithm, key);
      const encrypted = Buffer.concat([cipher.update(DATA), cipher.final()]);
      const decipher = session.createDecipher(algorithm, key);
      assert.deepStrictEqual(Buffer.concat([decipher.update(encrypted), decipher.final()]), DATA);
    }),

  "graphene-digest": () =>
    session((session) => {
      const digest = session.createDigest("sha256");
      digest.update(DATA);
      digest.update(DATA);
      const known = crypto.createHash("sha256").update(DATA).update(DATA).digest();
      assert.deepStrictEqual(digest.final(), known);
      assert.strictEqual(session.generateRandom(32).length, 32);
    }),

  "graphene-find": () =>
    session((session) => {
      session.create({
        class: graphene.ObjectClass.DATA,
        label: "found by graphene",
        token: true,
        value: DATA,
      });
      const found = session.find({ label: "found by graphene" });
      assert.strictEqual(found.length, 1);
      assert.deepStrictEqual(found.items(0).getAttribute({ value: null }).value, DATA);
      found.items(0).destroy();
      assert.strictEqual(session.find({ label: "found by graphene" }).length, 0);
    }),
};

CASES[CASE]();
