"""How things look on the pages: the colour and the shape of a class, and the charts."""
