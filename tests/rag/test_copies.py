"""Files with the same content: listed each, embedded and found once, whichever of them comes or goes."""

from __future__ import annotations

import shutil

from rag.corpus import SourceStatus
from tests.rag.place import PARAGRAPH, Place


def listed(place: Place) -> dict[str, tuple[str, str]]:
    """Source → state, and what it is a copy of."""
    return {status.source: (status.state, status.copy_of) for status in place.corpus.status()}


def found(place: Place, question: str = "museum") -> list[str]:
    return [hit.chunk.source for hit in place.store.search_text(question, 50)]


def test_the_same_content_is_embedded_and_found_once(place: Place) -> None:
    for name in ("a/one.txt", "a/deep/two.txt", "b/three.txt"):
        place.write(name, PARAGRAPH)
    place.write("a/same.md", PARAGRAPH)  # read in another way, so another document
    assert place.counts("a", "b") == (4, 0, 0, 0, 0, 0)
    assert place.embedded() <= 2
    assert sorted(found(place)) == ["one.txt", "same.md"]
    assert listed(place) == {
        "one.txt": ("ready", ""),
        "same.md": ("ready", ""),
        "deep/two.txt": ("ready", "one.txt"),
        "three.txt": ("ready", "one.txt"),
    }
    assert place.counts() == (0, 0, 0, 0, 4, 0)
    assert place.embedded() == 0


def test_a_copy_that_comes_later_costs_nothing(place: Place) -> None:
    first = place.write("a/one.txt", PARAGRAPH)
    place.counts("a")
    place.embedded()
    shutil.copyfile(first, place.root / "a/two.txt")
    assert place.counts("a") == (1, 0, 0, 0, 1, 0)
    assert (place.embedded(), found(place), listed(place)["two.txt"]) == (
        0,
        ["one.txt"],
        ("ready", "one.txt"),
    )


def test_a_copy_takes_the_place_of_an_original_that_goes(place: Place) -> None:
    original = place.write("a/one.txt", PARAGRAPH)
    for name in ("a/two.txt", "b/three.txt"):
        place.write(name, PARAGRAPH)
    place.counts("a", "b")
    place.embedded()
    original.unlink()
    assert place.counts() == (0, 0, 0, 1, 2, 0)
    assert (place.embedded(), found(place)) == (0, ["two.txt"])
    assert listed(place) == {"two.txt": ("ready", ""), "three.txt": ("ready", "two.txt")}
    place.corpus.forget_folder(place.root / "a")
    assert (found(place), listed(place)) == (["three.txt"], {"three.txt": ("ready", "")})
    assert place.counts() == (0, 0, 0, 0, 1, 0)


def test_original_and_copy_go_together(place: Place) -> None:
    for name in ("a/one.txt", "a/two.txt", "a/other.txt"):
        place.write(name, PARAGRAPH if name != "a/other.txt" else "Another one.")
    place.counts("a")
    (place.root / "a/one.txt").unlink()
    (place.root / "a/two.txt").unlink()
    assert place.counts() == (0, 0, 0, 2, 1, 0)
    assert (found(place), list(listed(place))) == ([], ["other.txt"])


def test_an_original_that_changes_leaves_its_content_to_the_copy(place: Place) -> None:
    original = place.write("a/one.txt", PARAGRAPH)
    place.write("a/two.txt", PARAGRAPH)
    place.counts("a")
    original.write_text("The station is closed.")
    assert place.counts() == (0, 1, 0, 0, 1, 0)
    assert (found(place), found(place, "station")) == (["two.txt"], ["one.txt"])
    assert listed(place) == {"one.txt": ("ready", ""), "two.txt": ("ready", "")}
    original.write_text(PARAGRAPH)  # and back
    assert place.counts() == (0, 1, 0, 0, 1, 0)
    assert (found(place), found(place, "station")) == (["two.txt"], [])
    assert listed(place) == {"one.txt": ("ready", "two.txt"), "two.txt": ("ready", "")}
    original.write_text("")  # unreadable
    assert place.counts() == (0, 0, 0, 0, 1, 1)
    assert (found(place), listed(place)["one.txt"][0]) == (["two.txt"], "failed")


def test_a_copy_that_changes_is_a_document(place: Place) -> None:
    place.write("a/one.txt", PARAGRAPH)
    copy = place.write("a/two.txt", PARAGRAPH)
    place.counts("a")
    copy.write_text("The station is closed.")
    assert place.counts() == (0, 1, 0, 0, 1, 0)
    assert (found(place), found(place, "station")) == (["one.txt"], ["two.txt"])
    assert {copy_of for _, copy_of in listed(place).values()} == {""}


def test_files_with_the_same_fault_are_read_once_and_listed_each(place: Place) -> None:
    for number in range(3):
        place.write(f"a/{number}.txt", "  \n ")
    report = place.corpus.sync([place.root / "a"])
    assert sorted(failure["source"] for failure in report.failed) == ["0.txt", "1.txt", "2.txt"]
    assert {state for state, _ in listed(place).values()} == {"failed"}
    place.write("a/1.txt", PARAGRAPH)
    assert place.counts() == (1, 0, 0, 0, 0, 2)


def test_names_of_copies_are_nobody_elses(place: Place) -> None:
    place.write("a/one.txt", PARAGRAPH)
    place.write("b/two.txt", PARAGRAPH)
    place.counts("a", "b")
    place.write("a/two.txt", "Something else.")
    place.counts()
    assert listed(place)["two.txt"] == ("ready", "one.txt")
    assert place.names() == ["a/two.txt", "one.txt"]


def test_other_chunk_options_keep_copies(place: Place) -> None:
    from rag.corpus import Corpus

    for name in ("a/one.txt", "a/two.txt"):
        place.write(name, PARAGRAPH * 4)
    place.counts("a")
    place.corpus.close()
    place.corpus = Corpus(place.store, place.embedder, place.root / "data", size=1000, overlap=0)
    assert place.counts() == (0, 1, 0, 0, 1, 0)
    assert listed(place) == {"one.txt": ("ready", ""), "two.txt": ("ready", "one.txt")}


def test_an_upload_of_what_a_folder_has_is_a_copy_that_can_be_removed(place: Place) -> None:
    original = place.write("a/one.txt", PARAGRAPH)
    place.counts("a")
    place.embedded()
    assert place.corpus.add_file(original, "mine.txt") == "mine.txt"
    assert place.corpus.add_file(original, "again.txt") == "mine.txt"
    assert (place.embedded(), found(place), listed(place)["mine.txt"]) == (
        0,
        ["one.txt"],
        ("ready", "one.txt"),
    )
    assert place.counts() == (0, 0, 0, 0, 2, 0)
    place.corpus.remove("mine.txt")
    assert (listed(place), list((place.root / "data/uploads").iterdir())) == ({"one.txt": ("ready", "")}, [])
    place.corpus.add_file(original, "mine.txt")
    original.unlink()
    assert place.counts() == (0, 0, 0, 1, 1, 0)
    assert (found(place), listed(place)) == (["mine.txt"], {"mine.txt": ("ready", "")})


def test_a_status_names_what_it_is_a_copy_of(place: Place) -> None:
    for name in ("a/one.txt", "a/two.txt"):
        place.write(name, PARAGRAPH)
    place.counts("a")
    statuses = {status.source: status for status in place.corpus.status()}
    assert statuses["two.txt"] == SourceStatus(
        "two.txt", "ready", origin=str(place.root / "a"), copy_of="one.txt"
    )
