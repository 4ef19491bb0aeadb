"""Who may open the page: the password, sessions of browsers, tokens of scripts, and the limit on attempts to log in."""
