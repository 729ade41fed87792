"""Questions with known answers, asked of the engines: what is measured, and the report as plain values.

It may import engines, settings, rag and speech; the page (serving) and the command line (commands) import it.
"""
