"""Engagement: users, matters, clients and activity over time, each as one Arrow table."""
