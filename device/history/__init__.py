"""The history: past predictions and corrections in a SQLite file, which their owner can read, export and erase."""
