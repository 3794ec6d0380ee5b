"""
Our own web pages: how things stand, the dashboards, each question with its rows.

Comes in: GET requests from this machine. Goes out: HTML without scripts, CSV, JSON.
"""
