"""Fields and the list grammar."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields, split_list


class FieldsTests(SynchronousTestCase):
    fields = Fields(((b"Via", b"a"), (b"X", b""), (b"via", b"b, c"), (b"Y", b'"p,q", R')))

    def test_names_compare_without_case_and_lines_combine(self) -> None:
        self.assertEqual(self.fields.get(b"via"), b"a, b, c")
        self.assertEqual(self.fields.all(b"via"), [b"a", b"b, c"])
        self.assertEqual(self.fields.get(b"x"), b"")
        self.assertIsNone(self.fields.get(b"z"))
        self.assertIn(b"x", self.fields)
        self.assertNotIn(b"z", self.fields)

    def test_tokens_are_lower_case_members(self) -> None:
        self.assertEqual(self.fields.tokens(b"via"), [b"a", b"b", b"c"])
        self.assertEqual(self.fields.tokens(b"y"), [b'"p,q"', b"r"])
        self.assertEqual(self.fields.tokens(b"z"), [])

    def test_without_and_adding_keep_the_order_and_the_spelling(self) -> None:
        kept = self.fields.without((b"via",)).adding((b"Z", b"1"))
        self.assertEqual(list(kept), [(b"X", b""), (b"Y", b'"p,q", R'), (b"Z", b"1")])
        self.assertEqual(len(self.fields.pairs), 4)


class ListTests(SynchronousTestCase):
    def test_table(self) -> None:
        for value, members in (
            (b"", []),
            (b" , ,\t", []),
            (b"a", [b"a"]),
            (b"a,, b ,\tc", [b"a", b"b", b"c"]),
            (b'"a,b", c', [b'"a,b"', b"c"]),
            (b'"a\\",b", c', [b'"a\\",b"', b"c"]),
            (b'W/"x", "y"', [b'W/"x"', b'"y"']),
            (b'"open, c', [b'"open, c']),
        ):
            self.assertEqual(split_list(value), members, value)

    @given(st.lists(st.text("abc-=", min_size=1).map(str.encode)))
    def test_members_come_back(self, members: list[bytes]) -> None:
        self.assertEqual(split_list(b" , ".join(members)), members)
