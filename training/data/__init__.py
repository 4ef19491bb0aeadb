"""Corpora: clip tables, MELD, class folders, their splits, and transcripts of their recordings."""
