"""What this machine has of what the daemon needs: a look at each part, apart from each other, and what was found."""
