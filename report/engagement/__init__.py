"""Who is engaging, and when: users, matters, clients, activity, each one Arrow table."""
