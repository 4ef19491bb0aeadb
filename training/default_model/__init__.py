"""How the model that ships is made: a recipe of its own, from text and sound corpora to one bundle."""
