"""Collections: what a question can be limited to."""

from __future__ import annotations

import pytest

from rag.corpus import CorpusError
from rag.corpus_status import UPLOAD, URL, collections
from tests.rag.place import PARAGRAPH, Place


def names(place: Place) -> list[str]:
    return [collection.name for collection in place.corpus.collections()]


def found(place: Place, collection: str) -> list[str]:
    within = place.corpus.documents_in(collection)
    hits = place.store.search_text("museum", 50, within)
    vector = place.embedder.embed_array(["museum"])[0]
    assert {hit.id for hit in place.store.search_vector(vector, 50, within)} >= {hit.id for hit in hits}
    return sorted({hit.chunk.source for hit in hits})


def test_folders_and_uploads(place: Place) -> None:
    assert names(place) == []
    place.write("a/one.txt", f"One. {PARAGRAPH}")
    place.write("b/two.txt", f"Two. {PARAGRAPH}")
    place.write("empty/none.txt", "")
    place.counts("a", "b", "empty")
    assert names(place) == ["a", "b"]
    place.corpus.add_file(place.write("sent", f"Three. {PARAGRAPH}"), "three.txt")
    assert names(place) == ["a", "b", "Uploads"]
    assert (found(place, "a"), found(place, "B"), found(place, "uploads")) == (
        ["one.txt"],
        ["two.txt"],
        ["three.txt"],
    )
    with pytest.raises(CorpusError, match=r"no collection c. There are: a, b, Uploads\."):
        place.corpus.documents_in("c")


def test_a_collection_that_is_always_known_says_why_it_is_empty(place: Place) -> None:
    with pytest.raises(CorpusError, match=r"Uploads: no file was added on the page yet\. Nothing is indexed"):
        place.corpus.documents_in("Uploads")
    place.write("a/one.txt", PARAGRAPH)
    place.counts("a")
    with pytest.raises(CorpusError, match=r"web pages: no web page was added yet\. There are: a\."):
        place.corpus.documents_in("web pages")


def test_a_copy_is_found_in_its_own_collection(place: Place) -> None:
    place.write("a/one.txt", PARAGRAPH)
    place.write("b/same.txt", PARAGRAPH)
    place.counts("a", "b")
    assert names(place) == ["a", "b"]
    assert found(place, "a") == found(place, "b") == ["one.txt"]


def test_folders_of_the_same_name_are_told_apart() -> None:
    folders = ["/home/me/docs", "/srv/team/docs", "/srv/uploads", "/gone"]
    found = collections(folders, {*folders[:3], UPLOAD, URL})
    assert [one.name for one in found] == ["docs", "team/docs", "srv/uploads", "Uploads", "Web pages"]
    assert [one.origin for one in found] == [*folders[:3], UPLOAD, URL]
