"""The text branch of the default model: its corpora, distillation from a sentence model, and the training on them."""
