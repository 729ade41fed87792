"""`text.tantivy/`: the words of the chunks in a tantivy index, searched by stemmed BM25.

It knows tantivy, its folder, and up to which change of the database it has come. It does not know the
database (its owner says what to add and to remove), nor what a term is (`rag.terms`).
"""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.store import StoreError
from rag.store_vectors import NEVER, Stamp
from rag.terms import Word, language_of, question_words, terms

log = logging.getLogger(__name__)

FOLDER = "text.tantivy"
_SHORTEST_FUZZY, _LONG_FUZZY = 4, 8  # letters of a word that may be one, or two, letters off
LONGEST_QUERY = 256  # different words of a query that are searched for
_HEAP = 32_000_000  # bytes that a writer may use before it writes a segment
_STAMP = 0  # the `document` of the one entry that carries the stamp; real ones count from 1


class DamagedError(Exception):
    """The index was opened but its contents cannot be read; it has to be made again."""


@contextmanager
def _damage() -> Iterator[None]:
    """Turn whatever tantivy says of files that it cannot use into one error; nothing else is caught."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise DamagedError from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # PyO3's; it has no public name
            raise
        raise DamagedError from error


class TextIndex:
    """BM25 over header and text. Searches may come from any thread; changes one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tantivy = _import_tantivy()
        self._schema = self._build_schema()
        self._lock = threading.Lock()
        self.stamp = NEVER
        self._index: Any = None
        self._searcher: Any = None

    def _build_schema(self) -> Any:
        builder = self._tantivy.SchemaBuilder()
        builder.add_integer_field("id", fast=True)
        # Signed, as deleting by a term of an unsigned field deletes nothing in tantivy-py 0.27.
        builder.add_integer_field("document", indexed=True)
        # The fields get the terms as `rag.terms` cuts them, with spaces between.
        builder.add_text_field("header", tokenizer_name="whitespace", index_option="freq")
        builder.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
        builder.add_text_field("stamp", stored=True, tokenizer_name="raw", index_option="basic")
        return builder.build()

    def open(self) -> None:
        """Read what is on disk now; `stamp` says how far it has come (`NEVER` if there is nothing usable)."""
        with self._lock:
            if self._index is None and not self._path.is_dir():
                return
            try:
                with _damage():
                    self._index = self._index or self._open_index()
                    self._index.reload()
                    self._searcher = self._index.searcher()
                    self.stamp = self._read_stamp()
            except DamagedError:
                log.warning("%s cannot be read; it is made again.", self._path.name)
                self._forget()

    def _open_index(self) -> Any:
        index = self._tantivy.Index(self._schema, path=str(self._path), reuse=True)
        index.config_reader("manual")
        return index

    def _forget(self) -> None:
        self._index = self._searcher = None
        self.stamp = NEVER

    def _read_stamp(self) -> Stamp:
        query = self._tantivy.Query.term_query(self._schema, "document", _STAMP)
        hits = self._searcher.search(query, 1).hits
        if not hits:
            return NEVER
        epoch, _, generation = self._searcher.doc(hits[0][1]).get_first("stamp").partition(":")
        return epoch, int(generation)

    def clear(self) -> None:
        """Start again with an empty folder. The caller holds the lock on the data folder."""
        with self._lock:
            self._forget()
            if self._path.exists():
                shutil.rmtree(self._path)

    def change(
        self, removed: Iterable[int], added: Iterable[tuple[int, int, str, str]], stamp: Stamp
    ) -> None:
        """Remove documents, add (id, document, header, text) of chunks, and carry the new stamp, all at once.

        The caller holds the lock on the data folder.
        """
        with _damage(), self._writer() as writer:
            for document in (*removed, _STAMP):
                writer.delete_documents_by_term("document", document)
            for number, document, header, text in added:
                language = language_of(text)
                words = {"header": " ".join(terms(header, language)), "text": " ".join(terms(text, language))}
                writer.add_document(self._entry(id=number, document=document, **words))
            writer.add_document(self._entry(document=_STAMP, stamp=f"{stamp[0]}:{stamp[1]}"))
        self.open()

    def _entry(self, **fields: int | str) -> Any:
        return self._tantivy.Document.from_dict(fields, self._schema)

    @contextmanager
    def _writer(self) -> Iterator[Any]:
        """A writer that commits at the end, lets its merges finish, and leaves the folder to others.

        Searches see the commit at once: with many chunks, merges take seconds.
        """
        with self._lock:
            if self._index is None:
                self._path.mkdir(parents=True, exist_ok=True)
                self._index = self._open_index()
        writer = self._index.writer(_HEAP, 1)
        try:
            writer.garbage_collect_files()  # a killed process leaves files whose names the next commit needs
            yield writer
            writer.commit()
            self.open()
        except BaseException:
            writer.rollback()
            raise
        finally:
            writer.wait_merging_threads()

    def search(self, query: str, k: int, only: list[int] | None = None) -> list[tuple[int, float]]:
        """(id, BM25) of the `k` best chunks, best first; with `only`, of these documents."""
        words = question_words(query)[:LONGEST_QUERY]
        with self._lock:
            searcher = self._searcher
        if not words or searcher is None:
            return []
        with _damage():
            clauses = [clause for word in words for clause in self._clauses(searcher, word)]
            hits = searcher.search(self._any_of(clauses, only), k, count=False).hits
            ids = searcher.fast_field_values("id", [address for _, address in hits])
        return [(int(number), float(score)) for number, (score, _) in zip(ids, hits, strict=True)]

    def _clauses(self, searcher: Any, word: Word) -> list[Any]:
        """Queries for the forms of the word that there are; if there are none, for what is nearly it.

        All stand side by side: tantivy skips what cannot be among the best only where nothing is nested.
        """
        query = self._tantivy.Query
        forms = itertools.product(("header", "text"), sorted(word.terms))
        known = [(field, term) for field, term in forms if searcher.doc_freq(field, term)]
        if not known and len(word.text) >= _SHORTEST_FUZZY:
            near = 2 if len(word.text) >= _LONG_FUZZY else 1
            return [query.fuzzy_term_query(self._schema, "text", word.text, near)]
        return [query.term_query(self._schema, *form, index_option="freq") for form in known]

    def _any_of(self, clauses: list[Any], only: list[int] | None) -> Any:
        query, should, must = self._tantivy.Query, self._tantivy.Occur.Should, self._tantivy.Occur.Must
        found = query.boolean_query([(should, clause) for clause in clauses])
        if only is None:
            return found
        mine = query.const_score_query(query.term_set_query(self._schema, "document", only), 0.0)
        return query.boolean_query([(must, found), (must, mine)])


def _import_tantivy() -> Any:
    try:
        import tantivy
    except ImportError as error:
        raise StoreError("tantivy is missing. Run: pip install tantivy") from error
    return tantivy
