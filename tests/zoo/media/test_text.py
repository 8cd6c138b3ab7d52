import pytest
import torch

from zoo.media.text import ALPHABET, from_ids, normalize_caption, to_ids, unknown_letters


def test_captions_are_places_in_the_alphabet_and_0_after_their_end():
    ids = to_ids(["ab c", "z"])
    assert ids.tolist() == [[1, 2, 69, 3], [26, 0, 0, 0]]
    assert len(ALPHABET) == len(set(ALPHABET)) == 69
    assert from_ids(ids) == ["ab c", "z"]
    assert from_ids(to_ids([ALPHABET.strip()])) == [ALPHABET.strip()]


def test_a_length_cuts_off_and_fills_up():
    assert to_ids(["abcd", "a"], 2).tolist() == [[1, 2], [1, 0]]
    assert to_ids(["abcd"], 0).shape == (1, 0)
    assert to_ids(["ab"], 4).tolist() == [[1, 2, 0, 0]]


def test_what_is_not_in_the_alphabet_is_replaced():
    assert normalize_caption("  A café,\twith \u20ac5 \ufffd and tea\n") == "a cafe, with 5 and tea"
    with pytest.raises(ValueError, match="has no characters of a to z"):
        to_ids(["a", " \u20ac "])
    with pytest.raises(ValueError, match="there are no captions"):
        to_ids([])


def test_letters_that_have_a_plain_form_are_kept():
    assert (
        normalize_caption("\u201cBird\u2019s\u201d \u2013 Stra\u00dfe\u2026 \u00c9")
        == '"bird\'s" - strasse... e'
    )
    assert unknown_letters("\u2018a\u2019\u2014\u00df \t\u00e9") == set()
    assert unknown_letters("a \u732b, \u00f8 and \u732b") == {"\u732b", "\u00f8"}


def test_a_string_is_one_caption():
    assert torch.equal(to_ids("a red circle"), to_ids(["a red circle"]))
