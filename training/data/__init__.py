"""From recordings and tables to examples: corpora, splits, vocabulary, transcripts."""
