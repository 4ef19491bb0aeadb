"""The Vosk speech model: its manifest of files and SHA-256 sums, its download, and where it is stored."""
