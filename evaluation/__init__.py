"""Questions with known answers, asked of the engines: what is measured, and the report as plain values."""
