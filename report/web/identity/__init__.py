"""Who may sign in and what they did: accounts, sessions, second factor, API tokens, audit log."""
