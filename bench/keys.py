"""Keys of each kind, and tokens signed with them."""
import base64, hashlib, hmac, json, os, shutil, subprocess, time
from functools import cache


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, text=None):
    return subprocess.run(["openssl", *args], input=text, capture_output=True, check=True).stdout


class Keys:
    """A certificate for localhost, a key of each kind, and 256 tokens signed with each."""

    def __init__(self, folder):
        self.secret = "0123456789abcdef0123456789abcdef0123456789abcdef"
        self.path = lambda name: os.path.join(folder, name)
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path("rs.key"))
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path("es.key"))
        for kind in ("rs", "es"):
            openssl("pkey", "-in", self.path(kind + ".key"), "-pubout", "-out", self.path(kind + ".pem"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", self.path("tls.key"), "-out", self.path("tls.crt"))
        open(self.path("tls.pem"), "w").write(open(self.path("tls.crt")).read() + open(self.path("tls.key")).read())
        os.makedirs(self.path("certs"), exist_ok=True)
        shutil.copy(self.path("tls.crt"), self.path("certs/localhost.crt"))
        shutil.copy(self.path("tls.key"), self.path("certs/localhost.key"))

    def public(self, alg):
        return self.path(alg[:2].lower() + ".pem")

    def jwks(self):
        modulus = openssl("rsa", "-in", self.path("rs.key"), "-noout", "-modulus").decode()
        n = bytes.fromhex(modulus.strip().split("=")[1])
        der = openssl("pkey", "-in", self.path("es.key"), "-pubout", "-outform", "DER")
        x, y = der[-64:-32], der[-32:]
        return {"keys": [
            {"kty": "RSA", "alg": "RS256", "kid": "RS256", "n": b64(n), "e": "AQAB"},
            {"kty": "EC", "alg": "ES256", "kid": "ES256", "crv": "P-256", "x": b64(x), "y": b64(y)},
            {"kty": "oct", "alg": "HS256", "kid": "HS256", "k": b64(self.secret.encode())}]}

    def sign(self, alg, text):
        if alg == "HS256":
            return hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        signature = openssl("dgst", "-sha256", "-sign", self.path(alg[:2].lower() + ".key"), text=text)
        if alg == "RS256":
            return signature
        # Two numbers in DER; a token has them as 32 bytes each.
        length = signature[3]
        r, s = signature[4:4 + length], signature[6 + length:]
        return r[-32:].rjust(32, b"\0") + s[-32:].rjust(32, b"\0")

    @cache
    def tokens(self, alg):
        head = b64(json.dumps({"alg": alg, "typ": "JWT", "kid": alg}).encode())
        made = []
        for n in range(256):
            claims = {"iss": "bench", "aud": "bench", "sub": f"user-{n}", "exp": int(time.time()) + 36000}
            text = f"{head}.{b64(json.dumps(claims).encode())}"
            made.append(f"{text}.{b64(self.sign(alg, text.encode()))}")
        return made
