//! Keys and signatures as providers send them.

use crate::scheme::public_key::PublicAlgorithm::{
    self, EcdsaP256Sha1, EcdsaP256Sha256, Ed25519, Es256, Es512, RsaSha1, RsaSha256,
};

pub struct SentMessage {
    pub provider: &'static str,
    pub algorithm: PublicAlgorithm,
    pub key: &'static str,
    pub message: &'static str,
    /// Base64.
    pub signature: &'static str,
}

const AWS_SNS_KEY: &str = r"-----BEGIN CERTIFICATE-----
MIICsjCCAZqgAwIBAgICEmcwDQYJKoZIhvcNAQELBQAwHDEaMBgGA1UEAwwRc25z
LmFtYXpvbmF3cy5jb20wHhcNMjAwMTAxMDAwMDAwWhcNNDUwMTAxMDAwMDAwWjAc
MRowGAYDVQQDDBFzbnMuYW1hem9uYXdzLmNvbTCCASIwDQYJKoZIhvcNAQEBBQAD
ggEPADCCAQoCggEBAL9p9O8lll3xoLeGtXNnWpET4I3ekCBhfvSPUnMt3umA1ag7
Af8wIQFlkTst0vMczqBO3ZsYu/vDp657SSYfSy21+olp8Utf8eaPVlllMEF2CTVa
MDnO9nXU7TSMRO7c0UHj6g8SEgUMZLEqhPF2e4Sntk236ax6pQbWlaDcdYhkKsvZ
dHWWYKwLXR1sUwr3UiH9ICFH2VF9Bcybw1oKlQD7zMbFe2m3973PtquvOcFwdPaG
bXzttzedfRCoO8yeR+mgZLu1quVa1IkWL1RvioazThYAZCxsdnP5G/EzUnu10Na8
qWb/g6JgWaDAsXMJcR9UajXN9voz8yIk17lmrmECAwEAATANBgkqhkiG9w0BAQsF
AAOCAQEAIBPx8Qa33bCyiTqNix6bbXj3aZ46Sw1Lgw9sK1n5YxTkEk8wgZmU0nQd
/RM0PBI4+HVk3OQ3dJ0GU6I9HUUAOdlwF9EUu0FeZOgTiDB0DtapsehRxzNOYT4N
RaI1RmzB8+RktIIVPeafyQD9hpM6nn/R9adzZq5+7vSV1WO2O5QTpk+MCzn2Zjn7
wwnkN0eyNhi7uF6wtzcIzDZ1aJWgNrYdgCdRRf3ZgdC7iLPblZIXQaMPU8W7R9iv
utlZK5F9hchHUhvjD+5s4Sz0mma2rxrxBYMhK8SIdQrM8Gj5IHz88QJZCyDdtNcw
uGuG1XqOnl/jr8gn/dAsvf4xjLT01g==
-----END CERTIFICATE-----";

