"""Importing what several threads may be the first to import at the same moment."""

from __future__ import annotations


def import_transformers() -> None:
    """Call it before names are imported from transformers, or a package that does so, in a thread.

    transformers puts another module in its own place at the end of its import. Whoever imports a name from it
    meanwhile looks for that in the module which goes, and gets an ImportError; a bare import waits.
    """
    import transformers  # noqa: F401
