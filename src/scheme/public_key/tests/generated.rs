//! A key of each kind, and signatures of every algorithm over `MESSAGE`, made with openssl.

use crate::scheme::public_key::PublicAlgorithm::{
    self, EcdsaP256Sha1, EcdsaP256Sha256, Ed25519, Es256, Es384, Es512, RsaSha1, RsaSha256, RsaSha384,
    RsaSha512,
};

pub const MESSAGE: &[u8] = b"signed text";

pub const ED25519: &str = "MCowBQYDK2VwAyEAeY0NEfHKs4/62o5VLOvxLqOBSwI9qdCdF+xukc9FBY0=";
pub const P256: &str = "\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6wso+9nZutu6qubA0kgOHLXS2BWiI51Iy2zn2TPmFDl5MC81NHxf6Ynh\
    ayvpKzRScBIZxnsp1ad8p/IsOvKk6Q==";
pub const P384: &str = "\
    MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAESCQKM1qLyfRPXQOpTR0Kl2s7GdGj8WyDPQofvWU4AIeu1T6dDfYzvsFPjdQv\
    9KU5FNdT2lQZvgG4xUzWKcidVwAtfzQVZYwKNRcvjdVTMQibMfz8otU6FFeVHEJp42Pt";
pub const P521: &str = "\
    MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBi9fOV4B3Cim/O0HJIIEWZbPKfUxnr6DSRuRxffJBpk/tqPJ3yYuqgWSf\
    5u4D+8LJMBskNUV9ZnYqSVKYuajmoYIAaq92KUnUd/x2JbSQIrkIbQG4jiCEgGHVqlx5Qo9eywhtKRqcpWywIclOxBDc\
    fFbhruYGKmo3v8OQHBmZRAIxKE4=";
pub const RSA_2048: &str = "\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3IvnylMyFrTw5ACa3FYJLmPp/V6PJ1jXQ4JEO3m7YMYIuaQP\
    21pV4bsZ+YlJQhUuLFixXbTMUTZb1EpnCmlqcQrjDu5mnlwmV5z9maw9mRIG1Ko+j1i1CxjFXOgQe82l6YDxB9egzVYv\
    4ImBCwpFRRBLqHCVuvjfnFNhF1tQQtCTaRjhoN8qPx8T/qDzW+BAFSm9ABeGskWAo2Vty2DbQjs++1CgZV0gLgn2edWe\
    RKWsyDr7zc51+MdlrV8QwMXALMzDgFqMXM6cyXq7ANftb566U3mxOA//MeBLTx0CAWfD1LUTz5weansBtwXynV6sNODM\
    P5MDTjm9C27lGD2F5wIDAQAB";
pub const RSA_1024: &str = "\
    MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDiq/t3EEGu7FTTCSliU7OIK1HaWblZisI+h2ETUx4JnjY5L2PXJHZ8\
    zyl86etTaFic9EPcuM+5v/jzm1r9TZPQ8egYNjpK+H9W7MWq/z0FaKkyIfqSpOfvVjgsJJ9tQZCLKdMFco1IKX+dALGj\
    VDk+U0HgfC5Y9yCGJ5zuDLTjDwIDAQAB";
pub const RSA_512: &str = "\
    MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKaKS1svRYku4guIj9HAvs4lgUuP1MnoAmJ2ckxiia/yQXVItPi/qx+2eYjI\
    /tJZhmxxc73NiLedlqKNOHl9TUMCAwEAAQ==";
pub const SECP256K1: &str = "\
    MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEq4Y47IKrpwrBkwg/QZUr/m2vddH7liHoz6IiW5etkm+XK8/KWCn3kiM+X03b\
    941ONF8T36vkLGDYcicg0cz2vw==";