pub const SENT: [SentMessage; 13] = [
    SentMessage {
        provider: "telnyx",
        algorithm: Ed25519,
        key: "mlqL9IxFFZ0svuKTDCHkrnc8foRJi4UzL5S7yVUmW4Q=",
        message: "1760000000|{\"id\":\"evt_telnyx_a\",\"type\":\"invoice.paid\",\"created\":1760000000,\"data\
        \":{\"amount\":1250,\"name\":\"Zoë\"}}",
        signature: "oclKlUiDlxxlhJHStffsSHS7rIgTQas1gJPiv8TR15ovDRW8CFb0vfXhIQbCuhfYjiTxbi1szsXGjY7qEh19AQ==",
    },
    SentMessage {
        provider: "discord",
        algorithm: Ed25519,
        key: "9878cb793922533d67a12b4deef6c11586f7cc4bdc66afd57a9e306eb31c2aef",
        message: "1760000000{\"id\":\"evt_discord_a\",\"type\":\"invoice.paid\",\"created\":1760000000,\"data\
        \":{\"amount\":1250,\"name\":\"Zoë\"}}",
        signature: "7js4dYwBbQEAxJcElx27ObEefcprfOWMgNQCRK3IP5B9LQ3u/a4rIaWyAA4/oUYYngzEefp1NYK4EGre7mnXDQ==",
    },
    SentMessage {
        provider: "sendgrid",
        algorithm: EcdsaP256Sha256,
        key: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+\
        2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        message: "\
        1600112502[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\
        \",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\"\
        :\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\
        \"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n",
        signature: "\
        MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtE\
        ZtM=",
    },
    SentMessage {
        provider: "ebay",
        algorithm: EcdsaP256Sha1,
        key: "-----BEGIN PUBLIC KEY-----MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEypkO1FfhUQEgvnOffMJhc/SfGgHqDB\
        SuEB9IaXk62HFtNL84HhEw4T4om/7oBOwnRX7S2uusKCpiZeTyx0AFow==-----END PUBLIC KEY-----",
        message: "\
        {\"id\":\"evt_ebay_a\",\"type\":\"invoice.paid\",\"created\":1760000000,\"data\":{\"amount\"\
        :1250,\"name\":\"Zoë\"}}",
        signature: "\
        MEQCIFnujR8NM0U/K3LJFOwM1vias6wjES/piktFGuIyUfqbAiBMNOjB/B3wzs81zsOphzcyYjudSntpB4YW7bk/38su\
        rg==",
    },
    SentMessage {
        provider: "travis-ci",
        algorithm: RsaSha1,
        key: r"-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3qtrCl+8jC/diSC9qu+2
s1tjZuwyTNxcOlMAHMk8VtClMQVT+atVpBMRt1zCq5ZABdAXkscQIzGf5uJUSazB
FROtboRSD5AGb5v6618AM/GuB17hWn6I6Dk2x+sy/OkVv/1RVEveLOtiV20Hkv44
rXd6wRqtq5ccJBRURXlI2/xWms30xWkO/DHpX6CdEig7TrO6CD2sYOuUwQcG50/c
xl16aiHcpNot/GBGtSxuuYWspQ3FGrrB9r5vEleaaXU7YXUIA9lDHh2hkNFhs6yi
hKS1NbvA0Mhqi9+V1LRDs5ebDNX4tEuIpOP/59JfAG+uY+rZV+H/idz6ekO3iP4n
QQIDAQAB
-----END PUBLIC KEY-----",
        message: "\
        {\"id\":\"evt_travis_a\",\"type\":\"invoice.paid\",\"created\":1760000000,\"data\":{\"amount\
        \":1250,\"name\":\"Zoë\"}}",
        signature: "\
        FdZXhIiOuuOOmH91j+84KQ/GOSuk79mYFtbznyL8TOq1pPHzU+gci/BewVPp6EQS2218dtxkijQ2Azb0ztQICd8ZxvwR\
        72CwokEPCJXBc+SbOdZ7lzqUjBLyYrMFj6ptQISJKGDlw8a0UHJ8uM9/tYtGqzd+aaSoPAKM6MDUbVvp+K9n4prAZmiT\
        bOoSv9k6sLqWaKobvA9Jp7JfVTTNDXJp0LNop8SkNpa1eK6Iw9TJsp2KkFc3gaVQW4z44cB7A0pqr1p959uDjc1dKUTU\
        ujZZa9THCFpoMeRX8jw75x5HjD/RUL0e1q+06Qj5DRJDPcdqmDN9Qcg2pAuISeljQA==",
    },
    SentMessage {
        provider: "wise",
        algorithm: RsaSha256,
        key: r"-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0/TZ2rCAncOypxIpVkem
YugRN1lvVY5xPh+zrs67L5ePmeBPSPwqJO9L8K00EHeBVpuKXsJ5yw4i5bWvYW5R
z13gONNoh5UAmTPxuC+iYlVqRYIzWuriSmkXi2577vsZc2JbEr6ONMRXZ3Wdpbtn
3e3naax/al7+Y1iqCMnbyCdq+/SQrlqSbXCs4ZmUyA5sv48IKbAAyBldE+zQDP/9
oFDGjKaz4o4NTK6uj0ZfvdPCgAtAIAXr7aBvs95iPLilhpauebqvdNPT4SlswJ86
l9ms/dBcVvYIm6GjyMX2Xs1t2/oNTUfSoFsA6iZ6t4BaycneR5EFTZnrNQDea1z3
fQIDAQAB
-----END PUBLIC KEY-----",
        message: "\
        {\"id\":\"evt_wise_a\",\"type\":\"invoice.paid\",\"created\":1760000000,\"data\":{\"amount\"\
        :1250,\"name\":\"Zoë\"}}",
        signature: "\
        qHzmKzRtlOW8A11oj63t8sGBpFiVW9SH4cPttD/gnZ5xRjZNjND5tlBgAI8rKox82Xfh7pPqJxHSyUJgiRRIIBQc4Mlv\
        QFv4QPlXutet8OZLRzKq/fgJ02fuQZYF0WRsINo7oYbAz8SmxdK9F7fa8d0s6ovXjGEwihQ20Iqt62Dz0DcnDlh3FGf0\
        6ruW3He0dQ6j/fnX5j7zZXkUZ+Z0Usz7R5DlIptj6/CwTqjbjFaSuUdejX3DTQi9gOnqAsw58QiT0xF/qpBWVaAIBsp3\
        TSMeWDpW5W5Q/YPgQUsIPcbhq5tvJb3euyY9s7Yd46ZjtGmZl5hXvbX3wjIPWtToBA==",
    },
    SentMessage {
        provider: "kick",
        algorithm: RsaSha256,
        key: r"-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAx6/w5aw3+Ce3+TdjgI47
YXaXfgYQcY6gX/MpML+N8Q6bBersZ4aib4gqqRaGxwq2uveA5NmCL89laIMunu8D
7QQk4tl+iUwxtsHaR++nYsDUwc8+1kzpqv+uj6o9l0OaXssOyduXsM6tzOjqlWMT
LOI3F8iKCaX7VNA1wrkvknub5jYwe1m9d0C98lkJheDTGM6zs7sgjScrd3/8CwDO
XAxQ5y/fTCC+wm6cWeSLSkq3t9qEdIMmzbPFOXPRRGK9Nr8QXUktrke92ucDSmjb
MvGX8bVWflzS6oHL3mq3UpBL+ssp+Vf/U8tCQ9WxlF6UAZyO7JQMxwvdrZ9EhprZ
ywIDAQAB
-----END PUBLIC KEY-----",
        message: "\
        msg-a.2025-10-09T08:53:20Z.{\"id\":\"evt_kick_a\",\"type\":\"invoice.paid\",\"created\":1760\
        000000,\"data\":{\"amount\":1250,\"name\":\"Zoë\"}}",
        signature: "\
        r8kpy6hJikbrezu/JlXX98JZcRqGfLBq3jIqKxknbttFPXWK4C2npJQFAcNzrQyZcCz6RDD0xSYMBFimjI7Bpxtlwvj+\
        RV1FIG/L3DZDYTrD5g18iQShN4o4EfxYPVplMPU/N25F+0Pgg7fmpIPZ55pkiLBdd0UWrGPKIv7ud9dIoMr/YJ7UkTpQ\
        DYajroIzbHfGceW/O5mOmaWjch5soorTWVbmv370M7bZ9CaIs8vLX8EAI6hmoLXduabrN2YT/VoSnjK6puqRENajcbMV\
        mTOrlnt5SjQMl6CjqDIn1iXz/v6P9zptR2dleZ8HNPH4pkSgFhRijhVojDawBQGbrA==",
    },
    SentMessage {
        provider: "fusionauth",
        algorithm: RsaSha256,
        key: "{\"kty\": \"RSA\", \"alg\": \"RS256\", \"use\": \"sig\", \"kid\": \"kid-a\", \"n\": \"r5-P5S\
        YGjP3e51yX_vOzNkugr7wb_pwXhvhsIafMrTx57hozcDCWV9ebdaTNeRgPGMPpxXkJA3FeTvrRl8IOgMhuK_B0j4dx2-\
        xOtHEvnUFwhG_hAgJE-z7ZtNJDHuy32pWvvPAnboupCNd8-WAaeIXZK4O4dU0DPzykrIEtmJWla7v7Lfabq2thGPHwOX\
        JZEIiODpJBtjvVk5fBZt02me1XesB1hXhZWaXdcMyID71ecr7GvRZerq3j_thmdl2rA0HcpJSm19IxudgUR1q2NatSax\
        nIjj2wksJGWG5CynPBWbdfdyA-K1Dv58t2J-xpX8JaK6F8ZiTjhWdThpncQw\", \"e\": \"AQAB\"}",
        message: "\
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImtpZC1hIn0.eyJyZXF1ZXN0X2JvZHlfc2hhMjU2IjoiL3Zt\
        SUg2Vk0rM2pxNXpibmZiWTIzZ2Yva3dwalZlYTdiQ2hXaC9XSjFkdz0ifQ",
        signature: "\
        LLni1d5Nm0gXsV8VMZDHUwV69qF7JEsy1EbveqJsQtArWMeFP3D9sG9l81L/tjdZbk6HAd/kqrAJRLGZFb+ZyAO3pzlf\
        o7+boNGKvIa1CThjQc9ln/3CEkGKu+jE06AA+E5NKLPn8HDJ+2ISo6PJBEenyfWBlDwW4c+P5tgWOePYjrFULoHQABFj\
        Vy6zd77H9pIkVlop7r72iq7Sieh5uSpingEfG5jAvnGp1JAAVDnR0g4DKhNTxmnOkb6Jh/Q44ciMu8RiBHyG8wVVwgI/\
        7cqzYW4LzzXOfMQCZIBwQ587KiDTcSeT/j+zlTHXHVkyafVKd4qg07RtHvurRdsy0A==",
    },
    SentMessage {
        provider: "plaid",
        algorithm: Es256,
        key: "{\"kty\": \"EC\", \"alg\": \"ES256\", \"use\": \"sig\", \"kid\": \"kid-a\", \"crv\": \"P-256\
        \", \"x\": \"37GuF90LC7LIAEJNZoXBLKJHw7-mJhR_E_4Yym7DpkI\", \"y\": \"-4oktEswp-5sf-ozFTulQsV\
        _lXNXDK4xwWm5GAqwO24\"}",
        message: "\
        eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImtpZC1hIn0.eyJpYXQiOjE3NjAwMDAwMDAsInJlcXVlc3Rf\
        Ym9keV9zaGEyNTYiOiJjZjhmMzc1ODcwNjBiY2Y1ZGZhYTQ3MzFmMTc5MzQ3ZDNiYjE0NjRkZWIxMDk3MTAzZDFhNWM0\
        ODZmYWIxYWE1In0",
        signature: "8doyeBAbnrePW3NinmKpR370zU3xPj49f91kjZ6mqRWeKi+lqoaBTLoK1IKBKXqOUmYeAKBwtAbFqR38+jtf6w==",
    },
    SentMessage {
        provider: "truelayer",
        algorithm: Es512,
        key: "{\"kty\": \"EC\", \"alg\": \"ES512\", \"kid\": \"tl-a\", \"crv\": \"P-521\", \"x\": \"ADlID0\
        1D7xumFi_78u8t_MWVJ9y8spllSx2wAhzHUQXUBOCebNUDNAK1mVOYtbEddB1P3oXsYOwFS9OIG4qCjEPs\", \"y\": \
        \"ANabwztBhcarZZ5WdpuKpnM5P3G3t25TuyEQ4_LyPmNrhJ8se1CjUAWRieKO3haRa08YW5DB9K92we7RAHl3IH23\"\
        }",
        message: "\
        eyJhbGciOiJFUzUxMiIsImtpZCI6InRsLWEiLCJ0bF92ZXJzaW9uIjoiMiIsInRsX2hlYWRlcnMiOiJYLVRsLVdlYmhv\
        b2stVGltZXN0YW1wLENvbnRlbnQtVHlwZSIsImprdSI6Imh0dHBzOi8vd2ViaG9va3MudHJ1ZWxheWVyLmNvbS8ud2Vs\
        bC1rbm93bi9qd2tzIn0.UE9TVCAvd2ViaG9va3MvdHJ1ZWxheWVyClgtVGwtV2ViaG9vay1UaW1lc3RhbXA6IDIwMjUt\
        MTAtMDlUMDg6NTM6MjBaCkNvbnRlbnQtVHlwZTogYXBwbGljYXRpb24vanNvbgp7ImlkIjoiZXZ0X3RydWVsYXllcl9h\
        IiwidHlwZSI6Imludm9pY2UucGFpZCIsImNyZWF0ZWQiOjE3NjAwMDAwMDAsImRhdGEiOnsiYW1vdW50IjoxMjUwLCJu\
        YW1lIjoiWm_DqyJ9fQ",
        signature: "\
        AObGNnkbN/drZMj9iPMf6DGmhPK7WRQlUxozLqwbhTwF6jwKSKFaJRB9OahQCWe1ztf/AKMfCsl/PFxyaSzQlt7kAU2d\
        2OfOBQg2l8rAsOPU9JFqAQQaX+kcx95/CmfVs6cU7L0w8InOPRlMwDpjJvAU/n9DhR1wzi/DJ/CyWicZ3DWh",
    },
    SentMessage {
        provider: "paypal",
        algorithm: RsaSha256,
        key: r"-----BEGIN CERTIFICATE-----
MIIC1jCCAb6gAwIBAgICEmcwDQYJKoZIhvcNAQELBQAwLjEsMCoGA1UEAwwjbWVz
c2FnZXZlcmlmaWNhdGlvbmNlcnRzLnBheXBhbC5jb20wHhcNMjAwMTAxMDAwMDAw
WhcNNDUwMTAxMDAwMDAwWjAuMSwwKgYDVQQDDCNtZXNzYWdldmVyaWZpY2F0aW9u
Y2VydHMucGF5cGFsLmNvbTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEB
ANSTYagPdJFTl1Urzxf4Xre1Zk/cycnYFCIlweTGdKS2+n8IliXqSaNAzNNi0S7I
PENKMPZLEANsDEKA9BHNsW3mNJvDrNULmxGbMZ5RxZd6dSHI4vfjobJMaNZJnhSY
RwVnw24OEw2PnIEvYXOwMfskt6CNwhkr9cp4iXcd/o6MjPePtWekMTmltkst7hjy
vtkD0WBWLoW1f8PDn/e0kbZo4jv3xwyIHTi3x2G+TTiQiDl3XLN8cOiTm8E3dEXY
CgfkiqvYF8smZAlr91srs6SIjCF8b9WUwxPDA2DpeewH94lbg97sqXIiSyt+7CGZ
g7ZgIlq6CUY1Xe9EJm6DN28CAwEAATANBgkqhkiG9w0BAQsFAAOCAQEAL2KMrQn9
p59z62+HpKayTp1M0KeB8IkXr7oVlMkUM2rprxuM59++GB/GokUyRc1K/CsRgSmy
4s+Ek1rtTQFcemGbXoWh8B10AjaSos1nl/oNCKSY9JBWPlcdP9b7yKy1ccWFM7WQ
76f+hGfjUz6h16lAqszoLQ0gXuyHhm4h1Y4Zs9Hs9Ffsa+hojrVbcaa7wvsCVoGb
MWHwYG7NiUiWNHa+jgenWwsDLVN8uc4N2dq1jRZ2SlM720HCIcz+PrGa4K6p22Me
uhEjRaoRzW5OmG3+Z5o4jtqely6SZ+60UM5+hysmiKdhFTn0gxDij3iEaVywU0nr
IVrlVZG+pPeiUA==
-----END CERTIFICATE-----",
        message: "tid-a|2025-10-09T08:53:20Z|WH-ID-a|942771085",
        signature: "\
        ljjrd0WOTue6byV4/zj3b/BesPJA7BZiMiKaYh6uYknAi5KlMKQfCrzi1t4NxvQev3POGP8QljYnH0BfnGkiLPVhlD8M\
        Z5LvgdjD2ODqfUl6xccl4owGMLwi+DVbArC3UYBFF+FhNDiPPXXwi1XleqSmvB3ST4xl+ryWgyjY5NeVdZCuu9cG/JGg\
        LmyjJrMkqit+t5YctunouH0UmLNkzh73v4vAdMV/SMwh+YZNL2tFnqEQtxWkEhYiNJRo9cWjMcDYTA67yXm4m30bg/R3\
        Sh0qy0JDwsqhogwf3szdTgy+AcEzD2uAH6dygQSf61bOEpNqWuJonNITfSYr+MinYQ==",
    },
    SentMessage {
        provider: "aws-sns",
        algorithm: RsaSha256,
        key: AWS_SNS_KEY,
        message: "\
        Message\nhéllo\nworld a\nMessageId\nmid-a\nSubject\na subject\nTimestamp\n2025-10-09T08:53:2\
        0.000Z\nTopicArn\narn:aws:sns:us-east-1:123456789012:topic-a\nType\nNotification\n",
        signature: "\
        COgK+RszNApUZhRWo1rHY6ivqtgmOsC3f6LZXt4twkEPB54c4cmbDOEnEqViypbLmFW+mSnOdzcLryTNSGE03Zfg2bcK\
        pznbvtp+mzY/KWmgkoqmyE7eT+VqJXjopN2/Tf2Rfdkub7EwGbPXREshsEep95tWwTC7EAWuvkctYtOxSUauiB6ylxa8\
        exeCubmhIavai7HicznyydIYpmEsHFStwey/0liLap47227/UMn0cPBCFhAnepwqZjgNBZEhEC9O23R2X5mTdjapxU4o\
        m3t8/KU9g9HVnGGCOSCNySOTEP4PzSclJms/adr7EcUzwhV73RRvKjBlO9U/EqevSA==",
    },
    SentMessage {
        provider: "aws-sns",
        algorithm: RsaSha1,
        key: AWS_SNS_KEY,
        message: "\
        Message\nhéllo\nworld a\nMessageId\nmid-a\nTimestamp\n2025-10-09T08:53:20.000Z\nTopicArn\nar\
        n:aws:sns:us-east-1:123456789012:topic-a\nType\nNotification\n",
        signature: "\
        Hly2dbIQszSABMinz7HfCU2PN7qHZaEc/OVhTAwwO4uovuWtnGnHOjvnVhbNWn+O35fhKiCMjtSldcJSpRvo6sz8FGoL\
        gq2NKA0gIo8W2rfh+KIFyty7+ZZlebZ9NINmu1J8Vqhd9pM+VOEaim0C7nLvrPakwE7DPzv43OQZ05xljfuPsdtzPhw6\
        2dkJGAPDpbRatDcvebsnZKJ4Og586M2nOJwSg1jBGS6N5w57i+LUAEtwkTnrBDAd8UldtHIXR5IV/31zLZXICO3HNGZZ\
        H4DpL0jVgjNB6lbo35RbN1xxVd6JKjtLT8SqQD5yqnzUDZtYLNO0n9eYTURddNk3gg==",
    },
];
