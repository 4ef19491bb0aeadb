"""Where the pages get what they show: the events of the daemon, the history, and requests to the daemon."""
