"""Signed URLs that expire, in aprp's own form and in nginx's."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.signed_urls import (
    LinkBinding,
    LinkRefused,
    LinkRules,
    SignatureForm,
    check_link,
    signature,
)

HMAC = LinkRules(b"a long random text")
MD5 = LinkRules(b"a long random text", SignatureForm.MD5, LinkBinding.ADDRESS)
NOW = 1_000_000.0


def signed(rules: LinkRules, path: bytes = b"/f", expires: bytes = b"1000001") -> bytes:
    made = signature(rules, path, expires, "192.0.2.1")
    return b"?expires=" + expires + b"&" + rules.parameter + b"=" + made


class SignedUrlTests(SynchronousTestCase):
    def check(self, rules: LinkRules, query: bytes, client: str = "192.0.2.1") -> bytes:
        return check_link(rules, b"/f", query, client, NOW)

    def test_what_is_signed_passes_without_its_signature(self) -> None:
        for rules in (HMAC, MD5):
            self.assertEqual(self.check(rules, signed(rules)), b"")
            self.assertEqual(self.check(rules, signed(rules) + b"&a=1&b"), b"?a=1&b")

    def test_what_does_not_pass(self) -> None:
        for query, said in (
            (b"", "isn't signed"),
            (b"?expires=1000001", "isn't signed"),
            (signed(HMAC, b"/g"), "signature is wrong"),
            (signed(HMAC).replace(b"1000001", b"2000001"), "signature is wrong"),
            (b"?expires=1000001&sig=\xff", "signature is wrong"),
            (signed(HMAC, expires=b"+1000001"), "has expired"),
            (signed(HMAC, expires=b"999999"), "has expired"),
        ):
            self.assertIn(said, str(self.assertRaises(LinkRefused, self.check, HMAC, query)))

    def test_links_of_one_address(self) -> None:
        self.assertRaises(LinkRefused, self.check, MD5, signed(MD5), "192.0.2.2")
        self.assertEqual(self.check(HMAC, signed(HMAC), "192.0.2.2"), b"")

    def test_the_form_of_nginx(self) -> None:
        """secure_link_md5 "$secure_link_expires$uri$remote_addr a long random text";"""
        text = b"1000001/f192.0.2.1 a long random text"
        made = urlsafe_b64encode(hashlib.md5(text).digest()).rstrip(b"=")
        self.assertEqual(self.check(MD5, b"?md5=" + made + b"&expires=1000001"), b"")
        self.assertEqual(self.check(MD5, b"?md5=" + made + b"==&expires=1000001"), b"")
