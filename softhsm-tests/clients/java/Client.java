import java.io.ByteArrayOutputStream;
import java.io.File;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.security.cert.X509Certificate;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.security.spec.RSAKeyGenParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.KeyGenerator;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.spec.DHParameterSpec;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * A program over the provider SunPKCS11: what it makes on the token is checked by Java's own
 * providers, and the other way round.
 *
 * <p>Called with the configuration of the provider, the PIN, the name of a case and its arguments.
 */
public final class Client {
    private static final byte[] DATA = "what is signed".getBytes(StandardCharsets.UTF_8);

    private final Provider token;
    private final char[] pin;

    private Client(String configuration, String pin) {
        this.token = Security.getProvider("SunPKCS11").configure(configuration);
        this.pin = pin.toCharArray();
        Security.addProvider(token);
    }

    private interface Case {
        void run(Client client, String[] arguments) throws Exception;
    }

    private static final Map<String, Case> CASES = new TreeMap<>();

    static {
        CASES.put("keystore", (client, arguments) -> client.keyStore());
        CASES.put("sign", (client, arguments) -> client.sign(arguments[0], arguments[1]));
        CASES.put("pss", (client, arguments) -> client.pss(arguments[0]));
        CASES.put("rsa-cipher", (client, arguments) -> client.rsaCipher());
        CASES.put("wrap", (client, arguments) -> client.wrap());
        CASES.put("cipher", (client, arguments) -> client.cipher(arguments[0]));
        CASES.put("mac", (client, arguments) -> client.mac(arguments[0]));
        CASES.put("digest", (client, arguments) -> client.digest(arguments[0]));
        CASES.put("clone", (client, arguments) -> client.cloneDigest(arguments[0]));
        CASES.put("ecdh", (client, arguments) -> client.ecdh(arguments[0]));
        CASES.put("dh", (client, arguments) -> client.dh());
        CASES.put("random", (client, arguments) -> client.random());
        CASES.put("import", (client, arguments) -> client.importKey(arguments[0], arguments[1]));
        CASES.put("stored-secret", (client, arguments) -> client.storedSecret());
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[0], arguments[1]);
        client.loaded();
        CASES.get(arguments[2]).run(client, Arrays.copyOfRange(arguments, 3, arguments.length));
    }

    private KeyStore loaded() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS11", token);
        store.load(null, pin);
        return store;
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void same(byte[] one, byte[] other, String what) {
        check(Arrays.equals(one, other), what + " differs");
    }

    /** The keys and certificates that keytool made: rsa and ec. */
    private void keyStore() throws Exception {
        KeyStore store = loaded();
        List<String> aliases = Collections.list(store.aliases());
        for (String alias : List.of("rsa", "ec")) {
            check(aliases.contains(alias), alias + " is not among " + aliases);
            check(store.isKeyEntry(alias), alias + " is no key");
            PrivateKey key = (PrivateKey) store.getKey(alias, null);
            check(key.getEncoded() == null, "the private key came out");
            X509Certificate certificate = (X509Certificate) store.getCertificate(alias);
            String algorithm = alias.equals("rsa") ? "SHA256withRSA" : "SHA256withECDSA";
            Signature signature = Signature.getInstance(algorithm, token);
            signature.initSign(key);
            signature.update(DATA);
            verify(algorithm, null, certificate.getPublicKey(), signature.sign());
        }
    }

    /** Verified by Java's own provider, which knows nothing of the token. */
    private void verify(String algorithm, AlgorithmParameterSpec spec, PublicKey key, byte[] signed)
            throws Exception {
        PublicKey plain = plain(key);
        String provider = plain.getAlgorithm().equals("EC") ? "SunEC" : "SunRsaSign";
        Signature signature = Signature.getInstance(algorithm, provider);
        if (spec != null) {
            signature.setParameter(spec);
        }
        signature.initVerify(plain);
        signature.update(DATA);
        check(signature.verify(signed), "the signature does not verify");
    }

    private static PublicKey plain(PublicKey key) throws Exception {
        String provider = key.getAlgorithm().equals("EC") ? "SunEC" : "SunRsaSign";
        KeyFactory factory = KeyFactory.getInstance(key.getAlgorithm(), provider);
        return factory.generatePublic(new X509EncodedKeySpec(key.getEncoded()));
    }

    private KeyPair pair(String kind) throws Exception {
        boolean rsa = kind.startsWith("rsa");
        KeyPairGenerator generator = KeyPairGenerator.getInstance(rsa ? "RSA" : "EC", token);
        generator.initialize(
                rsa
                        ? new RSAKeyGenParameterSpec(
                                Integer.parseInt(kind.substring(3)), RSAKeyGenParameterSpec.F4)
                        : new ECGenParameterSpec(kind));
        return generator.generateKeyPair();
    }

    /** Many signatures, because Java cuts leading zeros of ECDSA's two numbers. */
    private void sign(String kind, String algorithm) throws Exception {
        KeyPair pair = pair(kind);
        for (int round = 0; round < 20; round++) {
            Signature signature = Signature.getInstance(algorithm, token);
            signature.initSign(pair.getPrivate());
            signature.update(DATA);
            byte[] signed = signature.sign();
            verify(algorithm, null, pair.getPublic(), signed);
            signature.initVerify(pair.getPublic());
            signature.update(DATA);
            check(signature.verify(signed), "the token refuses its own signature");
            signature.initVerify(pair.getPublic());
            signature.update((byte) 0);
            check(!signature.verify(signed), "the token verifies other data");
        }
    }

    private void pss(String hash) throws Exception {
        KeyPair pair = pair("rsa2048");
        int length = MessageDigest.getInstance(hash).getDigestLength();
        PSSParameterSpec spec =
                new PSSParameterSpec(hash, "MGF1", new MGF1ParameterSpec(hash), length, 1);
        Signature signature = Signature.getInstance("RSASSA-PSS", token);
        signature.setParameter(spec);
        signature.initSign(pair.getPrivate());
        signature.update(DATA);
        byte[] signed = signature.sign();
        verify("RSASSA-PSS", spec, pair.getPublic(), signed);
    }

    private void rsaCipher() throws Exception {
        KeyPair pair = pair("rsa2048");
        Cipher plain = Cipher.getInstance("RSA/ECB/PKCS1Padding", "SunJCE");
        plain.init(Cipher.ENCRYPT_MODE, plain(pair.getPublic()));
        byte[] encrypted = plain.doFinal(DATA);
        Cipher cipher = Cipher.getInstance("RSA/ECB/PKCS1Padding", token);
        cipher.init(Cipher.DECRYPT_MODE, pair.getPrivate());
        same(DATA, cipher.doFinal(encrypted), "the plaintext");
        cipher.init(Cipher.ENCRYPT_MODE, pair.getPublic());
        byte[] back = cipher.doFinal(DATA);
        cipher.init(Cipher.DECRYPT_MODE, pair.getPrivate());
        same(DATA, cipher.doFinal(back), "the plaintext");
    }

    private void wrap() throws Exception {
        KeyPair pair = pair("rsa2048");
        SecretKey key = aes();
        Cipher cipher = Cipher.getInstance("RSA/ECB/PKCS1Padding", token);
        cipher.init(Cipher.WRAP_MODE, pair.getPublic());
        byte[] wrapped = cipher.wrap(key);
        cipher.init(Cipher.UNWRAP_MODE, pair.getPrivate());
        Key back = cipher.unwrap(wrapped, "AES", Cipher.SECRET_KEY);
        IvParameterSpec iv = new IvParameterSpec(new byte[16]);
        byte[] encrypted = crypt(token, "AES/CBC/PKCS5Padding", Cipher.ENCRYPT_MODE, key, iv, DATA);
        same(
                DATA,
                crypt(token, "AES/CBC/PKCS5Padding", Cipher.DECRYPT_MODE, back, iv, encrypted),
                "what the unwrapped key decrypts");
    }

    private SecretKey aes() throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance("AES", token);
        generator.init(256);
        return generator.generateKey();
    }

    private static byte[] crypt(
            Object provider,
            String what,
            int mode,
            Key key,
            AlgorithmParameterSpec spec,
            byte[] data)
            throws Exception {
        Cipher cipher =
                provider instanceof Provider
                        ? Cipher.getInstance(what, (Provider) provider)
                        : Cipher.getInstance(what, (String) provider);
        cipher.init(mode, key, spec);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        // Java 17 loses the first part of what GCM is given in parts, whatever the module.
        int half = what.contains("GCM") ? 0 : data.length / 2;
        byte[] first = cipher.update(data, 0, half);
        if (first != null) {
            out.write(first);
        }
        out.write(cipher.doFinal(data, half, data.length - half));
        return out.toByteArray();
    }

    private void cipher(String what) throws Exception {
        byte[] raw = new byte[32];
        new SecureRandom().nextBytes(raw);
        SecretKey key = new SecretKeySpec(raw, "AES");
        AlgorithmParameterSpec spec = new IvParameterSpec(new byte[16]);
        if (what.contains("GCM")) {
            spec = new GCMParameterSpec(128, new byte[12]);
        } else if (what.contains("ECB")) {
            spec = null;
        }
        for (int length : new int[] {0, 16, 64, 4096, 100_000}) {
            byte[] data = new byte[length];
            new SecureRandom().nextBytes(data);
            byte[] ours = crypt(token, what, Cipher.ENCRYPT_MODE, key, spec, data);
            byte[] theirs = crypt("SunJCE", what, Cipher.ENCRYPT_MODE, key, spec, data);
            same(theirs, ours, "the ciphertext of " + length + " bytes");
            same(
                    data,
                    crypt(token, what, Cipher.DECRYPT_MODE, key, spec, ours),
                    "the plaintext of " + length + " bytes");
        }
    }

    private void mac(String algorithm) throws Exception {
        SecretKey key = new SecretKeySpec(new byte[64], algorithm);
        Mac ours = Mac.getInstance(algorithm, token);
        Mac theirs = Mac.getInstance(algorithm, "SunJCE");
        for (int round = 0; round < 2; round++) {
            ours.init(key);
            theirs.init(key);
            ours.update(DATA);
            theirs.update(DATA);
            same(theirs.doFinal(DATA), ours.doFinal(DATA), "the MAC");
        }
    }

    private void digest(String algorithm) throws Exception {
        byte[] data = new byte[100_000];
        new SecureRandom().nextBytes(data);
        MessageDigest ours = MessageDigest.getInstance(algorithm, token);
        MessageDigest theirs = MessageDigest.getInstance(algorithm, "SUN");
        for (int round = 0; round < 2; round++) {
            ours.update(data, 0, 4711);
            theirs.update(data, 0, 4711);
            same(theirs.digest(data), ours.digest(data), "the digest");
        }
    }

    private void cloneDigest(String algorithm) throws Exception {
        // Java collects small parts itself; the clone must be of a digest that the token has begun.
        byte[] data = new byte[100_000];
        MessageDigest first = MessageDigest.getInstance(algorithm, token);
        first.update(data);
        MessageDigest second = (MessageDigest) first.clone();
        first.update(DATA);
        second.update(DATA);
        byte[] digest = first.digest();
        same(digest, second.digest(), "the digest of the clone");
        MessageDigest plain = MessageDigest.getInstance(algorithm, "SUN");
        plain.update(data);
        same(plain.digest(DATA), digest, "the digest");
    }

    private void ecdh(String curve) throws Exception {
        KeyPair ours = pair(curve);
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "SunEC");
        generator.initialize(new ECGenParameterSpec(curve));
        KeyPair theirs = generator.generateKeyPair();
        KeyAgreement agreement = KeyAgreement.getInstance("ECDH", token);
        agreement.init(ours.getPrivate());
        agreement.doPhase(theirs.getPublic(), true);
        KeyAgreement plain = KeyAgreement.getInstance("ECDH", "SunEC");
        plain.init(theirs.getPrivate());
        plain.doPhase(plain(ours.getPublic()), true);
        same(plain.generateSecret(), agreement.generateSecret(), "the secret");
    }

    private void dh() throws Exception {
        // The 2048-bit group of RFC 3526, as Java has it.
        KeyPairGenerator generator = KeyPairGenerator.getInstance("DH", "SunJCE");
        generator.initialize(2048);
        KeyPair theirs = generator.generateKeyPair();
        DHParameterSpec group = ((javax.crypto.interfaces.DHPublicKey) theirs.getPublic()).getParams();
        KeyPairGenerator onToken = KeyPairGenerator.getInstance("DH", token);
        onToken.initialize(new DHParameterSpec(group.getP(), group.getG()));
        KeyPair ours = onToken.generateKeyPair();
        KeyAgreement agreement = KeyAgreement.getInstance("DH", token);
        agreement.init(ours.getPrivate());
        agreement.doPhase(theirs.getPublic(), true);
        KeyFactory factory = KeyFactory.getInstance("DH", "SunJCE");
        KeyAgreement plain = KeyAgreement.getInstance("DH", "SunJCE");
        plain.init(theirs.getPrivate());
        plain.doPhase(
                factory.generatePublic(new X509EncodedKeySpec(ours.getPublic().getEncoded())), true);
        check(
                new BigInteger(1, plain.generateSecret())
                        .equals(new BigInteger(1, agreement.generateSecret())),
                "the secret differs");
    }

    private void random() throws Exception {
        SecureRandom random = SecureRandom.getInstance("PKCS11", token);
        random.setSeed(DATA);
        byte[] first = new byte[64];
        byte[] second = new byte[64];
        random.nextBytes(first);
        random.nextBytes(second);
        check(!Arrays.equals(first, second), "the random bytes repeat");
    }

    /** A key pair from a file, put into the store with its certificate by the provider. */
    private void importKey(String file, String password) throws Exception {
        KeyStore source = KeyStore.getInstance(new File(file), password.toCharArray());
        KeyStore store = loaded();
        store.setKeyEntry(
                "imported",
                source.getKey("imported", password.toCharArray()),
                null,
                source.getCertificateChain("imported"));
        KeyStore again = loaded();
        check(again.isKeyEntry("imported"), "the imported key is not there");
        Signature signature = Signature.getInstance("SHA256withRSA", token);
        signature.initSign((PrivateKey) again.getKey("imported", null));
        signature.update(DATA);
        PublicKey key = source.getCertificate("imported").getPublicKey();
        verify("SHA256withRSA", null, key, signature.sign());
        again.deleteEntry("imported");
        check(!loaded().containsAlias("imported"), "the deleted key is still there");
    }

    private void storedSecret() throws Exception {
        KeyStore store = loaded();
        SecretKey key = new SecretKeySpec(new byte[32], "AES");
        store.setKeyEntry("secret", key, null, null);
        Key stored = loaded().getKey("secret", null);
        IvParameterSpec iv = new IvParameterSpec(new byte[16]);
        same(
                crypt("SunJCE", "AES/CBC/PKCS5Padding", Cipher.ENCRYPT_MODE, key, iv, DATA),
                crypt(token, "AES/CBC/PKCS5Padding", Cipher.ENCRYPT_MODE, stored, iv, DATA),
                "the ciphertext");
    }
}
