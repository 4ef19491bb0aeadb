"""Commands that make a model: record, train, evaluate, convert."""
