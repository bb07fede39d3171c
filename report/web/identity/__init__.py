"""Identity: accounts, passwords, sessions, second factor, API tokens, identity provider, audit log."""
