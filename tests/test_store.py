"""Bytes waiting: written in any order, taken from the front, dropped in the middle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.splice.piped import as_bytes
from aprp.upstream.transfer.store import Store


class StoreTests(SynchronousTestCase):
    def test_taken_as_written(self) -> None:
        store = Store()
        piece = b"abc"
        store.write(10, piece)
        store.write(3, b"xy")
        self.assertEqual(store.size, 5)
        self.assertIs(store.take(10), piece)
        self.assertEqual((store.take(10), store.take(3), store.size), (b"", b"xy", 0))

    def test_forgotten_in_the_middle_of_a_piece(self) -> None:
        store = Store()
        store.write(0, b"0123456789")
        store.forget(3, 6)
        self.assertEqual((store.size, store.take(0), store.take(6)), (7, b"012", b"6789"))

    def test_nothing_is_no_piece(self) -> None:
        store = Store()
        store.write(4, b"")
        self.assertEqual((store.size, store.take(4)), (0, b""))

    @given(
        st.lists(st.integers(1, 20), min_size=1, max_size=12),
        st.randoms(use_true_random=False),
        st.integers(0, 120),
        st.integers(0, 120),
    )
    def test_as_a_dictionary_of_bytes(self, sizes, chance, one, other) -> None:  # type: ignore
        content = bytes(range(sum(sizes)))
        starts = [sum(sizes[:index]) for index in range(len(sizes))]
        pieces = list(zip(starts, sizes, strict=True))
        chance.shuffle(pieces)
        store, twin = Store(), {}
        for start, size in pieces:
            store.write(start, content[start : start + size])
            twin.update({at: content[at] for at in range(start, start + size)})
        low, high = sorted((one, other))
        store.forget(low, high)
        twin = {at: octet for at, octet in twin.items() if not low <= at < high}
        self.assertEqual(store.size, len(twin))
        found = {}
        for at in range(len(content)):
            for offset, octet in enumerate(as_bytes(store.take(at))):
                found[at + offset] = octet
        self.assertEqual((found, store.size), (twin, 0))