/// Signature made with `RSA_1024`.
pub const RSA_1024_SHA1: &str = "\
    RqsJwySFQf6NEILC6bfYZNS7AORbDk/2+rqUHrK0JE5hQDbv16SwF4xtR/U1ogBNYJ14fSvBPO/uncw2cvCGBXHBS7Qp\
    oexSWsE6nGsTmgl5pgtq9rW6khz/+A7EcOOeG2q4LK/IkE0O/0SZVPK2n/Lw6G+GIaGaUXmwIKfpiPo=";
pub const RSA_1024_SHA256: &str = "\
    P6HyxkVZAeka3Jm+a/8c4X/nrtbFLcBUhy9n7OO0oRtWeiGG6TLhOCrPKX0N+OYf8NbpG4PZMNrZiIf4HwQyOMdLlO0p\
    n9IqG0+fOD6DTtq94YT1fQ7PUQy7MydbpERSNgeplRo8NmUdYxcu9UCJpM3JjxdPIjC2wkckA5bEBcs=";

/// Algorithm, key and signature, the last two in base64.
pub const SIGNED: [(PublicAlgorithm, &str, &str); 10] = [
    (
        Ed25519,
        ED25519,
        "SuRVqkTM5s0hcoQ9d4klQCO0C5pD2rINO9HZ31ry4EGLlyFkamOa3sinVHtZQff28USC+sw6TPytCcFoYRn8AQ==",
    ),
    (
        EcdsaP256Sha256,
        P256,
        "MEUCIQD4vf4a6GtqNmTb6nsGh2Li7YjvQO5q01ofD5b0L9nFoAIgVayjbH2SbDpT+LI07mNX+TOx/ai+td9qUfSLKIjE\
    EaE=",
    ),
    (
        EcdsaP256Sha1,
        P256,
        "MEQCIBYisnz1E/R88kYjbLI39yXqNZ2QU6LOkGELdjMzBZwgAiAFXE0nbPi3Zd8qWBdgsl1AHadd/4lKa0gwbQ3v6eA3\
    Og==",
    ),
    (
        RsaSha1,
        RSA_2048,
        "1Bu6LY+zCd1nFCjN+adv+hn1rIRuG8Kem8fTFYcdEw+9QLkq68FT+MQ3B4N5+M8JOna2i8d9waqfn9DMsSZ3TAUaHmwq\
    aKUdyZmissSFctIE8j9L9hBYkchMTKBE48InyPz1M0pUGUS4nqBHJcnuTYOhJdlkz6NP1eWdsUVSEswgb60bseSlw/1U\
    g/3f9xDo8KO562vCnMaYVldHUIh2MgIgGHvIN7P4h1PDvhRLPc1cFwIKhQkxXIlVp+KH0FfbhwnH6EyqiTRTt94AgaE5\
    b9MHu3OUCYQ1j3uYh7gxEpFjiQ+YQ9vSvI93Qv2AasthAOJx2NDWU7F7BylrPXx9tA==",
    ),
    (
        RsaSha256,
        RSA_2048,
        "JLDdDWj08XPaHljq7peyMXQCz5utoGDKI2hwnGEe+VTsjYyoJ8aBCl6lqpauH6K29/Aj0pilt56dRjQgRRjfy0vPK1Nm\
    zXP+9Ky58lDQ/QdLi+NfspYngGUI5q95Ki0UEzPye3JX7V2xzXBd58vCQpObhHJ7qrfE50GA4rexCdMROd892uF4zruD\
    WozLcHKaI6BOupCKqUFpaGjKrqHFtzEa9+kzFpz6B/C6kA5uLbHtYczYVV99iyg7hkP8wEgokTR0IfLmx1c21M0oufUp\
    rPzghpbMktv1RyDeHM954HHNy1iR9DU0Ob/A1cmmEeSzjPDrwvhdSLvsMMRXI9q59A==",
    ),
    (
        RsaSha384,
        RSA_2048,
        "WtzqcpRHZKjBESvGICag7ztiAGooD+Ye8v6xc67zJ1gym+C8BsVaf9ykNqS6c29SIMdp9H23KVzMzKkSxfapEIQcUSpQ\
    NfFEoIdMqJkDeZ9fBQBDQtmRhLJoWu0DQHhwEDINWpAL1IeGUQPT60H2Dtgmm/bUrFSUOsVETepL/9NjYoM5yRYh4l0x\
    OlqOdeof6rQWb+JkaSa5pIlKf1c8Lq0e5Y5Vg6lACWHnrOCXbAa9WLIAGuEgf6DMLIhoCtFc7LoTwNzqDjztZYdb5YgO\
    W7Ev+ZFgCCaJMoVlWzjRXPiMOU6JzLomlz6xhmU+eJXmkONND5RI7SJcl28j+r77cA==",
    ),
    (
        RsaSha512,
        RSA_2048,
        "bUVaQ9PTaicCXhf/42O4vxiBIbjq/4T48kvP8S/8dd/fyS8WGES5S99Z6zFQnPz7USjMQWR2SOMdYkZmbPWjvM1pYtkD\
    y7KLUu2BJwXSRy/E18mm1n38r0gig+MXBXooJkyD8WyY3jJeJrO47IEMecSg/bCWXyoVHSrmkYLiJWAfkpEnlN02PnGV\
    bYRBLDxXu495kIXigm9wsgyAchBs8segpNfKruY9emFHzURZuzboQNhd5G9NhfvSEPCN/kujDNwwsipYHhjegqzE6Qm3\
    9hFeBsbmbofa2tca/12e11edb1nRUuAwI+t1EijIr/s8uQbxoShORP1f+U763Gn0jg==",
    ),
    (Es256, P256, "+L3+GuhrajZk2+p7Bodi4u2I70DuatNaHw+W9C/ZxaBVrKNsfZJsOlP4sjTuY1f5M7H9qL6132pR9IsoiMQRoQ=="),
    (
        Es384,
        P384,
        "EphUxw47x41JAsNffbIp4rZa9GILhJ3cbUZAqHy+SyFZR3D+VxVF3DiDHQIpt3v5bdWaDH8X6CRSK+dDJR+5SR8zmyof\
    iYieW18ZIjnPCgQS3yxa6mTFvTeKCzOjjii6",
    ),
    (
        Es512,
        P521,
        "APZu0p689pGxD64fq4Tjeazw37+UrYe/cm02lZSqWVmkr+Mz9eSB0NTvx+UBwIkITw1tyLyyt0CvtWjp0J06VGK7AeiV\
    UbM8S6jaAupibT9/kQjk5o2Z8QlzI6vdeDjZ+L/WHFesRspCuXMS7QSpJM11NVooGJLjdYGahixhAxyXKhNw",
    ),
];

/// `RSA_2048` in PKCS#1.
pub const RSA_PKCS1_PEM: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEA3IvnylMyFrTw5ACa3FYJLmPp/V6PJ1jXQ4JEO3m7YMYIuaQP21pV
4bsZ+YlJQhUuLFixXbTMUTZb1EpnCmlqcQrjDu5mnlwmV5z9maw9mRIG1Ko+j1i1
CxjFXOgQe82l6YDxB9egzVYv4ImBCwpFRRBLqHCVuvjfnFNhF1tQQtCTaRjhoN8q
Px8T/qDzW+BAFSm9ABeGskWAo2Vty2DbQjs++1CgZV0gLgn2edWeRKWsyDr7zc51
+MdlrV8QwMXALMzDgFqMXM6cyXq7ANftb566U3mxOA//MeBLTx0CAWfD1LUTz5we
ansBtwXynV6sNODMP5MDTjm9C27lGD2F5wIDAQAB
-----END RSA PUBLIC KEY-----";

/// `P256` with its point compressed.
pub const P256_COMPRESSED: &str =
    "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgAD6wso+9nZutu6qubA0kgOHLXS2BWiI51Iy2zn2TPmFDk=";
